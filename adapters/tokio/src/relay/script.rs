//! The relay script: checks the key of a call, renames its members, forwards it (protocol.md 1).
//!
//! A packet (protocol.md 3) has its key in a header and is forwarded unchanged.

use serde::Deserialize;
use serde_json::value::RawValue;

use bytes::{BufMut, Bytes, BytesMut};
use seqlane::Secret;

/// The keys on both sides of the script.
#[derive(Debug)]
pub(super) struct Script {
    key: Secret,
    /// The node's key as JSON text, quotes included.
    node_key: String,
}

/// What the script does with a call.
pub(super) enum ScriptAction {
    /// Post this to the node.
    Forward { path: Path, body: Bytes },
    /// Answer with this JSON.
    Answer(String),
    /// Answer with the page for rejected calls.
    Decoy,
}

/// The node's endpoint for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Batch,
    Single,
    Streams,
}

impl Path {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "/tunnel/batch",
            Self::Single => "/tunnel",
            Self::Streams => "/tunnel/streams",
        }
    }

    /// Its name in error texts.
    const fn label(self) -> &'static str {
        match self {
            Self::Batch => "tunnel batch",
            Self::Single => "tunnel node",
            Self::Streams => "tunnel streams",
        }
    }
}

/// A call in the relay form. Members that are forwarded unchanged are not decoded.
#[derive(Deserialize)]
struct ScriptCall<'a> {
    k: String,
    t: Option<String>,
    #[serde(borrow)]
    ops: Option<&'a RawValue>,
    #[serde(borrow)]
    h: Option<&'a RawValue>,
    #[serde(borrow)]
    p: Option<&'a RawValue>,
    #[serde(borrow)]
    sid: Option<&'a RawValue>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

/// The page for rejected calls. Clients recognise it by its sentence.
pub(super) const DECOY: &str = "<!doctype html>\n<html><head><title>Result</title></head>\
    <body><p>The script completed but did not return anything.</p></body></html>\n";

impl Script {
    pub(super) fn new(key: &str, node_key: &str) -> Self {
        Self { key: Secret::new(key), node_key: serde_json::Value::from(node_key).to_string() }
    }

    /// Reads a call.
    pub(super) fn read(&self, body: &[u8], strip_seq: bool) -> ScriptAction {
        let Ok(call) = serde_json::from_slice::<ScriptCall<'_>>(body) else { return ScriptAction::Decoy };
        if !self.key.matches(&call.k) {
            return ScriptAction::Decoy;
        }
        match call.t.as_deref() {
            Some("batch") => self.batch(call.ops, strip_seq),
            Some(op @ ("connect" | "connect_data" | "data" | "close")) => self.single(op, &call),
            other => ScriptAction::Answer(unknown_op(other.unwrap_or_default())),
        }
    }

    /// Reads a packet with this key.
    pub(super) fn read_packet(&self, key: &str, packet: Bytes) -> ScriptAction {
        if self.key.matches(key) {
            ScriptAction::Forward { path: Path::Streams, body: packet }
        } else {
            ScriptAction::Decoy
        }
    }

    fn batch(&self, ops: Option<&RawValue>, strip_seq: bool) -> ScriptAction {
        let ops = ops.map_or("[]", RawValue::get);
        let stripped = if strip_seq { without_seq(ops) } else { None };
        let ops = stripped.as_deref().unwrap_or(ops);
        let mut body = BytesMut::with_capacity(ops.len() + self.node_key.len() + 16);
        body.put_slice(b"{\"k\":");
        body.put_slice(self.node_key.as_bytes());
        body.put_slice(b",\"ops\":");
        body.put_slice(ops.as_bytes());
        body.put_slice(b"}");
        ScriptAction::Forward { path: Path::Batch, body: body.freeze() }
    }

    fn single(&self, op: &str, call: &ScriptCall<'_>) -> ScriptAction {
        let mut body = format!("{{\"k\":{},\"op\":\"{op}\"", self.node_key);
        for (name, value) in [("host", call.h), ("port", call.p), ("sid", call.sid), ("data", call.d)] {
            if let Some(value) = value {
                body.push_str(&format!(",\"{name}\":{}", value.get()));
            }
        }
        body.push('}');
        ScriptAction::Forward { path: Path::Single, body: body.into() }
    }
}

/// The text of the script for another status of the node than 200.
pub(super) fn bad_status(path: Path, status: u16) -> String {
    serde_json::json!({ "e": format!("{} HTTP {status}", path.label()) }).to_string()
}

