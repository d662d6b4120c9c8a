//! Decision on answering a batch (protocol.md 2.4 rules 4 and 7), a pure function of instants.
//!
//! An answer is one HTTP response, so the slowest op decides:
//!
//! | op that is not ready | its batch |
//! |---|---|
//! | a poll, a drain: nothing came | answers it empty when the hold ends |
//! | a payload that its upstream does not take | answers it: the payload is in the write queue |
//! | a payload behind a full write queue | waits: for room, for the write deadline, or for the caller to go |
//! | a connect in progress | waits: for the upstream, or for the connect deadline |
//! | a `seq` whose predecessor is missing | waits: for it, or for `SEQ_WAIT_TIMEOUT` |
//! | a packet of level 2 beside other ops | does not wait: it is answered at once |
//!
//! While a batch waits for an op that cannot be answered empty, its other sessions are served by their later ops: such
//! an op runs at once, and the older one is answered empty, having taken nothing.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::config::NodeTuning;
use crate::time::{Deadline, Instant};
use crate::timer::TimerKind;

/// What a batch waits for once each of its ops has run.
///
/// ```text
///  polls only ──▶ LongPoll ──something to say, or a later op──▶ Over
///  otherwise ───▶ Active ─────────── a later op ──────────────▶ Over
///  counted writes ▶ Each ───── ends with its waits
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BatchHold {
    /// Something to say, until this time.
    LongPoll {
        /// The end of the hold.
        until: Deadline,
    },
    /// The ops that carry payload, each of which has its own [`DrainWait`]. Polls beside them wait for nothing.
    Active,
    /// Like `Active`, and later ops elsewhere end the waits of their own sessions alone: a client that counts its
    /// writes may stop asking for a while after many empty answers.
    Each,
    /// Nothing.
    Over,
}

impl BatchHold {
    /// Whether a batch is answered `now`, all of whose ops have run. `drains` are those that take downlink bytes.
    pub(super) fn decide(
        self,
        now: Instant,
        delays: &BatchDelays,
        mut drains: impl Iterator<Item = DrainInputs>,
    ) -> BatchDecision {
        match self {
            Self::Over => BatchDecision::Answer,
            Self::LongPoll { until } if !until.has_passed(now) && drains.next().is_some() => {
                BatchDecision::Wait { at: until.0, timer: TimerKind::Hold }
            }
            Self::LongPoll { .. } => BatchDecision::Answer,
            Self::Active | Self::Each => delays.decide(now, drains),
        }
    }

    /// There is something to say: a held poll is answered.
    pub(super) const fn end_longpoll(&mut self) {
        if matches!(self, Self::LongPoll { .. }) {
            *self = Self::Over;
        }
    }

    /// A later op has come with another request: whether the whole batch waits for nothing any more.
    pub(super) const fn release(&mut self) -> bool {
        if matches!(self, Self::Each) {
            return false;
        }
        *self = Self::Over;
        true
    }

    /// Polls wait for nothing.
    pub(super) const fn hurry_polls(&mut self) {
        if matches!(self, Self::LongPoll { .. }) {
            *self = Self::Active;
        }
    }
}

/// How long the ops of a batch wait for bytes.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct BatchDelays {
    /// How long an op waits for the first bytes of its own session.
    wait: Duration,
    /// The settle ends when nothing came for this long.
    step: Duration,
    /// How long the settle lasts at most; with none, it ends with the wait.
    settle: Option<Duration>,
}

impl BatchDelays {
    /// The delays of a batch.
    pub(super) const fn batch(tuning: &NodeTuning) -> Self {
        Self { wait: tuning.active_drain, step: tuning.settle_step, settle: Some(tuning.settle_max) }
    }

    /// The delays of a single op.
    pub(super) const fn single(tuning: &NodeTuning) -> Self {
        Self { wait: tuning.single_wait, step: tuning.single_settle, settle: None }
    }

    /// The wait of an op that runs `now`, whose session has something to fetch already or not.
    pub(super) fn start(&self, now: Instant, ready: bool) -> DrainWait {
        DrainWait { until: now.saturating_add(self.wait), ready: ready.then_some(now), settle: self.settle }
    }

    /// Whether ops with these waits may be answered `now`.
    fn decide(&self, now: Instant, drains: impl Iterator<Item = DrainInputs>) -> BatchDecision {
        let (mut pending, mut quiet, mut end) = (None, None, Instant::ZERO);
        for DrainInputs { wait, growing } in drains {
            let Some(wait) = wait else { continue };
            if wait.is_pending(now) {
                pending = pending.max(Some(wait.until));
                continue;
            }
            end = end.max(wait.settled_at());
            quiet = quiet.max(growing.map(|arrival| arrival.saturating_add(self.step)));
        }
        match (pending, quiet.map(|quiet| quiet.min(end))) {
            (Some(at), _) => BatchDecision::Wait { at, timer: TimerKind::Hold },
            (None, Some(at)) if now < at => BatchDecision::Wait { at, timer: TimerKind::Settle },
            (None, _) => BatchDecision::Answer,
        }
    }
}

/// One op's wait for the first bytes, or the end, of its own session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DrainWait {
    /// When it stops waiting.
    until: Instant,
    /// When its session had something to fetch for the first time.
    ready: Option<Instant>,
    /// How long its settle lasts at most; with none, it ends with the wait.
    settle: Option<Duration>,
}

