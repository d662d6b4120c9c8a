//! What a node costs: heap per idle session, and allocations per chunk.
#![allow(missing_docs)] // a test has no callers

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, Sid};
use seqlane::{
    Endpoint, Form, Instant, Level, Node, NodeAction, NodeEvent, NodeOptions, RequestId, Secret, Seq, Target,
    UpstreamEvent, UpstreamId,
};
use seqlane_tests::allocator::{Asked, Counting, count, live};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Instant = Instant::from_micros(1);

/// A node, its newest session, and the id of its next request.
struct Harness {
    node: Node,
    sid: Option<Sid>,
    upstream: UpstreamId,
    next: u64,
}

impl Harness {
    fn new(sessions: usize) -> Self {
        let options = NodeOptions::new(Secret::new("k")).max_level(Level::Sequenced).max_sessions(sessions);
        let node = Node::new(options.validate().expect("valid options"), [1; 32], NOW);
        Self { node, sid: None, upstream: UpstreamId::new(0), next: 0 }
    }

    fn request(&mut self, op: &Op) -> NodeEvent {
        let request = RequestId::new(self.next);
        self.next += 1;
        let body = wire::encode_request(Form::Node, &Secret::new("k"), [op].into_iter());
        NodeEvent::Request { request, endpoint: Endpoint::Batch, body }
    }

    fn event(&mut self, event: NodeEvent) {
        self.node.handle(NOW, event).expect("nothing wrong");
    }

    fn upstream(&mut self, event: UpstreamEvent) {
        let upstream = self.upstream;
        self.event(NodeEvent::Upstream { upstream, event });
    }

    /// Takes every action.
    fn drain(&mut self) -> Option<Bytes> {
        let mut answer = None;
        loop {
            match self.node.poll() {
                NodeAction::Idle { .. } => return answer,
                NodeAction::OpenUpstream { upstream, .. } => {
                    self.upstream = upstream;
                    self.upstream(UpstreamEvent::Opened);
                }
                NodeAction::Respond { response, .. } => answer = Some(response.body.into_bytes()),
                _ => {}
            }
        }
    }

    fn open(&mut self) {
        let event = self.request(&Op::Connect { target: Target::new("h", 1).expect("a target") });
        self.event(event);
        let body = self.drain().expect("an answer");
        let limits = Limits { max_body: usize::MAX, max_ops: 1 };
        self.sid = wire::decode_answer(&body, 1, limits).expect("our own answer")[0].sid;
    }

    fn poll(&mut self, seq: u64) -> NodeEvent {
        let sid = self.sid.expect("a session");
        self.request(&Op::Data { sid, seq: Some(Seq::new(seq)), payload: Bytes::new() })
    }
}

#[test]
fn an_idle_session_takes_at_most_2_kib() {
    const SESSIONS: usize = 5_000;
    let mut harness = Harness::new(SESSIONS);
    harness.open();
    let before = live();
    for _ in 1..SESSIONS {
        // An op that came and went leaves what it leaves.
        harness.open();
        let poll = harness.poll(0);
        harness.event(poll);
        harness.upstream(UpstreamEvent::Data(Bytes::from_static(b"x")));
        harness.drain();
    }
    let each = (live() - before) as usize / (SESSIONS - 1);
    println!("{each} bytes of heap per idle session");
    assert!(each <= 2048, "{each} bytes of heap per idle session");
}

/// Hands in chunks and lets one op take them all; counts both apart, the request and its body aside.
fn round(harness: &mut Harness, seq: u64, chunks: usize) -> (Asked, Asked) {
    static CHUNK: [u8; 8000] = [7; 8000];
    let (arriving, ()) = count(&mut || {
        for _ in 0..chunks {
            harness.upstream(UpstreamEvent::Data(Bytes::from_static(&CHUNK)));
        }
    });
    while !matches!(harness.node.poll(), NodeAction::Idle { .. }) {}
    let poll = harness.poll(seq);
    let (answering, ()) = count(&mut || harness.event(poll.clone()));
    harness.drain();
    (arriving, answering)
}

#[test]
fn a_chunk_from_upstream_allocates_nothing_in_steady_state() {
    let mut harness = Harness::new(1);
    harness.open();
    for seq in 0..20 {
        round(&mut harness, seq, 30);
    }
    for seq in 20..40 {
        let (arriving, _) = round(&mut harness, seq, 30);
        assert_eq!(arriving.pieces, 0);
    }
}

#[test]
fn answering_with_30_chunks_allocates_no_more_pieces_than_with_one() {
    let cost = |chunks| {
        let mut harness = Harness::new(1);
        harness.open();
        for seq in 0..20 {
            round(&mut harness, seq, chunks);
        }
        round(&mut harness, 20, chunks).1.pieces
    };
    let (one, many) = (cost(1), cost(30));
    println!("{one} allocations for an answer with 1 chunk, {many} for one with 30");
    assert_eq!(one, many);
}
