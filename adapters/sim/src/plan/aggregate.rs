//! Measurements of all runs of one point, combined.

use std::time::Duration;

use crate::plan::measure::Measurement;
use crate::plan::point::Point;
use crate::plan::samples::Samples;

/// The runs of a point, put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// What they are runs of.
    pub point: Point,
    /// What each of them showed.
    pub runs: Vec<Measurement>,
}

impl Aggregate {
    /// The durations that `select` finds in all runs.
    pub fn durations(&self, select: fn(&Measurement) -> &[Duration]) -> Samples<Duration> {
        self.runs.iter().flat_map(select).copied().collect()
    }

    /// The median of what the runs show; none where none does.
    pub(super) fn median(&self, value: impl Fn(&Measurement) -> Option<u64>) -> Option<f64> {
        let samples: Samples<u64> = self.runs.iter().filter_map(value).collect();
        samples.median().map(|value| value as f64)
    }

    /// The sum over the runs.
    pub(super) fn sum<T: std::iter::Sum>(&self, value: impl Fn(&Measurement) -> T) -> T {
        self.runs.iter().map(value).sum()
    }
}
