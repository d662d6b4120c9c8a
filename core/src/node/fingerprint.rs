//! The node's fingerprint: its whole state, relative to now and to the numbers of its ids.

use alloc::collections::BTreeMap;
use core::hash::Hasher;

use crate::fingerprint::Fingerprint;
use crate::id::{RequestId, UpstreamId};
use crate::node::batch::{Batch, Drain, OpRef, Role, Slot};
use crate::node::hold::Wait;
use crate::node::reply::Fixed;
use crate::node::upstream::{Opening, State};
use crate::node::{Node, NodeAction};
use crate::time::Instant;
use crate::wire::Sid;

/// What the ids of a state are renamed to: their rank among those of the live things.
pub(super) struct Ranks<'a> {
    node: &'a Node,
    requests: BTreeMap<RequestId, usize>,
    upstreams: BTreeMap<UpstreamId, usize>,
}

impl Node {
    /// Feeds everything that decides what the node will do to `hasher`, relative to `now`.
    ///
    /// Times count from `now`; requests, upstreams and session ids by their rank; statistics not at all.
    /// Sequence numbers are the client's, and stay what they are. States with equal fingerprints behave alike.
    pub fn fingerprint(&self, now: Instant, hasher: &mut impl Hasher) {
        let ranks = Ranks {
            node: self,
            requests: self.requests.keys().copied().zip(0..).collect(),
            upstreams: self.upstreams.keys().copied().zip(0..).collect(),
        };
        let mut print = Fingerprint::new(now, hasher);
        print.value(self.phase);
        print.each(self.requests.values(), |print, batch| ranks.batch(batch, print));
        print.each(self.upstreams.values(), |print, upstream| ranks.state(&upstream.state, print));
        print.each(self.departed.iter(), |print, departure| print.value(departure));
        self.peers.fingerprint(&ranks, &mut print);
        self.pool.fingerprint(&mut print);
        print.each(self.starved.iter(), |print, upstream| ranks.upstream(*upstream, print));
        print.each(self.actions.iter(), |print, action| ranks.action(action, print));
    }
}

impl Ranks<'_> {
    /// An op by the rank of its request.
    pub(super) fn op(&self, op: OpRef, print: &mut Fingerprint<'_>) {
        print.value((self.requests.get(&op.request), op.place));
    }

    pub(super) fn upstream(&self, upstream: UpstreamId, print: &mut Fingerprint<'_>) {
        print.value(self.upstreams.get(&upstream));
    }

    /// A session by its upstream, or by its place among those that ended; a name that is not the node's own by
    /// itself.
    fn sid(&self, sid: &Sid, print: &mut Fingerprint<'_>) {
        let live = self.node.sessions.get(sid).and_then(|upstream| self.upstreams.get(upstream));
        let departed = self.node.departed.rank(sid);
        print.value((live, departed));
        if live.is_none() && departed.is_none() {
            print.value(sid);
        }
    }

    fn batch(&self, batch: &Batch, print: &mut Fingerprint<'_>) {
        batch.fingerprint(print);
        print.each(batch.slots.iter(), |print, slot| match slot {
            Slot::Unread => print.value(0_u8),
            Slot::Connecting(upstream) => {
                print.value(1_u8);
                self.upstream(*upstream, print);
            }
            Slot::Queued { upstream, seq } => {
                print.value((2_u8, seq));
                self.upstream(*upstream, print);
            }
            Slot::Waiting(drain) => {
                print.value(3_u8);
                self.drain(drain, print);
            }
            Slot::Closing(sid) => {
                print.value(4_u8);
                self.sid(sid, print);
            }
            Slot::Ready(reply) => {
                print.value(5_u8);
                self.reply(reply, print);
            }
            Slot::Exchange(peer, exchange) => print.value((6_u8, self.node.peers.rank(*peer), exchange)),
            Slot::Packet(packet) => print.value((7_u8, packet)),
        });
    }

    fn drain(&self, drain: &Drain, print: &mut Fingerprint<'_>) {
        print.value(drain.seq);
        self.upstream(drain.upstream, print);
        match drain.role {
            Role::Open(caps) => print.value((0_u8, caps)),
            Role::FirstBytes(caps, wait) => {
                print.value((1_u8, caps));
                wait_fingerprint(wait, print);
            }
            Role::Poll => print.value(2_u8),
            Role::Payload(wait) => {
                print.value(3_u8);
                wait_fingerprint(wait, print);
            }
        }
    }

    fn reply(&self, reply: &Fixed, print: &mut Fingerprint<'_>) {
        let Fixed { sid, eof, error, code, seq, caps } = reply;
        print.value((eof, error, code.is_some(), seq, caps, sid.is_some()));
        if let Some(sid) = sid {
            self.sid(sid, print);
        }
    }

    fn state(&self, state: &State, print: &mut Fingerprint<'_>) {
        match state {
            State::Connecting(connect) => {
                print.value((0_u8, &connect.target));
                self.op(connect.op, print);
                print.deadline(connect.deadline);
                match &connect.opening {
                    Opening::Plain => print.value(0_u8),
                    Opening::FirstBytes(bytes) => print.value((1_u8, bytes)),
                    Opening::Udp(bytes) => print.value((2_u8, bytes)),
                }
            }
            State::Open(session) => {
                print.value(1_u8);
                session.fingerprint(self, print);
            }
            State::Lingering(uplink) => {
                print.value(2_u8);
                uplink.fingerprint(print);
            }
            State::Stream(at) => print.value((3_u8, self.node.peers.rank(at.peer), at.number)),
        }
    }

    fn action(&self, action: &NodeAction, print: &mut Fingerprint<'_>) {
        match action {
            NodeAction::Respond { response, .. } => print.value((0_u8, response.status, &response.body)),
            NodeAction::OpenUpstream { upstream, target, kind, deadline } => {
                print.value((1_u8, target, kind));
                self.upstream(*upstream, print);
                print.time(*deadline);
            }
            NodeAction::WriteUpstream { upstream, bytes } => {
                print.value((2_u8, bytes));
                self.upstream(*upstream, print);
            }
            NodeAction::Credit { upstream, bytes } => {
                print.value((3_u8, bytes));
                self.upstream(*upstream, print);
            }
            NodeAction::FinishUpstream { upstream } => {
                print.value(5_u8);
                self.upstream(*upstream, print);
            }
            NodeAction::ShutUpstream { upstream, how } => {
                print.value((4_u8, how));
                self.upstream(*upstream, print);
            }
            NodeAction::Event(_) | NodeAction::Idle { .. } => {}
        }
    }
}

