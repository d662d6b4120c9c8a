//! Hold times that a relay allows (protocol.md 2.5, 3.2 rule 7).

use core::time::Duration;

use crate::time::{Deadline, Instant, share};

/// An empty poll that is answered sooner than this was not held.
pub(in crate::client) const HOLD_THRESHOLD: Duration = Duration::from_millis(1500);

/// How long a relay counts as one that does not hold polls after it answered one early.
const NOT_HOLDING_MEMORY: Duration = Duration::from_secs(60);

/// How long the ceiling that a cut hold sets is kept.
const CEILING_MEMORY: Duration = Duration::from_secs(600);

/// The lowest ceiling; a call that ends earlier did not end because of its hold.
const LEAST_CEILING: Duration = Duration::from_secs(5);

/// What a relay's answers tell of holding.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(in crate::client) struct Hold {
    /// Until when it counts as one that does not hold polls (levels 0 and 1).
    not_holding_until: Deadline,
    /// The longest hold that it lets pass, and until when that is believed (level 2).
    ceiling: Option<(Duration, Deadline)>,
}

impl Hold {
    /// An empty poll came back, held or not.
    pub(in crate::client) fn on_poll(&mut self, now: Instant, held: bool) {
        let until = if held { now } else { now.saturating_add(NOT_HOLDING_MEMORY) };
        self.not_holding_until = Deadline(until);
    }

    /// Whether it holds polls, as far as is known.
    pub(in crate::client) fn holds(&self, now: Instant) -> bool {
        self.not_holding_until.has_passed(now)
    }

    /// A call that the node may hold for `hold` failed after `elapsed`.
    pub(in crate::client) fn on_cut(&mut self, elapsed: Duration, hold: Duration, now: Instant) {
        if elapsed >= LEAST_CEILING && elapsed < hold {
            let ceiling = share(elapsed, 3, 4).max(LEAST_CEILING);
            self.ceiling = Some((ceiling, Deadline(now.saturating_add(CEILING_MEMORY))));
        }
    }

    /// The longest hold to ask for.
    pub(in crate::client) fn ceiling(&self, now: Instant) -> Duration {
        self.ceiling.filter(|(_, until)| !until.has_passed(now)).map_or(Duration::MAX, |(ceiling, _)| ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_relay_that_cuts_a_hold_is_asked_for_shorter_ones() {
        let mut hold = Hold::default();
        hold.on_cut(10 * SECOND, 25 * SECOND, at(0));
        assert_eq!(hold.ceiling(at(1)), Duration::from_millis(7_500));
        hold.on_cut(SECOND, 25 * SECOND, at(0));
        assert_eq!(hold.ceiling(at(1)), Duration::from_millis(7_500), "too early to be a matter of the hold");
        assert_eq!(hold.ceiling(at(601)), Duration::MAX);
    }

    #[test]
    fn an_early_poll_counts_for_a_minute_or_until_one_is_held() {
        let mut hold = Hold::default();
        assert!(hold.holds(at(0)));
        hold.on_poll(at(0), false);
        assert!(!hold.holds(at(59)) && hold.holds(at(60)));
        hold.on_poll(at(1), true);
        assert!(hold.holds(at(2)));
    }
}
