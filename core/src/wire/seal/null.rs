//! Seal of models, which hides nothing (protocol.md 3.1 has the real one).

use crate::wire::direction::Direction;

/// The tag of a packet of one handshake, from its checksum: in the second half it shows which.
pub(in crate::wire) fn of_session(mut tag: [u8; 16], session: u64) -> [u8; 16] {
    tag.iter_mut().skip(8).zip(session.to_le_bytes()).for_each(|(place, byte)| *place ^= byte);
    tag
}

/// The handshake of a packet that has this checksum and this tag, if they fit.
pub(in crate::wire) fn session(checksum: [u8; 16], tag: [u8; 16]) -> Option<u64> {
    let mut session = [0; 8];
    let apart = checksum.iter().zip(tag).skip(8).map(|(one, other)| one ^ other);
    session.iter_mut().zip(apart).for_each(|(place, byte)| *place = byte);
    (checksum.first_chunk::<8>() == tag.first_chunk()).then(|| u64::from_le_bytes(session))
}

/// The checksum in the place of the tag: two sums over head and body, eight bytes at a time. What differs in one place, or
/// in length, differs in them.
pub(in crate::wire) fn tag(way: Direction, head: &[u8], body: &[u8]) -> [u8; 16] {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let start = match way {
        Direction::Up => 1,
        Direction::Down => 2,
    };
    let mut sum = FACTOR.wrapping_mul(start);
    let mut take = |word: u64| sum = (sum.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    for part in [head, body] {
        let (words, rest) = part.as_chunks::<8>();
        words.iter().for_each(|word| take(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| take(u64::from(*byte)));
        take(u64::try_from(part.len()).unwrap_or(u64::MAX));
    }
    let mut tag = [0; 16];
    let twice = sum.to_le_bytes().into_iter().chain(sum.swap_bytes().wrapping_mul(FACTOR).to_le_bytes());
    for (place, byte) in tag.iter_mut().zip(twice) {
        *place = byte;
    }
    tag
}

#[cfg(test)]
mod tests {
    use crate::secret::Secret;
    use crate::wire::direction::Direction;
    use crate::wire::handshake::{
        AnswerPayload, ClientHello, ConnectionKeys, HelloPayload, NodeId, ReceivedHello, SecretKeys,
    };
    use crate::wire::packet::{Grants, Unsealed};
    use crate::wire::seal::{Nonce, NotOpened, Seal, session_of};
    use core::time::Duration;

    /// The keys of both ends when a node answers one hello with this ephemeral key.
    fn answered(private: [u8; 32]) -> (ConnectionKeys, ConnectionKeys) {
        let keys = SecretKeys::null(&Secret::unset());
        let hello = ClientHello::new(&keys, keys.client_id([1; 8]), [2; 32], HelloPayload { token: None });
        let grants = Grants {
            uplink_window: 1,
            uplink_total: 1,
            downlink_total: 1,
            max_packet: 1,
            max_hold: Duration::ZERO,
            max_held: 1,
            max_streams: 1,
        };
        let received = ReceivedHello::open(&keys, &hello.packet()).unwrap();
        let (answer, at_node) =
            received.answer(private, AnswerPayload { node: NodeId([3; 16]), grants }).unwrap();
        (hello.read(&answer).unwrap().1, at_node)
    }

    #[test]
    fn a_packet_opens_after_its_own_handshake_and_after_no_other_one_under_its_id() {
        let (at_client, at_node) = answered([7; 32]);
        let (_, again) = answered([8; 32]);
        let up = Seal::new(&at_client, Direction::Up);
        let packet = Unsealed::of(b"hello").seal(&up, Nonce::new([1; 24]));
        assert!(Seal::new(&at_node, Direction::Up).open(packet.clone()).is_ok());
        assert_eq!(Seal::new(&again, Direction::Up).open(packet.clone()), Err(NotOpened));
        assert!(Seal::null(at_client.client(), Direction::Up).open(packet.clone()).is_ok(), "who only reads");
        assert_eq!(session_of(&packet, Direction::Up), up.session());
        assert_eq!(session_of(&packet, Direction::Down), None);
    }
}
