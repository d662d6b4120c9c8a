//! Destination of a relay, as hellos find it (protocol.md 3.1 Hello, 3.2 rule 12).

use core::time::Duration;

use super::backoff::backoff;
use crate::time::{Deadline, Instant};

/// How long a relay counts as one that leads elsewhere; doubled each time up to the longest.
const MISMATCH_FIRST: Duration = Duration::from_secs(5);
const MISMATCH_LONGEST: Duration = Duration::from_secs(600);

/// ```text
///             hello        answered, with the epoch
///   Unknown ────────▶ Asked ─────────────────────▶ Here
///      ▲                │ answered otherwise         │ unknown, and another relay is believed
///      │                ▼                            ▼
///      └── time ── Elsewhere ◀───────────────────────┘
///
///   any ── its bodies turn out to be too small ──▶ Narrow
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Leads {
    /// No hello went out.
    Unknown,
    /// A hello went out.
    Asked { at: Instant },
    /// To the node of the connection.
    Here,
    /// To a node without level 2, with another secret, or to another node. Asked again after this time.
    Elsewhere { until: Deadline },
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
    /// Answers in a row that led elsewhere.
    mismatches: u32,
    /// Whether the answer to the last hello was garbage.
    garbled: bool,
    /// Since when its answers say that the epoch is unknown.
    unknown_epoch: Option<Instant>,
    /// Whether an observer was told that there is no level 2 through it.
    reported: bool,
}

impl Destination {
    pub(super) const fn new() -> Self {
        Self {
            leads: Leads::Unknown,
            hellos: 0,
            mismatches: 0,
            garbled: false,
            unknown_epoch: None,
            reported: false,
        }
    }

    /// Whether no hello went out.
    pub(in crate::client) fn is_unknown(&self) -> bool {
        self.leads == Leads::Unknown
    }

    /// Whether no answer has told.
    pub(in crate::client) const fn is_open(&self) -> bool {
        matches!(self.leads, Leads::Unknown | Leads::Asked { .. })
    }

    /// Whether it leads to the node of the connection.
    pub(in crate::client) fn is_here(&self) -> bool {
        self.leads == Leads::Here
    }

    /// Whether chunks are too large for it.
    pub(in crate::client) fn is_narrow(&self) -> bool {
        self.leads == Leads::Narrow
    }

    /// Whether chunks may reach the node of the connection through it.
    pub(in crate::client) const fn may_be_here(&self) -> bool {
        matches!(self.leads, Leads::Unknown | Leads::Asked { .. } | Leads::Here)
    }

    /// What was known of the node is void.
    pub(super) fn forget_node(&mut self) {
        self.change(Leads::Unknown);
        self.unknown_epoch = None;
    }

    /// It leads to the node. Returns whether that is new.
    pub(in crate::client) fn on_here(&mut self) -> bool {
        (self.mismatches, self.hellos) = (0, 0);
        self.reported &= self.is_narrow();
        self.change(Leads::Here)
    }

    /// Its bodies are too small.
    pub(in crate::client) fn on_narrow(&mut self) {
        self.change(Leads::Narrow);
    }

    /// It does not lead to the node.
    pub(in crate::client) fn on_elsewhere(&mut self, now: Instant) {
        let wait = backoff(MISMATCH_FIRST, self.mismatches, MISMATCH_LONGEST);
        self.mismatches = self.mismatches.saturating_add(1);
        self.hellos = 0;
        self.change(Leads::Elsewhere { until: Deadline(now.saturating_add(wait)) });
    }

    /// The answer to a hello was garbage. The second time in a row, that counts as an answer of a node without level 2.
    pub(in crate::client) fn on_garbled_hello(&mut self, now: Instant) {
        self.garbled = !self.garbled;
        if self.garbled {
            self.change(Leads::Unknown);
        } else {
            self.on_elsewhere(now);
        }
    }

    /// Whether there is no level 2 through it, and that is to be reported: once.
    pub(in crate::client) const fn take_mismatch(&mut self) -> bool {
        matches!(self.leads, Leads::Elsewhere { .. } | Leads::Narrow)
            && !core::mem::replace(&mut self.reported, true)
    }

    /// Returns whether the state was another. What is too narrow stays so.
    fn change(&mut self, leads: Leads) -> bool {
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

    /// When the next hello is due after one that was not answered, or led elsewhere: later each time.
    pub(in crate::client) fn hello_at(&self, delays: HelloDelays) -> Option<Instant> {
        match self.leads {
            Leads::Asked { at } => {
                let wait = backoff(delays.first, self.hellos.saturating_sub(1), delays.longest);
                Some(at.saturating_add(wait))
            }
            Leads::Elsewhere { until } => Some(until.0),
            Leads::Unknown | Leads::Here | Leads::Narrow => None,
        }
    }

    /// Whether the answer to the first hello may still come in time: a relay that is silent then holds nobody up.
    pub(in crate::client) fn is_pending(&self, now: Instant, delays: HelloDelays) -> bool {
        let first = self.is_open() && self.hellos <= 1;
        self.is_unknown() || first && self.hello_at(delays).is_some_and(|at| now < at)
    }

    /// An answer does not know the epoch. Returns since when that is so, if it was before.
    pub(super) fn on_unknown_epoch(&mut self, now: Instant) -> Option<Instant> {
        let before = self.unknown_epoch;
        self.unknown_epoch = Some(before.unwrap_or(now));
        before
    }

    /// Whether it confirms what another relay says: that the node does not know the epoch. A relay that is too narrow for
    /// chunks led to the node all the same.
    pub(in crate::client) const fn confirms_unknown_epoch(&self) -> bool {
        matches!(self.leads, Leads::Here | Leads::Narrow) && self.unknown_epoch.is_some()
    }

    /// An exchange that was sent at `sent` was answered in the epoch, `here` or through another relay. If this one did not
    /// know the epoch before, it leads elsewhere.
    pub(super) fn on_known_epoch(&mut self, here: bool, sent: Instant, now: Instant) {
        if here {
            self.unknown_epoch = None;
        } else if self.unknown_epoch.is_some_and(|since| since < sent) {
            self.unknown_epoch = None;
            self.on_elsewhere(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DELAYS: HelloDelays = HelloDelays { first: SECOND, longest: Duration::from_secs(60) };

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
        relay.on_elsewhere(at(1));
        assert!(relay.take_mismatch());
        relay.on_elsewhere(at(2));
        assert!(!relay.take_mismatch(), "reported once");
        assert!(!relay.wants_hello(at(11), DELAYS) && relay.wants_hello(at(12), DELAYS));
        assert!(relay.on_here());
        relay.on_elsewhere(at(20));
        assert!(relay.take_mismatch(), "reported again");
        assert!(relay.wants_hello(at(25), DELAYS));
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
        assert!(relay.take_mismatch());
        assert!(!relay.on_here());
        assert!(!relay.take_mismatch(), "reported once");
        relay.forget_node();
        assert!(!relay.wants_hello(at(1_000), DELAYS) && !relay.may_be_here());
        assert_eq!(relay.hello_at(DELAYS), None);
    }

    #[test]
    fn the_second_garbled_hello_counts_as_an_answer() {
        let mut relay = Destination::new();
        relay.on_hello(at(0));
        relay.on_garbled_hello(at(1));
        assert!(relay.is_unknown() && !relay.take_mismatch());
        relay.on_hello(at(1));
        relay.on_garbled_hello(at(2));
        assert!(relay.take_mismatch() && !relay.may_be_here());
    }
}
