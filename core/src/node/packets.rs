//! Packets of level 2 at the node: their sizes, and the seal of responses (protocol.md 3.1).

use crate::config::NodeOptions;
use crate::wire::Sealing;
use crate::wire::packet::Unsealed;
use crate::wire::seal::{Nonce, Nonces, Seal};

/// What seals packets.
#[derive(Clone, Debug)]
pub(super) struct Packets {
    nonces: Nonces,
}

impl Packets {
    pub(super) const fn new(nonces: [u8; 32]) -> Self {
        Self { nonces: Nonces::new(nonces) }
    }

    /// A response packet, with what sealing it takes.
    pub(super) fn seal(&mut self, writer: Unsealed, seal: &Seal) -> Sealing {
        Sealing::new(writer, seal, self.nonces.next())
    }

    /// A nonce that was not used before.
    pub(super) fn nonce(&mut self) -> Nonce {
        self.nonces.next()
    }
}

/// The largest packet, so that it also fits into a body of base64.
pub(super) fn largest_packet(config: &NodeOptions) -> usize {
    const ENVELOPE: usize = 1024;
    let body = config.max_body.saturating_sub(ENVELOPE) / 4;
    config.tuning.streams.max_packet.min(body.saturating_mul(3))
}
