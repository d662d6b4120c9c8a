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
    // The group that the chunks before have begun, and how many bytes of it they had.
    let mut group = [0; GROUP];
    let mut begun = 0_usize;
    for chunk in chunks {
        let mut rest = chunk.iter();
        if begun > 0 {
            for (place, byte) in group.iter_mut().skip(begun).zip(&mut rest) {
                *place = *byte;
                begun = begun.saturating_add(1);
            }
            if begun < GROUP {
                continue;
            }
            append(&group, out);
        }
        let (whole, tail) = rest.as_slice().as_chunks::<GROUP>();
        append(whole.as_flattened(), out);
        for (place, byte) in group.iter_mut().zip(tail) {
            *place = *byte;
        }
        begun = tail.len();
    }
    append(group.get(..begun).unwrap_or_default(), out);
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
