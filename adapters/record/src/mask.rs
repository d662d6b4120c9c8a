//! Mask over keys and secrets.

use std::fmt;

use bytes::Bytes;
use seqlane::wire::handshake::{HANDSHAKE_LEN, HELLO, NOTICE, SecretKeys};
use seqlane::{ClientId, Secret};

use crate::json_fields::{Field, Fields};
use crate::machine::Secrets;
use crate::packets::{self, CLEAR_LEN, OPEN_HELLO, OPEN_PACKET};
use crate::stand_in;

/// The letter that masks a foreign key.
const FOREIGN: u8 = b'0';

/// Replaces the keys and the secrets of one machine by stand-ins. A machine with the stand-ins that is given masked
/// bodies does what the machine with the keys did.
///
/// A body keeps its length. A foreign or truncated key is masked too, and remains foreign or truncated. What is sealed in a
/// packet that lies not open is blanked: nothing that the secret opens is in a recording.
pub struct Mask {
    keys: Vec<Secret>,
    /// By their numbers.
    secrets: Vec<MaskedSecret>,
}

/// A secret with what follows from it, and from its stand-in.
struct MaskedSecret {
    secret: Secret,
    real: SecretKeys,
    stand_in: SecretKeys,
}

impl Mask {
    /// The mask over these secrets.
    pub fn new(secrets: Secrets) -> Self {
        let Secrets { keys, secret, users } = secrets;
        let mut mask = Self { keys, secrets: Vec::new() };
        mask.number(&Secret::new(""));
        secret.iter().chain(users.iter().map(|user| &user.secret)).for_each(|secret| {
            mask.number(secret);
        });
        mask
    }

    /// The number of a secret; a new one gets the next.
    pub(crate) fn number(&mut self, secret: &Secret) -> usize {
        if let Some(number) = self.secrets.iter().position(|known| known.secret == *secret) {
            return number;
        }
        let number = self.secrets.len();
        let stand_in = SecretKeys::new(&stand_in::of_secret(number));
        let real = SecretKeys::new(secret);
        self.secrets.push(MaskedSecret { secret: secret.clone(), real, stand_in });
        number
    }

    /// The stand-in of this number, if it is known or the next.
    pub(crate) fn stand_in(&mut self, number: usize) -> Option<Secret> {
        if number > self.secrets.len() {
            return None;
        }
        let stand_in = stand_in::of_secret(number);
        (self.number(&stand_in) == number).then_some(stand_in)
    }

    /// The secret that an id shows.
    fn secret_of(&self, client: ClientId) -> Option<&MaskedSecret> {
        self.secrets.iter().find(|secret| secret.real.fits(client))
    }

    /// Puts the seals of models on the packets of a body that lie open, where they are to be replayed.
    #[cfg(feature = "replay")]
    pub(crate) fn seal(&self, body: Bytes) -> Bytes {
        let mut sealed = body.to_vec();
        packets::change_each(&mut sealed, |packet| {
            let secret = packets::client_of(packet).and_then(|client| self.secret_of(client));
            secret.is_some_and(|known| crate::open_packet::seal(&SecretKeys::null(&known.secret), packet))
        });
        if sealed == body { body } else { sealed.into() }
    }

    /// Without a replay, packets stay open.
    #[cfg(not(feature = "replay"))]
    pub(crate) fn seal(&self, body: Bytes) -> Bytes {
        body
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

    /// Appends the body of a call or of its answer, JSON or packet, with every key and id masked.
    pub(crate) fn apply(&self, body: &[u8], out: &mut Vec<u8>) {
        let copy = self.with_keys(body, out);
        packets::change_each(copy, |packet| self.mask_packet(packet));
    }

    /// Appends a body as it is compared: of hellos, answers and notices, the first byte and the random part of the id.
    pub(crate) fn apply_to_compare(&self, body: &[u8], out: &mut Vec<u8>) {
        let copy = self.with_keys(body, out);
        packets::change_each(copy, |packet| {
            let is_handshake = packet.len() == HANDSHAKE_LEN && matches!(packet[0], HELLO | NOTICE);
            if is_handshake {
                packet[1 + 8..].fill(0);
            }
            is_handshake
        });
    }

    /// Appends a body with every key masked.
    fn with_keys<'o>(&self, body: &[u8], out: &'o mut Vec<u8>) -> &'o mut [u8] {
        let start = out.len();
        out.extend_from_slice(body);
        let copy = &mut out[start..];
        for field in Fields::new(body) {
            // Every spelling of the name `k` in JSON.
            if matches!(&body[field.name.clone()], b"k" | b"\\u006b" | b"\\u006B") {
                self.mask_key(&field, copy);
            }
        }
        copy
    }

    /// Masks the id of a packet that is of a secret, and blanks the packet unless it lies open.
    fn mask_packet(&self, packet: &mut [u8]) -> bool {
        let Some(client) = packets::client_of(packet) else { return false };
        let Some(known) = self.secret_of(client) else { return false };
        let ClientId(id) = client;
        let random = *id.first_chunk().expect("an id has 16 bytes");
        packets::set_client(packet, known.stand_in.client_id(random));
        if !matches!(packet[0], OPEN_HELLO | OPEN_PACKET) {
            packet[CLEAR_LEN..].fill(0);
        }
        true
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
