//! Requests of level 2 as they lie in a recording: open, and as long as they were on the wire.
//!
//! ```text
//!  83 | id (16) | public key (32) | payload (191) | zeros (16)     hello
//!  84 | id (16) | nonce (24) | plaintext | zeros (16)              packet
//! ```
//! A replay puts the seals of models on them, which hide nothing.

use bytes::Bytes;
use seqlane::Node;
use seqlane::wire::handshake::HELLO;
use seqlane::wire::seal::{HEAD_LEN, TAG_LEN};

use crate::packets::{CLEAR_LEN, OPEN_HELLO, OPEN_PACKET, client_of};

/// Where the payload of a hello begins.
pub(crate) const PAYLOAD_AT: usize = CLEAR_LEN + 32;

/// Opens a packet that the node could open now, where it lies. Returns whether anything has changed.
pub(crate) fn open(node: &Node, packet: &mut [u8]) -> bool {
    let Some(first) = packet.first().copied() else { return false };
    if matches!(first, OPEN_HELLO | OPEN_PACKET) {
        // Nobody else makes such a form: it stays a bad packet, and becomes no good one.
        let is_forged = client_of(packet).is_some_and(|client| node.knows(client));
        if is_forged {
            packet[0] = 0;
        }
        return is_forged;
    }
    let Some((_, plaintext)) = node.readable(&Bytes::copy_from_slice(packet)) else { return false };
    let (mark, at) = if first == HELLO { (OPEN_HELLO, PAYLOAD_AT) } else { (OPEN_PACKET, HEAD_LEN) };
    let end = packet.len().saturating_sub(TAG_LEN);
    let Some(place) = packet.get_mut(at..end).filter(|place| place.len() == plaintext.len()) else {
        return false;
    };
    place.copy_from_slice(&plaintext);
    packet[end..].fill(0);
    packet[0] = mark;
    true
}

/// Puts the seal of a model on an open packet, where it lies. Returns whether anything has changed.
#[cfg(feature = "replay")]
pub(crate) fn seal(keys: &seqlane::wire::handshake::SecretKeys, packet: &mut [u8]) -> bool {
    use seqlane::wire::direction::Direction;
    use seqlane::wire::handshake::{ClientHello, HelloPayload, Token};
    use seqlane::wire::seal::{Nonce, Seal, Unsealed};

    let Some(client) = client_of(packet) else { return false };
    let end = packet.len().saturating_sub(TAG_LEN);
    let sealed = match packet.first() {
        Some(&OPEN_HELLO) => {
            let private = packet.get(CLEAR_LEN..).and_then(<[u8]>::first_chunk::<32>);
            let token = packet.get(PAYLOAD_AT..).and_then(<[u8]>::first_chunk::<16>);
            let (Some(private), Some(token)) = (private, token) else { return false };
            let token = (*token != [0; 16]).then_some(Token(*token));
            ClientHello::new(keys, client, *private, HelloPayload { token }).packet()
        }
        Some(&OPEN_PACKET) => {
            let nonce = packet.get(CLEAR_LEN..).and_then(<[u8]>::first_chunk);
            let (Some(nonce), Some(plaintext)) = (nonce, packet.get(HEAD_LEN..end)) else { return false };
            Unsealed::of(plaintext).seal(&Seal::null(client, Direction::Up), Nonce::new(*nonce))
        }
        _ => return false,
    };
    if sealed.len() != packet.len() {
        return false;
    }
    packet.copy_from_slice(&sealed);
    true
}
