//! Sessions that have ended, for ops that come after the end.
//!
//! On the wire an unknown session is one that ended: `eof`. That is right for an op that comes after an
//! orderly end, and a lie for two others: an op of a session that was cut, and a second copy of an op that took
//! the tail itself. Both would make a cut look like an end (docs/protocol.md section 2).

use alloc::collections::{BTreeMap, VecDeque};

use crate::node::sessions::reply::Fixed;
use crate::seq::Seq;
use crate::wire::Sid;

/// What is remembered of a session that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::node) struct Departure {
    /// The first number that no op of the session has used up.
    pub(in crate::node) expected: Seq,
    /// Why it was cut; none when it came to its end.
    pub(in crate::node) cut: Option<&'static str>,
}

impl Departure {
    /// The reply to an op of the session.
    pub(in crate::node) fn reply(self, sid: Sid, seq: Option<Seq>) -> Fixed {
        match (self.cut.filter(|_| !planted!(CutLooksEnded)), seq) {
            (Some(why), _) => Fixed::error(why, seq),
            (None, Some(seq)) if seq < self.expected => Fixed::already_processed(seq, self.expected),
            (None, _) => Fixed::eof(sid, seq),
        }
    }
}

/// The sessions that ended last, up to a number; the oldest are forgotten.
#[derive(Clone, Debug)]
pub(in crate::node) struct Departed {
    sessions: BTreeMap<Sid, Departure>,
    order: VecDeque<Sid>,
    most: usize,
}

impl Departed {
    pub(in crate::node) const fn new(most: usize) -> Self {
        Self { sessions: BTreeMap::new(), order: VecDeque::new(), most }
    }

    pub(in crate::node) fn remember(&mut self, sid: Sid, departure: Departure) {
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
        self.order.push_back(sid);
        self.sessions.insert(sid, departure);
    }

    pub(in crate::node) fn get(&self, sid: &Sid) -> Option<Departure> {
        self.sessions.get(sid).copied()
    }

    /// The session's place among those that are remembered, for a fingerprint.
    #[cfg(feature = "model")]
    pub(in crate::node) fn rank(&self, sid: &Sid) -> Option<usize> {
        self.order.iter().position(|departed| departed == sid)
    }

    /// The departures in order, for a fingerprint.
    #[cfg(feature = "model")]
    pub(in crate::node) fn iter(&self) -> impl ExactSizeIterator<Item = Option<Departure>> {
        self.order.iter().map(|sid| self.get(sid))
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
        let mut departed = Departed::new(2);
        for name in ["a", "b", "c"] {
            departed.remember(sid(name), Departure { expected: Seq::ZERO, cut: None });
        }
        assert_eq!(departed.get(&sid("a")), None);
        assert!(departed.get(&sid("b")).is_some() && departed.get(&sid("c")).is_some());
        assert_eq!(departed.sessions.len(), 2);
    }

    #[test]
    fn after_an_end_new_ops_see_it_and_second_copies_do_not() {
        let departure = Departure { expected: Seq::new(3), cut: None };
        assert_eq!(departure.reply(sid("s"), None), Fixed::eof(sid("s"), None));
        assert_eq!(departure.reply(sid("s"), Some(Seq::new(3))), Fixed::eof(sid("s"), Some(Seq::new(3))));
        let copy = departure.reply(sid("s"), Some(Seq::new(2)));
        assert_eq!(copy.error.unwrap(), "seq 2 already processed (expected 3)");
    }

    #[test]
    fn after_a_cut_every_op_hears_why() {
        let departure = Departure { expected: Seq::ZERO, cut: Some("why") };
        assert_eq!(departure.reply(sid("s"), None).error.unwrap(), "why");
    }
}
