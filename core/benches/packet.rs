//! The packets of level 2, in bytes of payload a second: `cargo bench -p seqlane --bench packet`.
//!
//! `bulk` is a packet of 16 chunks of 64 KiB; `small` is one of 50 chunks of 16 bytes, counted in chunks. Writing
//! is what copies payload, once; sealing and opening are the cipher; reading copies nothing.
#![allow(missing_docs)] // criterion's macros write public functions

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::Frame;
use seqlane::wire::handshake::{
    AnswerPayload, ClientHello, ConnectionKeys, HelloPayload, NodeId, ReceivedHello, SecretKeys,
};
use seqlane::wire::number::{ExchangeNumber, StreamNumber};
use seqlane::wire::packet::{self, ClientId, Grants, RequestHeader, ResponseRoom, Unsealed};
use seqlane::wire::seal::{Nonces, Seal};
use seqlane::{Secret, Seq};

/// A packet shape: its name, its chunks, and the bytes of each.
const SHAPES: [(&str, usize, usize); 2] = [("bulk", 16, 64 << 10), ("small", 50, 16)];

fn throughput(chunks: usize, len: usize) -> Throughput {
    if len < 1024 { Throughput::Elements(chunks as u64) } else { Throughput::Bytes((chunks * len) as u64) }
}

fn frames(chunks: usize, len: usize) -> Vec<Frame> {
    let chunk = |n: usize| Frame::Data {
        stream: StreamNumber::new(n as u64),
        seq: Seq::new(n as u64),
        fin: false,
        bytes: Bytes::from(vec![n as u8; len]),
    };
    (0..chunks).map(chunk).collect()
}

fn write(frames: &[Frame], capacity: usize) -> Unsealed {
    let header = RequestHeader {
        exchange: ExchangeNumber::new(1_000),
        done: ExchangeNumber::new(990),
        hold: Duration::from_secs(3),
        max_held: 2,
        max_response: ResponseRoom::Bytes(1 << 20),
        total: 128 << 20,
        confirm: Some(Duration::from_millis(2_600)),
    };
    let mut writer = Unsealed::request(&header, capacity);
    frames.iter().for_each(|frame| writer.push(frame));
    writer
}

/// The keys of a connection.
fn keys() -> ConnectionKeys {
    let keys = SecretKeys::new(&Secret::new("correct horse battery staple"));
    answered(&keys, &hello(&keys)).1
}

fn hello(keys: &SecretKeys) -> ClientHello {
    ClientHello::new(keys, keys.client_id([1; 8]), [2; 32], HelloPayload { token: None })
}

/// The node's part of a handshake.
fn answered(keys: &SecretKeys, hello: &ClientHello) -> (Bytes, ConnectionKeys) {
    let grants = Grants {
        uplink_window: 1 << 18,
        uplink_total: 1 << 26,
        downlink_total: 1 << 26,
        max_packet: 1 << 24,
        max_hold: Duration::from_secs(50),
        max_held: 32,
        max_streams: 4_096,
    };
    let received = ReceivedHello::open(keys, &hello.packet()).expect("a hello under these keys");
    let payload = AnswerPayload { node: NodeId([4; 16]), grants };
    received.answer([3; 32], payload).expect("a key of full order")
}

/// What a start costs at each end, and what an id of nobody costs a node with a thousand users.
fn handshakes(criterion: &mut Criterion) {
    let keys = SecretKeys::new(&Secret::new("correct horse battery staple"));
    let mut group = criterion.benchmark_group("handshake");
    let sent = hello(&keys);
    let (answer, _) = answered(&keys, &sent);
    group.bench_function("client", |bencher| {
        bencher.iter(|| hello(&keys).packet().len() + usize::from(sent.read(black_box(&answer)).is_ok()));
    });
    group.bench_function("node", |bencher| bencher.iter(|| answered(&keys, black_box(&sent))));
    let user = |number: u32| SecretKeys::new(&Secret::new(format!("the secret of user {number}")));
    let users: Vec<SecretKeys> = (0..1_000).map(user).collect();
    let nobody = ClientId([9; 16]);
    group.bench_function("junk id, 1000 users", |bencher| {
        bencher.iter(|| users.iter().any(|user| user.fits(black_box(nobody))));
    });
    group.finish();
}

fn packets(criterion: &mut Criterion) {
    let seal = Seal::new(&keys(), Direction::Up);
    let mut nonces = Nonces::new([3; 32]);
    for (shape, chunks, len) in SHAPES {
        let frames = frames(chunks, len);
        let capacity = write(&frames, 0).sealed_len();
        let mut group = criterion.benchmark_group("packet");
        group.throughput(throughput(chunks, len));
        group.bench_function(BenchmarkId::new("write", shape), |bencher| {
            bencher.iter(|| write(black_box(&frames), capacity));
        });
        group.bench_function(BenchmarkId::new("seal", shape), |bencher| {
            let written = || (write(&frames, capacity), nonces.next());
            bencher.iter_batched(written, |(packet, nonce)| packet.seal(&seal, nonce), BatchSize::LargeInput);
        });
        let sealed = write(&frames, capacity).seal(&seal, nonces.next());
        group.bench_function(BenchmarkId::new("open", shape), |bencher| {
            let received = || Bytes::from(sealed.to_vec());
            bencher.iter_batched(received, |packet| seal.open(packet), BatchSize::LargeInput);
        });
        let plain = seal.open(sealed).expect("it was sealed with this seal");
        group.bench_function(BenchmarkId::new("read", shape), |bencher| {
            bencher.iter(|| packet::decode_request(plain.clone()).map(|(_, frames)| frames.count()));
        });
        group.finish();
    }
}

criterion_group!(benches, packets, handshakes);
criterion_main!(benches);
