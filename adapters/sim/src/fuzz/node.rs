//! A node with arbitrary clients of levels 0 and 1 and arbitrary upstreams.

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, Sid};
use seqlane::{Endpoint, Form, Instant, Node, NodeAction, NodeOptions, NodeTuning, Secret, Seq, Target};

use crate::fuzz::node_bench::{Clients, NodeBench};

/// Clients of levels 0 and 1: the sessions that they have heard of.
struct Sessions(Vec<Sid>);

/// Requests of levels 0 and 1, upstream events and time of any kind: nothing panics, nothing is misuse, every request is
/// answered once, every wake is later than the one before, and a closed node keeps nothing.
///
/// # Panics
/// When the node breaks its contract.
pub fn node(data: &[u8]) {
    let options = NodeOptions::new(Secret::new("k")).max_sessions(6).max_requests(6).tuning(
        NodeTuning::new()
            .seq_queue_ops(3)
            .seq_queue_bytes(100)
            .write_queue(50)
            .max_drain(40)
            .max_batch_drain(60)
            .udp_queue(2),
    );
    let node = Node::new(options.validate().expect("valid"), [2; 32], Instant::ZERO);
    let sessions = Sessions(vec![Sid::new("nobody").expect("a session id")]);
    let mut bench = NodeBench::new(data, node, sessions);
    for _ in 0..data.len().min(300) {
        bench.step();
        bench.drain();
    }
    bench.close();
}

impl NodeBench<'_, Sessions> {
    fn step(&mut self) {
        match self.decide.one_of(8) {
            0..=2 => self.batch(),
            3 => self.garbage(),
            4 => self.leave(),
            5 | 6 => self.upstream(1),
            _ => self.pass(),
        }
    }

    fn batch(&mut self) {
        let ops: Vec<Op> = (0..1 + self.decide.one_of(4)).map(|_| self.op()).collect();
        let key = Secret::new(if self.decide.one_of(20) == 0 { "wrong" } else { "k" });
        self.request(Endpoint::Batch, wire::encode_request(Form::Node, &key, ops.iter()));
    }

    fn op(&mut self) -> Op {
        let Sessions(sids) = &self.clients;
        let sid = sids[self.decide.one_of(sids.len() as u32) as usize];
        let payload = Bytes::from(vec![9; self.decide.one_of(80) as usize]);
        let target = Target::new("h", 1).expect("a target");
        match self.decide.one_of(10) {
            0 => Op::Connect { target },
            1 => Op::ConnectData { target, payload },
            2 => Op::UdpOpen { target, payload },
            3 => Op::UdpData { sid, payload },
            4 => Op::Close { sid },
            5 => Op::Data { sid, seq: None, payload },
            6 => Op::Data { sid, seq: Some(Seq::new(u64::MAX)), payload },
            _ => Op::Data { sid, seq: Some(Seq::new(u64::from(self.decide.one_of(6)))), payload },
        }
    }

    fn garbage(&mut self) {
        let endpoint = if self.decide.one_of(2) == 0 { Endpoint::Batch } else { Endpoint::Single };
        let tail = self.decide.bytes(40);
        let head: &[u8] = if self.decide.one_of(2) == 0 { br#"{"k":"k","ops":[{"op":"data","# } else { b"" };
        self.request(endpoint, [head, &tail].concat().into());
    }
}

impl Clients for Sessions {
    fn see(&mut self, action: NodeAction) {
        match action {
            NodeAction::Respond { response, .. } => self.learn(&response.body.into_bytes()),
            NodeAction::FinishUpstream { upstream } => {
                panic!("{upstream} is half-closed at a level that has no half-close");
            }
            _ => {}
        }
    }
}

impl Sessions {
    fn learn(&mut self, body: &[u8]) {
        let limits = Limits { max_body: 1 << 24, max_ops: 64 };
        for ops in 1..=4 {
            let Ok(replies) = wire::decode_answer(body, ops, limits) else { continue };
            let known = replies.iter().filter_map(|reply| reply.sid);
            self.0.extend(known.filter(|sid| !self.0.contains(sid)).collect::<Vec<_>>());
            self.0.truncate(32);
        }
    }
}