fn unknown_op(name: &str) -> String {
    serde_json::json!({ "e": format!("unknown tunnel op: {name}"), "code": "UNSUPPORTED_OP" }).to_string()
}

/// The list without the `seq` of its members, as forwarded by a script that does not know `seq`.
fn without_seq(list: &str) -> Option<String> {
    let mut members: Vec<serde_json::Value> = serde_json::from_str(list).ok()?;
    for member in &mut members {
        if let Some(fields) = member.as_object_mut() {
            fields.remove("seq");
        }
    }
    serde_json::to_string(&members).ok()
}

/// The same for the node's answer to a batch.
pub(super) fn replies_without_seq(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Replies<'a> {
        #[serde(borrow)]
        r: &'a RawValue,
    }
    let answer: Replies<'_> = serde_json::from_slice(answer).ok()?;
    Some(format!("{{\"r\":{}}}", without_seq(answer.r.get())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: &str, strip_seq: bool) -> ScriptAction {
        Script::new("outer", "in\"ner").read(call.as_bytes(), strip_seq)
    }

    #[track_caller]
    fn forwarded(action: ScriptAction) -> (Path, String) {
        match action {
            ScriptAction::Forward { path, body } => (path, String::from_utf8(body.to_vec()).unwrap()),
            ScriptAction::Answer(answer) => panic!("answered {answer}"),
            ScriptAction::Decoy => panic!("answered with the decoy"),
        }
    }

    #[test]
    fn the_ops_of_a_batch_pass_byte_for_byte() {
        let ops = r#"[ {"op":"data" , "sid":"a\/b","x":1e3, "d":"QUJD"},3,{"seq": 0} ]"#;
        let call = format!(r#"{{"t":"batch","_pad":"xx","ops":{ops},"k":"outer"}}"#);
        let (path, body) = forwarded(read(&call, false));
        assert_eq!(path, Path::Batch);
        assert_eq!(body, format!(r#"{{"k":"in\"ner","ops":{ops}}}"#));
    }

    #[test]
    fn single_ops_are_rewritten_with_the_nodes_names() {
        let (path, body) =
            forwarded(read(r#"{"k":"outer","t":"connect_data","h":"a.b","p":80,"d":"QQ=="}"#, false));
        assert_eq!(path, Path::Single);
        assert_eq!(body, r#"{"k":"in\"ner","op":"connect_data","host":"a.b","port":80,"data":"QQ=="}"#);
        let (_, body) = forwarded(read(r#"{"k":"outer","t":"close","sid":"s"}"#, false));
        assert_eq!(body, r#"{"k":"in\"ner","op":"close","sid":"s"}"#);
    }

    #[test]
    fn rejected_calls_get_the_decoy() {
        for call in ["", "{", "[]", "{}", r#"{"k":1,"t":"batch"}"#, r#"{"k":"wrong","t":"batch","ops":[]}"#] {
            assert!(matches!(read(call, false), ScriptAction::Decoy), "{call}");
        }
        assert!(DECOY.contains("The script completed but did not return anything"));
    }

    #[test]
    fn a_packet_is_forwarded_unchanged_with_the_key_and_not_without() {
        let script = Script::new("outer", "inner");
        let ScriptAction::Forward { path, body } =
            script.read_packet("outer", Bytes::from_static(b"\x02\xff"))
        else {
            panic!()
        };
        assert_eq!((path, &body[..]), (Path::Streams, &b"\x02\xff"[..]));
        for key in ["", "inner"] {
            assert!(matches!(script.read_packet(key, Bytes::new()), ScriptAction::Decoy), "{key}");
        }
    }

    #[test]
    fn an_unknown_kind_of_call_is_named() {
        let ScriptAction::Answer(answer) = read(r#"{"k":"outer","t":"streams"}"#, false) else { panic!() };
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer, serde_json::json!({"e": "unknown tunnel op: streams", "code": "UNSUPPORTED_OP"}));
    }

    #[test]
    fn stripping_takes_seq_from_ops_and_replies_and_nothing_else() {
        let call = r#"{"k":"outer","t":"batch","ops":[{"op":"data","seq":4,"d":"QQ=="},5]}"#;
        let (_, body) = forwarded(read(call, true));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["ops"], serde_json::json!([{"op": "data", "d": "QQ=="}, 5]));
        let reply = replies_without_seq(br#"{"r":[{"sid":"s","seq":4,"caps":1,"eof":false}]}"#).unwrap();
        let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply, serde_json::json!({"r": [{"sid": "s", "caps": 1, "eof": false}]}));
        assert_eq!(replies_without_seq(br#"{"e":"no"}"#), None);
    }
}
