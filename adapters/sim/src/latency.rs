//! Round trips as integer quantile tables: no floating point decides anything in a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many quantiles a draw tells apart.
pub const QUANTILES: u32 = 1 << 16;

/// Which round trips a run has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// 1 ms, always.
    Instant,
    /// 40 to 120 ms.
    #[default]
    Near,
    /// Median 300 ms, p99 8 s, the tail up to 60 s.
    Heavy,
    /// Two kinds of calls: 100 ms, and a fifth of them 3 s.
    Bimodal,
    /// The measured hosted relay: median 1.62 s, p95 3.02 s, p99 8.4 s, p99.9 19 s, the tail up to 30 s.
    /// 97 % lognormal(0.47, 0.32) and 3 % lognormal(1.87, 0.6), in seconds.
    Hosted,
    /// 1.5 s, always.
    Steady,
    /// Always as many milliseconds.
    Fixed(u32),
}

/// A quantile of [`QUANTILES`] and its round trip in microseconds.
type Knot = (u32, u64);

const INSTANT: &[Knot] = &[(0, 1_000), (65_535, 1_000)];
const STEADY: &[Knot] = &[(0, 1_500_000), (65_535, 1_500_000)];
const NEAR: &[Knot] = &[(0, 40_000), (32_768, 60_000), (58_982, 90_000), (65_535, 120_000)];
const HEAVY: &[Knot] = &[
    (0, 60_000),
    (16_384, 200_000),
    (32_768, 300_000),
    (49_152, 520_000),
    (58_982, 1_400_000),
    (62_259, 3_200_000),
    (64_880, 8_000_000),
    (65_470, 60_000_000),
    (65_535, 60_000_000),
];
const BIMODAL: &[Knot] = &[(0, 80_000), (52_428, 120_000), (52_429, 2_500_000), (65_535, 3_500_000)];
const HOSTED: &[Knot] = &[
    (0, 560_063),
    (2_048, 885_328),
    (4_096, 984_113),
    (8_192, 1_113_776),
    (12_288, 1_212_700),
    (16_384, 1_299_233),
    (20_480, 1_380_070),
    (24_576, 1_458_795),
    (28_672, 1_537_898),
    (32_768, 1_619_552),
    (36_864, 1_706_070),
    (40_960, 1_800_357),
    (45_056, 1_906_622),
    (49_152, 2_031_842),
    (53_248, 2_189_584),
    (57_344, 2_413_451),
    (59_392, 2_580_391),
    (61_440, 2_844_033),
    (62_259, 3_016_871),
    (63_570, 3_635_036),
    (64_225, 5_053_086),
    (64_880, 8_397_258),
    (65_208, 11_589_068),
    (65_404, 15_934_194),
    (65_470, 19_461_668),
    (65_503, 23_222_561),
    (65_535, 30_000_000),
];

impl Latency {
    /// The round trip at a quantile below [`QUANTILES`].
    pub fn at(self, quantile: u32) -> Duration {
        let knots = match self {
            Self::Fixed(millis) => return Duration::from_millis(u64::from(millis)),
            Self::Instant => INSTANT,
            Self::Near => NEAR,
            Self::Heavy => HEAVY,
            Self::Bimodal => BIMODAL,
            Self::Hosted => HOSTED,
            Self::Steady => STEADY,
        };
        let upper = knots.partition_point(|(at, _)| *at <= quantile).min(knots.len() - 1).max(1);
        let ((from, low), (to, high)) = (knots[upper - 1], knots[upper]);
        let share = u64::from(quantile.min(to) - from) * (high - low) / u64::from(to - from);
        Duration::from_micros(low + share)
    }

    /// The median round trip: what a report calls one round trip.
    pub fn median(self) -> Duration {
        self.at(QUANTILES / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Latency; 6] =
        [Latency::Instant, Latency::Near, Latency::Heavy, Latency::Bimodal, Latency::Hosted, Latency::Steady];

    #[test]
    fn no_quantile_is_quicker_than_a_lower_one() {
        for table in ALL {
            let mut last = Duration::ZERO;
            for quantile in 0..QUANTILES {
                let round_trip = table.at(quantile);
                assert!(round_trip >= last, "{table:?} at {quantile}");
                last = round_trip;
            }
        }
    }

    #[test]
    fn the_hosted_relay_has_the_measured_quantiles() {
        let at = |share: f64| Latency::Hosted.at((share * f64::from(QUANTILES)) as u32).as_secs_f64();
        for (share, seconds) in [(0.5, 1.62), (0.95, 3.02), (0.99, 8.4), (0.999, 19.5)] {
            let got = at(share);
            assert!((got / seconds - 1.0).abs() < 0.01, "{share}: {got} instead of {seconds}");
        }
    }
}