fn wait_fingerprint(wait: Wait, print: &mut Fingerprint<'_>) {
    print.deadline(wait.until);
    print.maybe_time(wait.heard);
}

#[cfg(test)]
mod tests {
    use core::hash::BuildHasherDefault;
    use core::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::fingerprint::Fnv;
    use crate::node::{Endpoint, NodeEvent, UpstreamEvent};
    use crate::{NodeOptions, Secret};

    fn print(node: &Node, now: Instant) -> u64 {
        use core::hash::BuildHasher;
        let mut hasher = BuildHasherDefault::<Fnv>::default().build_hasher();
        node.fingerprint(now, &mut hasher);
        hasher.finish()
    }

    /// A node made at `origin` that answered `before` requests, and then opened a session and read `text`.
    fn run(origin: Instant, before: u64, text: &'static str) -> (Node, Instant) {
        let config = NodeOptions::new(Secret::new("k")).validate().unwrap();
        let mut node = Node::new(config, [1; 32], origin);
        let drain = |node: &mut Node| while !matches!(node.poll(), NodeAction::Idle { .. }) {};
        let connect = br#"{"k":"k","ops":[{"op":"connect","host":"h","port":1}]}"#;
        for number in 0..=before {
            let body = Bytes::from_static(connect);
            let event =
                NodeEvent::Request { request: RequestId::new(number), endpoint: Endpoint::Batch, body };
            node.handle(origin, event).unwrap();
            if number < before {
                node.handle(origin, NodeEvent::RequestGone { request: RequestId::new(number) }).unwrap();
            }
            drain(&mut node);
        }
        let now = origin.saturating_add(Duration::from_millis(3));
        let upstream = UpstreamId::new(before);
        for event in [UpstreamEvent::Opened, UpstreamEvent::Data(Bytes::from_static(text.as_bytes()))] {
            node.handle(now, NodeEvent::Upstream { upstream, event }).unwrap();
            drain(&mut node);
        }
        (node, now)
    }

    #[test]
    fn neither_the_time_nor_the_numbers_of_ids_matter() {
        let (early, early_now) = run(Instant::from_micros(10), 0, "x");
        let (late, late_now) = run(Instant::from_micros(987_654_321), 5, "x");
        assert_eq!(print(&early, early_now), print(&late, late_now));
    }

    #[test]
    fn what_a_session_keeps_matters() {
        let (one, now) = run(Instant::ZERO, 0, "x");
        let (other, _) = run(Instant::ZERO, 0, "y");
        assert_ne!(print(&one, now), print(&other, now));
    }

    #[test]
    fn how_far_away_a_deadline_is_matters() {
        let (node, now) = run(Instant::ZERO, 0, "x");
        assert_ne!(print(&node, now), print(&node, now.saturating_add(Duration::from_secs(1))));
    }
}
