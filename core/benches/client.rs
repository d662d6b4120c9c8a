//! The client machine, in ops a second: `cargo bench -p seqlane --bench client`.
//!
//! `small_ops`: 50 sessions write 16 bytes each; the client puts them into one batch, polls behind them in
//! another, and takes the answers in. Counted in ops, polls included, through `handle` and `poll` with the codec;
//! what the bench itself does, which reads the requests and writes the answers, is not timed. `idle_poll` is a poll
//! that finds nothing to do, with 10 000 flows.
#![allow(missing_docs)] // criterion's macros write public functions

use std::hint::black_box;
use std::time::{Duration, Instant as Stopwatch};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use seqlane::wire::{self, Limits, Op, ReplyParts, Sid};
use seqlane::{
    Caps, Client, ClientAction, ClientEvent, ClientOptions, ExchangeId, FlowId, FlowKind, Instant, Level,
    LocalEvent, RelayOptions, Secret, Target,
};

const NOW: Instant = Instant::from_micros(1);
const OPS: usize = 50;

struct Setup {
    client: Client,
    streams: Vec<FlowId>,
    /// Ops that were answered.
    ops: u64,
    /// The time that the machine took.
    spent: Duration,
}

impl Setup {
    /// A client with linked sessions whose polls are not held, so that it soon polls no more.
    fn new(sessions: usize) -> Self {
        let relay = RelayOptions::new(Secret::new("k")).max_concurrent(10_000);
        let options = ClientOptions::new(vec![relay]).max_level(Level::Sequenced).max_flows(sessions);
        let client = Client::new(options.validate().expect("valid options"), [1; 32], NOW);
        let mut setup = Self { client, streams: Vec::new(), ops: 0, spent: Duration::ZERO };
        for _ in 0..sessions {
            let target = Target::new("h", 22).expect("a target");
            let stream = setup.client.open(NOW, target, FlowKind::Tcp).expect("room");
            setup.streams.push(stream);
            setup.drain();
        }
        setup
    }

    /// Answers every call at once, until the client makes none.
    fn drain(&mut self) {
        while let Some((exchange, ops)) = self.next_call() {
            self.ops += ops.len() as u64;
            let sid = Sid::new(&format!("session-{}", self.streams.len()));
            let reply = |op: &Op| match op {
                Op::Data { sid, seq, .. } => {
                    ReplyParts { sid: Some(*sid), seq: *seq, eof: Some(false), ..ReplyParts::default() }
                }
                _ => ReplyParts {
                    sid,
                    caps: Some(Caps::PIPELINE_SEQ),
                    eof: Some(false),
                    ..ReplyParts::default()
                },
            };
            let body = wire::encode_answer(&ops.iter().map(reply).collect::<Vec<_>>());
            self.timed(|client| client.handle(NOW, ClientEvent::Reply { exchange, body }))
                .expect("a call of ours");
        }
    }

    fn next_call(&mut self) -> Option<(ExchangeId, Vec<Op>)> {
        let (exchange, body) = self.timed(|client| {
            loop {
                match client.poll() {
                    ClientAction::Send { exchange, body, .. } => return Some((exchange, body.into_bytes())),
                    ClientAction::Idle { .. } => return None,
                    _ => {}
                }
            }
        })?;
        let limits = Limits { max_body: usize::MAX, max_ops: 1000 };
        let ops = wire::decode_request(&body, limits).expect("our own request").decode_ops();
        Some((exchange, ops.into_iter().map(|op| op.expect("our own op")).collect()))
    }

    fn timed<T>(&mut self, work: impl FnOnce(&mut Client) -> T) -> T {
        let start = Stopwatch::now();
        let result = work(&mut self.client);
        self.spent += start.elapsed();
        result
    }

    /// Every session writes; one batch goes out and comes back.
    fn round(&mut self, chunk: &Bytes) {
        let streams = std::mem::take(&mut self.streams);
        self.timed(|client| {
            for stream in &streams {
                let event = ClientEvent::Local { flow: *stream, event: LocalEvent::Data(chunk.clone()) };
                client.handle(NOW, event).expect("within credit");
            }
        });
        self.streams = streams;
        self.drain();
    }
}

fn small_ops(criterion: &mut Criterion) {
    let mut setup = Setup::new(OPS);
    let chunk = Bytes::from_static(&[7; 16]);
    let mut group = criterion.benchmark_group("client");
    let before = setup.ops;
    setup.round(&chunk);
    group.throughput(Throughput::Elements(setup.ops - before));
    group.bench_function("small_ops", |bencher| {
        bencher.iter_custom(|rounds| {
            setup.spent = Duration::ZERO;
            for _ in 0..rounds {
                setup.round(&chunk);
            }
            setup.spent
        });
    });
    group.finish();
}

fn idle_poll(criterion: &mut Criterion) {
    let mut setup = Setup::new(10_000);
    criterion.bench_function("client/idle_poll", |bencher| bencher.iter(|| black_box(setup.client.poll())));
}

criterion_group!(benches, small_ops, idle_poll);
criterion_main!(benches);
