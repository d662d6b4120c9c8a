//! Calls of level 2: hellos, probes and requests, and their seal (protocol.md 1.1, 3.1, 3.2).

use core::time::Duration;

use crate::client::calls::{NewCall, Payload};
use crate::client::context::Context;
use crate::client::relays::{Path, Purpose, Relay, Relays};
use crate::client::streams::handshake::Handshake;
use crate::client::streams::packet_call::PacketCall;
use crate::id::RelayId;
#[cfg(any(test, feature = "model"))]
use crate::wire::direction::Direction;
use crate::wire::packet::{PacketWriter, RequestHeader};
use crate::wire::seal::{Nonces, Seal, Unsealed};
use crate::wire::{BodyForm, Sealing};

/// A larger request, and the answer to it, counts as bulk.
pub(super) const BULK: usize = 128 * 1024;

/// What a call may take beyond its hold before nobody waits for it any more.
const CALL_MARGIN: Duration = Duration::from_secs(15);

/// A packet on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    relay: RelayId,
    header: RequestHeader,
    packet: Unsealed,
    hello: bool,
}

impl Outgoing {
    /// A request of a connection.
    pub(super) const fn request(relay: RelayId, header: RequestHeader, packet: Unsealed) -> Self {
        Self { relay, header, packet, hello: false }
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

    /// The same for packets that are not sealed.
    #[cfg(any(test, feature = "model"))]
    pub(super) fn unsealed(self) -> Self {
        Self { seal: Seal::null(Direction::Up), ..self }
    }

    /// The call for a packet.
    pub(super) fn call(&mut self, outgoing: Outgoing, relays: &Relays, context: &Context) -> Option<NewCall> {
        let Outgoing { relay, header, packet, hello } = outgoing;
        let packet = Sealing::new(packet, &self.seal, self.nonces.next());
        let via = relays.get(relay)?;
        // Every node understands a hello in JSON, if only to refuse it.
        let form = if hello { BodyForm::Json } else { via.packet_form() };
        let body = packet.into_body(via.wrapping(form));
        let RequestHeader { client, exchange: number, hold, .. } = header;
        let latest = context.now().saturating_add(hold).saturating_add(context.config().request_timeout);
        let deadline = latest.saturating_add(CALL_MARGIN);
        let overdue = deadline.saturating_add(CALL_MARGIN);
        let payload = Payload::Packet(PacketCall { client, number, hello, form, hold });
        Some(NewCall { relay, body, form, deadline, overdue, payload })
    }
}

impl Handshake {
    /// A hello, if one is due through a relay that can take it.
    pub(super) fn hello(&mut self, relays: &mut Relays, context: &Context) -> Option<Outgoing> {
        let relay = self.wants_hello(context.now(), relays)?;
        relays.get_mut(relay)?.destination_mut().on_hello(context.now());
        Some(self.without_frames(relay, true, context))
    }

    /// A probe of a silent relay, if one is due.
    pub(super) fn probe(&mut self, relays: &mut Relays, context: &Context) -> Option<Outgoing> {
        let (now, config) = (context.now(), context.config());
        let connection = self.connection().filter(|connection| connection.is_in_use())?;
        // An idle client has no use for it, and calls are dear.
        if !connection.inputs(0, false, config, now).is_active() {
            return None;
        }
        let due = |relay: &&mut Relay| {
            relay.destination().is_here()
                && relay.health().probe_at().is_some_and(|at| at <= now)
                && relay.can_take(now, Purpose::Active(Path::Any))
        };
        let relay = relays.iter_mut().find(due)?;
        relay.health_mut().on_probe(now);
        Some(self.without_frames(relay.id(), false, context))
    }

    fn without_frames(&mut self, relay: RelayId, hello: bool, context: &Context) -> Outgoing {
        let now = context.now();
        let total = context.config().tuning.streams.downlink_total;
        let header = self.header_only(relay, hello, total, now);
        let packet = PacketWriter::request(&header, 0).finish();
        Outgoing { relay, header, packet, hello }
    }
}
