//! Stand-ins in the places of keys and secrets.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use bytes::Bytes;

use super::literal::{Field, Fields};
use super::stand_in;
use crate::client::DecryptedPacket;
use crate::config::{ClientOptions, NodeOptions};
use crate::secret::Secret;
use crate::wire::direction::Direction;
use crate::wire::seal::{HEAD_LEN, NONCE_LEN, Nonce, Seal, TAG_LEN, VERSION};

/// What stands for a key that is not one of ours, letter by letter.
const FOREIGN: u8 = b'0';

/// Puts stand-ins in the places of the keys and the secret of one configuration. A machine that is made with the
/// stand-ins, and given bodies that were covered, does what the one with the keys did.
///
/// A body keeps its length. A foreign key is covered too, by something that still is no key; so is one that is cut.
pub struct Mask {
    keys: Vec<Secret>,
    up: Seals,
    down: Seals,
}

/// The seal of one direction, and what it is replaced with.
struct Seals {
    real: Seal,
    stand_in: Seal,
}

impl Seals {
    fn new(secret: &Secret, way: Direction) -> Self {
        Self { real: Seal::new(secret, way), stand_in: Seal::new(&stand_in::of(secret), way) }
    }
}

impl Mask {
    /// For a client with these options.
    pub fn of_client(options: &ClientOptions) -> Self {
        let keys: Vec<Secret> = options.relays.iter().map(|relay| relay.key.clone()).collect();
        let secret = options.secret.clone().or_else(|| keys.first().cloned());
        Self::new(keys, &secret.unwrap_or_else(|| Secret::new("")))
    }

    /// For a node with these options.
    pub fn of_node(options: &NodeOptions) -> Self {
        Self::new(vec![options.key.clone()], options.secret.as_ref().unwrap_or(&options.key))
    }

    fn new(keys: Vec<Secret>, secret: &Secret) -> Self {
        Self { keys, up: Seals::new(secret, Direction::Up), down: Seals::new(secret, Direction::Down) }
    }

    /// Whether this is one of the keys.
    pub(super) fn knows(&self, key: &Secret) -> bool {
        self.keys.contains(key)
    }

    /// A key of the machine that was made with the stand-ins.
    pub(super) fn own_key(&self) -> Secret {
        self.keys.first().map_or_else(|| Secret::new(""), stand_in::of)
    }

    /// A key that no such machine knows.
    pub(super) fn foreign_key() -> Secret {
        Secret::new(char::from(FOREIGN).encode_utf8(&mut [0; 4]))
    }

    /// Appends the body of a call or of its answer, JSON or packet, with every key and seal covered.
    pub(super) fn cover(&self, way: Direction, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(body);
        let copy = out.get_mut(start..).unwrap_or_default();
        if body.first() == Some(&VERSION) {
            self.replace_seal(way, copy);
            return;
        }
        for field in Fields::new(body) {
            match body.get(field.name.clone()).unwrap_or_default() {
                // The only ways to write the name of the field that has the key.
                b"k" | b"\\u006b" | b"\\u006B" => self.cover_key(&field, copy),
                b"d" if field.is_whole => self.cover_packet(way, field.value, copy),
                _ => {}
            }
        }
    }

    /// The body of an answer with this packet, sealed by the stand-in. That is no secret, so any nonce will do.
    pub(super) fn seal(&self, packet: &DecryptedPacket) -> Bytes {
        packet.sealed_again(&self.down.stand_in, Nonce::new([0; NONCE_LEN])).into_bytes()
    }

    /// Puts as many letters into the place of the key as it has, and space behind the string where its escapes were.
    fn cover_key(&self, field: &Field, body: &mut [u8]) {
        let Some(key) = body.get(field.value.clone()).filter(|_| field.is_whole).and_then(unescaped) else {
            return body.get_mut(field.value.clone()).map_or((), blot);
        };
        let key = Secret::new(key);
        let letter = if self.knows(&key) { stand_in::LETTER } else { FOREIGN };
        let len = stand_in::written_len(&key);
        let Some(place) = body.get_mut(field.value.start..field.value.end.saturating_add(1)) else { return };
        let Some((text, rest)) = place.split_at_mut_checked(len) else { return };
        text.fill(letter);
        rest.fill(b' ');
        if let Some(quote) = rest.first_mut() {
            *quote = b'"';
        }
    }

    /// Covers what is a packet of level 2 in base64.
    fn cover_packet(&self, way: Direction, place: Range<usize>, body: &mut [u8]) {
        let Some(text) = body.get_mut(place) else { return };
        // Nearly every payload shows by its first byte that it is none.
        let mut first = [0; 3];
        let starts = text.get(..4).is_some_and(|four| STANDARD.decode_slice(four, &mut first).is_ok());
        if !starts || first.first() != Some(&VERSION) {
            return;
        }
        let Ok(mut packet) = STANDARD.decode(&*text) else { return };
        self.replace_seal(way, &mut packet);
        // As long as before: the alphabet and the padding are the same.
        let _ = STANDARD.encode_slice(&packet, text);
    }

    fn replace_seal(&self, way: Direction, packet: &mut [u8]) {
        let seals = match way {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        if packet.len() >= HEAD_LEN.saturating_add(TAG_LEN) {
            seals.real.replace(packet, &seals.stand_in);
        }
    }
}

/// Keys are left out.
impl core::fmt::Debug for Mask {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Mask").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// What a string stands for, from what is between its quotes.
fn unescaped(inside: &[u8]) -> Option<String> {
    let mut quoted = Vec::with_capacity(inside.len().saturating_add(2));
    quoted.push(b'"');
    quoted.extend_from_slice(inside);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok()
}

/// Covers what cannot be read, so that it fails at the same place and in the same way: letters and digits go, escapes
/// stay escapes of their kind.
fn blot(text: &mut [u8]) {
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first_mut() {
        rest = behind;
        match *first {
            b'\\' => rest = blot_escape(rest),
            byte if byte.is_ascii_alphanumeric() => *first = FOREIGN,
            _ => {}
        }
    }
}

/// Covers what follows a backslash, and gives what follows that. Halves of a surrogate pair stay such halves.
fn blot_escape(text: &mut [u8]) -> &mut [u8] {
    match text.split_first_mut() {
        Some((b'u', digits)) => {
            let (four, rest) = digits.split_at_mut(digits.len().min(4));
            let covered = match *four {
                [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => *b"d800",
                [b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] => *b"dc00",
                _ => *b"0000",
            };
            for (byte, covered) in four.iter_mut().zip(covered).filter(|(byte, _)| byte.is_ascii_hexdigit()) {
                *byte = covered;
            }
            rest
        }
        Some((_, rest)) => rest,
        None => &mut [],
    }
}
