//! Stand-ins for keys and secrets: a letter for each byte that a key has on the wire; for a secret, its number.

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

/// The stand-in for a secret, by its number among the secrets of a recording. Number 0 is the empty one, which is none.
pub(crate) fn of_secret(number: usize) -> Secret {
    if number == 0 { Secret::new("") } else { Secret::new(format!("stand-in for secret {number}")) }
}
