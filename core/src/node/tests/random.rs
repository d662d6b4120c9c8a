//! Random runs of levels 0 and 1 against the properties S1, S2 and S4 to S9 (protocol.md 4).

use super::*;

/// Steps of one run.
const STEPS: u32 = 400;

/// A small generator of test input; quality matters little here, repeatability does.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len() as u64) as usize])
    }
}

/// One flow, as a client and an upstream that misbehave now and then see it.
#[derive(Clone)]
struct Flow {
    sid: Sid,
    upstream: UpstreamId,
    next_seq: u64,
    /// Numbers that were left out, to be sent later.
    skipped: Vec<u64>,
    sent: Vec<u8>,
    finished: bool,
    /// Downlink bytes by the `seq` of the reply that carried them.
    got: BTreeMap<u64, Bytes>,
}

struct Run {
    rig: Rig,
    dice: Dice,
    flows: Vec<Flow>,
    /// What each request asked: flow and `seq` of its ops.
    asked: BTreeMap<RequestId, Vec<Option<(usize, u64)>>>,
    gone: BTreeSet<RequestId>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::with(|options| {
            options.session_buffer = 64 * 1024;
            options.total_buffer = 100_000;
            options.tuning.max_drain = 20_000;
            options.tuning.max_batch_drain = 30_000;
            options.tuning.write_queue = 64;
            options.tuning.seq_queue_ops = 4;
            options.tuning.seq_queue_bytes = 256;
        });
        let flows = [(); 4].map(|()| {
            let (sid, upstream) = rig.session();
            let (got, sent) = (BTreeMap::new(), Vec::new());
            Flow { sid, upstream, next_seq: 0, skipped: Vec::new(), sent, finished: false, got }
        });
        let (asked, gone) = (BTreeMap::new(), BTreeSet::new());
        Self { rig, dice: Dice(seed), flows: flows.to_vec(), asked, gone }
    }

    fn step(&mut self) {
        match self.dice.roll(16) {
            0..=6 => self.send_batch(),
            7..=9 => self.upstream_data(),
            10 => self.upstream_writes(),
            11 => {
                let flow = self.dice.roll(4) as usize;
                if self.dice.roll(20) == 0 && !self.flows[flow].finished {
                    self.flows[flow].finished = true;
                    self.rig.fin(self.flows[flow].upstream);
                }
            }
            12 => {
                let held: Vec<RequestId> =
                    self.asked.keys().copied().filter(|request| self.rig.is_held(*request)).collect();
                if let Some(request) = self.dice.pick(&held).filter(|_| self.dice.0.is_multiple_of(4)) {
                    self.gone.insert(request);
                    self.rig.gone(request);
                }
            }
            13 => {
                let stuck = self.flows[self.dice.roll(4) as usize].upstream;
                self.rig.stuck.insert(stuck);
            }
            _ => {
                let millis = [1, 5, 30, 400, 6_000][self.dice.roll(5) as usize];
                self.rig.run(millis);
            }
        }
        self.check_memory();
    }

    fn send_batch(&mut self) {
        let mut ops = Vec::new();
        let mut asked = Vec::new();
        for _ in 0..=self.dice.roll(4) {
            let flow = self.dice.roll(4) as usize;
            let seq = self.next_seq(flow);
            let length = [0, 0, 1, 30, 200][self.dice.roll(5) as usize];
            let byte = (seq % 251) as u8;
            let sid = self.flows[flow].sid;
            let payload = alloc::vec![byte; length].into();
            ops.push(Op::Data { sid, seq: Some(Seq::new(seq)), payload });
            asked.push(Some((flow, seq)));
        }
        if self.dice.roll(10) == 0 {
            ops.push(if self.dice.roll(2) == 0 { connect() } else { connect_data(b"x") });
            asked.push(None);
        }
        let request = self.rig.batch(&ops);
        self.asked.insert(request, asked);
    }

    /// Mostly the next number; now and then one is left out for a while, or repeated.
    fn next_seq(&mut self, flow: usize) -> u64 {
        let roll = self.dice.roll(12);
        let flow = &mut self.flows[flow];
        match roll {
            0 if flow.skipped.is_empty() => return flow.next_seq.saturating_sub(1),
            0..=3 if !flow.skipped.is_empty() => return flow.skipped.remove(0),
            4 => {
                flow.skipped.push(flow.next_seq);
                flow.next_seq += 1;
            }
            _ => {}
        }
        flow.next_seq += 1;
        flow.next_seq - 1
    }

    fn upstream_data(&mut self) {
        let flow = self.dice.roll(4) as usize;
        let upstream = self.flows[flow].upstream;
        let most = self.rig.credit[&upstream] as u64;
        if self.flows[flow].finished || self.rig.shut.contains_key(&upstream) || most == 0 {
            return;
        }
        let length = [1, 10, 3_000, 20_000][self.dice.roll(4) as usize].min(most) as usize;
        let start = self.flows[flow].sent.len();
        let bytes: Vec<u8> = (start..start + length).map(|place| (place % 253) as u8).collect();
        self.flows[flow].sent.extend_from_slice(&bytes);
        self.rig.data(upstream, &bytes);
    }

    /// Connects come and go, and stuck upstreams take what they owe.
    fn upstream_writes(&mut self) {
        let connecting: Vec<UpstreamId> = self.rig.opens.iter().skip(4).map(|open| open.0).collect();
        if let Some(upstream) = self.dice.pick(&connecting) {
            let event = if self.dice.roll(2) == 0 {
                UpstreamEvent::Opened
            } else {
                UpstreamEvent::Failed(ConnectFailure::Refused)
            };
            let _ = self.rig.try_event(NodeEvent::Upstream { upstream, event });
        }
        let upstream = self.flows[self.dice.roll(4) as usize].upstream;
        let unwritten = self.rig.untaken.get(&upstream).copied().unwrap_or(0);
        if unwritten > 0 {
            self.rig.unstick(upstream, unwritten);
        }
    }

    /// S6: four sessions with their floors, a pool, what waits to be written, and what waits for its turn.
    fn check_memory(&self) {
        let downlink = 100_000 + 4 * 64 * 1024;
        let uplink = 4 * (64 + 256 + 200 + 256 + 200);
        assert!(self.rig.node.buffered_bytes() <= downlink + uplink + 1_000);
    }

    fn finish(mut self) {
        self.rig.run(600_000);
        for (request, asked) in core::mem::take(&mut self.asked) {
            assert_ne!(self.rig.is_held(request), !self.gone.contains(&request), "S5: {request}");
            if self.gone.contains(&request) {
                continue;
            }
            for (reply, asked) in self.rig.replies(request).into_iter().zip(asked) {
                // Copies that come after the end of their session see it, empty.
                if let Some((flow, seq)) = asked.filter(|_| !reply.data.is_empty()) {
                    let got = self.flows[flow].got.insert(seq, reply.data);
                    assert_eq!(got, None, "one seq answered twice with bytes");
                }
            }
        }
        for flow in &self.flows {
            let got: Vec<u8> = flow.got.values().flatten().copied().collect();
            assert!(flow.sent.starts_with(&got), "S1: downlink is no prefix");
            let order: Vec<u8> = self.rig.written(flow.upstream).to_vec();
            assert!(order.is_sorted() || flow.next_seq > 251, "S1: uplink out of order");
            assert!(self.rig.ended.contains_key(&flow.upstream), "S4: idle sessions end");
        }
        assert_eq!(self.rig.wake, None, "S7: nothing is owed");
        assert_eq!(self.rig.node.buffered_bytes(), 0);
    }
}

#[test]
fn random_runs_keep_every_promise() {
    for seed in 0..60 {
        let mut run = Run::new(seed);
        for _ in 0..STEPS {
            run.step();
        }
        run.finish();
    }
}
