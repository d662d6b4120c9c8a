//! Polls of one session, and when the next one is due (protocol.md 2.5 "Polls").

use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::client::relays::{Path, Relays};
use crate::client::sessions::batch::Polling;
use crate::client::sessions::depth::Depth;
use crate::config::ClientOptions;
use crate::time::{Deadline, Instant};

/// Waits before the next poll where polls are not held, or at level 0, by the number of empty answers in a row.
const POLL_WAITS: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(200),
    Duration::from_millis(500),
];

/// The wait when no relay holds polls and nothing has come for a while.
const POLL_WAIT_NOT_HELD: Duration = Duration::from_secs(30);

/// The longest time between a payload and the poll that follows it: just less than the node's wait of 350 ms for the
/// answer to the payload.
const LONGEST_BEHIND: Duration = Duration::from_millis(250);

/// The inputs of a decision: the time, and the state of the relays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs {
    pub(super) now: Instant,
    /// Few calls are left, so only polls that are needed go out.
    pub(super) short: bool,
    /// No relay holds polls.
    pub(super) none_holds: bool,
    /// No relay that keeps `seq` holds polls.
    pub(super) none_holds_sequenced: bool,
    /// How long a poll waits where none is held and nothing has come for a while.
    pub(super) not_held: Duration,
    /// The shortest round trip of a relay, if any is known.
    pub(super) round_trip: Option<Duration>,
}

impl Inputs {
    pub(super) fn new(relays: &Relays, now: Instant) -> Self {
        Self {
            now,
            short: relays.is_short(),
            none_holds: relays.none_holds(now, Path::Any),
            none_holds_sequenced: relays.none_holds(now, Path::Sequenced),
            not_held: POLL_WAIT_NOT_HELD,
            round_trip: relays.shortest_round_trip(),
        }
    }

    /// How long after a payload its session polls, if nothing has come back by then.
    ///
    /// On a slow path, the node's wait of 350 ms for the answer to the payload brings most answers back in the same
    /// call; the poll arrives just before that wait ends. On a fast path, the settle that ends the wait takes longer
    /// than a round trip, so the poll follows at once.
    fn poll_behind(&self) -> Duration {
        const FAST: Duration = Duration::from_millis(250);
        if self.round_trip.is_some_and(|trip| trip >= FAST) { LONGEST_BEHIND } else { Duration::ZERO }
    }

    /// How long small writes wait for others: a twentieth of the round trip.
    pub(super) fn coalescing_window(&self, config: &ClientOptions) -> Duration {
        const SHORTEST: Duration = Duration::from_millis(1);
        let share = self.round_trip.and_then(|trip| trip.checked_div(20)).unwrap_or(SHORTEST);
        share.max(SHORTEST).min(config.tuning.coalesce)
    }
}

/// The polls of one session.
#[derive(Clone, Debug)]
pub(super) struct Polls {
    in_flight: usize,
    /// When the last payload left; none if a poll left after it, which the node has to answer with downlink.
    payload_sent: Option<Instant>,
    depth: Depth,
    /// Empty answers to polls in a row.
    empties: usize,
    /// When the wait before the next poll began.
    from: Instant,
}

/// A time counts while it can still have an effect; when the next poll is due, only while nothing is in flight.
impl Hash for Polls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.in_flight, self.depth.target(), self.empties.min(POLL_WAITS.len())).hash(state);
        self.payload_sent.map(|at| Deadline(at.saturating_add(LONGEST_BEHIND))).hash(state);
    }
}

impl Polls {
    pub(super) const fn new(now: Instant) -> Self {
        Self { in_flight: 0, payload_sent: Some(now), depth: Depth::new(), empties: 0, from: now }
    }

    /// The class of the session's polls.
    pub(super) const fn polling(&self) -> Polling {
        if self.depth.is_bulk() { Polling::Bulk } else { Polling::Idle }
    }

    /// Whether polls are in flight, and fewer than pay, of at most `most`.
    pub(super) fn may_deepen(&self, most: usize) -> bool {
        self.in_flight > 0 && self.in_flight < self.depth.target().min(most)
    }

    /// An op goes out.
    pub(super) const fn on_sent(&mut self, poll: bool, now: Instant) {
        if poll {
            self.in_flight = self.in_flight.saturating_add(1);
            self.payload_sent = None;
        } else {
            self.payload_sent = Some(now);
        }
    }

    /// An op has come back, in whatever way.
    pub(super) const fn on_ended(&mut self, poll: bool) {
        if poll {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    /// A reply in order brought `bytes`.
    pub(super) fn on_reply(&mut self, bytes: usize, poll: bool, max_depth: usize, now: Instant) {
        self.depth.on_reply(bytes, poll, max_depth);
        self.empties = if bytes == 0 && poll { self.empties.saturating_add(1) } else { 0 };
        self.from = now;
    }

    /// The application sent something, and an answer may come soon: the waits start over.
    pub(super) const fn on_uplink(&mut self, now: Instant) {
        self.empties = 0;
        self.from = now;
    }

    /// When the next poll of a session with nothing in flight is due.
    pub(super) fn due_at(&self, path: Path, inputs: Inputs) -> Instant {
        let sequenced = path == Path::Sequenced;
        let wait = match self.empties {
            _ if sequenced && !inputs.none_holds_sequenced => Duration::ZERO,
            0 if self.depth.is_bulk() => Duration::ZERO,
            empties if (sequenced || inputs.none_holds) && empties > 3 => inputs.not_held,
            empties => POLL_WAITS.get(empties).copied().unwrap_or(Duration::from_millis(500)),
        };
        self.from.saturating_add(wait)
    }

    /// When a poll should follow the last payload, if that is what was sent last: the node then always has an op to
    /// hold, and answers the payload at once.
    pub(super) fn behind_at(&self, inputs: Inputs) -> Option<Instant> {
        self.payload_sent.map(|at| at.saturating_add(inputs.poll_behind()))
    }

    /// When the next poll of a session with nothing in flight is due at the latest.
    pub(super) fn due_at_last(&self) -> Deadline {
        Deadline(self.from.saturating_add(POLL_WAIT_NOT_HELD))
    }
}
