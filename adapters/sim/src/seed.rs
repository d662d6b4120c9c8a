//! Seeds and ranges of seeds as text.

use std::fmt;
use std::str::FromStr;

use serde_with::SerializeDisplay;

/// A seed on the command line: `42`, `0x2a`, or a commit of 40 hexadecimal digits, so that each commit is
/// tried with seeds of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, SerializeDisplay)]
pub struct Seed(pub u64);

/// Seeds from one, up to another or without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// The first that does not belong to them; none: they do not end.
    pub end: Option<u64>,
}

/// No seed is written like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no seed: write 42, 0x2a, a commit of 40 digits, or a range as 0..1000")]
pub struct BadSeed(String);

const COMMIT_DIGITS: usize = 40;
/// Digits of a commit that make the seed: as many as 64 bits have.
const SEED_DIGITS: usize = 16;

impl FromStr for Seed {
    type Err = BadSeed;

    fn from_str(text: &str) -> Result<Self, BadSeed> {
        let hex = |digits: &str| u64::from_str_radix(digits, 16).map_err(|_| BadSeed(text.to_owned()));
        if let Some(digits) = text.strip_prefix("0x") {
            return hex(digits).map(Self);
        }
        if text.len() == COMMIT_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return hex(&text[..SEED_DIGITS]).map(Self);
        }
        text.parse().map(Self).map_err(|_| BadSeed(text.to_owned()))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

impl FromStr for Seeds {
    type Err = BadSeed;

    /// `A..B`, where B does not belong to them, `A..`, or `A` alone.
    fn from_str(text: &str) -> Result<Self, BadSeed> {
        let Some((first, end)) = text.split_once("..") else {
            let Seed(first) = text.parse()?;
            return Ok(Self { first, end: Some(first.saturating_add(1)) });
        };
        let Seed(first) = first.parse()?;
        let end = if end.is_empty() { None } else { Some(end.parse::<Seed>()?.0) };
        if end.is_some_and(|end| end <= first) {
            Err(BadSeed(text.to_owned()))
        } else {
            Ok(Self { first, end })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_number_or_a_commit() {
        assert_eq!("42".parse(), Ok(Seed(42)));
        assert_eq!("0x2a".parse(), Ok(Seed(42)));
        let commit = "00000000000000ff0123456789abcdef01234567";
        assert_eq!(commit.parse(), Ok(Seed(255)));
        assert!("2a".parse::<Seed>().is_err());
    }

    #[test]
    fn ranges_end_before_their_second_seed_or_never() {
        assert_eq!("3..0x10".parse(), Ok(Seeds { first: 3, end: Some(16) }));
        assert_eq!("3..".parse(), Ok(Seeds { first: 3, end: None }));
        assert_eq!("3".parse(), Ok(Seeds { first: 3, end: Some(4) }));
        assert!("3..3".parse::<Seeds>().is_err());
    }
}
