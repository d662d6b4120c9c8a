//! Answers as a whole, and replies that cannot be read.

use alloc::borrow::ToOwned;
use alloc::{format, vec};

use bytes::Bytes;

use super::{LIMITS, sid};
use crate::wire::*;
use crate::{Caps, Seq};

fn read(body: &str, ops: usize) -> Result<Answer, AnswerError> {
    decode_answer(body.as_bytes(), ops, LIMITS)
}

fn reply(json: &str) -> Reply {
    // Between two good ones, which nothing may harm.
    let good = r#"{"sid":"ok","d":"b2s=","eof":false}"#;
    let mut answer = read(&format!(r#"{{"r":[{good},{json},{good}]}}"#), 3).unwrap();
    let unharmed = Reply { sid: Some(sid("ok")), data: Bytes::from("ok"), ..Reply::default() };
    assert_eq!([&answer[0], &answer[2]], [&unharmed; 2], "{json}");
    answer.swap_remove(1)
}

#[test]
fn an_error_without_replies_is_an_error_of_the_envelope() {
    for (body, text) in [
        (r#"{"e":"tunnel batch HTTP 413"}"#, "tunnel batch HTTP 413"),
        (r#"{"e":"tunnel batch length mismatch","r":[]}"#, "tunnel batch length mismatch"),
        (r#"{"r":null,"e":"unauthorized"}"#, "unauthorized"),
        (r#"{"e":"unknown tunnel op: X","code":"UNSUPPORTED_OP"}"#, "unknown tunnel op: X"),
        (r#"{"e":""}"#, ""),
        (r#"{"e":{"why":1}}"#, r#"{"why":1}"#),
    ] {
        assert_eq!(read(body, 2), Err(AnswerError::Envelope(text.into())), "{body}");
    }
    let long = format!(r#"{{"e":"{}"}}"#, "é".repeat(1000));
    assert_eq!(read(&long, 1), Err(AnswerError::Envelope("é".repeat(100).into())));
}

#[test]
fn replies_beside_an_error_are_the_answer() {
    let answer = read(r#"{"e":"x","r":[{"eof":true}]}"#, 1);
    assert_eq!(answer, Ok(vec![Reply { eof: true, ..Reply::default() }]));
    assert_eq!(read(r#"{"e":null,"r":[]}"#, 0), Ok(vec![]));
}

#[test]
fn another_number_of_replies_than_ops_is_no_answer() {
    let body = r#"{"r":[{"e":"bad json: expected value at line 1 column 1"}]}"#;
    assert_eq!(read(body, 5), Err(AnswerError::WrongLength { expected: 5, got: 1 }));
    assert_eq!(read(body, 0), Err(AnswerError::WrongLength { expected: 0, got: 1 }));
    assert_eq!(read(r#"{"r":[]}"#, 1), Err(AnswerError::WrongLength { expected: 1, got: 0 }));
    assert_eq!(read(r#"{"r":[{},{},{}]}"#, 2), Err(AnswerError::WrongLength { expected: 2, got: 3 }));
}

#[test]
fn what_is_no_json_of_the_right_shape_is_no_answer() {
    for body in [
        "",
        " ",
        "<html><body>The script completed but did not return anything</body></html>",
        "<style>p { color: red }</style>",
        "}{",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"r":null}"#,
        r#"{"r":5}"#,
        r#"{"r":{}}"#,
        r#"{"r":"[]","e":"x"}"#,
        r#"{"r":[{"eof":false}]"#,
        r#"{"r":[{"eof":false}]}]"#,
        r#"{"r":[{"eof":false}]}{"r":[]}"#,
    ] {
        assert_eq!(read(body, 1), Err(AnswerError::NotAnAnswer), "{body}");
    }
    assert_eq!(decode_answer(b"{\"r\":[{\"x\":\"\xff\"}]}", 1, LIMITS), Err(AnswerError::NotAnAnswer));
}

#[test]
fn text_around_the_object_is_skipped_as_deployed_clients_do() {
    let answer = r#"{"r":[{"eof":true}]}"#;
    for body in [
        format!("\u{feff}{answer}"),
        format!(" \r\n\t{answer}\n"),
        format!("<pre>{answer}</pre>"),
        format!(")]}}'\n{answer}"),
        format!("callback({answer});"),
    ] {
        assert!(read(&body, 1).is_ok_and(|answer| answer[0].eof), "{body}");
    }
    assert!(decode_answer(&[b"\xff\xfe", answer.as_bytes(), b"\xff"].concat(), 1, LIMITS).is_ok());
}

#[test]
fn the_body_is_bounded_to_the_byte() {
    let body = br#"{"r":[]}"#;
    assert_eq!(decode_answer(body, 0, Limits { max_body: body.len(), ..LIMITS }), Ok(vec![]));
    let short = Limits { max_body: body.len() - 1, ..LIMITS };
    assert_eq!(decode_answer(body, 0, short), Err(AnswerError::TooLarge));
}

#[test]
fn a_reply_that_is_no_object_is_damaged_and_an_error() {
    for json in ["null", "7", "\"eof\"", "[]", "1e999", "true"] {
        let reply = reply(json);
        assert!(reply.damaged, "{json}");
        assert_eq!(reply.error.as_deref(), Some("bad reply: not an object"), "{json}");
    }
}

#[test]
fn a_field_of_the_wrong_type_damages_the_reply_and_is_never_taken_as_absent() {
    for json in [
        r#"{"sid":7}"#,
        r#"{"sid":""}"#,
        r#"{"d":7}"#,
        r#"{"d":["QQ=="]}"#,
        r#"{"d":"QQ"}"#,
        r#"{"d":"QQ==\n"}"#,
        r#"{"d":"Q\ud800=="}"#,
        r#"{"pkts":"QQ=="}"#,
        r#"{"pkts":{}}"#,
        r#"{"pkts":[7]}"#,
        r#"{"pkts":[null]}"#,
        r#"{"pkts":["!"]}"#,
        r#"{"eof":"true"}"#,
        r#"{"eof":1}"#,
        r#"{"code":5}"#,
        r#"{"seq":"7"}"#,
        r#"{"seq":-1}"#,
        r#"{"seq":7.0}"#,
        r#"{"seq":1e999}"#,
        r#"{"caps":"1"}"#,
        r#"{"caps":4294967296}"#,
    ] {
        assert_eq!(reply(json), Reply { damaged: true, ..Reply::default() }, "{json}");
    }
    let error = reply(r#"{"e":["boom"]}"#);
    assert_eq!((error.damaged, error.error.as_deref()), (true, Some("bad reply: the error is not a text")));
}

#[test]
fn what_can_be_read_of_a_damaged_reply_is_kept() {
    let reply = reply(r#"{"sid":"s","d":"?","pkts":["YQ==","?","Yg=="],"eof":true,"seq":7,"caps":1}"#);
    let kept = Reply {
        sid: Some(sid("s")),
        packets: vec![Bytes::from("a"), Bytes::from("b")],
        eof: true,
        seq: Some(Seq::new(7)),
        caps: Some(Caps::PIPELINE_SEQ),
        damaged: true,
        ..Reply::default()
    };
    assert_eq!(reply, kept);
}

#[test]
fn null_and_unknown_fields_are_absent() {
    let json = r#"{"sid":null,"d":null,"pkts":null,"eof":null,"e":null,"code":null,"seq":null,"caps":null,"zc":3,"x":1e999}"#;
    assert_eq!(reply(json), Reply::default());
}

#[test]
fn an_unknown_code_is_some_code() {
    assert_eq!(reply(r#"{"e":"x","code":"QUOTA"}"#).code, Some(Code::Other));
}

#[test]
fn an_error_text_is_cut_between_characters() {
    let json = format!(r#"{{"e":"{}"}}"#, "x".to_owned() + &"é".repeat(200));
    let error = reply(&json).error.unwrap();
    assert_eq!(error.len(), 199);
    assert!(error.ends_with('é'));
}

#[test]
fn datagrams_are_bounded_over_the_whole_answer() {
    let many = vec![r#""""#; 40_000].join(",");
    let body = format!(r#"{{"r":[{{"pkts":[{many}]}},{{"pkts":[{many}]}},{{"eof":true}}]}}"#);
    let answer = read(&body, 3).unwrap();
    assert_eq!(answer.iter().map(|reply| reply.packets.len()).sum::<usize>(), 65_536);
    assert_eq!(answer.iter().map(|reply| reply.damaged).collect::<vec::Vec<_>>(), [false, true, false]);
}

#[test]
fn an_error_of_the_envelope_is_told_as_such() {
    let told = |error: AnswerError| format!("{error}");
    assert_eq!(told(AnswerError::Envelope("x".into())), "the relay or node reports: x");
    assert_eq!(told(AnswerError::WrongLength { expected: 5, got: 1 }), "5 replies expected, 1 found");
    assert_eq!(told(AnswerError::NotAnAnswer), "not an answer: no JSON of the right shape");
    assert_eq!(told(AnswerError::TooLarge), "answer too large");
}
