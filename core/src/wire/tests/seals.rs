//! What a seal keeps closed, and for whom it opens.

use bytes::Bytes;
use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use crate::wire::direction::Direction;
use crate::wire::handshake::ConnectionKeys;
use crate::wire::packet::ClientId;
use crate::wire::seal::{HEAD_LEN, Nonce, Nonces, Seal, TAG_LEN, Unsealed, client_of};

fn sealed(text: &[u8], seal: &Seal, nonce: [u8; 24]) -> Bytes {
    let mut packet = Unsealed::with_capacity(HEAD_LEN + text.len() + TAG_LEN);
    packet.out().extend_from_slice(text);
    packet.seal(seal, Nonce::new(nonce))
}

const CLIENT: ClientId = ClientId([0x11; 16]);

fn seal(client: ClientId, way: Direction) -> Seal {
    Seal::new(&ConnectionKeys::of_test(client, [1; 32], [2; 32]), way)
}

/// The seal of requests of one connection.
pub(super) fn up() -> Seal {
    seal(CLIENT, Direction::Up)
}

proptest! {
    #[test]
    fn a_sealed_packet_opens_for_its_own_direction_and_connection_alone(
        text in vec_of(any::<u8>(), 0..300),
        nonce in any::<[u8; 24]>(),
    ) {
        let packet = sealed(&text, &up(), nonce);
        prop_assert_eq!(client_of(&packet), Some(CLIENT));
        let opened = up().open(packet.clone()).unwrap();
        prop_assert_eq!(&opened[..text.len()], &text[..]);
        prop_assert!(opened[text.len()..].iter().all(|byte| *byte == 0), "padding");
        prop_assert!(seal(CLIENT, Direction::Down).open(packet.clone()).is_err());
        prop_assert!(seal(ClientId([0x12; 16]), Direction::Up).open(packet.clone()).is_err());
        let keys = ConnectionKeys::of_test(CLIENT, [3; 32], [2; 32]);
        prop_assert!(Seal::new(&keys, Direction::Up).open(packet).is_err());
    }
}

#[test]
fn damage_anywhere_keeps_a_packet_closed() {
    let seal = up();
    let packet = sealed(b"some forty bytes that lie under the seal", &seal, [5; 24]);
    for place in 0..packet.len() {
        let mut damaged = packet.to_vec();
        damaged[place] ^= 0x10;
        assert!(seal.open(damaged.into()).is_err(), "byte {place}");
    }
    for cut in 0..packet.len() {
        assert!(seal.open(packet.slice(..cut)).is_err(), "cut at {cut}");
    }
    let mut longer = packet.to_vec();
    longer.push(0);
    assert!(seal.open(longer.into()).is_err());
}

#[test]
fn a_packet_is_sealed_and_opened_where_it_lies() {
    let seal = up();
    let text = [7; 5000];
    let mut packet = Unsealed::with_capacity(HEAD_LEN + text.len() + TAG_LEN);
    packet.out().extend_from_slice(&text);
    let place = packet.plaintext().as_ptr();
    let packet = packet.seal(&seal, Nonce::new([1; 24]));
    assert_eq!(packet[HEAD_LEN..].as_ptr(), place);
    let opened = seal.open(packet).unwrap();
    assert_eq!((opened.as_ptr(), &opened[..]), (place, &text[..]));
}

#[test]
fn a_packet_that_somebody_else_holds_is_left_as_it_is() {
    let seal = up();
    let packet = sealed(b"text", &seal, [1; 24]);
    let held = packet.clone();
    assert_eq!(seal.open(packet).unwrap()[..4], *b"text");
    assert_eq!(seal.open(held).unwrap()[..4], *b"text");
}

#[test]
fn nonces_differ_between_packets_and_between_seeds() {
    let (mut one, mut two) = (Nonces::new([1; 32]), Nonces::new([2; 32]));
    let all = [one.next(), one.next(), two.next(), two.next()];
    for (place, nonce) in all.iter().enumerate() {
        assert!(!all[..place].contains(nonce));
    }
    assert_eq!(Nonces::new([1; 32]).next(), all[0]);
}

#[test]
fn debug_hides_the_seed() {
    assert_eq!(alloc::format!("{:?}", Nonces::new([77; 32])), "Nonces(IdGenerator { generated: 0, .. })");
}

#[cfg(feature = "model")]
mod null {
    use super::*;

    #[test]
    fn the_seal_of_models_hides_nothing_and_keeps_every_length() {
        let seal = Seal::null(CLIENT, Direction::Up);
        let packet = sealed(b"some plain words", &seal, [5; 24]);
        assert_eq!(packet.len(), sealed(b"some plain words", &up(), [5; 24]).len());
        assert_eq!(&packet[HEAD_LEN..HEAD_LEN + 16], b"some plain words");
        assert_eq!(seal.open(packet).unwrap()[..16], *b"some plain words");
    }

    #[test]
    fn the_seal_of_models_finds_damage_and_packets_of_the_other_direction() {
        let seal = Seal::new(&ConnectionKeys::null_of_test(CLIENT, 5), Direction::Up);
        let packet = sealed(b"some forty bytes that lie under the seal", &seal, [5; 24]);
        assert!(Seal::null(CLIENT, Direction::Down).open(packet.clone()).is_err());
        assert!(up().open(packet.clone()).is_err());
        for place in 0..packet.len() {
            let mut damaged = packet.to_vec();
            damaged[place] ^= 0x10;
            assert!(seal.open(damaged.into()).is_err(), "byte {place}");
        }
        for cut in 0..packet.len() {
            assert!(seal.open(packet.slice(..cut)).is_err(), "cut at {cut}");
        }
    }
}
