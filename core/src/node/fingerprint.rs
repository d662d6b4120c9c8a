//! The node's fingerprint: its whole state, relative to now and to the numbers of its ids.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::config::NodeOptions;
use crate::fingerprint::Fingerprint;
use crate::id::{RequestId, UpstreamId};
use crate::node::action::NodeAction;
use crate::node::context::Context;
use crate::node::requests::{PacketError, PacketReply, Part};
use crate::node::upstreams::{Carrier, ConnectionId};
use crate::seq::Seq;

/// What the ids of a state are renamed to: their rank among those of the live things.
pub(super) struct Ranks<'a> {
    context: &'a Context,
    connections: Vec<ConnectionId>,
    requests: BTreeMap<RequestId, usize>,
    upstreams: BTreeMap<UpstreamId, usize>,
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

impl<'a> Ranks<'a> {
    pub(super) fn new(context: &'a Context, connections: Vec<ConnectionId>) -> Self {
        Self {
            context,
            connections,
            requests: context.requests().iter().map(|(request, ..)| request).zip(0..).collect(),
            upstreams: context.upstreams().iter().map(|(upstream, _)| upstream).zip(0..).collect(),
        }
    }

    /// What is in the context.
    pub(super) fn context(&self, print: &mut Fingerprint<'_>) {
        self.context.fingerprint(print);
        print.each(self.context.requests().iter(), |print, (_, exchange, replies)| {
            print.value(exchange.map(|at| (self.connection(at.connection), at.exchange)));
            print.each(replies.iter(), |print, (index, reply)| {
                print.value(index);
                print_reply(reply, print);
            });
        });
        print.each(self.context.upstreams().iter(), |print, (_, carrier)| match carrier {
            Carrier::Session => print.value(0_u8),
            Carrier::Stream(at) => print.value((1_u8, self.connection(at.connection), at.number)),
        });
        let (blocked, actions) = self.context.queued();
        print.each(blocked.iter(), |print, upstream| self.upstream(*upstream, print));
        print.each(actions.iter(), |print, action| self.action(action, print));
    }

    fn connection(&self, connection: ConnectionId) -> Option<usize> {
        self.connections.iter().position(|other| *other == connection)
    }

    /// The configuration, which says for how long a time matters.
    pub(super) const fn config(&self) -> &NodeOptions {
        self.context.config()
    }

    /// An op by the rank of its request.
    pub(super) fn op(&self, op: Part, print: &mut Fingerprint<'_>) {
        print.value((self.requests.get(&op.request), op.index));
    }

    pub(super) fn upstream(&self, upstream: UpstreamId, print: &mut Fingerprint<'_>) {
        print.value(self.upstreams.get(&upstream));
    }

    pub(super) fn rank(&self, upstream: UpstreamId) -> Option<usize> {
        self.upstreams.get(&upstream).copied()
    }

    fn action(&self, action: &NodeAction, print: &mut Fingerprint<'_>) {
        match action {
            NodeAction::Respond { response, .. } => {
                print.value((0_u8, response.status, response.body.clone().into_bytes()));
            }
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

fn print_reply(reply: &PacketReply, print: &mut Fingerprint<'_>) {
    match reply {
        Ok(packet) => print.value((0_u8, packet.clone().into_packet())),
        Err(PacketError::Unsupported) => print.value(1_u8),
        Err(PacketError::BadPacket) => print.value(2_u8),
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
    use crate::node::{Endpoint, Node, NodeEvent, UpstreamEvent};
    use crate::time::Instant;
    use crate::wire::Sid;
    use crate::{NodeOptions, Secret};

    fn print(node: &Node, now: Instant) -> u64 {
        use core::hash::{BuildHasher, Hasher};
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
        let sid = node.sessions.first_sid().unwrap();
        for seq in 0..polls {
            let op = alloc::format!(r#"{{"op":"data","sid":"{}","seq":{seq}}}"#, sid.as_str());
            let body = alloc::format!(r#"{{"k":"k","ops":[{op}]}}"#).into();
            let request = RequestId::new(100 + seq);
            node.handle(now, NodeEvent::Request { request, endpoint: Endpoint::Batch, body }).unwrap();
            while !matches!(node.poll(), NodeAction::Idle { .. }) {}
            now = node
                .context
                .wake()
                .map_or(now, |wake| wake.at.min(now.saturating_add(node.context.config().longpoll)));
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
