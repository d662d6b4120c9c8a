//! The daily budget of calls of one relay (protocol.md 3.2 rule 9).

use core::time::Duration;

use crate::time::{Instant, micros};

/// After the first renewal, a budget is renewed this often.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An idle client makes about one call in this time: one idle hold and its round trip.
const IDLE_CALL: Duration = Duration::from_secs(25);

/// Calls that a relay allows until the next renewal.
#[derive(Clone, Debug, Hash)]
pub(super) struct Budget {
    limit: u64,
    spent: u64,
    renews: Instant,
}

impl Budget {
    pub(super) const fn new(limit: u64, renews: Instant) -> Self {
        Self { limit, spent: 0, renews }
    }

    /// A call goes out. Returns the time of the renewal if it was the last one.
    pub(super) fn on_sent(&mut self) -> Option<Instant> {
        self.spent = self.spent.saturating_add(1);
        (self.spent >= self.limit).then_some(self.renews)
    }

    /// Renews the budget when that is due.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        if self.renews <= now {
            self.spent = 0;
            self.renews = now.saturating_add(DAY);
        }
    }

    pub(super) const fn renews(&self) -> Instant {
        self.renews
    }

    pub(super) fn has_calls(&self) -> bool {
        self.spent < self.limit
    }

    /// Whether less than a tenth is left: the remaining calls go to what cannot wait.
    pub(super) const fn is_short(&self) -> bool {
        self.left() < self.limit / 10
    }

    /// Whether less is left than twice what an idle client needs until the renewal.
    pub(super) fn is_tight(&self, now: Instant) -> bool {
        let time = micros(self.renews.saturating_since(now));
        let idle = time.checked_div(micros(IDLE_CALL)).unwrap_or_default();
        self.left() < idle.saturating_mul(2)
    }

    const fn left(&self) -> u64 {
        self.limit.saturating_sub(self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_last_call_names_the_renewal_which_gives_new_ones_every_day() {
        let mut budget = Budget::new(2, at(100));
        assert_eq!(budget.on_sent(), None);
        assert_eq!(budget.on_sent(), Some(at(100)));
        assert!(!budget.has_calls());
        budget.on_timeout(at(99));
        assert!(!budget.has_calls());
        budget.on_timeout(at(100));
        assert!(budget.has_calls());
        assert_eq!(budget.renews(), at(100).saturating_add(DAY));
    }

    #[test]
    fn a_budget_is_short_below_a_tenth_and_tight_below_twice_what_idling_needs() {
        // (limit, sent, seconds until the renewal) -> short, tight
        let table = [
            (100, 0, 0, false, false),
            (100, 90, 0, false, false),
            (100, 91, 0, true, false),
            (100, 0, 25 * 50, false, false),
            (100, 1, 25 * 50, false, true),
            (100, 91, 25 * 4, true, false),
        ];
        for (limit, sent, seconds, short, tight) in table {
            let mut budget = Budget::new(limit, at(seconds));
            for _ in 0..sent {
                budget.on_sent();
            }
            assert_eq!(
                (budget.is_short(), budget.is_tight(at(0))),
                (short, tight),
                "{sent} of {limit}, {seconds} s"
            );
        }
    }
}
