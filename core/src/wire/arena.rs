//! Base64 payloads of one JSON body, decoded into one allocation (protocol.md 1).

use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::wire::base64;
use crate::wire::json::Raw;

/// One allocation that the payloads of a body are decoded into.
pub(super) struct Arena {
    bytes: Vec<u8>,
    used: usize,
}

impl Arena {
    /// Room for all of `values`; absent ones and those that are no strings take none.
    pub(super) fn for_values<'a>(values: impl Iterator<Item = Option<Raw<'a>>>) -> Self {
        let room = values
            .filter_map(|value| value?.quoted())
            .fold(0, |sum: usize, text| sum.saturating_add(base64::decoded_len(text)));
        Self::with_room(room)
    }

    /// Room for this many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { bytes: alloc::vec![0; bytes], used: 0 }
    }

    /// Decodes a JSON string and says where the bytes lie. An absent value stands for no bytes.
    pub(super) fn decode_value(&mut self, value: Option<Raw<'_>>) -> Result<Range<usize>, &'static str> {
        let Some(value) = value else { return Ok(0..0) };
        let quoted = value.quoted().ok_or("not a string")?;
        // The alphabet has no backslash, so a text with escapes fails here, and only then is looked at again.
        self.decode(quoted).or_else(|reason| {
            if quoted.contains('\\') {
                self.decode(&value.string().ok_or("bad escape")?)
            } else {
                Err(reason)
            }
        })
    }

    /// Decodes `text` and says where the bytes lie.
    fn decode(&mut self, text: &str) -> Result<Range<usize>, &'static str> {
        let room = self.bytes.get_mut(self.used..).unwrap_or_default();
        let len = base64::decode(text, room)?;
        let start = self.used;
        self.used = self.used.saturating_add(len);
        Ok(start..self.used)
    }

    /// The arena as shared bytes, to be cut into payloads.
    pub(super) fn freeze(self) -> Decoded {
        Decoded(Bytes::from(self.bytes))
    }
}

/// A filled [`Arena`].
pub(super) struct Decoded(Bytes);

impl Decoded {
    /// The payload that lies at `range`. An empty one pins nothing.
    pub(super) fn payload(&self, range: Range<usize>) -> Bytes {
        if range.is_empty() || range.end > self.0.len() { Bytes::new() } else { self.0.slice(range) }
    }
}
