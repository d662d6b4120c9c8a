//! Base64 of the wire (protocol.md 1): RFC 4648 with the standard alphabet, padding, and no stray bits at the end.

use alloc::vec::Vec;

use base64::{DecodeError, DecodeSliceError, Engine};
use bytes::Bytes;

use engine::engine;

/// The engine with the fastest instructions of the CPU.
#[cfg(all(feature = "simd", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod engine {
    extern crate std;

    use base64::engine::Simd;
    use base64::engine::general_purpose::PAD;
    use std::sync::LazyLock;

    // Detecting the CPU and filling the tables takes longer than a small op.
    static ENGINE: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));

    /// The strict codec of this wire.
    pub(super) fn engine() -> &'static impl base64::Engine {
        &*ENGINE
    }
}

/// The engine that runs everywhere.
#[cfg(not(all(feature = "simd", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod engine {
    /// The strict codec of this wire.
    pub(super) fn engine() -> &'static impl base64::Engine {
        &base64::engine::general_purpose::STANDARD
    }
}

/// Bytes of a group before encoding, and after it.
const GROUP: usize = 3;
const ENCODED_GROUP: usize = 4;

/// The length of `bytes` bytes once encoded, padding included.
pub const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(GROUP).saturating_mul(ENCODED_GROUP)
}

/// The length of what `text` stands for, if it is base64.
pub fn decoded_len(text: &str) -> usize {
    let padding = text.bytes().rev().take(2).take_while(|symbol| *symbol == b'=').count();
    text.len().saturating_sub(padding).saturating_mul(GROUP) / ENCODED_GROUP
}

/// Appends the encoding of the concatenated `chunks` to `out`, without concatenating them.
///
/// ```
/// use bytes::Bytes;
/// use seqlane::wire::base64;
///
/// let mut text = Vec::new();
/// base64::encode(&[Bytes::from("he"), Bytes::from("llo")], &mut text);
/// assert_eq!(text, b"aGVsbG8=");
/// ```
pub fn encode(chunks: &[Bytes], out: &mut Vec<u8>) {
    // What is left of the chunks before: 0 to 2 bytes that wait for the rest of their group.
    let mut carry = Carry::default();
    for chunk in chunks {
        let rest = carry.fill(chunk);
        if let Some(group) = carry.take_full() {
            append(&group, out);
        }
        let odd = rest.len().checked_rem(GROUP).unwrap_or_default();
        let (whole, tail) = rest.split_at_checked(rest.len().saturating_sub(odd)).unwrap_or((rest, &[]));
        append(whole, out);
        carry.fill(tail);
    }
    append(carry.as_slice(), out);
}

fn append(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let start = out.len();
    out.resize(start.saturating_add(encoded_len(bytes.len())), 0);
    // The slice is as long as the encoding: this cannot fail.
    let _ = out.get_mut(start..).map(|room| engine().encode_slice(bytes, room));
}

/// An unfinished group.
#[derive(Default)]
struct Carry {
    bytes: [u8; GROUP],
    len: usize,
}

impl Carry {
    /// Takes what completes the group, if one is begun, and returns the rest. A begun group is one that
    /// holds a byte, so an empty one takes at most a tail: fewer bytes than a group has.
    fn fill<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        if self.len == 0 && chunk.len() >= GROUP {
            return chunk;
        }
        let missing = GROUP.saturating_sub(self.len).min(chunk.len());
        let (taken, rest) = chunk.split_at_checked(missing).unwrap_or((chunk, &[]));
        for (place, byte) in self.bytes.iter_mut().skip(self.len).zip(taken) {
            *place = *byte;
        }
        self.len = self.len.saturating_add(taken.len());
        rest
    }

    fn take_full(&mut self) -> Option<[u8; GROUP]> {
        (self.len == GROUP).then(|| {
            self.len = 0;
            self.bytes
        })
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Decodes `text` into the start of `room`, and returns how many bytes that are.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn decode(text: &str, room: &mut [u8]) -> Result<usize, &'static str> {
    engine().decode_slice(text, room).map_err(reason)
}

const fn reason(error: DecodeSliceError) -> &'static str {
    match error {
        DecodeSliceError::DecodeError(DecodeError::InvalidByte(..)) => "invalid symbol",
        DecodeSliceError::DecodeError(DecodeError::InvalidLength(_)) => "invalid length",
        DecodeSliceError::DecodeError(DecodeError::InvalidLastSymbol { .. }) => {
            "stray bits in the last symbol"
        }
        DecodeSliceError::DecodeError(DecodeError::InvalidPadding) => "invalid padding",
        DecodeSliceError::OutputSliceTooSmall => "more bytes than announced",
    }
}
