//! Mask over keys and secrets.

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::seal::{NONCE_LEN, Nonce, Seal, Unsealed, VERSION};
use seqlane::wire::{ReplyParts, encode_answer};
use seqlane::{BodyForm, DecryptedPacket, Secret};

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
    up: Seals,
    down: Seals,
}

/// The seal of one direction, and its replacement.
struct Seals {
    real: Seal,
    stand_in: Seal,
}

impl Seals {
    fn new(secret: &Secret, stand_in: &Secret, way: Direction) -> Self {
        Self { real: Seal::new(secret, way), stand_in: Seal::new(stand_in, way) }
    }
}

impl Mask {
    /// The mask over these secrets.
    pub fn new(secrets: Secrets) -> Self {
        let Secrets { keys, secret } = secrets;
        let (secret, stand_in) = match (secret, keys.first()) {
            (Some(secret), _) => (secret.clone(), stand_in::of_secret(&secret)),
            (None, Some(key)) => (key.clone(), stand_in::of(key)),
            (None, None) => (Secret::new(""), Secret::new("")),
        };
        let seals = |way| Seals::new(&secret, &stand_in, way);
        Self { up: seals(Direction::Up), down: seals(Direction::Down), keys }
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
    pub(crate) fn apply(&self, way: Direction, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(body);
        let copy = &mut out[start..];
        if body.first() == Some(&VERSION) {
            self.reseal(way, copy);
            return;
        }
        for field in Fields::new(body) {
            match &body[field.name.clone()] {
                // Every spelling of the name `k` in JSON.
                b"k" | b"\\u006b" | b"\\u006B" => self.mask_key(&field, copy),
                b"d" if field.is_whole => self.mask_packet(way, field.value, copy),
                _ => {}
            }
        }
    }

    /// The body of an answer with this packet, sealed with the stand-in. A stand-in is no secret, so any nonce is safe.
    pub(crate) fn seal(&self, packet: &DecryptedPacket) -> Bytes {
        let sealed = Unsealed::of(packet.plaintext()).seal(&self.down.stand_in, Nonce::new([0; NONCE_LEN]));
        match packet.form() {
            BodyForm::Packet => sealed,
            BodyForm::Json => encode_answer(&[ReplyParts { data: &[sealed], ..ReplyParts::default() }]),
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

    /// Masks a packet of level 2 in base64.
    fn mask_packet(&self, way: Direction, place: Range<usize>, body: &mut [u8]) {
        let text = &mut body[place];
        // The first byte tells nearly every other payload from a packet.
        let mut first = [0; 3];
        let starts = text.get(..4).is_some_and(|four| STANDARD.decode_slice(four, &mut first).is_ok());
        if !starts || first.first() != Some(&VERSION) {
            return;
        }
        let Ok(mut packet) = STANDARD.decode(&*text) else { return };
        self.reseal(way, &mut packet);
        STANDARD
            .encode_slice(&packet, text)
            .expect("a packet of the same length has an encoding of the same length");
    }

    /// Replaces the seal of a packet by the stand-in, with the same nonce. A packet that does not open stays as it is.
    fn reseal(&self, way: Direction, packet: &mut [u8]) {
        let seals = match way {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        let Ok(plaintext) = seals.real.open(Bytes::copy_from_slice(packet)) else { return };
        let Some(nonce) = packet.get(1..).and_then(<[u8]>::first_chunk) else { return };
        let resealed = Unsealed::of(&plaintext).seal(&seals.stand_in, Nonce::new(*nonce));
        packet.copy_from_slice(&resealed);
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
