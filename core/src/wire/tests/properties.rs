//! What holds for every op, reply and body.

extern crate std;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use bytes::Bytes;
use proptest::collection::{btree_map, vec as vec_of};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{LIMITS, parts, target};
use crate::wire::*;
use crate::{Caps, Form, Secret, Seq};

fn bytes() -> impl Strategy<Value = Bytes> {
    vec_of(any::<u8>(), 0..200).prop_map(Bytes::from)
}

/// Texts with what JSON has to escape, and what it does not.
fn text(longest: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        3 => any::<char>(),
        2 => prop::char::range('\0', '\u{7f}'),
        1 => prop::sample::select(vec!['"', '\\', '/', '\u{2028}', '\u{feff}']),
    ];
    vec_of(character, 0..=longest / 4).prop_map(String::from_iter)
}

fn sid() -> impl Strategy<Value = Sid> {
    text(64).prop_filter_map("an id is not empty", |text| Sid::new(&text))
}

fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![0..100_u64, any::<u64>()].prop_map(Seq::new)
}

fn op() -> impl Strategy<Value = Op> {
    let place = (text(255), 1_u16..).prop_filter_map("a host is not empty", |(host, port)| {
        (!host.is_empty()).then(|| target(&host, port))
    });
    let place = place.boxed();
    prop_oneof![
        place.clone().prop_map(|target| Op::Connect { target }),
        (place.clone(), bytes()).prop_map(|(target, payload)| Op::ConnectData { target, payload }),
        (sid(), option::of(seq()), bytes()).prop_map(|(sid, seq, payload)| Op::Data { sid, seq, payload }),
        (place, bytes()).prop_map(|(target, payload)| Op::UdpOpen { target, payload }),
        (sid(), bytes()).prop_map(|(sid, payload)| Op::UdpData { sid, payload }),
        sid().prop_map(|sid| Op::Close { sid }),
        bytes().prop_map(|packet| Op::Streams { packet }),
    ]
}

/// A reply as a node can write it: `eof` or an error.
fn reply() -> impl Strategy<Value = Reply> {
    let ending = prop_oneof![
        any::<bool>().prop_map(|eof| (eof, None, None)),
        (text(200), option::of(Just(Code::UnsupportedOp))).prop_map(|(text, code)| (
            false,
            Some(Box::from(text)),
            code
        )),
    ];
    let caps = any::<u32>().prop_map(Caps::from_bits);
    (option::of(sid()), bytes(), vec_of(bytes(), 0..4), ending, option::of(seq()), option::of(caps)).prop_map(
        |(sid, data, packets, (eof, error, code), seq, caps)| Reply {
            sid,
            data,
            packets,
            eof,
            error,
            code,
            seq,
            caps,
            damaged: false,
        },
    )
}

/// `whole`, cut at places that may be equal.
fn cut_at(whole: &Bytes, places: &[Index]) -> Vec<Bytes> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(whole.len() + 1)).collect();
    places.sort_unstable();
    let starts = core::iter::once(0).chain(places.iter().copied());
    let ends = places.iter().copied().chain([whole.len()]);
    starts.zip(ends).map(|(start, end)| whole.slice(start..end)).collect()
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![Just(Form::Relay), Just(Form::Node)]
}

