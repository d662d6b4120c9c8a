//! Probabilities.

use std::fmt;
use std::str::FromStr;

/// Reads a probability: 0 to 1.
pub(crate) fn probability(text: &str) -> Result<f64, BadProbability> {
    text.parse().ok().filter(|value| (0.0..=1.0).contains(value)).ok_or(BadProbability)
}

/// An HTTP status and its probability: `503:0.02`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StatusProbability {
    pub(crate) code: u16,
    pub(crate) probability: f64,
}

impl FromStr for StatusProbability {
    type Err = BadStatusProbability;

    fn from_str(text: &str) -> Result<Self, BadStatusProbability> {
        let (code, value) = text.split_once(':').ok_or(BadStatusProbability)?;
        let code = code.parse().ok().filter(|code| (200..=599).contains(code)).ok_or(BadStatusProbability)?;
        let probability = probability(value).map_err(|_| BadStatusProbability)?;
        Ok(Self { code, probability })
    }
}

/// Not a probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadProbability;

impl fmt::Display for BadProbability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a probability is a number from 0 to 1, as in 0.05")
    }
}

impl std::error::Error for BadProbability {}

/// Not a status with its probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadStatusProbability;

impl fmt::Display for BadStatusProbability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write an HTTP status, a colon and a probability, as in 503:0.02")
    }
}

impl std::error::Error for BadStatusProbability {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_0_to_1() {
        for (text, value) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-3", 0.001)] {
            assert_eq!(probability(text), Ok(value));
        }
        for text in ["", "-0.1", "1.01", "5%", "NaN", "inf"] {
            assert_eq!(probability(text), Err(BadProbability), "{text}");
        }
    }

    #[test]
    fn a_status_has_a_code_and_a_probability() {
        assert_eq!("503:0.5".parse(), Ok(StatusProbability { code: 503, probability: 0.5 }));
        for text in ["503", "503:", ":0.5", "99:0.5", "600:0.5", "503:2"] {
            assert_eq!(text.parse::<StatusProbability>(), Err(BadStatusProbability), "{text}");
        }
    }
}
