//! Amounts of bytes: `1048576`, `64KiB`, `10MB`.

use std::fmt;
use std::str::FromStr;

/// The units, largest first within a family, so that printing picks the largest that fits.
const UNITS: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

/// An amount of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    /// The amount as a length in memory, at most what this machine can address.
    pub(crate) fn as_len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Reads an amount of bytes as a length in memory: for flags whose library option is a length.
pub(crate) fn bytes(text: &str) -> Result<usize, BadSize> {
    text.parse().map(Size::as_len)
}

impl FromStr for Size {
    type Err = BadSize;

    /// Units are read in either case; a missing unit, or `B`, means bytes.
    fn from_str(text: &str) -> Result<Self, BadSize> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| BadSize)?;
        let unit = unit.trim_start();
        let scale = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, scale)| *scale);
        let scale = match unit {
            "" | "B" | "b" => 1,
            _ => scale.ok_or(BadSize)?,
        };
        number.checked_mul(scale).map(Self).ok_or(BadSize)
    }
}

/// The largest binary unit that divides the amount.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary =
            UNITS.iter().take(3).find(|(_, scale)| self.0 >= *scale && self.0.is_multiple_of(*scale));
        match binary {
            Some((name, scale)) => write!(f, "{} {name}", self.0 / scale),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// Not an amount of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadSize;

impl fmt::Display for BadSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write a whole number with B, KB, MB, GB, KiB, MiB or GiB, as in 64KiB")
    }
}

impl std::error::Error for BadSize {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_and_binary_units_differ() {
        for (text, amount) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("7B", 7),
            ("10MB", 10_000_000),
            ("1MiB", 1 << 20),
            ("64 kib", 64 << 10),
            ("3gb", 3_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Size(amount)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in ["", "MB", "-1", "1.5MB", "10 XB", "99999999999999999999", "99999999999GiB"] {
            assert_eq!(text.parse::<Size>(), Err(BadSize), "{text}");
        }
    }

    #[test]
    fn sizes_print_in_the_largest_unit_that_divides_them() {
        assert_eq!(Size(4 << 20).to_string(), "4 MiB");
        assert_eq!(Size(1500).to_string(), "1500 B");
        assert_eq!(Size(0).to_string(), "0 B");
    }
}
