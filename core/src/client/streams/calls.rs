//! Calls of level 2: hellos, probes and requests, and their seal (protocol.md 1.1, 3.1, 3.2).

use core::time::Duration;

use crate::client::calls::{NewCall, PacketCall, Payload};
use crate::client::context::Context;
use crate::client::relays::Relays;
use crate::id::RelayId;
use crate::wire::packet::RequestHeader;
use crate::wire::seal::{Nonces, Seal, Unsealed};
use crate::wire::{BodyForm, Sealing};

/// A larger request, and the answer to it, counts as bulk.
pub(super) const BULK: usize = 128 * 1024;

/// What a call may take beyond its hold before nobody waits for it any more.
const CALL_MARGIN: Duration = Duration::from_secs(15);

/// A packet on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) relay: RelayId,
    pub(super) header: RequestHeader,
    pub(super) packet: Unsealed,
}

impl Outgoing {
    /// A packet without frames.
    pub(super) fn header_only(relay: RelayId, header: RequestHeader) -> Self {
        Self { relay, header, packet: Unsealed::request(&header, 0) }
    }
}

/// Seals packets.
#[derive(Clone, Debug)]
pub(super) struct Sealer {
    seal: Seal,
    nonces: Nonces,
}

impl Sealer {
    pub(super) const fn new(seal: Seal, seed: [u8; 32]) -> Self {
        Self { seal, nonces: Nonces::new(seed) }
    }

    /// The call for a packet.
    pub(super) fn call(&mut self, outgoing: Outgoing, relays: &Relays, context: &Context) -> Option<NewCall> {
        let Outgoing { relay, header, packet } = outgoing;
        let RequestHeader { client, epoch, exchange: number, hold, .. } = header;
        let packet = Sealing::new(packet, &self.seal, self.nonces.next());
        let via = relays.get(relay)?;
        // Every node understands a hello in JSON, if only to refuse it.
        let hello = epoch.is_none();
        let form = if hello { BodyForm::Json } else { via.packet_form() };
        let body = packet.into_body(via.wrapping(form));
        let latest = context.now().saturating_add(hold).saturating_add(context.config().request_timeout);
        let deadline = latest.saturating_add(CALL_MARGIN);
        let overdue = deadline.saturating_add(CALL_MARGIN);
        let payload = Payload::Packet(PacketCall { client, number, hello, form, hold });
        Some(NewCall { relay, body, form, deadline, overdue, payload })
    }
}
