//! A node among clients and upstreams that do what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, Sid};
use seqlane::{
    ConnectFailure, Endpoint, FlowKind, Form, Instant, Node, NodeAction, NodeEvent, NodeOptions, RequestId,
    Secret, Seq, Target, UpstreamEvent, UpstreamId, Wake,
};

use crate::chooser::{Chooser, FromBytes};
use crate::site::Site;

/// An upstream as the driver sees it.
struct Upstream {
    kind: FlowKind,
    open: bool,
    credit: usize,
    unwritten: usize,
    finished: bool,
}

struct Bench<'a> {
    decide: FromBytes<'a>,
    node: Node,
    now: Instant,
    wake: Option<Wake>,
    requests: u64,
    held: BTreeSet<RequestId>,
    upstreams: BTreeMap<UpstreamId, Upstream>,
    sids: Vec<Sid>,
}

/// Requests, upstream events and time of any kind: nothing panics, nothing is misuse, every request is answered
/// once, every wake is later than the one before, and a closed node keeps nothing.
///
/// # Panics
/// When the node breaks its contract.
pub fn node(data: &[u8]) {
    let options = NodeOptions {
        max_sessions: 6,
        max_requests: 6,
        seq_queue_ops: 3,
        seq_queue_bytes: 100,
        write_queue: 50,
        max_drain: 40,
        max_batch_drain: 60,
        udp_queue: 2,
        ..NodeOptions::new(Secret::new("k"))
    };
    let mut bench = Bench {
        decide: FromBytes::new(data),
        node: Node::new(options.validate().expect("valid"), [2; 32], Instant::ZERO),
        now: Instant::ZERO,
        wake: None,
        requests: 0,
        held: BTreeSet::new(),
        upstreams: BTreeMap::new(),
        sids: vec![Sid::new("nobody").expect("a session id")],
    };
    for _ in 0..data.len().min(300) {
        bench.step();
        bench.drain();
    }
    bench.event(NodeEvent::Close);
    bench.drain();
    assert!(bench.held.is_empty(), "a closed node has answered every request");
    assert!(bench.upstreams.is_empty(), "a closed node has no upstream");
}