/// Once it is over, only the end of its settle counts.
impl Hash for DrainWait {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ready.is_none().then_some(Deadline(self.until)).hash(state);
        Deadline(self.settled_at()).hash(state);
    }
}

impl DrainWait {
    /// When its settle is over at the latest.
    fn settled_at(&self) -> Instant {
        self.settle.map_or(self.until, |most| self.ready.unwrap_or(self.until).saturating_add(most))
    }

    /// Its session has something to fetch.
    pub(super) fn become_ready(&mut self, now: Instant) {
        self.ready.get_or_insert(now);
    }

    fn is_pending(&self, now: Instant) -> bool {
        self.ready.is_none() && now < self.until
    }
}

/// What is known of one op that takes downlink bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct DrainInputs {
    /// Its wait; none if it waits for nothing of its own.
    pub(super) wait: Option<DrainWait>,
    /// When bytes came last, if there are bytes to fetch and more may come.
    pub(super) growing: Option<Instant>,
}

/// What becomes of a batch now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BatchDecision {
    /// It is answered.
    Answer,
    /// It is looked at again at this time.
    Wait {
        /// When.
        at: Instant,
        /// What the time is for.
        timer: TimerKind,
    },
    /// An op of it has neither run nor failed.
    Unready,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: BatchDelays = BatchDelays {
        wait: Duration::from_micros(350),
        step: Duration::from_micros(10),
        settle: Some(Duration::from_micros(1_000)),
    };
    const SINGLE: BatchDelays =
        BatchDelays { wait: Duration::from_micros(5_000), step: Duration::from_micros(100), settle: None };

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn op(ready: Option<u64>, growing: Option<u64>) -> DrainInputs {
        let wait = DrainWait { ready: ready.map(at), ..BATCH.start(at(0), false) };
        DrainInputs { wait: Some(wait), growing: growing.map(at) }
    }

    fn decide(now: u64, ops: &[DrainInputs]) -> BatchDecision {
        BATCH.decide(at(now), ops.iter().copied())
    }

    fn hold(until: u64) -> BatchDecision {
        BatchDecision::Wait { at: at(until), timer: TimerKind::Hold }
    }

    fn settle(until: u64) -> BatchDecision {
        BatchDecision::Wait { at: at(until), timer: TimerKind::Settle }
    }

    #[test]
    fn an_op_waits_for_its_own_session_until_the_deadline() {
        assert_eq!(decide(349, &[op(None, None)]), hold(350));
        assert_eq!(decide(350, &[op(None, None)]), BatchDecision::Answer);
        assert_eq!(decide(20, &[op(Some(5), Some(5)), op(None, None)]), hold(350));
    }

    #[test]
    fn bytes_are_followed_by_a_settle_until_they_stop() {
        assert_eq!(decide(5, &[op(Some(5), Some(5))]), settle(15));
        assert_eq!(decide(15, &[op(Some(5), Some(12))]), settle(22));
        assert_eq!(decide(22, &[op(Some(5), Some(12))]), BatchDecision::Answer);
    }

    #[test]
    fn the_settle_has_an_end_even_while_bytes_come() {
        assert_eq!(decide(1_000, &[op(Some(5), Some(999))]), settle(1_005));
        assert_eq!(decide(1_005, &[op(Some(5), Some(1_004))]), BatchDecision::Answer);
    }

    #[test]
    fn an_end_needs_no_settle() {
        assert_eq!(decide(5, &[op(Some(5), None)]), BatchDecision::Answer);
    }

    #[test]
    fn nothing_to_wait_for_is_answered() {
        assert_eq!(decide(0, &[]), BatchDecision::Answer);
    }

    #[test]
    #[cfg(feature = "model")]
    fn of_a_wait_that_is_over_only_the_end_of_its_settle_makes_a_difference() {
        let print = |delays: &BatchDelays, until, ready: Option<u64>| {
            let mut hasher = crate::fingerprint::Fnv::default();
            let wait = DrainWait { until: at(until), ready: ready.map(at), settle: delays.settle };
            wait.hash(&mut crate::fingerprint::Fingerprint::new(at(0), &mut hasher));
            hasher.finish()
        };
        assert_ne!(print(&BATCH, 350, None), print(&BATCH, 351, None));
        assert_eq!(print(&BATCH, 350, Some(5)), print(&BATCH, 351, Some(5)));
        assert_ne!(print(&BATCH, 350, Some(5)), print(&BATCH, 350, Some(6)));
        // Without a settle of its own, the wait goes on to its end.
        assert_ne!(print(&SINGLE, 350, Some(5)), print(&SINGLE, 351, Some(5)));
    }

    #[test]
    fn a_single_op_settles_within_its_wait() {
        let wait = DrainWait { until: at(5_000), ready: Some(at(4_000)), settle: None };
        let growing = |arrival| DrainInputs { wait: Some(wait), growing: Some(at(arrival)) };
        assert_eq!(SINGLE.decide(at(4_950), [growing(4_940)].into_iter()), settle(5_000));
        assert_eq!(SINGLE.decide(at(5_000), [growing(4_999)].into_iter()), BatchDecision::Answer);
    }
}
