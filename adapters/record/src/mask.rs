//! Mask over keys and secrets.

use std::fmt;

use seqlane::Secret;
use seqlane::wire::direction::Direction;
use seqlane::wire::seal::PACKET;

use crate::json_fields::{Field, Fields};
use crate::machine::Secrets;
use crate::stand_in;

/// The letter that masks a foreign key.
const FOREIGN: u8 = b'0';

/// Replaces the keys and the secret of one machine by stand-ins. A machine with the stand-ins that is given masked
/// bodies does what the machine with the keys did.
///
/// A body keeps its length. A foreign or truncated key is masked too, and remains foreign or truncated.
pub struct Mask {
    keys: Vec<Secret>,
}

impl Mask {
    /// The mask over these secrets.
    pub fn new(secrets: Secrets) -> Self {
        Self { keys: secrets.keys }
    }

    /// Whether this is one of the keys.
    pub(crate) fn knows(&self, key: &Secret) -> bool {
        self.keys.contains(key)
    }

    /// The key of a machine with the stand-ins.
    pub(crate) fn own_key(&self) -> Secret {
        self.keys.first().map_or_else(|| Secret::new(""), stand_in::of)
    }

    /// A key that no such machine knows.
    pub(crate) fn foreign_key() -> Secret {
        Secret::new(char::from(FOREIGN).to_string())
    }

    /// Appends the body of a call or of its answer, JSON or packet, with every key and seal masked.
    pub(crate) fn apply(&self, _: Direction, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(body);
        let copy = &mut out[start..];
        if body.first() == Some(&PACKET) {
            return;
        }
        for field in Fields::new(body) {
            match &body[field.name.clone()] {
                // Every spelling of the name `k` in JSON.
                b"k" | b"\\u006b" | b"\\u006B" => self.mask_key(&field, copy),
                _ => {}
            }
        }
    }

    /// Replaces a key by as many letters as it has, and fills up with space behind the string where escapes were.
    fn mask_key(&self, field: &Field, body: &mut [u8]) {
        let value = &mut body[field.value.clone()];
        let Some(key) = Some(&*value).filter(|_| field.is_whole).and_then(unescaped) else {
            return mask_invalid(value);
        };
        let key = Secret::new(key);
        let letter = if self.knows(&key) { stand_in::LETTER } else { FOREIGN };
        let len = stand_in::written_len(&key);
        let Some((text, rest)) = body[field.value.start..=field.value.end].split_at_mut_checked(len) else {
            return;
        };
        text.fill(letter);
        rest.fill(b' ');
        if let Some(quote) = rest.first_mut() {
            *quote = b'"';
        }
    }
}

/// Keys are not printed.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// The value of a JSON string, from the text between its quotes.
fn unescaped(inside: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", inside, b"\""].concat()).ok()
}

/// Masks an invalid string so that it fails at the same place and in the same way: letters and digits are replaced,
/// escapes stay escapes of their kind.
fn mask_invalid(text: &mut [u8]) {
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first_mut() {
        rest = behind;
        match *first {
            b'\\' => rest = mask_escape(rest),
            byte if byte.is_ascii_alphanumeric() => *first = FOREIGN,
            _ => {}
        }
    }
}

/// Masks the rest of an escape, and returns what follows it. Halves of a surrogate pair stay such halves.
fn mask_escape(text: &mut [u8]) -> &mut [u8] {
    match text.split_first_mut() {
        Some((b'u', digits)) => {
            let (four, rest) = digits.split_at_mut(digits.len().min(4));
            let masked = match *four {
                [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => *b"d800",
                [b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] => *b"dc00",
                _ => *b"0000",
            };
            for (byte, masked) in four.iter_mut().zip(masked).filter(|(byte, _)| byte.is_ascii_hexdigit()) {
                *byte = masked;
            }
            rest
        }
        Some((_, rest)) => rest,
        None => &mut [],
    }
}
