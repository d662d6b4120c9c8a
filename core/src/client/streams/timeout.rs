//! When an exchange is late: the time in which answers usually come, and a margin that learns (protocol.md 3.2 rule 4).
//!
//! L = p50 + m (p90 - p50) of the round trips of the exchange's class, times the backoff. The margin m shrinks a little
//! with every answer that came in time and grows by half when an answer came after it was called late. So about 6 % of
//! exchanges are called late for nothing: that is the share of calls spent on hedging.

use core::time::Duration;

use alloc::vec::Vec;

use crate::client::streams::round_trips::{RoundTrips, RttQuantiles};
use crate::id::RelayId;
use crate::time::{Instant, share};

/// The classes of exchanges whose round trips are kept apart. An exchange's class is fixed when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Size {
    /// Little went up, and nothing in bulk was expected down.
    Small,
    /// Anything else.
    Bulk,
}

/// The margin, in thousandths.
const MARGIN_FIRST: u32 = 2_000;
const MARGIN_LEAST: u32 = 1_000;
const MARGIN_MOST: u32 = 6_000;

/// What is taken for usual before anything was measured: a slow hosted relay.
const FIRST: RttQuantiles =
    RttQuantiles { p50: Duration::from_millis(2_000), p90: Duration::from_millis(3_200) };

/// What a byte of bulk adds to it: a link of about 300 kB/s.
const FIRST_A_BYTE: Duration = Duration::from_micros(3);

/// Round trips of one relay that are enough to go by it alone.
const RELAY_ENOUGH: usize = 32;

/// The margin is at least this part of a round trip, and at least [`LEAST_MARGIN`]: where round trips hardly vary, a
/// busy processor still makes some later than others.
const MARGIN_PART: u32 = 8;
const LEAST_MARGIN: Duration = Duration::from_millis(50);

/// The most that the backoff multiplies by, or more until a round trip times the backoff is [`BACKOFF_LONG`]: on fast paths
/// too, silence costs few calls.
const BACKOFF_MOST: u32 = 8;
const BACKOFF_LONG: Duration = Duration::from_secs(4);

/// Round trips by class.
#[derive(Clone, Debug, Default)]
struct ByClass {
    small: RoundTrips,
    bulk: RoundTrips,
}

impl ByClass {
    const fn of(&self, size: Size) -> &RoundTrips {
        match size {
            Size::Small => &self.small,
            Size::Bulk => &self.bulk,
        }
    }

