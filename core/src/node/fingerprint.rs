//! The node's fingerprint: its whole state, relative to now and to the numbers of its ids.

use alloc::collections::BTreeMap;
use core::hash::Hasher;

use crate::config::NodeOptions;
use crate::fingerprint::Fingerprint;
use crate::id::{RequestId, UpstreamId};
use crate::node::sessions::batch::{Batch, Drain, OpRef, Role, Slot};
use crate::node::sessions::reply::Fixed;
use crate::node::upstreams::{Opening, State};
use crate::node::{Node, NodeAction};
use crate::seq::Seq;
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
    /// Times count from `now`; requests, upstreams and session ids by their rank; sequence numbers from the one
    /// that their session expects; statistics not at all. States with equal fingerprints behave alike.
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
        print.each(self.departed.iter(), |print, departure| print.value(departure.map(|gone| gone.cut)));
        self.connections.fingerprint(&ranks, &mut print);
        self.pool.fingerprint(&mut print);
        print.each(self.starved.iter(), |print, upstream| ranks.upstream(*upstream, print));
        print.each(self.actions.iter(), |print, action| ranks.action(action, print));
    }
}

/// Where the node has a session: what a fingerprint calls it instead of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionPlace {
    /// It is open.
    Live {
        /// The rank of its upstream.
        rank: usize,
        /// The number that it expects next.
        expected: Seq,
    },
    /// It has ended, and is remembered.
    Departed {
        /// Its rank among those that are.
        rank: usize,
        /// The first number that no op of it has used up.
        expected: Seq,
    },
    /// The node does not know it.
    Unknown,
}

impl Node {
    /// Where the node has the session `sid`.
    pub fn place_of(&self, sid: &Sid) -> SessionPlace {
        if let Some(upstream) = self.sessions.get(sid)
            && let Some(session) = self.upstreams.session(*upstream)
            && let Some(rank) = self.upstreams.keys().position(|other| other == upstream)
        {
            return SessionPlace::Live { rank, expected: session.turn.expected() };
        }
        match (self.departed.rank(sid), self.departed.get(sid)) {
            (Some(rank), Some(departure)) => SessionPlace::Departed { rank, expected: departure.expected },
            _ => SessionPlace::Unknown,
        }
    }
}

impl Ranks<'_> {
    /// The configuration, which says for how long a time matters.
    pub(super) const fn config(&self) -> &NodeOptions {
        &self.node.config
    }

    /// An op by the rank of its request.
    pub(super) fn op(&self, op: OpRef, print: &mut Fingerprint<'_>) {
        print.value((self.requests.get(&op.request), op.place));
    }

    pub(super) fn upstream(&self, upstream: UpstreamId, print: &mut Fingerprint<'_>) {
        print.value(self.upstreams.get(&upstream));
    }

    /// A session by its place, and the number of an op of it relative to what it expects. An op of a session
    /// that the node does not know gets its own name and number back, whatever they are.
    fn session_op(&self, sid: &Sid, seq: Option<Seq>, print: &mut Fingerprint<'_>) {
        print.value(seq.is_some());
        match self.node.place_of(sid) {
            SessionPlace::Live { rank, expected } => {
                print.value((0_u8, rank));
                seq.into_iter().for_each(|seq| print.seq(seq, expected));
            }
            SessionPlace::Departed { rank, expected } => {
                print.value((1_u8, rank));
                seq.into_iter().for_each(|seq| print.seq(seq, expected));
            }
            SessionPlace::Unknown => print.value(2_u8),
        }
    }

    /// The number of an op of an open upstream.
    fn upstream_seq(&self, upstream: UpstreamId, seq: Option<Seq>, print: &mut Fingerprint<'_>) {
        self.upstream(upstream, print);
        print.value(seq.is_some());
        let expected = self.node.upstreams.session(upstream).map(|session| session.turn.expected());
        if let (Some(seq), Some(expected)) = (seq, expected) {
            print.seq(seq, expected);
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
                print.value(2_u8);
                self.upstream_seq(*upstream, *seq, print);
            }
            Slot::Waiting(drain) => {
                print.value(3_u8);
                self.drain(batch, drain, print);
            }
            Slot::Closing(sid) => {
                print.value(4_u8);
                self.session_op(sid, None, print);
            }
            Slot::Ready(reply) => {
                print.value(5_u8);
                self.reply(reply, print);
            }
            Slot::Exchange(connection, exchange) => {
                print.value((6_u8, self.node.connections.rank(*connection), exchange))
            }
            Slot::Packet(packet) => print.value((7_u8, packet.clone().into_packet())),
        });
    }

    fn drain(&self, batch: &Batch, drain: &Drain, print: &mut Fingerprint<'_>) {
        self.upstream_seq(drain.upstream, drain.seq, print);
        match drain.role {
            Role::Open(caps) => print.value((0_u8, caps)),
            Role::FirstBytes(caps, wait) => {
                print.value((1_u8, caps));
                batch.wait_fingerprint(wait, print);
            }
            Role::Poll => print.value(2_u8),
            Role::Payload(wait) => {
                print.value(3_u8);
                batch.wait_fingerprint(wait, print);
            }
        }
    }

    /// Texts of errors count as one: some have absolute numbers in them, and the node reads none.
    fn reply(&self, reply: &Fixed, print: &mut Fingerprint<'_>) {
        let Fixed { sid, eof, error, code, seq, caps } = reply;
        print.value((eof, error.is_some(), code.is_some(), caps, sid.is_some(), seq.is_some()));
        if let Some(sid) = sid {
            self.session_op(sid, *seq, print);
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
            State::Stream(at) => print.value((3_u8, self.node.connections.rank(at.connection), at.number)),
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

#[cfg(test)]
mod tests {
    use core::hash::BuildHasherDefault;
    use core::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::fingerprint::Fnv;
    use crate::level::Level;
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
        let level = Level::Sequenced;
        let options = NodeOptions { max_level: level, ..NodeOptions::new(Secret::new("k")) };
        let config = options.validate().unwrap();
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

    /// A session that was polled `polls` times, each until the end of the hold.
    fn polled(polls: u64) -> (Node, Sid, Instant) {
        let (mut node, mut now) = run(Instant::ZERO, 0, "x");
        let sid = *node.sessions.keys().next().unwrap();
        for seq in 0..polls {
            let op = alloc::format!(r#"{{"op":"data","sid":"{}","seq":{seq}}}"#, sid.as_str());
            let body = alloc::format!(r#"{{"k":"k","ops":[{op}]}}"#).into();
            let request = RequestId::new(100 + seq);
            node.handle(now, NodeEvent::Request { request, endpoint: Endpoint::Batch, body }).unwrap();
            while !matches!(node.poll(), NodeAction::Idle { .. }) {}
            now = node.wake.map_or(now, |wake| wake.at.min(now.saturating_add(node.config.longpoll)));
            node.handle(now, NodeEvent::Timeout).unwrap();
            while !matches!(node.poll(), NodeAction::Idle { .. }) {}
        }
        (node, sid, now)
    }

    #[test]
    fn how_many_ops_a_session_has_had_does_not_matter() {
        // The first one fetches the byte; from then on there is nothing to fetch.
        let ((two, sid, two_now), (five, _, five_now)) = (polled(2), polled(5));
        let expected = |node: &Node| match node.place_of(&sid) {
            SessionPlace::Live { expected, .. } => expected,
            SessionPlace::Departed { .. } | SessionPlace::Unknown => panic!("it is open"),
        };
        assert_eq!((expected(&two), expected(&five)), (Seq::new(2), Seq::new(5)));
        assert_eq!(print(&two, two_now), print(&five, five_now));
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
