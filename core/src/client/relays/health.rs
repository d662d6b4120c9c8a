//! Health of a relay, from calls at any level and from level 2 exchanges (protocol.md 2.5, 3.2 rule 10).
//!
//! The two judgements are separate because their evidence differs. A call of level 0 or 1 that fails is a strike against
//! its relay, whatever other relays do. An exchange of level 2 that is lost only counts against its relay when another
//! one answers what was sent later, and costs a backoff instead of an absence.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use super::backoff::backoff;
use crate::config::ClientOptions;
use crate::time::{Deadline, Instant};

/// The first pause after a relay could not be reached; doubled each time.
const UNREACHABLE_BACKOFF: Duration = Duration::from_millis(250);

/// The longest pause that a refusal can ask for: one call an hour costs nothing.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(60 * 60);

/// The shortest backoff after the second failed exchange in a row, before it is doubled.
const SECOND_BACKOFF: Duration = Duration::from_millis(125);

/// The longest backoff after failed exchanges.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Lost exchanges in a row after which a relay may be down.
const LOSSES: u32 = 3;

/// The first wait between probes of a relay that is down, and the longest.
const PROBE_FIRST: Duration = Duration::from_secs(5);
const PROBE_LONGEST: Duration = Duration::from_secs(60);

/// Whether calls go to a relay, at every level.
///
/// ```text
///   Up ── strikes, unreachable, refused ──▶ Down ── an answer; after a refusal not before `until` ──▶ Up
///    └──◀── old strikes expire ──┘           └──▶ tried again at `until`
/// ```
#[derive(Clone, Copy, Debug, Hash)]
enum Service {
    /// The strikes count until then.
    Up {
        strikes: u32,
        expire: Deadline,
    },
    Down {
        until: Deadline,
        cause: Cause,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cause {
    /// It times out or answers garbage: used all the same when nothing else is left.
    Failing,
    /// It cannot be reached: not used before its time, unless an answer shows that it can.
    Unreachable,
    /// It refused a call: not used before its time, whatever the calls in flight bring.
    Refusing,
}

/// A fault of a relay, by which a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Fault {
    /// It timed out or answered garbage: an absence only if that happens several times in a row.
    Strike,
    /// It could not be reached.
    Unreachable,
    /// It refused the call for this time.
    Refused { pause: Duration },
}

/// Whether a relay answers level 2 exchanges.
///
/// ```text
///   Answering ── lost again and again, another relay answers ──▶ Silent ── an answer ──▶ Answering
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Liveness {
    Answering,
    /// Probed at this time, and then after this wait.
    Silent {
        probe: Deadline,
        wait: Duration,
    },
}

/// The health of one relay.
#[derive(Clone, Debug)]
pub(in crate::client) struct Health {
    service: Service,
    /// How often in a row the service went down.
    setbacks: u32,
    liveness: Liveness,
    /// Exchanges lost since one was answered, and when the first of them was sent.
    losses: u32,
    lost_since: Instant,
    /// When the newest answered exchange was sent.
    answered: Option<Instant>,
    /// Failed exchanges in a row, when that was last counted, and the end of the backoff.
    failures: u32,
    failed_at: Instant,
    backoff_until: Deadline,
}

/// The evidence beside other relays is apart, and so is which of the failed calls are counted already.
impl Hash for Health {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.service, self.setbacks, self.liveness, self.failures, self.backoff_until).hash(state);
    }
}

/// A service that is up, without strikes.
const UP: Service = Service::Up { strikes: 0, expire: Deadline(Instant::ZERO) };

impl Health {
    /// What it is judged by where there are other relays.
    pub(super) fn evidence(&self) -> impl Hash + use<> {
        (self.losses, self.answered, (self.losses > 0).then_some(self.lost_since))
    }

    pub(super) const fn new() -> Self {
        Self {
            service: UP,
            setbacks: 0,
            liveness: Liveness::Answering,
            losses: 0,
            lost_since: Instant::ZERO,
            answered: None,
            failures: 0,
            failed_at: Instant::ZERO,
            backoff_until: Deadline(Instant::ZERO),
        }
    }

    /// A call brought a usable answer. Returns whether the service was down and is up now.
    pub(super) fn on_answer(&mut self, now: Instant) -> bool {
        if self.is_refusing(now) {
            return false;
        }
        let was_down = matches!(self.service, Service::Down { .. });
        self.service = UP;
        self.setbacks = 0;
        was_down
    }

