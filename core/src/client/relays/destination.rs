//! Destination of a relay, as hellos find it (protocol.md 3.1 Handshake).

use core::time::Duration;

use super::backoff::backoff;
use crate::time::{Deadline, Instant};
use crate::wire::handshake::NodeId;

/// How long a relay counts as one that leads elsewhere; doubled each time up to the longest.
const REFUSED_FIRST: Duration = Duration::from_secs(5);
const REFUSED_LONGEST: Duration = Duration::from_secs(600);

/// ```text
///             hello          answered
///   Unknown ────────▶ Asked ──────────▶ Node
///    ▲   ▲              │                 │ it left the connection: at once the first time
///    │   └──────────────│─────────────────┤
///    │                  ▼ refused         │ again
///    └──── time ──── Refused ◀────────────┘
///
///   any ── its bodies turn out to be too small ──▶ Narrow
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Leads {
    /// No hello is out.
    Unknown,
    /// A hello went out.
    Asked { at: Instant },
    /// To this node, which has answered no request through it since the time in `unproven`.
    Node { node: NodeId, unproven: Option<Instant> },
    /// To a node without level 2, or to one that took no connection. Asked again after this time.
    Refused { until: Deadline },
    /// Its bodies are too small for a chunk, which is never cut again: no chunk goes through it.
    Narrow,
}

/// How long hellos wait for their answers.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct HelloDelays {
    /// The wait after the first hello.
    pub(in crate::client) first: Duration,
    /// The wait after any number of them.
    pub(in crate::client) longest: Duration,
}

/// Where one relay leads.
#[derive(Clone, Debug, Hash)]
pub(in crate::client) struct Destination {
    leads: Leads,
    /// Hellos since one was answered.
    hellos: u32,
    /// How often in a row it was refused, or had to leave a connection.
    setbacks: u32,
    /// Whether the last hello was answered by something that does not open.
    garbled: bool,
    /// Whether an observer was told that there is no level 2 through it.
    reported: bool,
}

impl Destination {
    pub(super) const fn new() -> Self {
        Self { leads: Leads::Unknown, hellos: 0, setbacks: 0, garbled: false, reported: false }
    }

    /// Whether no hello is out.
    pub(in crate::client) fn is_unknown(&self) -> bool {
        self.leads == Leads::Unknown
    }

    /// Whether no answer has told.
    pub(in crate::client) const fn is_open(&self) -> bool {
        matches!(self.leads, Leads::Unknown | Leads::Asked { .. })
    }

    /// Whether nothing has come that could tell.
    pub(in crate::client) const fn is_silent(&self) -> bool {
        self.is_open() && !self.garbled
    }

    /// A hello was answered by something that does not open. It is sent again, and holds up nobody who could do without.
    pub(in crate::client) const fn on_garbled(&mut self) {
        self.garbled = true;
    }

    /// The node that it leads to.
    pub(in crate::client) const fn node(&self) -> Option<NodeId> {
        match self.leads {
            Leads::Node { node, .. } => Some(node),
            Leads::Unknown | Leads::Asked { .. } | Leads::Refused { .. } | Leads::Narrow => None,
        }
    }

    /// Whether it leads to this node.
    pub(in crate::client) fn is(&self, node: NodeId) -> bool {
        self.node() == Some(node)
    }

    /// Whether chunks are too large for it.
    pub(in crate::client) fn is_narrow(&self) -> bool {
        self.leads == Leads::Narrow
    }

    /// Whether chunks have or may have a way to a node through it.
    pub(in crate::client) const fn may_reach_node(&self) -> bool {
        matches!(self.leads, Leads::Unknown | Leads::Asked { .. } | Leads::Node { .. })
    }

    /// It leads to this node. Returns whether that is new.
    pub(in crate::client) fn on_node(&mut self, node: NodeId, now: Instant) -> bool {
        if self.is(node) {
            return false;
        }
        self.hellos = 0;
        self.reported &= self.is_narrow();
        self.change(Leads::Node { node, unproven: Some(now) })
    }

    /// A request was answered through it by the node that it leads to.
    pub(in crate::client) const fn on_answered(&mut self) {
        if let Leads::Node { unproven, .. } = &mut self.leads {
            *unproven = None;
        }
        self.setbacks = 0;
    }

