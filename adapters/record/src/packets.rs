//! Packets of level 2 in a body: the body itself, or the payload of an op or reply in JSON, in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seqlane::ClientId;
use seqlane::wire::handshake::{HELLO, NOTICE};
use seqlane::wire::seal::PACKET;

use crate::json_fields::Fields;

/// The first byte of a hello, and of a packet, that lies open in a recording.
pub(crate) const OPEN_HELLO: u8 = HELLO | 0x80;
pub(crate) const OPEN_PACKET: u8 = PACKET | 0x80;

/// First byte and id.
pub(crate) const CLEAR_LEN: usize = 1 + 16;

const FIRST_BYTES: [u8; 5] = [HELLO, PACKET, NOTICE, OPEN_HELLO, OPEN_PACKET];

/// Changes what may be a packet in a body, where it lies; lengths stay as they are. `change` says whether it did anything.
pub(crate) fn change_each(body: &mut [u8], mut change: impl FnMut(&mut [u8]) -> bool) {
    if body.first().is_some_and(|first| FIRST_BYTES.contains(first)) {
        change(body);
        return;
    }
    let fields: Vec<_> = Fields::new(body)
        .filter(|field| field.is_whole && body.get(field.name.clone()) == Some(b"d"))
        .map(|field| field.value)
        .collect();
    for place in fields {
        let Some(text) = body.get_mut(place) else { continue };
        // The first byte tells nearly every other payload from a packet.
        let mut first = [0; 3];
        let starts = text.get(..4).is_some_and(|four| STANDARD.decode_slice(four, &mut first).is_ok());
        if !starts || !FIRST_BYTES.contains(&first[0]) {
            continue;
        }
        let Ok(mut packet) = STANDARD.decode(&*text) else { continue };
        if change(&mut packet) {
            STANDARD
                .encode_slice(&packet, text)
                .expect("a packet of the same length has an encoding of the same length");
        }
    }
}

/// The id of what may be a packet.
pub(crate) fn client_of(packet: &[u8]) -> Option<ClientId> {
    packet.get(1..)?.first_chunk().copied().map(ClientId)
}

/// Puts another id into a packet.
pub(crate) fn set_client(packet: &mut [u8], ClientId(id): ClientId) {
    if let Some(place) = packet.get_mut(1..CLEAR_LEN) {
        place.copy_from_slice(&id);
    }
}

/// The part of an id that is the same in a replay: the other one is a MAC under a secret.
pub(crate) fn random_part(ClientId(mut id): ClientId) -> ClientId {
    id[8..].fill(0);
    ClientId(id)
}