    /// A call failed by this fault. Returns until when the service is down, if that is new.
    pub(super) fn on_fault(&mut self, fault: Fault, now: Instant, config: &ClientOptions) -> Option<Instant> {
        let tuning = &config.tuning;
        let backoff = |first| backoff(first, self.setbacks, tuning.relay_backoff_max);
        let (cause, pause) = match fault {
            Fault::Strike => (Cause::Failing, backoff(tuning.relay_backoff)),
            Fault::Unreachable => (Cause::Unreachable, backoff(UNREACHABLE_BACKOFF)),
            Fault::Refused { pause } => {
                let most = tuning.refused_backoff.max(RETRY_AFTER_MOST);
                (Cause::Refusing, pause.clamp(UNREACHABLE_BACKOFF, most))
            }
        };
        let end = now.saturating_add(pause);
        let counts = match (&mut self.service, cause) {
            (Service::Up { strikes, expire }, Cause::Failing) => {
                if *strikes == 0 || expire.has_passed(now) {
                    (*strikes, *expire) = (0, Deadline::after(now, tuning.strike_window));
                }
                *strikes = strikes.saturating_add(1);
                *strikes >= tuning.strikes
            }
            // One pause for all calls that were in flight when it went down.
            (Service::Down { until, .. }, Cause::Failing) => until.has_passed(now),
            (Service::Down { until, cause: Cause::Unreachable | Cause::Refusing }, Cause::Unreachable) => {
                until.has_passed(now)
            }
            // Of several refusals the longest counts.
            (Service::Down { until, cause: Cause::Refusing }, Cause::Refusing) => until.0 < end,
            (Service::Up { .. } | Service::Down { .. }, Cause::Unreachable | Cause::Refusing) => true,
        };
        counts.then(|| {
            self.setbacks = self.setbacks.saturating_add(1);
            self.service = Service::Down { until: Deadline(end), cause };
            end
        })
    }

    /// When a service that is down is tried again.
    pub(super) const fn retry_at(&self) -> Option<Instant> {
        match self.service {
            Service::Down { until, .. } => Some(until.0),
            Service::Up { .. } => None,
        }
    }

    /// Whether calls may go to it.
    pub(super) fn is_up(&self, now: Instant) -> bool {
        self.retry_at().is_none_or(|until| until <= now)
    }

    /// Whether calls may go to it when no other relay is left.
    pub(super) const fn is_last_resort(&self) -> bool {
        matches!(self.service, Service::Down { cause: Cause::Failing, .. })
    }

    fn is_refusing(&self, now: Instant) -> bool {
        matches!(self.service, Service::Down { until, cause: Cause::Refusing } if !until.has_passed(now))
    }

    /// An exchange that was sent at `sent` was answered.
    pub(in crate::client) fn on_exchange_answered(&mut self, sent: Instant) {
        self.losses = 0;
        self.failures = 0;
        self.backoff_until = Deadline::default();
        self.liveness = Liveness::Answering;
        self.answered = Some(self.answered.map_or(sent, |answered| answered.max(sent)));
    }

    /// An exchange that was sent at `sent` is lost.
    pub(in crate::client) fn on_exchange_lost(&mut self, sent: Instant) {
        self.lost_since = if self.losses == 0 { sent } else { self.lost_since.min(sent) };
        self.losses = self.losses.saturating_add(1);
    }

    /// The call of an exchange that was sent at `sent` failed. The backoff is `first` the first time in a row, and doubles
    /// from then on. All calls that were in flight together count once: one outage ends them all.
    pub(in crate::client) fn on_exchange_failed(&mut self, first: Duration, sent: Instant, now: Instant) {
        if !self.counts_failure(sent) {
            return;
        }
        self.failed_at = now;
        let base = if self.failures == 0 { first } else { first.max(SECOND_BACKOFF) };
        self.backoff_until = Deadline(now.saturating_add(backoff(base, self.failures, LONGEST_BACKOFF)));
        self.failures = self.failures.saturating_add(1);
    }

    /// Whether a failed call that was sent at `sent` is not counted with others already.
    pub(in crate::client) fn counts_failure(&self, sent: Instant) -> bool {
        sent >= self.failed_at
    }

    /// Whether exchanges avoid it because their calls failed.
    pub(in crate::client) fn is_backing_off(&self, now: Instant) -> bool {
        !self.backoff_until.has_passed(now)
    }

