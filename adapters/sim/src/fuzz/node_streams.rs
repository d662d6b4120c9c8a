//! A node with arbitrary clients of level 2 and arbitrary upstreams.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, Sid};
use seqlane::{
    Endpoint, Form, Instant, Node, NodeAction, NodeOptions, NodeStreamOptions, NodeTuning, RequestId,
    Response, Secret, Target,
};

use crate::fuzz::node_bench::{Clients, NodeBench};
use crate::fuzz::node_oracle::NodeOracle;
use crate::fuzz::peer::{Asked, Packet, Peer};

const KIB: usize = 1024;

/// Bytes that every stream may keep in each direction, whatever the others do (protocol.md 3.2 rule 6).
const FLOOR: usize = 64 * KIB;

/// More than any input of some thousand bytes decides.
const MOST_STEPS: u32 = 1_000;

/// Packets that may come again.
const REMEMBERED: usize = 12;

/// Clients of level 2.
struct Streams {
    oracle: NodeOracle,
    peers: [Peer; 3],
    /// The latest packets, to come again.
    packets: Vec<Packet>,
    /// What each op of a request asks, if it is a packet.
    asked: BTreeMap<RequestId, Vec<Option<Asked>>>,
}

/// Packets, upstream events and time of any kind: nothing panics, nothing is misuse, every request is answered once,
/// every wake is later than the one before, memory stays within its bounds, both directions stay in order, and a closed
/// node keeps nothing.
///
/// # Panics
/// When the node breaks its contract.
pub fn node_streams(data: &[u8]) {
    let options = options();
    let bound = bound(&options);
    let node = Node::unsealed(options.validate().expect("valid"), [2; 32], Instant::ZERO);
    let streams = Streams {
        oracle: NodeOracle::default(),
        peers: [1, 2, 3].map(Peer::new),
        packets: Vec::new(),
        asked: BTreeMap::new(),
    };
    let mut bench = NodeBench::new(data, node, streams);
    for _ in 0..MOST_STEPS {
        if bench.decide.is_spent() {
            break;
        }
        bench.step();
        bench.drain();
        let kept = bench.node.buffered_bytes();
        assert!(kept <= bound, "{kept} B are kept, and {bound} B may be");
    }
    bench.close();
}

/// Bounds so narrow that each is met soon: the third client finds no memory left.
fn options() -> NodeOptions {
    NodeOptions::new(Secret::new("k"))
        .max_sessions(6)
        .max_requests(8)
        .session_buffer(64 * KIB)
        .total_buffer(100 * KIB)
        .tuning(
            NodeTuning::new().udp_queue(2).streams(
                NodeStreamOptions::default()
                    .max_streams(3)
                    .uplink_window(128 << 10)
                    .uplink_total(64 << 10)
                    .downlink_total(64 << 10)
                    .uplink_memory(160 << 10)
                    .max_packet(128 * KIB)
                    .max_hold(Duration::from_secs(10))
                    .max_held(3)
                    .idle(Duration::from_secs(40))
                    .reorder_chunks(4096),
            ),
        )
}

/// What the totals allow, and what each session may keep beside them: of a stream its floors and its datagrams, or the few
/// bytes of an op.
fn bound(options: &NodeOptions) -> usize {
    let totals = options.total_buffer + options.tuning.streams.uplink_memory as usize;
    totals + options.max_sessions * 2 * FLOOR
}