    /// Whether nothing was answered through it although it leads to its node for `wait`.
    pub(in crate::client) fn is_unproven(&self, wait: Duration, now: Instant) -> bool {
        matches!(self.leads, Leads::Node { unproven: Some(since), .. } if now.saturating_since(since) >= wait)
    }

    /// It leaves the connection that it was part of, which goes on without it or is over: it is asked again, at once the
    /// first time.
    pub(in crate::client) fn on_left(&mut self, now: Instant) {
        if matches!(self.leads, Leads::Node { unproven: None, .. }) || self.setbacks == 0 {
            self.setbacks = 1;
            self.change(Leads::Unknown);
        } else {
            self.on_refused(Duration::ZERO, now);
        }
    }

    /// Its bodies are too small.
    pub(in crate::client) fn on_narrow(&mut self) {
        self.change(Leads::Narrow);
    }

    /// It leads to no connection, and is asked again after `wait` or the backoff, the longer of the two.
    pub(in crate::client) fn on_refused(&mut self, wait: Duration, now: Instant) {
        let wait = backoff(REFUSED_FIRST, self.setbacks, REFUSED_LONGEST).max(wait).min(REFUSED_LONGEST);
        self.setbacks = self.setbacks.saturating_add(1);
        self.hellos = 0;
        self.change(Leads::Refused { until: Deadline(now.saturating_add(wait)) });
    }

    /// It is to be asked again after `wait`, whatever was before.
    pub(in crate::client) fn on_invited(&mut self, wait: Duration, now: Instant) {
        let until = Deadline(now.saturating_add(wait.min(REFUSED_LONGEST)));
        self.change(if wait.is_zero() { Leads::Unknown } else { Leads::Refused { until } });
    }

    /// Whether there is no level 2 through it, and that is to be reported: once.
    pub(in crate::client) const fn take_refusal(&mut self) -> bool {
        matches!(self.leads, Leads::Refused { .. } | Leads::Narrow)
            && !core::mem::replace(&mut self.reported, true)
    }

    /// Returns whether the state was another. What is too narrow stays so.
    fn change(&mut self, leads: Leads) -> bool {
        self.garbled &= matches!(leads, Leads::Asked { .. });
        self.leads != Leads::Narrow && core::mem::replace(&mut self.leads, leads) != leads
    }

    /// A hello goes out.
    pub(in crate::client) fn on_hello(&mut self, now: Instant) {
        self.hellos = self.hellos.saturating_add(1);
        self.change(Leads::Asked { at: now });
    }

    /// Whether a hello is due.
    pub(in crate::client) fn wants_hello(&self, now: Instant, delays: HelloDelays) -> bool {
        self.is_unknown() || self.hello_at(delays).is_some_and(|at| at <= now)
    }

    /// When a relay that was refused is asked again.
    pub(in crate::client) const fn retry_at(&self) -> Option<Instant> {
        match self.leads {
            Leads::Refused { until } => Some(until.0),
            Leads::Unknown | Leads::Asked { .. } | Leads::Node { .. } | Leads::Narrow => None,
        }
    }

    /// When the next hello is due after one that was not answered, or was refused: later each time.
    pub(in crate::client) fn hello_at(&self, delays: HelloDelays) -> Option<Instant> {
        match self.leads {
            Leads::Asked { at } => {
                let wait = backoff(delays.first, self.hellos.saturating_sub(1), delays.longest);
                Some(at.saturating_add(wait))
            }
            Leads::Refused { until } => Some(until.0),
            Leads::Unknown | Leads::Node { .. } | Leads::Narrow => None,
        }
    }

