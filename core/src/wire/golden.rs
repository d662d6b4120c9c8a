//! The deployed bytes, one line an op, reply or error: what we write is exactly this, and what we read of
//! it is what it says.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use bytes::Bytes;

use super::*;
use crate::{Caps, Form, Secret, Seq, Target};

const LIMITS: Limits = Limits { max_body: 1 << 20, max_ops: 50 };

fn text(bytes: &Bytes) -> &str {
    core::str::from_utf8(bytes).unwrap()
}

fn target(host: &str, port: u16) -> Target {
    Target::new(host, port).unwrap()
}

fn sid(text: &str) -> Sid {
    Sid::new(text).unwrap()
}

fn bytes(payload: &'static [u8]) -> Bytes {
    Bytes::from_static(payload)
}

/// Every op, and its JSON inside a batch.
fn ops() -> Vec<(Op, &'static str)> {
    let seq = |number| Some(Seq::new(number));
    vec![
        (
            Op::Connect { target: target("smtp.example.org", 25) },
            r#"{"op":"connect","host":"smtp.example.org","port":25}"#,
        ),
        (
            Op::ConnectData { target: target("example.org", 443), payload: bytes(b"\x16\x03\x01\x02\x00") },
            r#"{"op":"connect_data","host":"example.org","port":443,"d":"FgMBAgA="}"#,
        ),
        (
            Op::ConnectData { target: target("example.org", 443), payload: bytes(b"") },
            r#"{"op":"connect_data","host":"example.org","port":443,"d":""}"#,
        ),
        (
            Op::Data { sid: sid("7a0c"), seq: seq(4), payload: bytes(b"") },
            r#"{"op":"data","sid":"7a0c","seq":4}"#,
        ),
        (
            Op::Data { sid: sid("9bf1"), seq: seq(7), payload: bytes(b"GET /") },
            r#"{"op":"data","sid":"9bf1","seq":7,"d":"R0VUIC8="}"#,
        ),
        (
            Op::Data { sid: sid("9bf1"), seq: seq(u64::MAX), payload: bytes(b"") },
            r#"{"op":"data","sid":"9bf1","seq":18446744073709551615}"#,
        ),
        (
            Op::Data { sid: sid("9bf1"), seq: None, payload: bytes(b"GET /") },
            r#"{"op":"data","sid":"9bf1","d":"R0VUIC8="}"#,
        ),
        (Op::Data { sid: sid("9bf1"), seq: None, payload: bytes(b"") }, r#"{"op":"data","sid":"9bf1"}"#),
        (
            Op::UdpOpen { target: target("1.1.1.1", 53), payload: bytes(b"\xab\xcd\x01\x00\x00\x01") },
            r#"{"op":"udp_open","host":"1.1.1.1","port":53,"d":"q80BAAAB"}"#,
        ),
        (
            Op::UdpOpen { target: target("::1", 53), payload: bytes(b"") },
            r#"{"op":"udp_open","host":"::1","port":53}"#,
        ),
        (Op::UdpData { sid: sid("u1"), payload: bytes(b"hi") }, r#"{"op":"udp_data","sid":"u1","d":"aGk="}"#),
        (Op::UdpData { sid: sid("u1"), payload: bytes(b"") }, r#"{"op":"udp_data","sid":"u1"}"#),
        (Op::Close { sid: sid("0d2e") }, r#"{"op":"close","sid":"0d2e"}"#),
        (Op::Close { sid: sid("q\"b\\t\tc\u{1}ü") }, r#"{"op":"close","sid":"q\"b\\t\tc\u0001ü"}"#),
    ]
}

fn read_ops(body: &[u8]) -> Vec<Result<Op, BadOp>> {
    decode_request(body, LIMITS).unwrap().decode_ops()
}

#[test]
fn every_op_is_written_with_the_deployed_bytes_and_read_back() {
    for (op, json) in ops() {
        let body = encode_request(Form::Node, &Secret::new("k"), [&op].into_iter());
        assert_eq!(text(&body), format!(r#"{{"k":"k","ops":[{json}]}}"#));
        assert_eq!(read_ops(&body), [Ok(op)]);
    }
}

#[test]
fn a_batch_goes_to_a_relay_with_its_type_and_to_a_node_without() {
    let ops = ops();
    let json = ops.iter().map(|(_, json)| *json).collect::<Vec<_>>().join(",");
    let ops: Vec<_> = ops.into_iter().map(|(op, _)| op).collect();
    let key = Secret::new("client-\"secret\"");
    let relay = encode_request(Form::Relay, &key, ops.iter());
    assert_eq!(text(&relay), format!(r#"{{"k":"client-\"secret\"","t":"batch","ops":[{json}]}}"#));
    let node = encode_request(Form::Node, &key, ops.iter());
    assert_eq!(text(&node), format!(r#"{{"k":"client-\"secret\"","ops":[{json}]}}"#));
    for body in [relay, node] {
        let request = decode_request(&body, LIMITS).unwrap();
        assert!(key.matches(&request.key));
        assert_eq!(request.decode_ops(), ops.iter().cloned().map(Ok).collect::<Vec<_>>());
    }
}

#[test]
fn the_size_of_a_request_is_foretold_exactly() {
    let ops: Vec<_> = ops().into_iter().map(|(op, _)| op).collect();
    for form in [Form::Relay, Form::Node] {
        let key = Secret::new("k\n");
        let foretold = request_overhead(form, &key) + ops.iter().map(Op::encoded_len).sum::<usize>() - 1;
        assert_eq!(encode_request(form, &key, ops.iter()).len(), foretold);
        assert_eq!(encode_request(form, &key, [].iter()).len(), request_overhead(form, &key));
    }
}

#[test]
fn the_example_batch_of_a_deployed_client_is_read() {
    let body = br#"{"k":"client-secret","t":"batch","_pad":"mZ0x","ops":[
        {"op":"connect_data","host":"example.org","port":443,"d":"FgMBAgA="},
        {"op":"data","sid":"7a0c","seq":4},
        {"op":"data","sid":"9bf1","seq":7,"wseq":3,"d":"R0VUIC8="},
        {"op":"udp_open","host":"1.1.1.1","port":53,"d":"q80BAAAB"},
        {"op":"close","sid":"0d2e"}]}"#;
    let request = decode_request(body, LIMITS).unwrap();
    assert_eq!(request.key, "client-secret");
    assert_eq!(request.len(), 5);
    let read = request.decode_ops();
    let table = ops();
    for (op, place) in read.iter().zip([1, 3, 4, 8, 12]) {
        assert_eq!(op.as_ref().unwrap(), &table[place].0);
    }
}

/// Ops that cannot be read: the JSON, and the error text and code of the reply.
#[test]
fn a_bad_op_fails_alone_with_the_deployed_text() {
    let table = [
        (r#"{"op":"connect"}"#, "missing host"),
        (r#"{"op":"connect","host":null,"port":0}"#, "missing host"),
        (r#"{"op":"connect","host":"","port":443}"#, "missing host"),
        (r#"{"op":"connect","host":5,"port":443}"#, "missing host"),
        (r#"{"op":"connect","host":"h"}"#, "missing or invalid port"),
        (r#"{"op":"connect","host":"h","port":null}"#, "missing or invalid port"),
        (r#"{"op":"connect","host":"h","port":0}"#, "missing or invalid port"),
        (r#"{"op":"connect","host":"h","port":-1}"#, "missing or invalid port"),
        (r#"{"op":"connect","host":"h","port":1.5}"#, "missing or invalid port"),
        (r#"{"op":"connect","host":"h","port":65536}"#, "missing or invalid port"),
        (r#"{"op":"connect","host":"h","port":"80"}"#, "missing or invalid port"),
        (r#"{"op":"connect","host":"h","port":1e999}"#, "missing or invalid port"),
        (r#"{"op":"connect_data","host":"h","d":"!"}"#, "missing or invalid port"),
        (r#"{"op":"connect_data","host":"h","port":1,"d":"!!!!"}"#, "bad base64: invalid symbol"),
        (r#"{"op":"connect_data","host":"h","port":1,"d":7}"#, "bad base64: not a string"),
        (r#"{"op":"data"}"#, "missing sid"),
        (r#"{"op":"data","sid":null}"#, "missing sid"),
        (r#"{"op":"data","sid":""}"#, "missing sid"),
        (r#"{"op":"data","sid":["s"]}"#, "missing sid"),
        (r#"{"op":"data","sid":"\ud800"}"#, "missing sid"),
        (r#"{"op":"data","sid":"s","seq":-1}"#, "bad seq: not an unsigned 64-bit number"),
        (r#"{"op":"data","sid":"s","seq":"1"}"#, "bad seq: not an unsigned 64-bit number"),
        (r#"{"op":"data","sid":"s","seq":1.0}"#, "bad seq: not an unsigned 64-bit number"),
        (r#"{"op":"data","sid":"s","seq":18446744073709551616}"#, "bad seq: not an unsigned 64-bit number"),
        (r#"{"op":"data","sid":"s","d":"QQ"}"#, "bad base64: invalid padding"),
        (r#"{"op":"data","sid":"s","d":"QQ="}"#, "bad base64: invalid padding"),
        (r#"{"op":"data","sid":"s","d":"QR=="}"#, "bad base64: stray bits in the last symbol"),
        (r#"{"op":"data","sid":"s","d":"Q"}"#, "bad base64: invalid length"),
        (r#"{"op":"data","sid":"s","d":"QUJD\n"}"#, "bad base64: invalid symbol"),
        (r#"{"op":"data","sid":"s","d":"QUJ\ud800"}"#, "bad base64: bad escape"),
        (r#"{"op":"data","sid":"s","d":"-_-_"}"#, "bad base64: invalid symbol"),
        (r#"{"op":"udp_open","host":"h","port":1,"d":"?"}"#, "bad base64: invalid symbol"),
        (r#"{"op":"udp_data","d":"QQ=="}"#, "missing sid"),
        (r#"{"op":"close"}"#, "missing sid"),
        (r#"{"op":"resolve","host":"h"}"#, "unknown op: resolve"),
        (r#"{"op":""}"#, "unknown op: "),
        (r#"{"op":7}"#, "bad op: not an object with a string \"op\""),
        (r#"{"sid":"s"}"#, "bad op: not an object with a string \"op\""),
        (r#"{}"#, "bad op: not an object with a string \"op\""),
        (r#"[]"#, "bad op: not an object with a string \"op\""),
        (r#""data""#, "bad op: not an object with a string \"op\""),
        (r#"null"#, "bad op: not an object with a string \"op\""),
        (r#"-1e999"#, "bad op: not an object with a string \"op\""),
    ];
    for (json, error) in table {
        let good = r#"{"op":"data","sid":"9bf1","seq":7,"d":"R0VUIC8="}"#;
        let body = format!(r#"{{"k":"k","ops":[{good},{json},{good}]}}"#);
        let read = read_ops(body.as_bytes());
        assert_eq!(read.len(), 3, "{json}");
        let bad = read[1].as_ref().unwrap_err();
        assert_eq!(bad.to_string(), error, "{json}");
        assert_eq!(bad.code().is_some(), error.starts_with("unknown op"), "{json}");
        for neighbour in [&read[0], &read[2]] {
            assert_eq!(neighbour.as_ref().unwrap(), &ops()[4].0, "{json}");
        }
    }
}

fn reply_table() -> Vec<(Reply, &'static str)> {
    let reply = Reply::default;
    let some = |text: &str| Some(text.into());
    vec![
        (
            Reply {
                sid: Some(sid("5f0e")),
                data: bytes(b"\x16\x03\x03\x00\x7a"),
                caps: Some(Caps::PIPELINE_SEQ),
                ..reply()
            },
            r#"{"sid":"5f0e","d":"FgMDAHo=","eof":false,"caps":1}"#,
        ),
        (
            Reply { sid: Some(sid("7a0c")), seq: Some(Seq::new(4)), ..reply() },
            r#"{"sid":"7a0c","eof":false,"seq":4}"#,
        ),
        (
            Reply {
                sid: Some(sid("9bf1")),
                data: bytes(b"HTTP/"),
                eof: true,
                seq: Some(Seq::new(7)),
                ..reply()
            },
            r#"{"sid":"9bf1","d":"SFRUUC8=","eof":true,"seq":7}"#,
        ),
        (
            Reply {
                sid: Some(sid("edns-doh")),
                packets: vec![bytes(b"\xab\xcd\x81\x80\x00\x01")],
                eof: true,
                ..reply()
            },
            r#"{"sid":"edns-doh","pkts":["q82BgAAB"],"eof":true}"#,
        ),
        (
            Reply { sid: Some(sid("u")), packets: vec![bytes(b"a"), bytes(b""), bytes(b"b")], ..reply() },
            r#"{"sid":"u","pkts":["YQ==","","Yg=="],"eof":false}"#,
        ),
        (Reply { sid: Some(sid("0d2e")), eof: true, ..reply() }, r#"{"sid":"0d2e","eof":true}"#),
        (
            Reply { sid: Some(sid("0d2e")), eof: false, caps: Some(Caps::from_bits(u32::MAX)), ..reply() },
            r#"{"sid":"0d2e","eof":false,"caps":4294967295}"#,
        ),
    ]
    .into_iter()
    .chain(
        [
            (r#"{"e":"connect failed: connect timeout"}"#, "connect failed: connect timeout", None),
            (r#"{"e":"missing host"}"#, "missing host", None),
            (r#"{"e":"missing or invalid port"}"#, "missing or invalid port", None),
            (r#"{"e":"missing sid"}"#, "missing sid", None),
            (r#"{"e":"unknown session"}"#, "unknown session", None),
            (r#"{"e":"unauthorized"}"#, "unauthorized", None),
            (r#"{"e":"write failed: \"broken\" pipe"}"#, "write failed: \"broken\" pipe", None),
            (r#"{"e":"udp connect failed: x"}"#, "udp connect failed: x", None),
            (
                r#"{"e":"seq 9 timed out waiting for 7 (waited 30.0s)","seq":9}"#,
                "seq 9 timed out waiting for 7 (waited 30.0s)",
                Some(9),
            ),
            (
                r#"{"e":"seq 3 already processed (expected 5)","seq":3}"#,
                "seq 3 already processed (expected 5)",
                Some(3),
            ),
        ]
        .map(|(json, error, seq)| (Reply { error: some(error), seq: seq.map(Seq::new), ..reply() }, json)),
    )
    .chain([(
        Reply { error: some("unknown op: X"), code: Some(Code::UnsupportedOp), ..reply() },
        r#"{"e":"unknown op: X","code":"UNSUPPORTED_OP"}"#,
    )])
    .collect()
}

/// The parts that write `reply`, its data cut into pieces of one byte.
fn parts<'a>(reply: &'a Reply, pieces: &'a [Bytes]) -> ReplyParts<'a> {
    ReplyParts {
        sid: reply.sid,
        data: pieces,
        packets: &reply.packets,
        eof: reply.error.is_none().then_some(reply.eof),
        error: reply.error.as_deref(),
        code: reply.code,
        seq: reply.seq,
        caps: reply.caps,
    }
}

fn pieces(reply: &Reply) -> Vec<Bytes> {
    (0..reply.data.len()).map(|place| reply.data.slice(place..=place)).collect()
}

#[test]
fn every_reply_is_written_with_the_deployed_bytes_and_read_back() {
    let table = reply_table();
    let mut all: Vec<String> = vec![];
    for (reply, json) in &table {
        let pieces = pieces(reply);
        assert_eq!(text(&encode_single_answer(&parts(reply, &pieces))), *json);
        let body = encode_answer(&[parts(reply, &pieces)]);
        assert_eq!(text(&body), format!(r#"{{"r":[{json}]}}"#));
        assert_eq!(parts(reply, &pieces).encoded_len(), json.len() + 1);
        assert_eq!(decode_answer(&body, 1, LIMITS).unwrap(), [reply.clone()]);
        all.push(json.to_string());
    }
    let body = format!(r#"{{"r":[{}]}}"#, all.join(","));
    let replies: Vec<_> = table.into_iter().map(|(reply, _)| reply).collect();
    assert_eq!(decode_answer(body.as_bytes(), replies.len(), LIMITS).unwrap(), replies);
}

#[test]
fn the_error_of_a_whole_exchange_stands_alone() {
    assert_eq!(text(&encode_error("tunnel node HTTP 413")), r#"{"e":"tunnel node HTTP 413"}"#);
    assert_eq!(
        text(&encode_error("a\"\\\n\u{1f}\u{7f}é\u{2028}")),
        "{\"e\":\"a\\\"\\\\\\n\\u001f\u{7f}é\u{2028}\"}"
    );
}

#[test]
fn a_single_request_is_read_in_node_form() {
    let read = |body: &str| decode_single(body.as_bytes(), LIMITS).unwrap().decode_op();
    assert_eq!(
        read(r#"{"k":"k","op":"connect","host":"smtp.example.org","port":25}"#),
        Ok(ops()[0].0.clone())
    );
    assert_eq!(
        read(r#"{"k":"k","op":"connect_data","host":"example.org","port":443,"data":"FgMBAgA=","d":"!"}"#),
        Ok(ops()[1].0.clone())
    );
    assert_eq!(read(r#"{"k":"k","op":"data","sid":"7a0c","seq":4}"#), Ok(ops()[3].0.clone()));
    assert_eq!(read(r#"{"k":"k","op":"close","sid":"0d2e"}"#), Ok(ops()[12].0.clone()));
    for name in ["udp_open", "udp_data", "resolve"] {
        let body = format!(r#"{{"k":"k","op":"{name}","host":"h","port":1,"sid":"s"}}"#);
        assert_eq!(read(&body), Err(BadOp::Unknown(name.into())));
    }
    assert_eq!(read(r#"{"k":"k","op":7}"#), Err(BadOp::NotAnOp));
}
