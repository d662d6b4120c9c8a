//! What the codec asks of the allocator: a number of pieces that neither chunks nor bytes raise.
#![allow(missing_docs)] // a test has no callers

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, ReplyParts, Sid};
use seqlane::{Form, Secret, Seq};
use seqlane_tests::allocator::{Asked, Counting, asked};

const LIMITS: Limits = Limits { max_body: 64 << 20, max_ops: 256 };

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn sid() -> Sid {
    Sid::new("5f0e7a0c-9bf1-4d2e-8a55-000000000000").expect("a UUID is short enough")
}

fn request(ops: usize, payload: usize) -> Bytes {
    let op = Op::Data { sid: sid(), seq: Some(Seq::ZERO), payload: vec![7; payload].into() };
    wire::encode_request(Form::Node, &Secret::new("k"), vec![op; ops].iter())
}

fn answer(replies: usize, data: &[Bytes], packets: &[Bytes]) -> Bytes {
    let reply = ReplyParts { sid: Some(sid()), data, packets, eof: Some(false), ..ReplyParts::default() };
    wire::encode_answer(&vec![reply; replies])
}

fn asked_by_request(body: &Bytes) -> Asked {
    asked(|| wire::decode_request(body, LIMITS).expect("the body is a request").decode_ops())
}

fn asked_by_answer(body: &Bytes, ops: usize) -> Asked {
    asked(|| wire::decode_answer(body, ops, LIMITS).expect("the body is an answer"))
}

#[test]
fn reading_50_chunks_takes_no_more_pieces_than_reading_one() {
    let one = asked_by_request(&request(1, 1000));
    let many = asked_by_request(&request(50, 1000));
    assert_eq!(one.pieces, many.pieces);
    assert!(one.pieces <= 6, "{one:?}");

    let chunk = [Bytes::from(vec![7; 1000])];
    let one = asked_by_answer(&answer(1, &chunk, &[]), 1);
    let many = asked_by_answer(&answer(50, &chunk, &[]), 50);
    assert_eq!(one.pieces, many.pieces);
    assert!(one.pieces <= 6, "{one:?}");
}

#[test]
fn reading_large_chunks_takes_their_bytes_once() {
    let (small, large) = (1, 64 << 10);
    let difference = 50 * (large - small);

    let few = asked_by_request(&request(50, small));
    let much = asked_by_request(&request(50, large));
    assert_eq!(much, Asked { bytes: few.bytes + difference, ..few });

    let data = |len| [Bytes::from(vec![7; len])];
    let few = asked_by_answer(&answer(50, &data(small), &[]), 50);
    let much = asked_by_answer(&answer(50, &data(large), &[]), 50);
    assert_eq!(much, Asked { bytes: few.bytes + difference, ..few });
}

#[test]
fn datagrams_take_lists_per_reply_and_no_pieces_of_their_own() {
    let packets = |count| vec![Bytes::from(vec![7; 500]); count];
    let one = asked_by_answer(&answer(1, &[], &packets(1)), 1);
    let many = asked_by_answer(&answer(1, &[], &packets(60)), 1);
    assert_eq!(one.pieces, many.pieces);
}

#[test]
fn writing_takes_one_piece() {
    let key = Secret::new("k");
    let op = Op::Data { sid: sid(), seq: Some(Seq::ZERO), payload: vec![7; 64 << 10].into() };
    let ops = vec![op; 50];
    let request = asked(|| wire::encode_request(Form::Relay, &key, ops.iter()));
    let body = wire::encode_request(Form::Relay, &key, ops.iter());
    assert_eq!(request, Asked { pieces: 1, bytes: body.len() });

    let data = vec![Bytes::from(vec![7; 1000]); 50];
    let reply = ReplyParts { sid: Some(sid()), data: &data, eof: Some(false), ..ReplyParts::default() };
    let replies = vec![reply; 50];
    let answer = asked(|| wire::encode_answer(&replies));
    assert_eq!(answer, Asked { pieces: 1, bytes: wire::encode_answer(&replies).len() });
}
