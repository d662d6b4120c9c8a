//! Keys that can be compared and sent, but never printed.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// A key shared by client, relay and node. `Debug` and errors never show it.
///
/// ```
/// use seqlane::Secret;
///
/// let key = Secret::new("correct horse");
/// assert!(key.matches("correct horse"));
/// assert!(!key.matches("battery staple"));
/// assert_eq!(format!("{key:?}"), "Secret(..)");
/// ```
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The empty secret, in place of one that is not serialized.
    pub(crate) fn unset() -> Self {
        Self::new("")
    }

    /// Whether `candidate` is this secret, in time that depends on the length of the candidate alone.
    pub fn matches(&self, candidate: &str) -> bool {
        let own = self.0.as_bytes();
        let mut difference = own.len() ^ candidate.len();
        let mut own_bytes = own.iter().cycle();
        for byte in candidate.bytes() {
            // An empty secret has no byte to compare with; the lengths differ then already.
            let own_byte = own_bytes.next().copied().unwrap_or_default();
            difference |= usize::from(byte ^ own_byte);
        }
        core::hint::black_box(difference) == 0
    }

    /// Whether this is the empty text, which authenticates nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself, for the one place that writes it onto the wire.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Takes as long as [`matches`](Secret::matches).
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_text_matches() {
        let key = Secret::new("abc");
        assert!(key.matches("abc"));
        for wrong in ["", "a", "ab", "abd", "abcabc", "abcd", "ABC"] {
            assert!(!key.matches(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_empty_secret_matches_only_the_empty_text() {
        assert!(Secret::new("").matches(""));
        assert!(!Secret::new("").matches("\0"));
    }
}
