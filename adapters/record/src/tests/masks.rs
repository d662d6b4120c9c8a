use std::time::Duration;

use seqlane::wire::direction::Direction;
use seqlane::wire::frame::Frame;
use seqlane::wire::number::{AnswerNumber, ExchangeNumber};
use seqlane::wire::packet::{
    self, ClientId, Epoch, Flags, RequestHeader, ResponseHeader, ResponseRoom, Unsealed,
};
use seqlane::wire::seal::{Nonce, Seal};
use seqlane::wire::{self, Limits, Op, ReplyParts, Sid};
use seqlane::{BodyForm, Endpoint, ExchangeId, Form, Level, NodeAction, NodeEvent, RequestId, Seq};

use super::*;

const LIMITS: Limits = Limits { max_body: 1 << 20, max_ops: 50 };

/// What stands for [`KEY`]: a letter for every byte of its JSON, escapes included.
const STAND_IN: &str = "kkkkkkkkkkkkkkkkkkk";

fn masked(way: Direction, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Node::mask(&node_options()).apply(way, body, &mut out);
    assert_eq!(out.len(), body.len());
    out
}

fn poll() -> Op {
    Op::Data { sid: Sid::new("s").expect("a session id"), seq: Some(Seq::ZERO), payload: Bytes::new() }
}

/// A hello, sealed with the secret.
fn hello(secret: &str) -> Bytes {
    let header = RequestHeader {
        client: ClientId([7; 16]),
        epoch: None,
        exchange: ExchangeNumber::new(0),
        done: ExchangeNumber::new(0),
        hold: Duration::ZERO,
        max_held: 1,
        max_response: ResponseRoom::Bytes(512 * 1024),
        total: 64 << 20,
        confirm: None,
    };
    let seal = Seal::new(&Secret::new(secret), Direction::Up);
    Unsealed::request(&header, 256).seal(&seal, Nonce::new([3; 24]))
}

#[test]
fn the_key_of_a_request_is_a_stand_in_that_is_the_key_of_the_replayed_machine() {
    for form in [Form::Relay, Form::Node] {
        let body = wire::encode_request(form, &Secret::new(KEY), [&poll()].into_iter());
        let masked = masked(Direction::Up, &body);
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
        let masked = masked(Direction::Up, body.as_bytes());
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
        let masked = masked(Direction::Up, body.as_bytes());
        assert!(!contains(&masked, "horse"));
        let request = wire::decode_request(&masked, LIMITS).expect("a request");
        assert!(!Secret::new(STAND_IN).matches(&request.key));
    }
}

#[test]
fn a_key_in_a_body_that_cannot_be_read_is_covered_and_the_body_fails_in_the_same_way() {
    let body = br#"{"k":"correct \"horse\"\n","ops":[{}]}"#;
    for len in 0..body.len() {
        let masked = masked(Direction::Up, &body[..len]);
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
            let masked = masked(Direction::Up, body.as_bytes());
            assert!(!contains(&masked, "ab") && !contains(&masked, "e9") && !contains(&masked, "83d"));
            let (was, is) =
                (wire::decode_request(body.as_bytes(), LIMITS), wire::decode_request(&masked, LIMITS));
            assert_eq!(was.err(), is.err(), "{body}");
        }
    }
}

#[test]
fn a_packet_keeps_its_content_under_the_stand_ins_seal() {
    let packet = hello(SECRET);
    let as_json = wire::encode_request(
        Form::Node,
        &Secret::new(KEY),
        [&Op::Streams { packet: packet.clone() }].into_iter(),
    );
    let json = masked(Direction::Up, &as_json);
    let ops = wire::decode_request(&json, LIMITS).expect("a request").decode_ops();
    let Ok(Op::Streams { packet: within }) = &ops[0] else { panic!("{ops:?}") };
    let raw = masked(Direction::Up, &packet);
    assert_eq!(raw, *within);
    let stand_in = Seal::new(&Secret::new("s".repeat(SECRET.len())), Direction::Up);
    let (header, _) = packet::decode_request(stand_in.open(raw.into()).expect("it opens")).expect("a packet");
    assert_eq!(header.client, ClientId([7; 16]));
}