    /// Whether the answer to the first hello may still come in time: a relay that is silent then holds nobody up.
    pub(in crate::client) fn is_pending(&self, now: Instant, delays: HelloDelays) -> bool {
        let first = self.is_open() && self.hellos <= 1;
        self.is_unknown() || first && self.hello_at(delays).is_some_and(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DELAYS: HelloDelays = HelloDelays { first: SECOND, longest: Duration::from_secs(60) };
    const NODE: NodeId = NodeId([1; 16]);

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn hellos_are_repeated_after_a_time_that_depends_on_the_last_answer() {
        let mut relay = Destination::new();
        assert!(relay.wants_hello(at(0), DELAYS) && relay.is_pending(at(0), DELAYS));
        relay.on_hello(at(0));
        assert!(!relay.wants_hello(at(0), DELAYS) && relay.is_pending(at(0), DELAYS));
        assert!(relay.wants_hello(at(1), DELAYS) && !relay.is_pending(at(1), DELAYS));
        relay.on_hello(at(1));
        assert!(!relay.is_pending(at(1), DELAYS), "only the first hello holds a flow up");
        assert!(!relay.wants_hello(at(2), DELAYS) && relay.wants_hello(at(3), DELAYS), "longer and longer");
        relay.on_refused(Duration::ZERO, at(1));
        assert!(relay.take_refusal());
        relay.on_refused(Duration::ZERO, at(2));
        assert!(!relay.take_refusal(), "reported once");
        assert!(!relay.wants_hello(at(11), DELAYS) && relay.wants_hello(at(12), DELAYS));
        assert!(relay.on_node(NODE, at(12)));
        relay.on_answered();
        relay.on_refused(Duration::ZERO, at(20));
        assert!(relay.take_refusal(), "reported again");
        assert!(relay.wants_hello(at(25), DELAYS));
    }

    #[test]
    fn a_node_that_asks_to_wait_is_left_alone_for_as_long_up_to_ten_minutes() {
        for (wait, next) in [(1, 5), (60, 60), (100_000, 600)] {
            let mut relay = Destination::new();
            relay.on_refused(Duration::from_secs(wait), at(0));
            assert_eq!(relay.hello_at(DELAYS), Some(at(next)), "{wait} s");
        }
    }

    #[test]
    fn an_invitation_counts_whatever_failed_before() {
        let mut relay = Destination::new();
        (0..5).for_each(|_| relay.on_refused(Duration::ZERO, at(0)));
        relay.on_invited(Duration::ZERO, at(1));
        assert!(relay.wants_hello(at(1), DELAYS));
        relay.on_invited(2 * SECOND, at(1));
        assert!(!relay.wants_hello(at(2), DELAYS) && relay.wants_hello(at(3), DELAYS));
    }

    #[test]
    fn a_relay_that_leaves_is_asked_at_once_and_later_each_time_while_nothing_is_answered_through_it() {
        let mut relay = Destination::new();
        relay.on_node(NODE, at(0));
        relay.on_left(at(1));
        assert!(relay.wants_hello(at(1), DELAYS));
        relay.on_node(NODE, at(2));
        relay.on_left(at(3));
        assert!(!relay.wants_hello(at(12), DELAYS) && relay.wants_hello(at(13), DELAYS));
        relay.on_node(NODE, at(14));
        relay.on_answered();
        relay.on_left(at(15));
        assert!(relay.wants_hello(at(15), DELAYS));
    }

    #[test]
    fn a_relay_is_unproven_until_a_request_is_answered_through_it() {
        let mut relay = Destination::new();
        relay.on_node(NODE, at(0));
        assert!(!relay.is_unproven(20 * SECOND, at(19)) && relay.is_unproven(20 * SECOND, at(20)));
        relay.on_answered();
        assert!(!relay.is_unproven(20 * SECOND, at(20)));
    }

    #[test]
    fn a_hello_holds_a_flow_up_until_the_next_one_is_due_and_no_longer() {
        let mut relay = Destination::new();
        let delays = HelloDelays { first: Duration::from_secs(10), longest: Duration::from_secs(2) };
        relay.on_hello(at(0));
        assert!(relay.is_pending(at(1), delays) && !relay.is_pending(at(2), delays));
        assert_eq!(relay.hello_at(delays), Some(at(2)));
    }

    #[test]
    fn a_relay_that_is_too_narrow_is_never_asked_again() {
        let mut relay = Destination::new();
        relay.on_hello(at(0));
        relay.on_narrow();
        assert!(relay.take_refusal());
        assert!(!relay.on_node(NODE, at(0)));
        assert!(!relay.take_refusal(), "reported once");
        relay.on_left(at(1));
        assert!(!relay.wants_hello(at(1_000), DELAYS) && !relay.may_reach_node());
        assert_eq!(relay.hello_at(DELAYS), None);
    }
}
