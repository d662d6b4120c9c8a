//! When a held request may be answered: arithmetic on instants, and nothing else (protocol.md 2 rule 4).

use core::time::Duration;

#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;
use crate::time::Instant;
use crate::timer::TimerKind;

/// What a held request waits for.
///
/// ```text
///  polls only ──▶ LongPoll ──something to say, or a later op──▶ Over
///  otherwise ───▶ Active ─────────── a later op ──────────────▶ Over
///  counted writes ▶ Each ───── ends with its waits
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Hold {
    /// For something to say, until this time.
    LongPoll {
        /// The end of the hold.
        until: Instant,
    },
    /// For the ops that carry payload, each of which has its own [`Wait`]; polls beside them wait for nothing.
    Active,
    /// Like `Active`, and later ops elsewhere end the waits of their own sessions alone: clients of the
    /// generation that counts its writes may stop asking for a while after many empty answers.
    Each,
    /// For nothing: it is answered as soon as every op of it has run.
    Over,
}

/// How the ops of a request wait for bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Pace {
    /// How long an op waits for the first bytes of its own session.
    pub(in crate::node) wait: Duration,
    /// The settle ends when nothing came for this long.
    pub(in crate::node) step: Duration,
    /// How long the settle lasts at most; with none, it ends with the wait.
    pub(in crate::node) settle: Option<Duration>,
}

impl Pace {
    /// The wait of an op that runs `now`, whose session has something to fetch already or not.
    pub(in crate::node) fn start(&self, now: Instant, heard: bool) -> Wait {
        Wait { until: now.saturating_add(self.wait), heard: heard.then_some(now) }
    }

    /// A wait, for a fingerprint. Once it is over, only the end of its settle counts.
    #[cfg(feature = "model")]
    pub(in crate::node) fn wait_fingerprint(&self, wait: Wait, print: &mut Fingerprint<'_>) {
        print.value(wait.heard.is_some());
        if wait.heard.is_none() || self.settle.is_none() {
            print.deadline(wait.until);
        }
        if let Some(most) = self.settle {
            print.deadline(wait.heard.unwrap_or(wait.until).saturating_add(most));
        }
    }

    /// Whether ops with these waits may be answered `now`.
    pub(in crate::node) fn verdict(&self, now: Instant, waits: impl Iterator<Item = Waiting>) -> Verdict {
        let mut pending = None;
        let mut quiet = None;
        let mut began = Instant::ZERO;
        let mut last = Instant::ZERO;
        for Waiting { wait, growing } in waits {
            last = last.max(wait.until);
            if wait.is_pending(now) {
                pending = pending.max(Some(wait.until));
                continue;
            }
            began = began.max(wait.heard.unwrap_or(wait.until));
            quiet = quiet.max(growing.map(|arrival| arrival.saturating_add(self.step)));
        }
        let end = self.settle.map_or(last, |most| began.saturating_add(most));
        match (pending, quiet.map(|quiet| quiet.min(end))) {
            (Some(at), _) => Verdict::Wait { at, timer: TimerKind::Hold },
            (None, Some(_)) if planted!(SettleEndless) => {
                Verdict::Wait { at: now.saturating_add(self.step), timer: TimerKind::Settle }
            }
            (None, Some(at)) if now < at => Verdict::Wait { at, timer: TimerKind::Settle },
            (None, _) => Verdict::Answer,
        }
    }
}

/// One op's wait for the first bytes, or the end, of its own session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Wait {
    /// When it stops waiting.
    pub(in crate::node) until: Instant,
    /// When its session had something to fetch for the first time.
    pub(in crate::node) heard: Option<Instant>,
}

impl Wait {
    fn is_pending(&self, now: Instant) -> bool {
        self.heard.is_none() && now < self.until
    }
}

/// A wait, beside what its session has.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Waiting {
    pub(in crate::node) wait: Wait,
    /// When bytes came last, if there are bytes to fetch and more may come.
    pub(in crate::node) growing: Option<Instant>,
}

/// Whether a held request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Verdict {
    /// Now.
    Answer,
    /// Not before something happens, or until `at`.
    Wait {
        /// When to look again.
        at: Instant,
        /// What falls due then.
        timer: TimerKind,
    },
    /// Not before its unready ops are ready, which have deadlines of their own.
    Unready,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Pace = Pace {
        wait: Duration::from_micros(350),
        step: Duration::from_micros(10),
        settle: Some(Duration::from_micros(1_000)),
    };
    const SINGLE: Pace =
        Pace { wait: Duration::from_micros(5_000), step: Duration::from_micros(100), settle: None };

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn op(heard: Option<u64>, growing: Option<u64>) -> Waiting {
        let wait = Wait { heard: heard.map(at), ..BATCH.start(at(0), false) };
        Waiting { wait, growing: growing.map(at) }
    }

    fn verdict(now: u64, ops: &[Waiting]) -> Verdict {
        BATCH.verdict(at(now), ops.iter().copied())
    }

    fn hold(until: u64) -> Verdict {
        Verdict::Wait { at: at(until), timer: TimerKind::Hold }
    }

    fn settle(until: u64) -> Verdict {
        Verdict::Wait { at: at(until), timer: TimerKind::Settle }
    }

    #[test]
    fn an_op_waits_for_its_own_session_until_the_deadline() {
        assert_eq!(verdict(349, &[op(None, None)]), hold(350));
        assert_eq!(verdict(350, &[op(None, None)]), Verdict::Answer);
        assert_eq!(verdict(20, &[op(Some(5), Some(5)), op(None, None)]), hold(350));
    }

    #[test]
    fn bytes_are_followed_by_a_settle_until_they_stop() {
        assert_eq!(verdict(5, &[op(Some(5), Some(5))]), settle(15));
        assert_eq!(verdict(15, &[op(Some(5), Some(12))]), settle(22));
        assert_eq!(verdict(22, &[op(Some(5), Some(12))]), Verdict::Answer);
    }

    #[test]
    fn the_settle_has_an_end_even_while_bytes_come() {
        assert_eq!(verdict(1_000, &[op(Some(5), Some(999))]), settle(1_005));
        assert_eq!(verdict(1_005, &[op(Some(5), Some(1_004))]), Verdict::Answer);
    }

    #[test]
    fn an_end_needs_no_settle() {
        assert_eq!(verdict(5, &[op(Some(5), None)]), Verdict::Answer);
    }

    #[test]
    fn nothing_to_wait_for_is_answered() {
        assert_eq!(verdict(0, &[]), Verdict::Answer);
    }

    #[test]
    #[cfg(feature = "model")]
    fn of_a_wait_that_is_over_only_the_end_of_its_settle_makes_a_difference() {
        use core::hash::Hasher;
        let print = |pace: &Pace, until, heard: Option<u64>| {
            let mut hasher = crate::fingerprint::Fnv::default();
            let wait = Wait { until: at(until), heard: heard.map(at) };
            pace.wait_fingerprint(wait, &mut Fingerprint::new(at(0), &mut hasher));
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
        let wait = Wait { until: at(5_000), heard: Some(at(4_000)) };
        let growing = |arrival| Waiting { wait, growing: Some(at(arrival)) };
        assert_eq!(SINGLE.verdict(at(4_950), [growing(4_940)].into_iter()), settle(5_000));
        assert_eq!(SINGLE.verdict(at(5_000), [growing(4_999)].into_iter()), Verdict::Answer);
    }
}
