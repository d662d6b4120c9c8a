//! What stands in a recording where a key or a secret was: as many letters `k` as it had bytes on the wire.

use core::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::ser::Serializer;

use crate::secret::Secret;
use crate::wire::Form;
use crate::wire::request_overhead;

/// The letter.
pub(super) const LETTER: u8 = b'k';

/// The longest key that a recording can have.
const MAX_LEN: usize = 64 * 1024;

/// How many bytes a text has as a JSON string, without its quotes.
pub(super) fn written_len(text: &Secret) -> usize {
    let rest = request_overhead(Form::Node, &Secret::new(""));
    request_overhead(Form::Node, text).saturating_sub(rest)
}

/// What stands for `secret`: bodies have the same length with either.
pub(super) fn of(secret: &Secret) -> Secret {
    with_len(written_len(secret))
}

fn with_len(len: usize) -> Secret {
    Secret::new(char::from(LETTER).encode_utf8(&mut [0; 4]).repeat(len))
}

/// Writes the length.
pub(crate) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(written_len(secret)).unwrap_or(u64::MAX))
}

/// Reads a length, and makes a stand-in.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    deserializer.deserialize_u64(ReadLength)
}

struct ReadLength;

impl Visitor<'_> for ReadLength {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the length of a key, at most {MAX_LEN} bytes")
    }

    fn visit_u64<E: Error>(self, len: u64) -> Result<Secret, E> {
        match usize::try_from(len) {
            Ok(len @ ..=MAX_LEN) => Ok(with_len(len)),
            Ok(_) | Err(_) => Err(E::invalid_value(Unexpected::Unsigned(len), &self)),
        }
    }
}

/// For a secret that need not be there.
pub(crate) mod optional {
    use core::fmt;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    use crate::secret::Secret;

    /// Writes the length, or null.
    pub(crate) fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => super::serialize(secret, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads what [`serialize`] writes.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret>, D::Error> {
        deserializer.deserialize_option(ReadOption)
    }

    struct ReadOption;

    impl<'de> Visitor<'de> for ReadOption {
        type Value = Option<Secret>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the length of a secret, or null")
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}
