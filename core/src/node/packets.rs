//! Packets of level 2 at the node: requests are opened, responses are sealed (protocol.md 3.1).

use bytes::Bytes;

use crate::config::NodeOptions;
use crate::wire::Sealing;
use crate::wire::direction::Direction;
use crate::wire::frame::Frames;
use crate::wire::packet::{self, RequestHeader, Unsealed};
use crate::wire::seal::{MakeSeal, Nonces, Seal};

/// What opens and seals packets.
#[derive(Clone, Debug)]
pub(super) struct Packets {
    up: Seal,
    down: Seal,
    nonces: Nonces,
}

impl Packets {
    pub(super) fn new(config: &NodeOptions, seed: [u8; 32], seal: MakeSeal) -> Self {
        let secret = config.seal_secret();
        let (up, down) = (seal(secret, Direction::Up), seal(secret, Direction::Down));
        Self { up, down, nonces: Nonces::new(seed) }
    }

    /// The content of a request packet; none if anything is wrong with it.
    pub(super) fn open(&self, packet: Bytes, config: &NodeOptions) -> Option<(RequestHeader, Frames)> {
        if packet.len() > largest_packet(config) {
            return None;
        }
        packet::decode_request(self.up.open(packet).ok()?).ok()
    }

    /// A response packet, with what sealing it takes.
    pub(super) fn seal(&mut self, writer: Unsealed) -> Sealing {
        Sealing::new(writer, &self.down, self.nonces.next())
    }
}

/// The largest packet, so that it also fits into a body of base64.
pub(super) fn largest_packet(config: &NodeOptions) -> usize {
    const ENVELOPE: usize = 1024;
    let body = config.max_body.saturating_sub(ENVELOPE) / 4;
    config.tuning.streams.max_packet.min(body.saturating_mul(3))
}
