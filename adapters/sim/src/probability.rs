//! Probabilities as fractions of integers, which no machine rounds differently.

use std::fmt;
use std::str::FromStr;

use serde_with::{DeserializeFromStr, SerializeDisplay};

/// How often something happens: `num` times in `den`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct Probability {
    num: u32,
    den: u32,
}

/// An invalid probability.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no probability: write it as 3/100, with 0 <= 3 <= 100")]
pub struct BadProbability(String);

impl Probability {
    /// It never happens.
    pub const NEVER: Self = Self { num: 0, den: 1 };
    /// It always happens.
    pub const ALWAYS: Self = Self { num: 1, den: 1 };

    /// `num` times in `den`; always where `num` is not below `den`.
    pub const fn of(num: u32, den: u32) -> Self {
        if num >= den { Self::ALWAYS } else { Self { num, den } }
    }

    /// Whether it never happens.
    pub const fn is_never(self) -> bool {
        self.num == 0
    }

    /// As a share of 1, for reports.
    pub fn share(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// `num` in `den` of these probability.
    #[must_use]
    pub fn scaled(self, num: u32, den: u32) -> Self {
        let parts =
            u64::from(self.num) * u64::from(num) * 1_000_000 / (u64::from(self.den) * u64::from(den.max(1)));
        Self::of(u32::try_from(parts).unwrap_or(u32::MAX), 1_000_000)
    }

    /// Whether it happens for these random bits.
    pub const fn hit(self, random: u64) -> bool {
        // The upper half decides, the lower half is left for what happens then.
        ((random >> 32) * self.den as u64) >> 32 < self.num as u64
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

impl FromStr for Probability {
    type Err = BadProbability;

    /// `3/100`, `0` or `1`.
    fn from_str(text: &str) -> Result<Self, BadProbability> {
        let bad = || BadProbability(text.to_owned());
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        let num: u32 = num.trim().parse().map_err(|_| bad())?;
        let den: u32 = den.trim().parse().map_err(|_| bad())?;
        if den == 0 || num > den { Err(bad()) } else { Ok(Self { num, den }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_read_as_they_are_written() {
        assert_eq!("3/100".parse(), Ok(Probability { num: 3, den: 100 }));
        assert_eq!("1".parse(), Ok(Probability::ALWAYS));
        assert_eq!(Probability::of(3, 100).to_string(), "3/100");
    }

    #[test]
    fn odds_above_one_are_refused() {
        assert!("3/2".parse::<Probability>().is_err());
        assert!("1/0".parse::<Probability>().is_err());
        assert!("often".parse::<Probability>().is_err());
    }

    #[test]
    fn never_and_always_mean_it() {
        assert!(!Probability::NEVER.hit(0));
        assert!(Probability::ALWAYS.hit(u64::MAX));
        assert!(Probability::of(1, 2).hit(0) && !Probability::of(1, 2).hit(u64::MAX));
    }
}