impl Bench<'_> {
    fn one_of(&mut self, n: u32) -> u32 {
        self.decide.pick(Site::Host, 0, n)
    }

    fn event(&mut self, event: NodeEvent) {
        self.node.handle(self.now, event).expect("within the contract");
    }

    fn step(&mut self) {
        match self.one_of(8) {
            0..=2 => self.batch(),
            3 => self.garbage(),
            4 => {
                let place = self.one_of(6) as usize;
                if let Some(request) = self.held.iter().copied().nth(place) {
                    self.held.remove(&request);
                    self.event(NodeEvent::RequestGone { request });
                }
            }
            5 | 6 => self.upstream(),
            _ => self.pass(),
        }
    }

    fn request(&mut self, endpoint: Endpoint, body: Bytes) {
        let request = RequestId::new(self.requests);
        self.requests += 1;
        self.held.insert(request);
        self.event(NodeEvent::Request { request, endpoint, body });
    }

    fn batch(&mut self) {
        let ops: Vec<Op> = (0..1 + self.one_of(4)).map(|_| self.op()).collect();
        let key = Secret::new(if self.one_of(20) == 0 { "wrong" } else { "k" });
        self.request(Endpoint::Batch, wire::encode_request(Form::Node, &key, ops.iter()));
    }

    fn op(&mut self) -> Op {
        let place = self.one_of(self.sids.len() as u32);
        let sid = self.sids[place as usize];
        let payload = Bytes::from(vec![9; self.one_of(80) as usize]);
        let target = Target::new("h", 1).expect("a target");
        match self.one_of(10) {
            0 => Op::Connect { target },
            1 => Op::ConnectData { target, payload },
            2 => Op::UdpOpen { target, payload },
            3 => Op::UdpData { sid, payload },
            4 => Op::Close { sid },
            5 => Op::Data { sid, seq: None, payload },
            6 => Op::Data { sid, seq: Some(Seq::new(u64::MAX)), payload },
            _ => Op::Data { sid, seq: Some(Seq::new(u64::from(self.one_of(6)))), payload },
        }
    }

    fn garbage(&mut self) {
        let endpoint = if self.one_of(2) == 0 { Endpoint::Batch } else { Endpoint::Single };
        let tail: Vec<u8> = (0..self.one_of(40)).map(|_| self.one_of(256) as u8).collect();
        let head: &[u8] = if self.one_of(2) == 0 { br#"{"k":"k","ops":[{"op":"data","# } else { b"" };
        self.request(endpoint, [head, &tail].concat().into());
    }

    fn upstream(&mut self) {
        let place = self.one_of(6) as usize;
        let Some(id) = self.upstreams.keys().copied().nth(place) else { return };
        let (way, size) = (self.one_of(7), self.one_of(200) as usize);
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        let tcp = upstream.kind == FlowKind::Tcp;
        let event = match (way, upstream.open) {
            (0, false) => UpstreamEvent::Failed(ConnectFailure::Refused),
            (_, false) => UpstreamEvent::Opened,
            (0, true) => UpstreamEvent::Reset,
            (1, true) if tcp && !upstream.finished => UpstreamEvent::Fin,
            (2 | 3, true) if tcp => UpstreamEvent::Written(upstream.unwritten.min(size)),
            (_, true) if tcp && !upstream.finished => {
                UpstreamEvent::Data(vec![5; upstream.credit.min(size)].into())
            }
            (_, true) if !tcp => UpstreamEvent::Datagram(vec![5; size].into()),
            _ => return,
        };
        match &event {
            UpstreamEvent::Opened => upstream.open = true,
            UpstreamEvent::Fin => upstream.finished = true,
            UpstreamEvent::Written(bytes) => upstream.unwritten -= bytes,
            UpstreamEvent::Data(bytes) => upstream.credit -= bytes.len(),
            UpstreamEvent::Failed(_) | UpstreamEvent::Reset => drop(self.upstreams.remove(&id)),
            UpstreamEvent::Datagram(_) => {}
        }
        self.event(NodeEvent::Upstream { upstream: id, event });
    }

    fn pass(&mut self) {
        let millis = u64::from(self.one_of(60_000));
        let end = self.now.saturating_add(Duration::from_millis(millis));
        for _ in 0..200 {
            let Some(wake) = self.wake.filter(|wake| wake.at <= end) else { break };
            self.now = self.now.max(wake.at);
            self.event(NodeEvent::Timeout);
            self.drain();
            assert!(self.wake.is_none_or(|next| next.at > self.now), "{:?} after {wake:?}", self.wake);
        }
        self.now = end;
    }

    fn drain(&mut self) {
        loop {
            match self.node.poll() {
                NodeAction::Idle { wake } => {
                    self.wake = wake;
                    assert_eq!(self.node.poll(), NodeAction::Idle { wake });
                    return;
                }
                NodeAction::Respond { request, response } => {
                    assert!(self.held.remove(&request), "request {request} is answered once");
                    self.learn_sids(&response.body.into_bytes());
                }
                NodeAction::OpenUpstream { upstream, kind, .. } => {
                    let opened = Upstream { kind, open: false, credit: 0, unwritten: 0, finished: false };
                    assert!(self.upstreams.insert(upstream, opened).is_none(), "an upstream is opened once");
                }
                NodeAction::WriteUpstream { upstream, bytes } => {
                    if let Some(upstream) = self.upstreams.get_mut(&upstream) {
                        assert!(upstream.open, "nothing is written before the connection");
                        if upstream.kind == FlowKind::Tcp {
                            upstream.unwritten += bytes.len();
                        }
                    }
                }
                NodeAction::Credit { upstream, bytes } => {
                    if let Some(upstream) = self.upstreams.get_mut(&upstream) {
                        upstream.credit += bytes;
                    }
                }
                NodeAction::FinishUpstream { upstream } => {
                    panic!("{upstream} is half-closed at a level that has no half-close");
                }
                NodeAction::ShutUpstream { upstream, .. } => drop(self.upstreams.remove(&upstream)),
                NodeAction::Event(_) => {}
            }
        }
    }

    fn learn_sids(&mut self, body: &[u8]) {
        let limits = Limits { max_body: 1 << 24, max_ops: 64 };
        for ops in 1..=4 {
            let Ok(replies) = wire::decode_answer(body, ops, limits) else { continue };
            let known = replies.iter().filter_map(|reply| reply.sid);
            self.sids.extend(known.filter(|sid| !self.sids.contains(sid)).collect::<Vec<_>>());
            self.sids.truncate(32);
        }
    }
}
