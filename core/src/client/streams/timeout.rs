//! The timeout of level 2 exchanges (protocol.md 3.2 rule 4).
//!
//! L = p50 + m (p90 - p50) of the round trips of the exchange's size, times the backoff. The margin m shrinks a little
//! with every answer in time, and grows by half when the answer of an exchange comes that was declared lost. So about 6 %
//! of exchanges are declared lost without need: that is the share of calls spent on hedging.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::client::streams::exchanges::{Progress, Record};
use crate::client::streams::round_trips::{RoundTrips, RttQuantiles, Size};
use crate::time::{Deadline, Instant, share};

/// The margin, in thousandths.
const MARGIN_FIRST: u32 = 2_000;
const MARGIN_LEAST: u32 = 1_000;
const MARGIN_MOST: u32 = 6_000;

/// Assumed before anything was measured: a slow hosted relay.
const FIRST: RttQuantiles =
    RttQuantiles { p50: Duration::from_millis(2_000), p90: Duration::from_millis(3_200) };

/// What a byte of bulk adds to it: a link of about 300 kB/s.
const FIRST_A_BYTE: Duration = Duration::from_micros(3);

/// The margin is at least this part of a round trip, and at least [`LEAST_MARGIN`]: where round trips hardly vary, a
/// busy processor still makes some later than others.
const MARGIN_PART: u32 = 8;
const LEAST_MARGIN: Duration = Duration::from_millis(50);

/// The most that the backoff multiplies by, or more until a round trip times the backoff is [`BACKOFF_LONG`]: on fast paths
/// too, silence costs few calls.
const BACKOFF_MOST: u32 = 8;
const BACKOFF_LONG: Duration = Duration::from_secs(4);

/// How long a node may delay an acknowledgement: it waits for bytes to share an answer with.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// An answered exchange may be overtaken at least this long.
const LEAST_REORDER: Duration = Duration::from_millis(250);

/// Finds the time after which an exchange counts as lost.
#[derive(Clone, Debug)]
pub(super) struct LossDetector {
    /// Over all relays.
    round_trips: RoundTrips,
    margin: u32,
    /// When the margin grew last.
    widened: Instant,
    backoff: u32,
    backed_off: Instant,
}

/// Of the times of its steps it only matters whether the wait after each is over.
impl Hash for LossDetector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let p50 = self.rtt().p50;
        (self.margin, self.backoff).hash(state);
        Deadline::after(self.widened, p50).hash(state);
        Deadline::after(self.backed_off, p50.saturating_mul(self.backoff)).hash(state);
        self.round_trips.hash(state);
    }
}