    const fn of_mut(&mut self, size: Size) -> &mut RoundTrips {
        match size {
            Size::Small => &mut self.small,
            Size::Bulk => &mut self.bulk,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub(super) struct LossDetector {
    all: ByClass,
    relays: Vec<ByClass>,
    margin: u32,
    /// When the margin grew last.
    widened: Instant,
    backoff: u32,
    backed_off: Instant,
}

impl LossDetector {
    pub(super) fn new(relays: usize, now: Instant) -> Self {
        let relays = core::iter::repeat_with(ByClass::default).take(relays).collect();
        Self {
            all: ByClass::default(),
            relays,
            margin: MARGIN_FIRST,
            widened: now,
            backoff: 1,
            backed_off: now,
        }
    }

    /// What is usual for small exchanges over all relays.
    pub(super) fn rtt(&self) -> RttQuantiles {
        self.all.small.quantiles().unwrap_or(FIRST)
    }

    /// What is usual for an exchange of this class with so many bytes, through this relay.
    fn rtt_of(&self, relay: RelayId, size: Size, bytes: u64) -> RttQuantiles {
        let own = usize::try_from(relay.index()).ok().and_then(|place| self.relays.get(place));
        let own = own.map(|own| own.of(size)).filter(|own| own.len() >= RELAY_ENOUGH);
        let known = own.and_then(RoundTrips::quantiles).or_else(|| self.all.of(size).quantiles());
        known.unwrap_or_else(|| match size {
            Size::Small => FIRST,
            Size::Bulk => {
                let more = FIRST_A_BYTE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
                RttQuantiles { p50: FIRST.p50.saturating_add(more), p90: FIRST.p90.saturating_add(more) }
            }
        })
    }

    /// L for an exchange of this class with so many bytes, through this relay.
    pub(super) fn timeout(&self, relay: RelayId, size: Size, bytes: u64) -> Duration {
        let rtt = self.rtt_of(relay, size, bytes);
        rtt.p50.saturating_add(self.margin_of(rtt)).saturating_mul(self.backoff)
    }

    /// How long after it is known to be answered an answer of this class may still be overtaken.
    pub(super) fn reorder_timeout(&self, relay: RelayId, size: Size, bytes: u64) -> Duration {
        const LEAST: Duration = Duration::from_millis(250);
        self.margin_of(self.rtt_of(relay, size, bytes)).max(LEAST).saturating_mul(self.backoff)
    }

    fn margin_of(&self, rtt: RttQuantiles) -> Duration {
        let spread = share(rtt.p90.saturating_sub(rtt.p50), self.margin, 1_000);
        spread.max(share(rtt.p50, 1, MARGIN_PART)).max(LEAST_MARGIN)
    }

    /// An answer came after this round trip; `late` when it had been called late.
    pub(super) fn on_answer(
        &mut self,
        relay: RelayId,
        size: Size,
        round_trip: Duration,
        late: bool,
        now: Instant,
    ) {
        self.all.of_mut(size).note(round_trip);
        if let Some(own) = usize::try_from(relay.index()).ok().and_then(|place| self.relays.get_mut(place)) {
            own.of_mut(size).note(round_trip);
        }
        self.backoff = 1;
        if !late {
            // 1 - 0.25 x 0.06
            self.margin = (self.margin.saturating_mul(985) / 1_000).max(MARGIN_LEAST);
        } else if now.saturating_since(self.widened) >= self.rtt().p50 {
            self.margin = (self.margin.saturating_mul(3) / 2).min(MARGIN_MOST);
            self.widened = now;
        }
    }

    /// Nothing at all was answered since something overdue was sent (protocol.md 3.2 rule 10). Doubles every wait, once
    /// in each of them.
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

    /// By what every wait is multiplied.
    pub(super) const fn backoff(&self) -> u32 {
        self.backoff
    }

    /// The controller's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(&self, print: &mut crate::fingerprint::Fingerprint<'_>) {
        print.value((self.margin, self.backoff));
        print.since(self.widened, self.rtt().p50);
        print.since(self.backed_off, self.rtt().p50.saturating_mul(self.backoff));
        for class in core::iter::once(&self.all).chain(&self.relays) {
            class.small.fingerprint(print);
            class.bulk.fingerprint(print);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: RelayId = RelayId::new(0);
    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    fn measured(trips: impl Iterator<Item = u64>) -> LossDetector {
        let mut lateness = LossDetector::new(1, at(0));
        for millis in trips {
            lateness.on_answer(RELAY, Size::Small, Duration::from_millis(millis), false, at(0));
        }
        lateness
    }

    #[test]
    fn before_anything_is_known_a_relay_is_taken_for_slow() {
        let lateness = LossDetector::new(1, at(0));
        assert_eq!(lateness.timeout(RELAY, Size::Small, 0), Duration::from_millis(4_400));
        assert_eq!(lateness.timeout(RELAY, Size::Bulk, 1_000_000), Duration::from_millis(7_400));
    }

    #[test]
    fn what_is_usual_is_measured_and_classes_are_apart() {
        let lateness = measured((0..64).map(|n| 1_000 + n * 10));
        let timeout = lateness.timeout(RELAY, Size::Small, 0);
        assert!((SECOND..2 * SECOND).contains(&timeout), "{timeout:?}");
        assert_eq!(
            lateness.timeout(RELAY, Size::Bulk, 0),
            Duration::from_millis(2_000 + 1_200 * 76 / 100).max(lateness.timeout(RELAY, Size::Bulk, 0))
        );
    }

    #[test]
    fn the_margin_shrinks_with_answers_in_time_and_grows_with_those_called_late() {
        let mut lateness = measured((0..64).map(|n| 1_000 + n * 10));
        let before = lateness.timeout(RELAY, Size::Small, 0);
        lateness.on_answer(RELAY, Size::Small, Duration::from_millis(1_300), false, at(10));
        let shrunk = lateness.timeout(RELAY, Size::Small, 0);
        assert!(shrunk <= before);
        lateness.on_answer(RELAY, Size::Small, Duration::from_millis(1_300), true, at(5_000));
        let grown = lateness.timeout(RELAY, Size::Small, 0);
        assert!(grown > shrunk);
        lateness.on_answer(RELAY, Size::Small, Duration::from_millis(1_300), true, at(5_001));
        assert_eq!(lateness.timeout(RELAY, Size::Small, 0), grown, "once in a round trip");
    }

    #[test]
    fn where_round_trips_do_not_vary_a_margin_is_left() {
        let lateness = measured((0..200).map(|_| 1));
        assert_eq!(lateness.timeout(RELAY, Size::Small, 0), Duration::from_millis(51));
    }

    #[test]
    fn silence_doubles_every_wait_up_to_eight_times_and_an_answer_ends_it() {
        let mut lateness = measured((0..64).map(|_| 1_000));
        let timeout = lateness.timeout(RELAY, Size::Small, 0);
        for (now, times) in [(0, 2), (1, 2), (2_000, 4), (6_000, 8), (60_000, 8)] {
            lateness.on_silence(at(now));
            assert_eq!(lateness.timeout(RELAY, Size::Small, 0), timeout * times, "at {now} ms");
        }
        assert!(lateness.is_silent());
        lateness.on_answer(RELAY, Size::Small, SECOND, false, at(61_000));
        assert!(!lateness.is_silent());
    }

    #[test]
    fn on_a_fast_path_silence_doubles_every_wait_until_few_calls_are_made() {
        let mut lateness = measured((0..64).map(|_| 50));
        for second in 0..600 {
            lateness.on_silence(at(second * 1_000));
        }
        assert_eq!(lateness.backoff(), 128, "50 ms times 64 is less than 4 s");
    }
}
