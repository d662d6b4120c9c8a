//! Quantiles of recent round trips (protocol.md 3.2, controllers).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::time::micros;

/// Samples that are remembered.
const WINDOW: usize = 64;

/// Samples below which the quantiles of a window say nothing.
const ENOUGH: usize = 8;

/// The classes of exchanges whose round trips are kept apart. An exchange's class is fixed when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) enum Size {
    /// Little went up, and nothing in bulk was expected down.
    Small,
    /// Anything else.
    Bulk,
}

/// Quantiles of round trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) struct RttQuantiles {
    /// Half of them were no longer.
    pub(in crate::client) p50: Duration,
    /// Nine in ten were no longer.
    pub(in crate::client) p90: Duration,
}

/// The last round trips of exchanges, without the node's hold.
#[derive(Clone, Debug, Default, Hash)]
pub(in crate::client) struct RoundTrips {
    small: Window,
    bulk: Window,
}

impl RoundTrips {
    /// An exchange of this size took `sample`.
    pub(in crate::client) fn on_sample(&mut self, size: Size, sample: Duration) {
        match size {
            Size::Small => self.small.push(sample),
            Size::Bulk => self.bulk.push(sample),
        }
    }

    /// The quantiles of this size, once at least `enough` samples are known, and as many as quantiles need.
    pub(in crate::client) fn quantiles(&self, size: Size, enough: usize) -> Option<RttQuantiles> {
        let window = match size {
            Size::Small => &self.small,
            Size::Bulk => &self.bulk,
        };
        window.quantiles.filter(|_| window.samples.len() >= enough)
    }
}

/// The last round trips of one size.
#[derive(Clone, Debug, Default, Hash)]
struct Window {
    samples: VecDeque<u64>,
    quantiles: Option<RttQuantiles>,
}

impl Window {
    fn push(&mut self, sample: Duration) {
        if self.samples.len() >= WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back(micros(sample));
        let mut sorted: Vec<u64> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        let quantile = |tenths: usize| {
            let place = sorted.len().saturating_sub(1).saturating_mul(tenths) / 10;
            Duration::from_micros(sorted.get(place).copied().unwrap_or_default())
        };
        self.quantiles =
            (sorted.len() >= ENOUGH).then(|| RttQuantiles { p50: quantile(5), p90: quantile(9) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_last_samples_of_a_size() {
        let mut trips = RoundTrips::default();
        for millis in 1..=7 {
            trips.on_sample(Size::Small, Duration::from_millis(millis));
        }
        assert_eq!(trips.quantiles(Size::Small, 1), None);
        for millis in 1..=100 {
            trips.on_sample(Size::Small, Duration::from_millis(millis));
        }
        let rtt = trips.quantiles(Size::Small, WINDOW).unwrap();
        assert_eq!((rtt.p50, rtt.p90), (Duration::from_millis(68), Duration::from_millis(93)));
        assert_eq!(trips.quantiles(Size::Small, WINDOW + 1), None, "no more are remembered");
        assert_eq!(trips.quantiles(Size::Bulk, 0), None);
    }
}
