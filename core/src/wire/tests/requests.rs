//! Requests as a whole: what is refused, what is overlooked, what is bounded.

use alloc::string::{String, ToString};
use alloc::{format, vec};

use bytes::Bytes;

use super::{LIMITS, read_ops, sid};
use crate::wire::*;
use crate::{Form, Secret, Seq};

fn refusal(body: &str) -> String {
    decode_request(body.as_bytes(), LIMITS).unwrap_err().to_string()
}

#[test]
fn a_body_that_is_no_batch_is_refused_with_a_reason() {
    let table = [
        (r#"{"ops":[]}"#, "bad json: missing field `k`"),
        (r#"{"k":"k"}"#, "bad json: missing field `ops`"),
        (r#"{}"#, "bad json: missing field `k`"),
        (r#""#, "bad json: EOF while parsing a value at line 1 column 0"),
        (r#"{"k":"k","ops":[]"#, "bad json: EOF while parsing an object at line 1 column 17"),
        (r#"{"k":"k","ops":[]}x"#, "bad json: trailing characters at line 1 column 19"),
        (r#"{"k":"k","ops":[]}{}"#, "bad json: trailing characters at line 1 column 19"),
        (r#"{"k":"k","ops":[{"op":"data",}]}"#, "bad json: key must be a string at line 1 column 30"),
        (
            "{\"k\":\"a\nb\",\"ops\":[]}",
            "bad json: control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0",
        ),
    ];
    for (body, reason) in table {
        assert_eq!(refusal(body), reason, "{body}");
    }
}

#[test]
fn a_refusal_never_repeats_what_the_body_says() {
    for body in [
        r#"{"k":"k","ops":"hunter2"}"#,
        r#"{"k":["hunter2"],"ops":[]}"#,
        r#"{"k":"k","ops":{"hunter2":1}}"#,
        r#"{"k":"k","ops":null}"#,
        r#"{"k":null,"ops":[]}"#,
        r#"{"k":7,"ops":[]}"#,
        r#""hunter2""#,
        r#"["hunter2"]"#,
    ] {
        let reason = refusal(body);
        assert!(reason.starts_with("bad json: expected an object with a string `k`"), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
}

#[test]
fn invalid_utf8_is_refused_wherever_it_is() {
    let body = b"{\"k\":\"k\",\"_pad\":\"\xff\",\"ops\":[]}";
    assert_eq!(
        decode_request(body, LIMITS).unwrap_err(),
        RequestError::Json("invalid UTF-8 at byte 17".into())
    );
}

#[test]
fn unknown_keys_are_overlooked_whatever_they_hold() {
    let unknown = r#"{"a":[1e999,{"b":"\ud800"}],"c":-0.0}"#;
    let body = format!(
        r#"{{"_pad":{unknown},"k":"k","zops":{unknown},"ops":[{{"x":{unknown},"op":"close","sid":"s","seq":"odd","d":5}}]}}"#
    );
    assert_eq!(read_ops(body.as_bytes()), [Ok(Op::Close { sid: sid("s") })]);
}

#[test]
fn escapes_are_understood_in_keys_and_in_values() {
    let body = r#"{"\u006b":"k\u00e9","\u006fps":[{"\u006fp":"da\u0074a","sid":"a\/b","d":"\/\/8\u003d"}]}"#;
    let request = decode_request(body.as_bytes(), LIMITS).unwrap();
    assert_eq!(request.key, "ké");
    let payload = Bytes::from_static(b"\xff\xff");
    assert_eq!(request.decode_ops(), [Ok(Op::Data { sid: sid("a/b"), seq: None, payload })]);
}

#[test]
fn of_a_key_that_comes_twice_the_last_counts() {
    let body = r#"{"k":"a","ops":[],"k":"b","ops":[{"op":"close","op":"data","sid":"x","sid":"y","d":"QQ==","d":null}]}"#;
    let request = decode_request(body.as_bytes(), LIMITS).unwrap();
    assert_eq!(request.key, "b");
    assert_eq!(request.decode_ops(), [Ok(Op::Data { sid: sid("y"), seq: None, payload: Bytes::new() })]);
}

#[test]
fn the_body_is_bounded_to_the_byte() {
    let body = encode_request(Form::Node, &Secret::new("k"), [&Op::Close { sid: sid("s") }].into_iter());
    let exact = Limits { max_body: body.len(), ..LIMITS };
    assert!(decode_request(&body, exact).is_ok());
    let short = Limits { max_body: body.len() - 1, ..LIMITS };
    assert_eq!(decode_request(&body, short).unwrap_err(), RequestError::TooLarge);
    assert_eq!(decode_single(&body, short).unwrap_err(), RequestError::TooLarge);
}

#[test]
fn the_ops_are_bounded_to_the_op() {
    let ops = vec![Op::Close { sid: sid("s") }; LIMITS.max_ops + 1];
    let key = Secret::new("k");
    let most = encode_request(Form::Node, &key, ops.iter().skip(1));
    assert_eq!(decode_request(&most, LIMITS).unwrap().decode_ops().len(), LIMITS.max_ops);
    let more = encode_request(Form::Node, &key, ops.iter());
    assert_eq!(decode_request(&more, LIMITS).unwrap_err(), RequestError::TooManyOps);
}

#[test]
fn an_empty_batch_is_a_batch() {
    let request = decode_request(br#"{"k":"","ops":[]}"#, LIMITS).unwrap();
    assert!(request.is_empty());
    assert_eq!(request.decode_ops(), []);
}

#[test]
fn strings_are_bounded() {
    let op = |fields: String| read_ops(format!(r#"{{"k":"k","ops":[{{{fields}}}]}}"#).as_bytes()).remove(0);
    assert!(op(format!(r#""op":"connect","port":1,"host":"{}""#, "h".repeat(255))).is_ok());
    assert_eq!(op(format!(r#""op":"connect","port":1,"host":"{}""#, "h".repeat(256))), Err(BadOp::Host));
    assert!(op(format!(r#""op":"close","sid":"{}""#, "s".repeat(64))).is_ok());
    assert_eq!(op(format!(r#""op":"close","sid":"{}""#, "s".repeat(65))), Err(BadOp::Sid));
    // 199 bytes and half a character: the character goes.
    let name = "x".repeat(199) + "é";
    assert_eq!(op(format!(r#""op":"{name}""#)), Err(BadOp::Unknown("x".repeat(199).into())));
}

#[test]
fn nesting_of_any_depth_takes_no_stack() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let body =
        format!(r#"{{"k":"k","x":{deep},"ops":[{deep},{{"op":"close","sid":{deep}}},{{"op":{deep}}}]}}"#);
    assert_eq!(read_ops(body.as_bytes()), [Err(BadOp::NotAnOp), Err(BadOp::Sid), Err(BadOp::NotAnOp)]);
    let open = r#"{"k":"k","ops":"#.to_string() + &"[".repeat(500_000);
    assert!(refusal(&open).starts_with("bad json: EOF"));
}

#[test]
fn a_bad_payload_names_its_session_and_place_and_a_bad_seq_its_session() {
    let bad = |op: &str| read_ops(format!(r#"{{"k":"k","ops":[{op}]}}"#).as_bytes()).remove(0).unwrap_err();
    let s = Some(sid("s"));
    let payload = |sid, seq| BadOp::Payload { reason: "invalid symbol", sid, seq };
    assert_eq!(bad(r#"{"op":"data","sid":"s","seq":3,"d":"?"}"#), payload(s, Some(Seq::new(3))));
    assert_eq!(bad(r#"{"op":"data","sid":"s","d":"?"}"#), payload(s, None));
    assert_eq!(bad(r#"{"op":"udp_data","sid":"s","seq":3,"d":"?"}"#), payload(s, None));
    assert_eq!(bad(r#"{"op":"connect_data","host":"h","port":1,"d":"?"}"#), payload(None, None));
    assert_eq!(bad(r#"{"op":"data","sid":"s","seq":-3,"d":"?"}"#), BadOp::Seq { sid: s });
}

#[test]
fn a_single_request_without_key_or_op_says_so() {
    let refusal = |body: &str| decode_single(body.as_bytes(), LIMITS).unwrap_err();
    assert_eq!(refusal(r#"{"op":"close"}"#), RequestError::Missing("k"));
    assert_eq!(refusal(r#"{"k":"k"}"#), RequestError::Missing("op"));
    assert_eq!(refusal(r#"{"k":null}"#), RequestError::Missing("k"));
    assert_eq!(refusal(r#"{"k":7,"op":"close"}"#), RequestError::Json("`k` is not a string".into()));
    assert_eq!(refusal(r#"["k"]"#).to_string(), "bad json: expected an object at line 1 column 0");
    assert_eq!(refusal("").to_string(), "bad json: EOF while parsing a value at line 1 column 0");
    assert_eq!(RequestError::Missing("k").to_string(), "missing field `k`");
}

#[test]
fn neither_key_nor_payload_is_ever_printed() {
    let body = br#"{"k":"hunter2","op":"data","sid":"s","data":"aHVudGVyMg=="}"#;
    let single = decode_single(body, LIMITS).unwrap();
    assert_eq!(format!("{single:?}"), "SingleRequest { .. }");
    assert!(!format!("{:?}", single.decode_op().unwrap()).contains("hunter2"));
    let batch =
        decode_request(br#"{"k":"hunter2","ops":[{"op":"data","d":"aHVudGVyMg=="}]}"#, LIMITS).unwrap();
    assert_eq!(format!("{batch:?}"), "Request { ops: 1, .. }");
}
