//! Base64 payloads of one JSON body, decoded into one allocation (protocol.md 1).

use bytes::{Bytes, BytesMut};

use crate::wire::base64;
use crate::wire::json::Raw;

/// One allocation that the payloads of a body are decoded into, and of which they are slices.
pub(super) struct Arena(BytesMut);

impl Arena {
    /// Room for this many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self(BytesMut::zeroed(bytes))
    }

    /// Decodes a JSON string. An absent value stands for no bytes.
    pub(super) fn decode_value(&mut self, value: Option<Raw<'_>>) -> Result<Bytes, &'static str> {
        let Some(value) = value else { return Ok(Bytes::new()) };
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

    /// Decodes `text`. No bytes pin nothing.
    fn decode(&mut self, text: &str) -> Result<Bytes, &'static str> {
        let len = base64::decode(text, &mut self.0)?;
        Ok(if len == 0 { Bytes::new() } else { self.0.split_to(len).freeze() })
    }
}

/// At most the bytes that `value` takes when decoded; one that is absent or no string takes none.
pub(super) fn decoded_len(value: Option<Raw<'_>>) -> usize {
    value.and_then(Raw::quoted).map_or(0, base64::decoded_len)
}
