//! Doubt about a connection whose node says that it does not know it (protocol.md 3.2 rule 12).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::RelayId;
use crate::time::{Deadline, Instant};

/// From the first `unknown` until a packet that was sent later is answered, or the connection is over. A relay that said
/// `unknown` may lead to another node, or the node may have forgotten the connection: an empty request through each relay
/// finds out.
#[derive(Clone, Debug, Hash)]
pub(super) struct Doubt {
    /// When the first `unknown` came.
    since: Instant,
    /// When relays that have not answered since count as silent. It is set once: the timeouts of the connection grow
    /// while requests stay unanswered, and a wait that grew with them would not end.
    silent_at: Deadline,
    /// Whether a request that was sent later was answered by `unknown` too.
    confirmed: bool,
    /// Relays that said `unknown`.
    doubtful: BTreeSet<RelayId>,
    /// When an empty request goes through a relay.
    due: BTreeMap<RelayId, Deadline>,
}

impl Doubt {
    /// A doubt that begins with an `unknown` through a relay of the connection, which has these, and in which those that do
    /// not answer for `silence` count as silent.
    pub(super) fn new(relay: RelayId, relays: &BTreeSet<RelayId>, silence: Duration, now: Instant) -> Self {
        let due = relays.iter().map(|relay| (*relay, Deadline(now))).collect();
        let silent_at = Deadline(now.saturating_add(silence));
        Self { since: now, silent_at, confirmed: false, doubtful: BTreeSet::from([relay]), due }
    }

    /// Another `unknown` came through a relay, to a request that was sent at `sent`.
    pub(super) fn on_unknown(&mut self, relay: RelayId, sent: Instant, wait: Duration, now: Instant) {
        self.confirmed |= sent >= self.since;
        self.doubtful.insert(relay);
        self.due.entry(relay).or_insert(Deadline(now.saturating_add(wait)));
    }

    /// A request was answered by a packet that was sent at `sent`: whether that ends the doubt.
    pub(super) fn is_cleared_by(&self, sent: Instant) -> bool {
        sent >= self.since
    }

    /// The relays that lead elsewhere, when a packet was answered through `relay`.
    pub(super) fn into_strays(mut self, relay: RelayId) -> Vec<RelayId> {
        self.doubtful.remove(&relay);
        self.doubtful.into_iter().collect()
    }

    /// Whether nothing but empty requests goes through a relay.
    pub(super) fn is_about(&self, relay: RelayId) -> bool {
        self.doubtful.contains(&relay)
    }

    /// A relay through which an empty request goes now, and that `takes` it.
    pub(super) fn due(&self, now: Instant, takes: impl Fn(RelayId) -> bool) -> Option<RelayId> {
        let due = self.due.iter().filter(|(_, at)| at.has_passed(now)).map(|(relay, _)| *relay);
        due.filter(|relay| takes(*relay)).min()
    }

    /// An empty request goes through a relay. Through one that said `unknown`, the next follows after `wait`.
    pub(super) fn on_asked(&mut self, relay: RelayId, wait: Duration, now: Instant) {
        self.due.remove(&relay);
        if self.is_about(relay) {
            self.due.insert(relay, Deadline(now.saturating_add(wait)));
        }
    }

    /// Whether the node has forgotten the connection: two requests in a row say so, and every relay does, or `fails`, or
    /// is silent.
    pub(super) fn is_settled(
        &self,
        mut relays: impl Iterator<Item = RelayId>,
        fails: impl Fn(RelayId) -> bool,
        now: Instant,
    ) -> bool {
        let silent = !self.is_fresh(now);
        self.confirmed && relays.all(|relay| silent || self.is_about(relay) || fails(relay))
    }

    /// Whether relays that have not answered may still do.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        !self.silent_at.has_passed(now)
    }

    /// When there is something to do next, if nothing happens.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.due.values().chain([&self.silent_at]).map(|at| at.0).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(1);
    const SILENCE: Duration = Duration::from_secs(3);

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn relay(index: u32) -> RelayId {
        RelayId::new(index)
    }

    fn relays(count: u32) -> BTreeSet<RelayId> {
        (0..count).map(relay).collect()
    }

    fn settled(doubt: &Doubt, count: u32, seconds: u64) -> bool {
        doubt.is_settled(relays(count).into_iter(), |_| false, at(seconds))
    }

    #[test]
    fn the_only_relay_confirms_itself_with_a_request_that_was_sent_after_the_first_answer() {
        let mut doubt = Doubt::new(relay(0), &relays(1), SILENCE, at(5));
        doubt.on_unknown(relay(0), at(4), WAIT, at(6));
        assert!(!settled(&doubt, 1, 60), "that one was on its way");
        doubt.on_unknown(relay(0), at(5), WAIT, at(6));
        assert!(settled(&doubt, 1, 6));
    }

    #[test]
    fn no_relays_together_end_what_another_one_may_carry_until_it_was_silent_or_failed() {
        let mut doubt = Doubt::new(relay(0), &relays(3), SILENCE, at(0));
        doubt.on_unknown(relay(1), at(0), WAIT, at(1));
        assert!(!settled(&doubt, 3, 2));
        assert!(settled(&doubt, 3, 3));
        let fails = |id: RelayId| id == relay(2);
        assert!(doubt.is_settled(relays(3).into_iter(), fails, at(2)));
    }

    #[test]
    fn every_relay_is_asked_once_and_a_doubtful_one_again_and_again() {
        let mut doubt = Doubt::new(relay(0), &relays(2), SILENCE, at(0));
        for expected in [0, 1] {
            let due = doubt.due(at(0), |_| true).unwrap();
            assert_eq!(due, relay(expected));
            doubt.on_asked(due, WAIT, at(0));
        }
        assert_eq!(doubt.due(at(0), |_| true), None);
        assert_eq!(doubt.next(at(0)), Some(at(1)));
        assert_eq!(doubt.due(at(9), |_| true), Some(relay(0)));
        assert_eq!(doubt.due(at(9), |_| false), None, "it has no room");
    }

    #[test]
    fn an_answer_clears_its_relay_and_the_others_that_said_unknown_lead_elsewhere() {
        let mut doubt = Doubt::new(relay(0), &relays(3), SILENCE, at(5));
        doubt.on_unknown(relay(1), at(5), WAIT, at(6));
        assert!(!doubt.is_cleared_by(at(4)) && doubt.is_cleared_by(at(5)));
        assert_eq!(doubt.clone().into_strays(relay(2)), [relay(0), relay(1)]);
        assert_eq!(doubt.into_strays(relay(1)), [relay(0)]);
    }
}