    pub(in crate::client) const fn backoff_until(&self) -> Instant {
        self.backoff_until.0
    }

    /// Whether it answers exchanges, as far as is known.
    pub(super) fn is_answering(&self) -> bool {
        self.liveness == Liveness::Answering
    }

    /// Whether it is silent if another relay answered something that was sent after the returned time. `outstanding`
    /// exchanges through it are neither answered nor lost: of many, a few are lost by chance before the next answer.
    pub(in crate::client) fn suspect_since(&self, outstanding: usize) -> Option<Instant> {
        let least = u32::try_from(outstanding).unwrap_or(u32::MAX).max(LOSSES);
        (self.is_answering() && self.losses >= least).then_some(self.lost_since)
    }

    /// Whether it answered an exchange that was sent after `since`.
    pub(in crate::client) fn has_answered_since(&self, since: Instant) -> bool {
        self.answered.is_some_and(|answered| answered > since)
    }

    /// Another relay answers, this one does not.
    pub(in crate::client) fn on_silent(&mut self, now: Instant) {
        self.liveness =
            Liveness::Silent { probe: Deadline(now.saturating_add(PROBE_FIRST)), wait: PROBE_FIRST };
    }

    /// When a silent relay is probed next.
    pub(in crate::client) const fn probe_at(&self) -> Option<Instant> {
        match self.liveness {
            Liveness::Silent { probe, .. } => Some(probe.0),
            Liveness::Answering => None,
        }
    }

    /// A probe goes out.
    pub(in crate::client) fn on_probe(&mut self, now: Instant) {
        if let Liveness::Silent { probe, wait } = &mut self.liveness {
            *wait = wait.saturating_mul(2).min(PROBE_LONGEST);
            *probe = Deadline(now.saturating_add(*wait));
        }
    }

    /// Exchanges with the node so far count no more: the node has lost the client.
    pub(super) const fn forget_exchanges(&mut self) {
        self.liveness = Liveness::Answering;
        self.losses = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn health() -> Health {
        Health::new()
    }

    #[test]
    fn three_losses_in_a_row_make_a_relay_suspect_and_an_answer_clears_it() {
        let mut health = health();
        for second in 5..7 {
            health.on_exchange_lost(at(second));
        }
        assert_eq!(health.suspect_since(0), None);
        health.on_exchange_lost(at(4));
        assert_eq!(health.suspect_since(3), Some(at(4)));
        assert_eq!(health.suspect_since(4), None, "so many are lost by chance");
        health.on_exchange_answered(at(1));
        assert_eq!(health.suspect_since(0), None);
    }

    #[test]
    fn a_silent_relay_is_probed_less_and_less_often_until_it_answers() {
        let mut health = health();
        health.on_silent(at(0));
        assert!(!health.is_answering());
        let mut probes = alloc::vec::Vec::new();
        for _ in 0..5 {
            let probe = health.probe_at().unwrap();
            probes.push(probe.as_micros() / 1_000_000);
            health.on_probe(probe);
        }
        assert_eq!(probes, [5, 15, 35, 75, 135]);
        health.on_exchange_answered(at(130));
        assert!(health.is_answering());
    }

    #[test]
    fn failed_exchanges_double_the_backoff() {
        let mut health = health();
        health.on_exchange_failed(SECOND, at(0), at(0));
        assert_eq!(health.backoff_until(), at(1));
        health.on_exchange_failed(SECOND, at(1), at(1));
        assert_eq!(health.backoff_until(), at(3));
    }

    #[test]
    fn calls_that_one_outage_ends_count_once() {
        let mut health = health();
        for tenth in 0..10 {
            health.on_exchange_failed(SECOND, at(tenth), at(30));
        }
        assert_eq!(health.backoff_until(), at(31));
        health.on_exchange_failed(SECOND, at(31), at(61));
        assert_eq!(health.backoff_until(), at(63));
    }

    #[test]
    fn an_answered_exchange_ends_the_backoff() {
        let mut health = health();
        for second in 0..5 {
            health.on_exchange_failed(SECOND, at(second), at(second));
        }
        assert!(health.backoff_until() > at(5));
        health.on_exchange_answered(at(0));
        assert!(health.backoff_until() <= at(5));
        health.on_exchange_failed(SECOND, at(6), at(6));
        assert_eq!(health.backoff_until(), at(7), "it is the first time in a row again");
    }
}
