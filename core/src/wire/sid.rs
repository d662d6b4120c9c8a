//! Session ids: the node's opaque names for sessions.

use core::fmt;
use core::hash::{Hash, Hasher};

use crate::id::{Generated, first};
use crate::relative;

/// The longest session id, in bytes. Deployed nodes send 36 (a UUID), deployed relays 10 (`edns-cache`).
pub const MAX_SID_LEN: usize = 64;

/// A session id, kept inline: copying and comparing one allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sid {
    bytes: [u8; MAX_SID_LEN],
    len: u8,
}

impl Hash for Sid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        relative::hash_name(relative::SID, self.as_str().as_bytes(), state);
    }
}

impl Sid {
    /// The id with this text, or `None` when it is empty or longer than [`MAX_SID_LEN`] bytes.
    pub fn new(text: &str) -> Option<Self> {
        let len = u8::try_from(text.len()).ok().filter(|len| *len > 0)?;
        let mut bytes = [0; MAX_SID_LEN];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, len })
    }

    /// The version 4 UUID with these random bytes.
    fn uuid(random: [u8; 16]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        const DASHES: [usize; 4] = [8, 13, 18, 23];
        let mut value = u128::from_be_bytes(random);
        value = value & !(0xf << 76) | (0x4 << 76); // version 4 (RFC 9562 section 5.4)
        value = value & !(0b11 << 62) | (0b10 << 62); // variant
        let mut bytes = [0; MAX_SID_LEN];
        let mut shift = 128_u32;
        for (place, byte) in bytes.iter_mut().take(36).enumerate() {
            *byte = if DASHES.contains(&place) {
                b'-'
            } else {
                shift = shift.saturating_sub(4);
                let digit = usize::try_from((value >> shift) & 0xf).unwrap_or_default();
                HEX.get(digit).copied().unwrap_or_default()
            };
        }
        Self { bytes, len: 36 }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        // Only whole `str`s and ASCII are ever stored.
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Random-looking UUIDs of version 4, the form of the deployed nodes.
impl Generated for Sid {
    const LABEL: &'static [u8] = b"seqlane sid";

    fn from_digest(digest: [u8; 32]) -> Self {
        Self::uuid(first(digest))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A session id is a bearer token for its session: the first characters tell sessions apart.
        let text = self.as_str();
        write!(f, "Sid({}..)", text.get(..8).unwrap_or(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdGenerator;

    #[test]
    fn ids_of_every_legal_length_round_trip() {
        let text = "x".repeat(MAX_SID_LEN + 1);
        for len in 1..=MAX_SID_LEN {
            assert_eq!(Sid::new(&text[..len]).unwrap().as_str(), &text[..len]);
        }
        assert_eq!(Sid::new(""), None);
        assert_eq!(Sid::new(&text), None);
    }

    #[test]
    fn any_text_is_an_id() {
        assert_eq!(Sid::new("edns-cache").unwrap().as_str(), "edns-cache");
        assert_eq!(Sid::new("ü/\"").unwrap().as_str(), "ü/\"");
    }

    #[test]
    fn generated_ids_are_uuids_that_differ() {
        let mut ids = IdGenerator::<Sid>::new([7; 32]);
        let (a, b) = (ids.generate(), ids.generate());
        assert_ne!(a, b);
        for sid in [a, b] {
            let lengths = sid.as_str().split('-').map(str::len).collect::<alloc::vec::Vec<_>>();
            assert_eq!(lengths, [8, 4, 4, 4, 12]);
        }
    }

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        assert_eq!(Sid::uuid([0; 16]).as_str(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(Sid::uuid([0xff; 16]).as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
