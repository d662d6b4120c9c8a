//! How long round trips take: quantiles of the last of them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::time::micros;

/// Samples that are remembered.
const WINDOW: usize = 64;

/// Samples below which the quantiles of a window say nothing.
const ENOUGH: usize = 8;

/// What is usual among some round trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RttQuantiles {
    /// Half of them were no longer.
    pub(super) p50: Duration,
    /// Nine in ten were no longer.
    pub(super) p90: Duration,
}

/// The last round trips of one class, the node's hold taken off.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrips {
    samples: VecDeque<u64>,
    quantiles: Option<RttQuantiles>,
}

impl RoundTrips {
    /// A round trip was measured.
    pub(super) fn note(&mut self, sample: Duration) {
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

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// What is usual, once enough are known.
    pub(super) const fn quantiles(&self) -> Option<RttQuantiles> {
        self.quantiles
    }

    /// The window's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(&self, print: &mut crate::fingerprint::Fingerprint<'_>) {
        print.value(&self.samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_last_samples() {
        let mut trips = RoundTrips::default();
        for millis in 1..=7 {
            trips.note(Duration::from_millis(millis));
        }
        assert_eq!(trips.quantiles(), None);
        for millis in 1..=100 {
            trips.note(Duration::from_millis(millis));
        }
        let rtt = trips.quantiles().unwrap();
        assert_eq!((rtt.p50, rtt.p90), (Duration::from_millis(68), Duration::from_millis(93)));
        assert_eq!(trips.len(), WINDOW);
    }
}