/// Any JSON, with the keys of this wire more often than others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text(40).prop_map(Value::from),
        bytes().prop_map(|bytes| Value::from(encoded(&[bytes]))),
        prop::sample::select(vec!["connect", "connect_data", "data", "udp_open", "udp_data", "close"])
            .prop_map(Value::from),
    ];
    let key = prop_oneof![
        8 => prop::sample::select(vec![
            "op", "host", "port", "sid", "seq", "d", "data", "pkts", "eof", "e", "code", "caps", "r", "k", "ops",
        ])
        .prop_map(String::from),
        1 => text(20),
    ];
    leaf.prop_recursive(3, 40, 10, move |inner| {
        prop_oneof![
            vec_of(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(key.clone(), inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn encoded(chunks: &[Bytes]) -> String {
    let mut text = vec![];
    base64::encode(chunks, &mut text);
    String::from_utf8(text).unwrap()
}

/// Every decoder, on bytes that may be anything. That none panics is the point.
fn read_as_everything(body: &[u8]) {
    let _ = decode_request(body, LIMITS).map(Request::decode_ops);
    let _ = decode_single(body, LIMITS).map(SingleRequest::decode_op);
    for ops in 0..3 {
        let _ = decode_answer(body, ops, LIMITS);
    }
}

fn op_json(op: &Op) -> Value {
    let mut json = match op {
        Op::Connect { target } | Op::ConnectData { target, .. } | Op::UdpOpen { target, .. } => {
            json!({ "host": target.host(), "port": target.port() })
        }
        Op::Data { sid, seq: Some(seq), .. } => json!({ "sid": sid.as_str(), "seq": seq.number() }),
        Op::Data { sid, seq: None, .. } | Op::UdpData { sid, .. } | Op::Close { sid } => {
            json!({ "sid": sid.as_str() })
        }
        Op::Streams { .. } => json!({}),
    };
    json["op"] = op.name().into();
    if let Some(payload) = op.payload().filter(|d| !d.is_empty() || matches!(op, Op::ConnectData { .. })) {
        json["d"] = encoded(core::slice::from_ref(payload)).into();
    }
    json
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(
        key in text(40),
        form in form(),
        ops in vec_of(op(), 0..8),
    ) {
        let key = Secret::new(key);
        let body = encode_request(form, &key, ops.iter());
        let foretold = request_overhead(form, &key) + ops.iter().map(Op::encoded_len).sum::<usize>();
        prop_assert_eq!(body.len(), foretold - usize::from(!ops.is_empty()));
        let request = decode_request(&body, LIMITS).unwrap();
        prop_assert!(key.matches(&request.key));
        prop_assert_eq!(request.decode_ops(), ops.into_iter().map(Ok).collect::<Vec<_>>());
    }

    #[test]
    fn any_json_reader_finds_in_a_request_what_was_meant(key in text(40), ops in vec_of(op(), 0..8)) {
        let body = encode_request(Form::Relay, &Secret::new(key.clone()), ops.iter());
        let read: Value = serde_json::from_slice(&body).unwrap();
        let ops: Vec<_> = ops.iter().map(op_json).collect();
        prop_assert_eq!(read, json!({ "k": key, "t": "batch", "ops": ops }));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(
        replies in vec_of(reply(), 0..8),
        places in vec_of(any::<Index>(), 0..4),
    ) {
        let pieces: Vec<_> = replies.iter().map(|reply| cut_at(&reply.data, &places)).collect();
        let parts: Vec<_> = replies.iter().zip(&pieces).map(|(reply, pieces)| parts(reply, pieces)).collect();
        let body = encode_answer(&parts);
        prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
        let longest = 200; // errors are cut when they are read, and none here is longer
        prop_assert!(replies.iter().all(|reply| reply.error.as_ref().is_none_or(|e| e.len() <= longest)));
        prop_assert_eq!(decode_answer(&body, replies.len(), LIMITS), Ok(replies));
    }

    #[test]
    fn base64_in_pieces_is_the_base64_of_the_whole(
        whole in vec_of(any::<u8>(), 0..600).prop_map(Bytes::from),
        places in vec_of(any::<Index>(), 0..9),
    ) {
        use ::base64::prelude::{BASE64_STANDARD, Engine};
        let text = encoded(&cut_at(&whole, &places));
        prop_assert_eq!(&text, &BASE64_STANDARD.encode(&whole));
        prop_assert_eq!(text.len(), base64::encoded_len(whole.len()));
        prop_assert_eq!(base64::decoded_len(&text), whole.len());
    }

    #[test]
    fn the_fast_base64_reader_is_as_strict_as_the_plain_one(
        whole in vec_of(any::<u8>(), 0..300).prop_map(Bytes::from),
        edits in vec_of((any::<Index>(), prop::char::range(' ', '~')), 0..3),
        cut in 0..4_usize,
    ) {
        use ::base64::prelude::{BASE64_STANDARD, Engine};
        let mut symbols: Vec<char> = encoded(&[whole]).chars().collect();
        symbols.truncate(symbols.len().saturating_sub(cut));
        for (place, symbol) in edits {
            if !symbols.is_empty() {
                let place = place.index(symbols.len());
                symbols[place] = symbol;
            }
        }
        let text = String::from_iter(symbols);
        let body = json!({ "k": "", "ops": [{ "op": "udp_data", "sid": "s", "d": text }] }).to_string();
        let read = decode_request(body.as_bytes(), LIMITS).unwrap().decode_ops().remove(0);
        match BASE64_STANDARD.decode(&text) {
            Ok(plain) => prop_assert_eq!(read.unwrap().payload().cloned().unwrap(), plain),
            Err(_) => prop_assert!(matches!(read, Err(BadOp::Payload { .. })), "a bad payload was taken"),
        }
    }

    #[test]
    fn any_elements_fill_the_slots_that_they_came_in(elements in vec_of(any_json(), 0..8)) {
        let body = json!({ "k": "k", "ops": elements }).to_string();
        let ops = decode_request(body.as_bytes(), LIMITS).unwrap().decode_ops();
        prop_assert_eq!(ops.len(), elements.len());
        let body = json!({ "r": elements }).to_string();
        let replies = decode_answer(body.as_bytes(), elements.len(), LIMITS).unwrap();
        prop_assert_eq!(replies.len(), elements.len());
    }

    #[test]
    fn any_json_is_read_without_a_panic(value in any_json()) {
        read_as_everything(value.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec_of(any::<u8>(), 0..300)) {
        read_as_everything(&bytes);
        read_as_everything(&[b"{\"k\":\"\",\"ops\":[", &*bytes].concat());
    }

    #[test]
    fn a_damaged_body_is_read_without_a_panic_and_a_cut_one_never(
        ops in vec_of(op(), 0..4),
        replies in vec_of(reply(), 0..4),
        edits in vec_of((any::<Index>(), any::<u8>()), 0..4),
    ) {
        let request = encode_request(Form::Node, &Secret::new("k"), ops.iter());
        let pieces: Vec<_> = replies.iter().map(|reply| vec![reply.data.clone()]).collect();
        let parts: Vec<_> = replies.iter().zip(&pieces).map(|(reply, pieces)| parts(reply, pieces)).collect();
        let answer = encode_answer(&parts);
        for body in [&request, &answer] {
            let mut damaged = body.to_vec();
            for (place, byte) in &edits {
                let place = place.index(damaged.len());
                damaged[place] = *byte;
            }
            read_as_everything(&damaged);
        }
        for end in 0..request.len() {
            prop_assert!(decode_request(&request[..end], LIMITS).is_err());
        }
        for end in 0..answer.len() {
            let cut = decode_answer(&answer[..end], replies.len(), LIMITS);
            prop_assert_eq!(cut, Err(AnswerError::NotAnAnswer));
        }
    }
}

#[test]
fn every_cut_of_a_large_payload_is_noticed() {
    let op =
        Op::Data { sid: Sid::new("s").unwrap(), seq: Some(Seq::ZERO), payload: Bytes::from(vec![7; 3000]) };
    let body = encode_request(Form::Node, &Secret::new("k"), [&op].into_iter());
    for end in 0..body.len() {
        let error = decode_request(&body[..end], LIMITS).unwrap_err();
        assert!(error.to_string().starts_with("bad json: EOF"), "{}", format!("{end}: {error}"));
    }
}