#[test]
fn what_looks_like_a_packet_and_is_none_stays_as_it_is() {
    for stranger in [hello("another secret"), Bytes::from_static(&[2; 100]), Bytes::from_static(&[2])] {
        assert_eq!(masked(Direction::Up, &stranger), stranger);
        let data = [stranger];
        let answer = wire::encode_answer(&[ReplyParts { data: &data, ..ReplyParts::default() }]);
        assert_eq!(masked(Direction::Down, &answer), answer);
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

/// What the node answers to each of these, its actions told as they are recorded.
fn answers(options: NodeOptions, events: &[NodeEvent]) -> Vec<crate::RecordedAction> {
    let mask = Node::mask(&options);
    let mut node = Node::start(options, [1; 32], Instant::ZERO).expect("valid");
    let mut told = Vec::new();
    for event in events {
        node.handle(Instant::ZERO, event.clone()).expect("within the contract");
        loop {
            let action = node.poll();
            told.push(Node::record_action(&action, &mask));
            if matches!(action, NodeAction::Idle { .. }) {
                break;
            }
        }
    }
    told
}

#[test]
fn a_node_of_level_2_with_stand_ins_does_what_the_one_with_the_secrets_did() {
    let options = node_options().max_level(Level::Streams);
    let key = Secret::new(KEY);
    let request =
        |number, endpoint, body| NodeEvent::Request { request: RequestId::new(number), endpoint, body };
    let op = Op::Streams { packet: hello(SECRET) };
    let events = [
        request(0, Endpoint::Batch, wire::encode_request(Form::Node, &key, [&op].into_iter())),
        request(1, Endpoint::Streams { key: key.clone() }, hello(SECRET)),
        request(2, Endpoint::Streams { key: Secret::new("wrong") }, hello(SECRET)),
        request(3, Endpoint::Streams { key: key.clone() }, hello("another secret")),
    ];
    let read = node(recorded::<Node>(&options, &events));
    let then = answers(options, &events);
    assert!(then.iter().any(|told| told.text.contains("ClientJoined")), "{then:?}");
    assert_eq!(answers(read.options.clone(), &super::events(read)), then);
}

#[test]
fn an_answer_that_was_opened_is_recorded_as_a_reply_that_opens_to_the_same() {
    let decryptor = |mut options: ClientOptions| {
        options.max_level = Level::Streams;
        Client::new(options.validate().expect("valid options"), [7; 32], Instant::ZERO).decryptor()
    };
    let header = ResponseHeader {
        client: ClientId([3; 16]),
        epoch: Epoch([4; 16]),
        exchange: ExchangeNumber::new(5),
        answer: AnswerNumber::new(6),
        seen: ExchangeNumber::new(5),
        statuses: Vec::new(),
        held: Duration::ZERO,
        flags: Flags { unknown: false, draining: false, blocked: false },
        grants: None,
    };
    let mut writer = Unsealed::response(&header, 0);
    writer.push(&Frame::Backlog { bytes: 77 });
    let seal = Seal::new(&Secret::new(SECRET), Direction::Down);
    let packet = writer.seal(&seal, Nonce::new([8; 24]));
    let data = core::slice::from_ref(&packet);
    let json = wire::encode_answer(&[ReplyParts { data, ..ReplyParts::default() }]);
    let exchange = ExchangeId::new(2);
    for (form, body) in [(BodyForm::Packet, packet), (BodyForm::Json, json)] {
        let opened = decryptor(client_options()).expect("level 2").event(exchange, form, body.clone());
        let recorded = client(recorded::<Client>(&client_options(), core::slice::from_ref(&opened)));
        let again = decryptor(recorded.options.clone()).expect("level 2");
        let [ClientEvent::Reply { exchange, body: masked }] = &events(recorded)[..] else {
            panic!("a reply")
        };
        assert_ne!(masked, &body);
        assert_eq!(again.event(*exchange, form, masked.clone()), opened);
    }
}
