//! Slow start for downloads (protocol.md 3.2, controllers).
//!
//! The first BACKLOG of a download is small: it counts what came in a moment, and by the next round trip many times as
//! much waits. So while each round trip brings half as much again as the one before it, a few requests more than the
//! backlog fills wait at the node, and allow larger responses.

use core::time::Duration;

use crate::time::Instant;

/// A smaller answer is no sign of a download: a full packet of sparse data has this size.
const SIGN: u64 = 48 * 1024;

/// A round trip that brings less may have brought everything, and is worth no call of its own.
const HIGH: u64 = 512 * 1024;

/// The requests that wait then, and the size of the response to each: 10 MiB in a round trip.
const REQUESTS: usize = 5;
const RESPONSE: u64 = 2 << 20;

/// ```text
///             an answer with much, after none for 2 p50
///   Steady ───────────────────────────────────────────▶ Rising ──┐ each p50 brings half as much again
///     ▲                                                   │  ▲───┘
///     └────────────────── a p50 brings less ──────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ramp {
    /// Since when, what came since, and what came in the round trip before.
    Rising {
        since: Instant,
        brought: u64,
        before: u64,
    },
    Steady,
}

/// What should wait at the node in slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boost {
    pub(super) requests: usize,
    /// Bytes of the largest response to each.
    pub(super) response: u64,
}

/// Slow start of the downloads of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SlowStart {
    ramp: Ramp,
    last: Option<Instant>,
}

impl SlowStart {
    pub(super) const fn new() -> Self {
        Self { ramp: Ramp::Steady, last: None }
    }

    /// An answer came with so many bytes.
    pub(super) fn on_answer(&mut self, bytes: u64, now: Instant, p50: Duration) {
        if bytes < SIGN {
            return;
        }
        let begins = !is_recent(self.last, now, p50);
        self.last = Some(now);
        self.ramp = match self.ramp {
            _ if begins => Ramp::Rising { since: now, brought: bytes, before: 0 },
            Ramp::Steady => Ramp::Steady,
            Ramp::Rising { since, brought, before } => {
                let brought = brought.saturating_add(bytes);
                if now.saturating_since(since) < p50 {
                    Ramp::Rising { since, brought, before }
                } else if brought >= before.saturating_add(before / 2) {
                    Ramp::Rising { since: now, brought: 0, before: brought }
                } else {
                    Ramp::Steady
                }
            }
        };
    }

    /// What should wait at the node, while it is in slow start.
    pub(super) fn boost(&self, now: Instant, p50: Duration) -> Option<Boost> {
        let Ramp::Rising { brought, before, .. } = self.ramp else { return None };
        let requests = if brought.max(before) < HIGH { 1 } else { REQUESTS };
        is_recent(self.last, now, p50).then_some(Boost { requests, response: RESPONSE })
    }
}

fn is_recent(last: Option<Instant>, now: Instant, p50: Duration) -> bool {
    last.is_some_and(|last| now.saturating_since(last) < p50.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const P50: Duration = Duration::from_secs(1);
    const MIB: u64 = 1 << 20;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    fn requests(slow_start: &SlowStart, millis: u64) -> Option<usize> {
        slow_start.boost(at(millis), P50).map(|boost| boost.requests)
    }

    #[test]
    fn small_answers_begin_nothing() {
        let mut slow_start = SlowStart::new();
        (0..100).for_each(|tenth| slow_start.on_answer(10_000, at(100 * tenth), P50));
        assert_eq!(slow_start.boost(at(10_000), P50), None);
    }

    #[test]
    fn a_download_that_begins_gets_larger_responses_and_a_large_one_more_requests() {
        let mut slow_start = SlowStart::new();
        slow_start.on_answer(60_000, at(0), P50);
        assert_eq!(requests(&slow_start, 0), Some(1));
        slow_start.on_answer(MIB, at(10), P50);
        assert_eq!(requests(&slow_start, 10), Some(REQUESTS));
    }

    #[test]
    fn a_download_that_brings_no_more_than_before_is_steady_until_a_pause() {
        let mut slow_start = SlowStart::new();
        for millis in [0, 1_000, 1_300, 1_600, 2_000] {
            slow_start.on_answer(MIB, at(millis), P50);
        }
        assert_eq!(requests(&slow_start, 2_000), Some(REQUESTS));
        slow_start.on_answer(MIB, at(3_000), P50);
        assert_eq!(requests(&slow_start, 3_000), None);
        slow_start.on_answer(MIB, at(5_000), P50);
        assert_eq!(requests(&slow_start, 5_000), Some(REQUESTS));
    }

    #[test]
    fn a_download_that_brings_nothing_for_two_round_trips_is_over() {
        let mut slow_start = SlowStart::new();
        slow_start.on_answer(MIB, at(0), P50);
        assert_eq!(requests(&slow_start, 1_999), Some(REQUESTS));
        assert_eq!(requests(&slow_start, 2_000), None);
    }
}
