//! The node machine, in ops a second: `cargo bench -p seqlane --bench node`.
//!
//! `small_ops` is a batch of 50 data ops of 16 bytes, one for each of 50 sessions, through `handle` and `poll`
//! with the codec: each batch lets the one before it be answered. `idle_poll` is a poll that finds nothing to
//! do, with 10 000 sessions.
#![allow(missing_docs)] // criterion's macros write public functions

use std::hint::black_box;
use std::time::{Duration, Instant as Stopwatch};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use seqlane::wire::{self, Limits, Op, Sid};
use seqlane::{
    Endpoint, Form, Instant, Level, Node, NodeAction, NodeEvent, NodeOptions, RequestId, Secret, Seq, Target,
    UpstreamEvent,
};

const NOW: Instant = Instant::from_micros(1);
const OPS: usize = 50;
const BATCHES: u64 = 200;

fn key() -> Secret {
    Secret::new("key")
}

/// A node with open sessions, and the id of its next request.
struct Setup {
    node: Node,
    sids: Vec<Sid>,
    next: u64,
}

impl Setup {
    fn new(sessions: usize) -> Self {
        let options = NodeOptions::new(key()).max_level(Level::Sequenced).max_sessions(sessions);
        let node = Node::new(options.validate().expect("valid options"), [1; 32], NOW);
        let mut setup = Self { node, sids: Vec::new(), next: 0 };
        for _ in 0..sessions {
            setup.open();
        }
        setup
    }

    fn request(&mut self, body: Bytes) {
        let request = RequestId::new(self.next);
        self.next += 1;
        self.node
            .handle(NOW, NodeEvent::Request { request, endpoint: Endpoint::Batch, body })
            .expect("ids grow");
    }

    fn open(&mut self) {
        let target = Target::new("h", 1).expect("a target");
        self.request(wire::encode_request(Form::Node, &key(), [Op::Connect { target }].iter()));
        loop {
            match self.node.poll() {
                NodeAction::OpenUpstream { upstream, .. } => {
                    let event = NodeEvent::Upstream { upstream, event: UpstreamEvent::Opened };
                    self.node.handle(NOW, event).expect("it was being opened");
                }
                NodeAction::Respond { response, .. } => {
                    let limits = Limits { max_body: usize::MAX, max_ops: 1 };
                    let replies =
                        wire::decode_answer(&response.body.into_bytes(), 1, limits).expect("our own answer");
                    self.sids.extend(replies.iter().filter_map(|reply| reply.sid));
                }
                NodeAction::Idle { .. } => return,
                _ => {}
            }
        }
    }

    fn bodies(&self) -> Vec<Bytes> {
        let batch = |seq| {
            let op = |sid: &Sid| Op::Data {
                sid: *sid,
                seq: Some(Seq::new(seq)),
                payload: Bytes::from_static(&[7; 16]),
            };
            let ops: Vec<Op> = self.sids.iter().map(op).collect();
            wire::encode_request(Form::Node, &key(), ops.iter())
        };
        (0..BATCHES).map(batch).collect()
    }

    /// Takes every action, and reports what is to be written as written.
    fn drain(&mut self) {
        loop {
            match self.node.poll() {
                NodeAction::WriteUpstream { upstream, bytes } => {
                    let event = UpstreamEvent::Written(bytes.len());
                    self.node.handle(NOW, NodeEvent::Upstream { upstream, event }).expect("handed out");
                }
                NodeAction::Idle { .. } => return,
                action => drop(black_box(action)),
            }
        }
    }
}

fn small_ops(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("node");
    group.throughput(Throughput::Elements(BATCHES * OPS as u64));
    group.bench_function("small_ops", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let mut setup = Setup::new(OPS);
                let bodies = setup.bodies();
                let start = Stopwatch::now();
                for body in bodies {
                    setup.request(body);
                    setup.drain();
                }
                spent += start.elapsed();
            }
            spent
        });
    });
    group.finish();
}

fn idle_poll(criterion: &mut Criterion) {
    let mut setup = Setup::new(10_000);
    let mut group = criterion.benchmark_group("node");
    group.bench_function("idle_poll", |bencher| bencher.iter(|| black_box(&mut setup.node).poll()));
    group.finish();
}

criterion_group!(benches, small_ops, idle_poll);
criterion_main!(benches);
