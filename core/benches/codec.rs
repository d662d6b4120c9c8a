//! The codec of the JSON wire, in bytes of payload a second: `cargo bench -p seqlane --bench codec`.
//!
//! `bulk` is a batch of 16 ops of 64 KiB each way; `small` is a batch of 50 ops of 16 bytes, counted in ops.
#![allow(missing_docs)] // criterion's macros write public functions

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use seqlane::wire::{self, Limits, Op, ReplyParts, Sid};
use seqlane::{Form, Secret, Seq};

const LIMITS: Limits = Limits { max_body: 64 << 20, max_ops: 256 };

/// A batch shape: its name, its ops, and the payload bytes of each.
const SHAPES: [(&str, usize, usize); 2] = [("bulk", 16, 64 << 10), ("small", 50, 16)];

fn throughput(ops: usize, payload: usize) -> Throughput {
    if payload < 1024 { Throughput::Elements(ops as u64) } else { Throughput::Bytes((ops * payload) as u64) }
}

/// Bytes without a pattern that base64 or memory could profit from.
fn payload(len: usize, seed: usize) -> Bytes {
    let mut state = seed as u32 | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..len).map(|_| next()).collect::<Vec<_>>().into()
}

fn sid(number: usize) -> Sid {
    Sid::new(&format!("5f0e7a0c-9bf1-4d2e-8a55-{number:012}")).expect("a UUID is short enough")
}

fn ops(count: usize, len: usize) -> Vec<Op> {
    let op = |n| Op::Data { sid: sid(n), seq: Some(Seq::new(n as u64)), payload: payload(len, n) };
    (0..count).map(op).collect()
}

fn requests(criterion: &mut Criterion) {
    let key = Secret::new("key");
    for direction in ["encode_request", "decode_request"] {
        let mut group = criterion.benchmark_group(direction);
        for (shape, count, len) in SHAPES {
            let ops = ops(count, len);
            let body = wire::encode_request(Form::Relay, &key, ops.iter());
            group.throughput(throughput(count, len));
            group.bench_function(BenchmarkId::from_parameter(shape), |bencher| match direction {
                "encode_request" => {
                    bencher.iter(|| wire::encode_request(Form::Relay, &key, black_box(&ops).iter()))
                }
                _ => bencher
                    .iter(|| wire::decode_request(black_box(&body), LIMITS).map(wire::Request::decode_ops)),
            });
        }
    }
}

fn answers(criterion: &mut Criterion) {
    for direction in ["encode_answer", "decode_answer"] {
        let mut group = criterion.benchmark_group(direction);
        for (shape, count, len) in SHAPES {
            // As a node has it: in pieces of what the socket gave, none a multiple of 3.
            let data: Vec<Vec<Bytes>> = (0..count)
                .map(|n| payload(len, n).chunks(16 << 10).map(Bytes::copy_from_slice).collect())
                .collect();
            let parts: Vec<_> = data
                .iter()
                .enumerate()
                .map(|(n, data)| ReplyParts {
                    sid: Some(sid(n)),
                    data,
                    eof: Some(false),
                    seq: Some(Seq::new(n as u64)),
                    ..ReplyParts::default()
                })
                .collect();
            let body = wire::encode_answer(&parts);
            group.throughput(throughput(count, len));
            group.bench_function(BenchmarkId::from_parameter(shape), |bencher| match direction {
                "encode_answer" => bencher.iter(|| wire::encode_answer(black_box(&parts))),
                _ => bencher.iter(|| wire::decode_answer(black_box(&body), count, LIMITS)),
            });
        }
    }
}

criterion_group!(codec, requests, answers);
criterion_main!(codec);