impl NodeBench<'_, Streams> {
    fn step(&mut self) {
        match self.decide.one_of(12) {
            0..=4 => self.packet(),
            5 => self.copy(),
            6 => self.garbage(),
            7..=9 => {
                let scale = self.decide.any([1, 1, 300]);
                self.upstream(scale);
            }
            10 => self.pass(),
            _ => self.leave(),
        }
    }

    fn packet(&mut self) {
        let place = self.decide.any([0, 0, 0, 0, 1, 1, 1, 2]);
        let Streams { oracle, peers, packets, .. } = &mut self.clients;
        let packet = peers[place].packet(&mut self.decide);
        oracle.tampered |= packet.changed;
        packets.push(packet.clone());
        if packets.len() > REMEMBERED {
            packets.remove(0);
        }
        self.send(packet);
    }

    /// A packet comes again, or damaged on its way.
    fn copy(&mut self) {
        let place = self.decide.one_of(REMEMBERED as u32) as usize;
        let Some(mut packet) = self.clients.packets.iter().rev().nth(place).cloned() else { return };
        if self.decide.one_of(4) == 3 {
            let mut bytes = packet.bytes.to_vec();
            self.decide.damage(&mut bytes);
            packet = Packet { bytes: bytes.into(), asked: None, changed: false };
        }
        self.send(packet);
    }

    fn garbage(&mut self) {
        let bytes = self.decide.bytes(80);
        self.send(Packet { bytes, asked: None, changed: false });
    }

    /// As a body, as an op, or as an op beside others.
    fn send(&mut self, packet: Packet) {
        let Packet { bytes, asked: own, .. } = packet;
        let key = Secret::new(if self.decide.one_of(64) == 63 { "wrong" } else { "k" });
        let mut asked = vec![own.clone()];
        let (endpoint, body) = match self.decide.one_of(16) {
            0..=9 => (Endpoint::Streams { key }, bytes),
            way => {
                let mut ops = vec![Op::Streams { packet: bytes.clone() }];
                if way > 13 {
                    let (neighbour, its) = self.neighbour(bytes, own);
                    ops.push(neighbour);
                    asked.push(its);
                }
                (Endpoint::Batch, wire::encode_request(Form::Node, &key, ops.iter()))
            }
        };
        let request = self.request(endpoint, body);
        self.clients.asked.insert(request, asked);
    }

    fn neighbour(&mut self, packet: Bytes, asked: Option<Asked>) -> (Op, Option<Asked>) {
        let sid = Sid::new("nobody").expect("a session id");
        match self.decide.one_of(3) {
            0 => (Op::Streams { packet }, asked),
            1 => (Op::Connect { target: Target::new("session", 1).expect("a target") }, None),
            _ => (Op::Data { sid, seq: None, payload: Bytes::new() }, None),
        }
    }
}

impl Clients for Streams {
    fn see(&mut self, action: NodeAction) {
        self.oracle.look(&action);
        if let NodeAction::Respond { request, response } = action {
            self.on_answer(request, response);
        }
    }
}

impl Streams {
    fn on_answer(&mut self, request: RequestId, response: Response) {
        let asked = self.asked.remove(&request).expect("a request that was made");
        for (asked, packet) in asked.into_iter().zip(packets(response)) {
            if let (Some(asked), false) = (asked, packet.is_empty()) {
                let learned = self.oracle.answered(&asked, &packet);
                let client = match &asked {
                    Asked::Hello(hello) => hello.client(),
                    Asked::Exchange(keys, ..) => keys.client(),
                };
                // What is said of a connection that is over is nothing to its client.
                if let Some(peer) = self.peers.iter_mut().find(|peer| peer.client() == client) {
                    peer.learn(learned);
                }
            }
        }
    }
}

/// The packets of an answer, in the places of its ops; an empty one where there is none.
fn packets(response: Response) -> Vec<Bytes> {
    const LIMITS: Limits = Limits { max_body: 1 << 24, max_ops: 2 };
    let Response { status, content_type, body } = response;
    let body = body.into_bytes();
    if status == 200 && content_type == "application/octet-stream" {
        return vec![body];
    }
    let replies = [1, 2].into_iter().find_map(|ops| wire::decode_answer(&body, ops, LIMITS).ok());
    replies.map_or_else(Vec::new, |replies| replies.iter().map(|reply| reply.data.clone()).collect())
}
