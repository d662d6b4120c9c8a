//! The longest time for which a relay lets a call be held.

use std::time::Duration;

use seqlane::wire::Sid;

use super::calls::RelayCalls;
use super::streams::{Answered, Caller, Packaging, Unanswered};

/// Findings about holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holds {
    /// The longest hold that was answered.
    pub(super) longest: Option<Duration>,
    /// The shortest hold that was not answered, if it is longer than all that were.
    pub(super) limit: Option<Duration>,
}

impl Holds {
    fn passed(&mut self, hold: Duration) {
        self.longest = self.longest.max(Some(hold));
        self.limit = self.limit.filter(|limit| *limit > hold);
    }

    fn failed(&mut self, hold: Duration) {
        let is_beyond = self.longest.is_none_or(|longest| hold > longest);
        let is_lowest = self.limit.is_none_or(|limit| hold < limit);
        if is_beyond && is_lowest {
            self.limit = Some(hold);
        }
    }

    fn streams(&mut self, hold: Duration, outcome: Result<Answered, Unanswered>) {
        match outcome {
            Ok(answered) if answered.header.held + SLACK >= hold => self.passed(hold),
            // The node answered early, or the call was duplicated: that shows nothing about the hold.
            Ok(_) => {}
            Err(_) => self.failed(hold),
        }
    }
}

/// A hold may end this much early: both ends count whole milliseconds, by clocks of their own.
const SLACK: Duration = Duration::from_millis(20);

/// Lets the node hold calls of level 2 for increasing times up to `longest`, all at once, so that this takes no longer
/// than the longest.
pub(super) async fn of_streams(
    calls: &RelayCalls,
    caller: &mut Caller,
    packaging: Packaging,
    longest: Duration,
) -> Holds {
    let parts = [8, 4, 2, 1].map(|part| longest / part);
    let requests = parts.map(|hold| caller.request(hold, &[]));
    let [first, second, third, last] = requests.map(|request| caller.send(calls, packaging, request));
    let (first, second, third, last) = tokio::join!(first, second, third, last);
    let mut holds = Holds::default();
    for (hold, outcome) in parts.into_iter().zip([first, second, third, last]) {
        holds.streams(hold, outcome);
    }
    holds
}

/// Polls a session whose target sends nothing, for `longest`, unless the node answers before.
pub(super) async fn of_poll(calls: &RelayCalls, sid: Sid, longest: Duration) -> Holds {
    let mut holds = Holds::default();
    let (answered, took) = calls.poll_for(sid, longest).await;
    if answered || took >= longest {
        holds.passed(took.min(longest));
    } else {
        holds.failed(took);
    }
    holds
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_limit_is_the_shortest_failed_hold_beyond_all_that_passed() {
        let mut holds = Holds::default();
        for (hold, passes) in [(8, false), (1, true), (4, false), (2, true)] {
            if passes { holds.passed(seconds(hold)) } else { holds.failed(seconds(hold)) }
        }
        assert_eq!(holds, Holds { longest: Some(seconds(2)), limit: Some(seconds(4)) });
    }

    #[test]
    fn a_failure_below_an_answered_hold_is_a_loss_and_no_limit() {
        for order in [[(1, false), (2, true)], [(2, true), (1, false)]] {
            let mut holds = Holds::default();
            for (hold, passes) in order {
                if passes { holds.passed(seconds(hold)) } else { holds.failed(seconds(hold)) }
            }
            assert_eq!(holds, Holds { longest: Some(seconds(2)), limit: None });
        }
    }
}
