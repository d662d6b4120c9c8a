//! What is asked for while a download begins, and the node could not tell yet how much will wait.
//!
//! What waits when the first answers go is what came in a moment; by the next round trip it is many times as much. So as
//! long as each round trip brings half as much again as the one before it, a few requests more than the backlog fills wait
//! at the node, and have more room.

use core::time::Duration;

use crate::time::Instant;

/// Less in an answer is no sign of more to come: a full packet of sparse data is one.
const SIGN: u64 = 48 * 1024;

/// A round trip that brings less may have brought all there was, and is worth no call of its own.
const HIGH: u64 = 512 * 1024;

/// The requests that are worth it then, and the room in each: 10 MiB in a round trip.
const REQUESTS: usize = 5;
const ROOM: u64 = 2 << 20;

/// ```text
///             an answer with much, after none for 2 p50
///   Level ────────────────────────────────────────────▶ Rising ──┐ each p50 brings half as much again
///     ▲                                                   │  ▲───┘
///     └────────────────── a p50 brings less ──────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// Since when, what came since, and what came in the round trip before.
    Rising {
        since: Instant,
        brought: u64,
        before: u64,
    },
    Level,
}

/// What should wait at the node while a download begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) requests: usize,
    /// Bytes that the answer to each may have.
    pub(super) room: u64,
}

/// The controller of one client's downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlowStart {
    course: Course,
    last: Option<Instant>,
}

impl SlowStart {
    pub(super) const fn new() -> Self {
        Self { course: Course::Level, last: None }
    }

    /// An answer came with so many bytes.
    pub(super) fn on_answer(&mut self, bytes: u64, now: Instant, p50: Duration) {
        if bytes < SIGN {
            return;
        }
        let begins = !is_recent(self.last, now, p50);
        self.last = Some(now);
        self.course = match self.course {
            _ if begins => Course::Rising { since: now, brought: bytes, before: 0 },
            Course::Level => Course::Level,
            Course::Rising { since, brought, before } => {
                let brought = brought.saturating_add(bytes);
                if now.saturating_since(since) < p50 {
                    Course::Rising { since, brought, before }
                } else if brought >= before.saturating_add(before / 2) {
                    Course::Rising { since: now, brought: 0, before: brought }
                } else {
                    Course::Level
                }
            }
        };
    }

    /// What should wait at the node, as long as more will wait there than it told of.
    pub(super) fn ask(&self, now: Instant, p50: Duration) -> Option<Ask> {
        let Course::Rising { brought, before, .. } = self.course else { return None };
        let requests = if brought.max(before) < HIGH { 1 } else { REQUESTS };
        is_recent(self.last, now, p50).then_some(Ask { requests, room: ROOM })
    }

    /// The controller's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(&self, print: &mut crate::fingerprint::Fingerprint<'_>) {
        print.value((self.last.is_some(), matches!(self.course, Course::Rising { .. })));
        self.last.into_iter().for_each(|last| print.time(last));
        if let Course::Rising { since, brought, before } = self.course {
            print.time(since);
            print.value((brought, before));
        }
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

    fn requests(surge: &SlowStart, millis: u64) -> Option<usize> {
        surge.ask(at(millis), P50).map(|ask| ask.requests)
    }

    #[test]
    fn small_answers_ask_for_nothing() {
        let mut surge = SlowStart::new();
        (0..100).for_each(|tenth| surge.on_answer(10_000, at(100 * tenth), P50));
        assert_eq!(surge.ask(at(10_000), P50), None);
    }

    #[test]
    fn a_download_that_begins_gets_more_room_and_a_large_one_more_requests() {
        let mut surge = SlowStart::new();
        surge.on_answer(60_000, at(0), P50);
        assert_eq!(requests(&surge, 0), Some(1));
        surge.on_answer(MIB, at(10), P50);
        assert_eq!(requests(&surge, 10), Some(REQUESTS));
    }

    #[test]
    fn what_brings_no_more_than_before_is_level_until_it_has_been_quiet() {
        let mut surge = SlowStart::new();
        for millis in [0, 1_000, 1_300, 1_600, 2_000] {
            surge.on_answer(MIB, at(millis), P50);
        }
        assert_eq!(requests(&surge, 2_000), Some(REQUESTS));
        surge.on_answer(MIB, at(3_000), P50);
        assert_eq!(requests(&surge, 3_000), None);
        surge.on_answer(MIB, at(5_000), P50);
        assert_eq!(requests(&surge, 5_000), Some(REQUESTS));
    }

    #[test]
    fn what_brings_nothing_for_two_round_trips_is_over() {
        let mut surge = SlowStart::new();
        surge.on_answer(MIB, at(0), P50);
        assert_eq!(requests(&surge, 1_999), Some(REQUESTS));
        assert_eq!(requests(&surge, 2_000), None);
    }
}
