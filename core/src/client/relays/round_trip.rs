//! Round trips through one relay (protocol.md 3.2, controllers).

use core::time::Duration;

use crate::client::streams::round_trips::{RoundTrips, RttQuantiles, Size};
use crate::time::micros;

/// Exchanges that are enough to go by this relay alone.
const ENOUGH: usize = 32;

/// What was measured of one relay.
#[derive(Clone, Debug, Default, Hash)]
pub(in crate::client) struct RoundTrip {
    /// The smoothed round trip of calls, without the node's hold.
    smoothed: Option<Duration>,
    /// The last round trips of level 2 exchanges.
    exchanges: RoundTrips,
}

impl RoundTrip {
    /// A call took `sample` without the node's hold.
    pub(in crate::client) fn on_sample(&mut self, sample: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => sample,
            // RFC 6298 section 2: one eighth of the new sample.
            Some(old) => {
                Duration::from_micros((micros(old).saturating_mul(7) / 8).saturating_add(micros(sample) / 8))
            }
        });
    }

    /// A rough sample, used until there is a better one.
    pub(in crate::client) fn on_rough_sample(&mut self, sample: Duration) {
        self.smoothed.get_or_insert(sample);
    }

    /// A level 2 exchange of this size took `sample` without the node's hold.
    pub(in crate::client) fn on_exchange(&mut self, size: Size, sample: Duration) {
        self.exchanges.on_sample(size, sample);
    }

    pub(in crate::client) const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The quantiles of its exchanges of this size, once they are enough.
    pub(in crate::client) fn quantiles(&self, size: Size) -> Option<RttQuantiles> {
        self.exchanges.quantiles(size, ENOUGH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_rough_sample_counts_only_while_there_is_no_other() {
        let mut round_trip = RoundTrip::default();
        round_trip.on_rough_sample(millis(800));
        round_trip.on_rough_sample(millis(100));
        assert_eq!(round_trip.smoothed(), Some(millis(800)));
        round_trip.on_sample(millis(1_600));
        assert_eq!(round_trip.smoothed(), Some(millis(900)));
    }

    #[test]
    fn exchanges_count_by_size_once_there_are_enough() {
        let mut round_trip = RoundTrip::default();
        (1..32).for_each(|_| round_trip.on_exchange(Size::Small, millis(5)));
        assert_eq!(round_trip.quantiles(Size::Small), None);
        round_trip.on_exchange(Size::Small, millis(5));
        assert_eq!(round_trip.quantiles(Size::Small).map(|rtt| rtt.p90), Some(millis(5)));
        assert_eq!(round_trip.quantiles(Size::Bulk), None);
    }
}
