//! Hexadecimal text for hashes and seeds in files, since many readers round large JSON numbers.

use serde::{Deserialize, Deserializer, Serializer, de};
use serde_with::{DeserializeAs, SerializeAs};

/// A number as `0x` and sixteen hexadecimal digits, for `serde_as`.
pub(crate) struct Hex;

impl SerializeAs<u64> for Hex {
    fn serialize_as<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{value:016x}"))
    }
}

impl<'de> DeserializeAs<'de, u64> for Hex {
    fn deserialize_as<D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        digits.ok_or_else(|| de::Error::custom(format!("`{text}` is not 0x and hexadecimal digits")))
    }
}