impl LossDetector {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            round_trips: RoundTrips::default(),
            margin: MARGIN_FIRST,
            widened: now,
            backoff: 1,
            backed_off: now,
        }
    }

    /// The quantiles of small exchanges over all relays.
    pub(super) fn rtt(&self) -> RttQuantiles {
        self.round_trips.quantiles(Size::Small, 0).unwrap_or(FIRST)
    }

    /// The quantiles for an exchange of this size with so many bytes; `own` are those of its relay, if enough is known.
    fn rtt_of(&self, own: Option<RttQuantiles>, size: Size, bytes: u64) -> RttQuantiles {
        own.or_else(|| self.round_trips.quantiles(size, 0)).unwrap_or_else(|| match size {
            Size::Small => FIRST,
            Size::Bulk => {
                let more = FIRST_A_BYTE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
                RttQuantiles { p50: FIRST.p50.saturating_add(more), p90: FIRST.p90.saturating_add(more) }
            }
        })
    }

    /// L for an exchange of this size with so many bytes, through a relay with these round trips.
    pub(super) fn timeout(&self, own: Option<RttQuantiles>, size: Size, bytes: u64) -> Duration {
        let rtt = self.rtt_of(own, size, bytes);
        rtt.p50.saturating_add(self.margin_of(rtt)).saturating_mul(self.backoff)
    }

    /// How long after an exchange is reported answered its answer may still be overtaken by others.
    fn reorder_timeout(&self, own: Option<RttQuantiles>, size: Size, bytes: u64) -> Duration {
        self.margin_of(self.rtt_of(own, size, bytes)).max(LEAST_REORDER).saturating_mul(self.backoff)
    }

    /// When an exchange is lost, if nothing is heard of it before. `awaits_ack` if it carried payload that another answer
    /// should have acknowledged; `own` are the round trips through its relay, if enough are known.
    pub(super) fn lost_at(
        &self,
        exchange: &Record,
        awaits_ack: bool,
        own: Option<RttQuantiles>,
    ) -> Option<Instant> {
        let Record { sent, held_until, size, bytes, progress, answering, .. } = *exchange;
        match progress {
            // Its bytes are coming; the driver says when they stop.
            _ if answering => None,
            Progress::Reported { at, .. } => Some(at.saturating_add(self.reorder_timeout(own, size, bytes))),
            Progress::Out => {
                let timeout = self.timeout(own, size, bytes);
                let answer = held_until.saturating_add(timeout);
                let ack = sent.saturating_add(timeout).saturating_add(ACK_DELAY);
                Some(if awaits_ack { answer.min(ack) } else { answer })
            }
            Progress::Lost { .. } | Progress::Done => None,
        }
    }

    /// Whether an exchange that the node did not have at `written` is lost: it had the time that a request takes. `own` is
    /// of small exchanges.
    pub(super) fn is_missing(&self, exchange: &Record, own: Option<RttQuantiles>, written: Instant) -> bool {
        let timeout = self.timeout(own, Size::Small, exchange.bytes);
        !exchange.answering && written.saturating_since(exchange.sent) > share(timeout, 1, 2)
    }

    fn margin_of(&self, rtt: RttQuantiles) -> Duration {
        let spread = share(rtt.p90.saturating_sub(rtt.p50), self.margin, 1_000);
        spread.max(share(rtt.p50, 1, MARGIN_PART)).max(LEAST_MARGIN)
    }

    /// An answer came after this round trip; `lost` if its exchange had been declared lost.
    pub(super) fn on_answer(&mut self, size: Size, round_trip: Duration, lost: bool, now: Instant) {
        self.round_trips.on_sample(size, round_trip);
        self.backoff = 1;
        if !lost {
            // 1 - 0.25 x 0.06
            self.margin = (self.margin.saturating_mul(985) / 1_000).max(MARGIN_LEAST);
        } else if now.saturating_since(self.widened) >= self.rtt().p50 {
            self.margin = (self.margin.saturating_mul(3) / 2).min(MARGIN_MOST);
            self.widened = now;
        }
    }

    /// Nothing was answered since an overdue exchange was sent (protocol.md 3.2 rule 10). Doubles every timeout, once in
    /// each of them.
    pub(super) fn on_silence(&mut self, now: Instant) {
        let wait = self.rtt().p50.saturating_mul(self.backoff);
        if self.backoff == 1 || now.saturating_since(self.backed_off) >= wait {
            if self.backoff < BACKOFF_MOST || wait < BACKOFF_LONG {
                self.backoff = self.backoff.saturating_mul(2);
            }
            self.backed_off = now;
        }
    }

    /// Whether nothing is answered at the moment.
    pub(super) const fn is_silent(&self) -> bool {
        self.backoff > 1
    }

    /// The factor of every timeout.
    pub(super) const fn backoff(&self) -> u32 {
        self.backoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::streams::exchanges::RequestPayload;
    use crate::id::RelayId;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    fn measured(trips: impl Iterator<Item = u64>) -> LossDetector {
        let mut detector = LossDetector::new(at(0));
        for millis in trips {
            detector.on_answer(Size::Small, Duration::from_millis(millis), false, at(0));
        }
        detector
    }

    #[test]
    fn before_anything_is_known_a_slow_relay_is_assumed() {
        let detector = LossDetector::new(at(0));
        assert_eq!(detector.timeout(None, Size::Small, 0), Duration::from_millis(4_400));
        assert_eq!(detector.timeout(None, Size::Bulk, 1_000_000), Duration::from_millis(7_400));
    }

    #[test]
    fn round_trips_are_measured_and_sizes_are_apart() {
        let detector = measured((0..64).map(|n| 1_000 + n * 10));
        let timeout = detector.timeout(None, Size::Small, 0);
        assert!((SECOND..2 * SECOND).contains(&timeout), "{timeout:?}");
        assert_eq!(
            detector.timeout(None, Size::Bulk, 0),
            Duration::from_millis(2_000 + 1_200 * 76 / 100).max(detector.timeout(None, Size::Bulk, 0))
        );
    }

    #[test]
    fn the_margin_shrinks_with_answers_in_time_and_grows_with_those_declared_lost() {
        let mut detector = measured((0..64).map(|n| 1_000 + n * 10));
        let before = detector.timeout(None, Size::Small, 0);
        detector.on_answer(Size::Small, Duration::from_millis(1_300), false, at(10));
        let shrunk = detector.timeout(None, Size::Small, 0);
        assert!(shrunk <= before);
        detector.on_answer(Size::Small, Duration::from_millis(1_300), true, at(5_000));
        let grown = detector.timeout(None, Size::Small, 0);
        assert!(grown > shrunk);
        detector.on_answer(Size::Small, Duration::from_millis(1_300), true, at(5_001));
        assert_eq!(detector.timeout(None, Size::Small, 0), grown, "once in a round trip");
    }

    #[test]
    fn the_table_of_losses() {
        // L is 1.125 s, and the reorder timeout the least.
        let detector = measured((0..64).map(|_| 1_000));
        let held = Record {
            held_until: at(3_000),
            payload: RequestPayload::Bare,
            ..Record::header_only(RelayId::new(0), at(1_000))
        };
        let short = Record { held_until: at(1_000), ..held.clone() };
        let reported = Record { progress: Progress::Reported { at: at(2_000), size: 0 }, ..held.clone() };
        let answering = Record { answering: true, ..held.clone() };
        let done = Record { progress: Progress::Done, ..held.clone() };
        let slow = Some(RttQuantiles { p50: 2 * SECOND, p90: 2 * SECOND });
        let table = [
            ("held", &held, false, None, Some(4_125)),
            ("it awaits an acknowledgement", &held, true, None, Some(2_175)),
            ("the same with a short hold", &short, true, None, Some(2_125)),
            ("reported answered", &reported, false, None, Some(2_250)),
            ("through a slow relay", &held, false, slow, Some(5_250)),
            ("its answer has begun to come", &answering, true, None, None),
            ("it is answered", &done, false, None, None),
        ];
        for (case, exchange, awaits_ack, own, millis) in table {
            assert_eq!(detector.lost_at(exchange, awaits_ack, own), millis.map(at), "{case}");
        }
        for (written, missing) in [(1_562, false), (1_563, true)] {
            assert_eq!(detector.is_missing(&held, None, at(written)), missing, "{written} ms");
            assert!(!detector.is_missing(&answering, None, at(written)));
        }
    }

    #[test]
    fn where_round_trips_do_not_vary_a_margin_is_left() {
        let detector = measured((0..200).map(|_| 1));
        assert_eq!(detector.timeout(None, Size::Small, 0), Duration::from_millis(51));
    }

    #[test]
    fn silence_doubles_every_wait_up_to_eight_times_and_an_answer_ends_it() {
        let mut detector = measured((0..64).map(|_| 1_000));
        let timeout = detector.timeout(None, Size::Small, 0);
        for (now, times) in [(0, 2), (1, 2), (2_000, 4), (6_000, 8), (60_000, 8)] {
            detector.on_silence(at(now));
            assert_eq!(detector.timeout(None, Size::Small, 0), timeout * times, "at {now} ms");
        }
        assert!(detector.is_silent());
        detector.on_answer(Size::Small, SECOND, false, at(61_000));
        assert!(!detector.is_silent());
    }

    #[test]
    fn on_a_fast_path_silence_doubles_every_wait_until_few_calls_are_made() {
        let mut detector = measured((0..64).map(|_| 50));
        for second in 0..600 {
            detector.on_silence(at(second * 1_000));
        }
        assert_eq!(detector.backoff(), 128, "50 ms times 64 is less than 4 s");
    }
}
