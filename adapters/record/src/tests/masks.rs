use seqlane::wire::handshake::{ClientHello, HelloPayload, SecretKeys};
use seqlane::wire::{self, Limits, Op, ReplyParts, Sid};
use seqlane::{ClientId, Endpoint, Form, NodeEvent, RequestId, Seq};

use super::*;
use crate::stand_in;

const LIMITS: Limits = Limits { max_body: 1 << 20, max_ops: 50 };

/// What stands for [`KEY`]: a letter for every byte of its JSON, escapes included.
const STAND_IN: &str = "kkkkkkkkkkkkkkkkkkk";

fn masked(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Node::mask(&node_options()).apply(body, &mut out);
    assert_eq!(out.len(), body.len());
    out
}

fn poll() -> Op {
    Op::Data { sid: Sid::new("s").expect("a session id"), seq: Some(Seq::ZERO), payload: Bytes::new() }
}

/// A hello of a client that has the secret.
fn hello(secret: &str) -> Bytes {
    let keys = SecretKeys::new(&Secret::new(secret));
    ClientHello::new(&keys, keys.client_id([7; 8]), [3; 32], HelloPayload { token: None }).packet()
}

#[test]
fn the_key_of_a_request_is_a_stand_in_that_is_the_key_of_the_replayed_machine() {
    for form in [Form::Relay, Form::Node] {
        let body = wire::encode_request(form, &Secret::new(KEY), [&poll()].into_iter());
        let masked = masked(&body);
        let request = wire::decode_request(&masked, LIMITS).expect("a request");
        assert_eq!(request.key, STAND_IN);
        assert_eq!(request.decode_ops(), [Ok(poll())]);
        // What a client with the stand-in writes by itself.
        let own = wire::encode_request(form, &Secret::new(STAND_IN), [&poll()].into_iter());
        assert_eq!(masked, own);
    }
    let file = recorded::<Node>(&node_options(), &[]);
    assert!(node(file).options.key.matches(STAND_IN));
}

#[test]
fn a_key_is_found_wherever_and_however_it_is_written() {
    for body in [
        r#"{"ops":[], "\u006b" : "correct \"horse\"\u000a"}"#,
        r#"{"k":"c\u006frrect \u0022horse\u0022\n","ops":[]}"#,
        r#"{"k":"another","ops":[],"k":"correct \"horse\"\n"}"#,
    ] {
        let masked = masked(body.as_bytes());
        assert!(!contains(&masked, "horse"), "{}", masked.escape_ascii());
        assert_eq!(wire::decode_request(&masked, LIMITS).expect("a request").key, STAND_IN);
    }
}

#[test]
fn a_foreign_key_is_covered_too_and_stays_foreign() {
    for body in [
        r#"{"k":"correct horse","ops":[]}"#,
        r#"{"k":"kkkkkkkkkkkkkkkkkkk","ops":[]}"#,
        r#"{"k":"","ops":[]}"#,
    ] {
        let masked = masked(body.as_bytes());
        assert!(!contains(&masked, "horse"));
        let request = wire::decode_request(&masked, LIMITS).expect("a request");
        assert!(!Secret::new(STAND_IN).matches(&request.key));
    }
}

#[test]
fn a_key_in_a_body_that_cannot_be_read_is_covered_and_the_body_fails_in_the_same_way() {
    let body = br#"{"k":"correct \"horse\"\n","ops":[{}]}"#;
    for len in 0..body.len() {
        let masked = masked(&body[..len]);
        assert!(!contains(&masked, "cor") && !contains(&masked, "orse"), "{}", masked.escape_ascii());
        let (was, is) = (wire::decode_request(&body[..len], LIMITS), wire::decode_request(&masked, LIMITS));
        assert_eq!(was.unwrap_err(), is.unwrap_err());
    }
}

#[test]
fn escapes_of_a_key_that_cannot_be_read_stay_what_they_are() {
    for key in [
        r"ab\q",
        r"ab\u12G4c",
        r"ab\ud83dc",
        r"ab\uDE00",
        r"ab\u00e9\",
        "ab\u{1}c\u{e9}",
        r"ab\ud83d\ude00",
        r"ab\u1",
    ] {
        let body = format!("{{\"ops\":[],\n\"k\":\"{key}\"");
        for body in [body.clone(), body.clone() + "}", body + ", 5}"] {
            let masked = masked(body.as_bytes());
            assert!(!contains(&masked, "ab") && !contains(&masked, "e9") && !contains(&masked, "83d"));
            let (was, is) =
                (wire::decode_request(body.as_bytes(), LIMITS), wire::decode_request(&masked, LIMITS));
            assert_eq!(was.err(), is.err(), "{body}");
        }
    }
}

#[test]
fn a_packet_of_a_secret_that_lies_not_open_is_blank_under_the_id_of_the_stand_in() {
    let packet = hello(SECRET);
    let op = Op::Streams { packet: packet.clone() };
    let as_json = wire::encode_request(Form::Node, &Secret::new(KEY), [&op].into_iter());
    let json = masked(&as_json);
    let ops = wire::decode_request(&json, LIMITS).expect("a request").decode_ops();
    let Ok(Op::Streams { packet: within }) = &ops[0] else { panic!("{ops:?}") };
    let raw = masked(&packet);
    assert_eq!(raw, *within);
    assert!((raw[..9] == packet[..9]) && raw[17..].iter().all(|byte| *byte == 0));
    let client = ClientId(*raw[1..].first_chunk().expect("an id"));
    assert!(SecretKeys::new(&stand_in::of_secret(1)).fits(client));
}

#[test]
fn what_looks_like_a_packet_and_is_none_stays_as_it_is() {
    for stranger in [hello("another secret"), Bytes::from_static(&[4; 100]), Bytes::from_static(&[4])] {
        assert_eq!(masked(&stranger), stranger);
        let data = [stranger];
        let answer = wire::encode_answer(&[ReplyParts { data: &data, ..ReplyParts::default() }]);
        assert_eq!(masked(&answer), answer);
    }
}

#[test]
fn neither_key_nor_secret_is_in_a_recording() {
    let body = wire::encode_request(Form::Node, &Secret::new(KEY), [&poll()].into_iter());
    let key = Secret::new(KEY);
    let asked =
        |number, endpoint, body| NodeEvent::Request { request: RequestId::new(number), endpoint, body };
    let events = [
        asked(0, Endpoint::Batch, body.clone()),
        asked(1, Endpoint::Streams { key }, hello(SECRET)),
        asked(2, Endpoint::Streams { key: Secret::new("wrong horse") }, hello(SECRET)),
    ];
    let file = recorded::<Node>(&node_options(), &events);
    for part in ["correct", "horse", "battery", "staple"] {
        assert!(!contains(&file, part), "{part}");
    }
    let read = super::events(node(file));
    let own = Secret::new(STAND_IN);
    assert!(
        matches!(&read[1], NodeEvent::Request { endpoint: Endpoint::Streams { key }, .. } if *key == own)
    );
    assert!(
        matches!(&read[2], NodeEvent::Request { endpoint: Endpoint::Streams { key }, .. } if *key != own)
    );
}
