//! Samples and their percentiles.

use std::time::Duration;

/// Values in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples<T>(Vec<T>);

impl<T: Ord + Copy> FromIterator<T> for Samples<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut values: Vec<T> = values.into_iter().collect();
        values.sort_unstable();
        Self(values)
    }
}

impl<T: Copy> Samples<T> {
    /// The least value that is not exceeded by `permille` of 1000 values (nearest rank); none without values.
    pub fn permille(&self, permille: usize) -> Option<T> {
        let rank = (self.0.len() * permille).div_ceil(1000);
        self.0.get(rank.saturating_sub(1)).copied()
    }

    /// The value in the middle, the lower one of two.
    pub fn median(&self) -> Option<T> {
        self.permille(500)
    }

    /// The largest.
    pub fn most(&self) -> Option<T> {
        self.0.last().copied()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Samples<Duration> {
    /// A percentile in seconds.
    pub fn seconds(&self, permille: usize) -> Option<f64> {
        self.permille(permille).map(|value| value.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let samples: Samples<u32> = (1..=100).rev().collect();
        let at = |permille| samples.permille(permille).unwrap();
        assert_eq!(
            (at(0), at(10), at(500), at(505), at(990), at(999), at(1000)),
            (1, 1, 50, 51, 99, 100, 100)
        );
    }

    #[test]
    fn few_values_have_percentiles_too_and_none_have_none() {
        let samples: Samples<u32> = [7, 3].into_iter().collect();
        assert_eq!((samples.median(), samples.permille(990), samples.most()), (Some(3), Some(7), Some(7)));
        assert_eq!(Samples::<u32>::default().median(), None);
    }
}
