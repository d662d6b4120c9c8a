//! Sessions that have ended, for ops that come after the end (protocol.md 2.4 rule 8).
//!
//! On the wire an unknown session is one that ended: `eof`. That is right for an op that comes after an orderly end. It is
//! wrong for an op of a session that was cut, and for a second copy of an op that took the last bytes itself: both would
//! make a cut look like an end.

use alloc::collections::{BTreeMap, VecDeque};
use core::hash::{Hash, Hasher};

use crate::node::action::SessionEnd;
use crate::node::sessions::reply::FixedReply;
use crate::seq::Seq;
use crate::target::FlowKind;
use crate::wire::Sid;

/// The error of ops on an upstream that was reset, once its last bytes are fetched.
pub(super) const UPSTREAM_RESET: &str = "upstream was reset";

/// What an op that cannot run any more is notified when the node closes.
pub(super) const SHUTTING_DOWN: &str = "node is shutting down";
pub(super) const USER_GONE: &str = "user was removed";

/// Why a session was cut: the error of the ops that still wait and of those that come later. Without one, they see the
/// end of the flow. Datagrams may be lost anyway: a UDP flow only ever ends.
pub(super) const fn cut(why: SessionEnd, kind: FlowKind) -> Option<&'static str> {
    match why {
        _ if matches!(kind, FlowKind::Udp) => None,
        SessionEnd::Reset => Some(UPSTREAM_RESET),
        SessionEnd::WriteTimedOut => Some("write failed: upstream takes no bytes"),
        SessionEnd::Idle => Some("session was idle for too long"),
        SessionEnd::UserGone => Some(USER_GONE),
        SessionEnd::NodeClosed => Some(SHUTTING_DOWN),
        SessionEnd::Finished | SessionEnd::Closed | SessionEnd::Abandoned | SessionEnd::ClientLost => None,
    }
}

/// What is remembered of a session that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClosedSession {
    /// The first number that no op of the session has used up.
    pub(super) expected: Seq,
    /// Why it was cut; none when it came to its end.
    pub(super) cut: Option<&'static str>,
}

impl ClosedSession {
    /// The reply to an op of the session.
    pub(super) fn reply(self, sid: Sid, seq: Option<Seq>) -> FixedReply {
        match (self.cut, seq) {
            (None, Some(seq)) if seq < self.expected => FixedReply::already_processed(seq, self.expected),
            (cut, seq) => FixedReply::over(cut, sid, seq),
        }
    }
}

/// The sessions that ended last, up to a number; the oldest are forgotten.
#[derive(Clone, Debug)]
pub(super) struct ClosedSessions {
    sessions: BTreeMap<Sid, ClosedSession>,
    order: VecDeque<Sid>,
    most: usize,
}

/// Ids are random: their order in the table says nothing.
impl Hash for ClosedSessions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.order.len().hash(state);
        self.order.iter().for_each(|sid| (sid, self.get(sid)).hash(state));
    }
}

impl ClosedSessions {
    pub(super) const fn new(most: usize) -> Self {
        Self { sessions: BTreeMap::new(), order: VecDeque::new(), most }
    }

    pub(super) fn remember(&mut self, sid: Sid, closed: ClosedSession) {
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
        self.order.push_back(sid);
        self.sessions.insert(sid, closed);
    }

    pub(super) fn get(&self, sid: &Sid) -> Option<ClosedSession> {
        self.sessions.get(sid).copied()
    }

    /// The sessions, the oldest first, and what each expects.
    #[cfg(feature = "model")]
    pub(super) fn known(&self) -> impl Iterator<Item = (Sid, Seq)> {
        self.order.iter().filter_map(|sid| Some((*sid, self.get(sid)?.expected)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(text: &str) -> Sid {
        Sid::new(text).unwrap()
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut closed = ClosedSessions::new(2);
        for name in ["a", "b", "c"] {
            closed.remember(sid(name), ClosedSession { expected: Seq::ZERO, cut: None });
        }
        assert_eq!(closed.get(&sid("a")), None);
        assert!(closed.get(&sid("b")).is_some() && closed.get(&sid("c")).is_some());
        assert_eq!(closed.sessions.len(), 2);
    }

    #[test]
    fn after_an_end_new_ops_see_it_and_second_copies_do_not() {
        let closed = ClosedSession { expected: Seq::new(3), cut: None };
        assert_eq!(closed.reply(sid("s"), None), FixedReply::eof(sid("s"), None));
        assert_eq!(closed.reply(sid("s"), Some(Seq::new(3))), FixedReply::eof(sid("s"), Some(Seq::new(3))));
        let copy = closed.reply(sid("s"), Some(Seq::new(2)));
        assert_eq!(copy.error.unwrap(), "seq 2 already processed (expected 3)");
    }

    #[test]
    fn after_a_cut_every_op_gets_the_reason() {
        let closed = ClosedSession { expected: Seq::ZERO, cut: Some("why") };
        assert_eq!(closed.reply(sid("s"), None).error.unwrap(), "why");
    }
}
