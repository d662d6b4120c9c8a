//! Stand-ins for keys and secrets: as many letters `k` as the original has bytes on the wire.

use seqlane::wire::request_overhead;
use seqlane::{Form, Secret};

/// The letter.
pub(crate) const LETTER: u8 = b'k';

/// The longest key of a recording.
pub(crate) const MAX_LEN: usize = 64 * 1024;

/// The length of a text as a JSON string, without its quotes.
pub(crate) fn written_len(text: &Secret) -> usize {
    request_overhead(Form::Node, text) - request_overhead(Form::Node, &Secret::new(""))
}

/// The stand-in for `secret`: bodies have the same length with either.
pub(crate) fn of(secret: &Secret) -> Secret {
    with_len(written_len(secret))
}

/// The stand-in of this length.
pub(crate) fn with_len(len: usize) -> Secret {
    Secret::new(char::from(LETTER).to_string().repeat(len))
}
