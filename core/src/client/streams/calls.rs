//! Calls of level 2: hellos, probes and requests, and their seal (protocol.md 1.1, 3.1, 3.2).

use core::time::Duration;

use crate::client::calls::{NewCall, Payload};
use crate::client::context::Context;
use crate::client::relays::{Path, Purpose, Relay, Relays};
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::exchanges::{Progress, Record, RequestPayload};
use crate::client::streams::handshake::Handshake;
use crate::client::streams::next_request::{NextRequest, RequestPurpose};
use crate::client::streams::packet_call::PacketCall;
use crate::client::streams::round_trips::Size;
use crate::credit::Pool;
use crate::id::RelayId;
use crate::time::Instant;
#[cfg(any(test, feature = "model"))]
use crate::wire::direction::Direction;
use crate::wire::packet::{PacketWriter, RequestHeader, ResponseRoom};
use crate::wire::seal::{Nonces, Seal, Unsealed};
use crate::wire::{BodyForm, Sealing};

/// A larger request, and the answer to it, counts as bulk.
const BULK: usize = 128 * 1024;

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
    pub(super) fn hello(&mut self, relays: &mut Relays, context: &mut Context) -> Option<Outgoing> {
        let relay = self.wants_hello(context.now(), relays)?;
        relays.get_mut(relay)?.destination_mut().on_hello(context.now());
        Some(self.without_frames(relay, true, context))
    }

    /// A probe of a silent relay, if one is due.
    pub(super) fn probe(&mut self, relays: &mut Relays, context: &mut Context) -> Option<Outgoing> {
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

    fn without_frames(&mut self, relay: RelayId, hello: bool, context: &mut Context) -> Outgoing {
        let now = context.now();
        let total = context.config().tuning.streams.downlink_total;
        let header = self.header_only(relay, hello, total, now);
        let mut packet = PacketWriter::request(&header, 0).finish();
        if planted!(ProbeCarries)
            && let Some(connection) = self.connection_mut()
            && !hello
        {
            packet = connection
                .pack(&header, header.exchange, RequestPayload::Sparse, BULK, now, context.pool())
                .packet;
        }
        Outgoing { relay, header, packet, hello }
    }
}

impl NodeConnection {
    /// The next request, if there is one to make, and a relay for it.
    pub(super) fn request(&mut self, relays: &mut Relays, context: &mut Context) -> Option<Outgoing> {
        let (now, config) = (context.now(), context.config());
        let here = relays.iter().filter(|relay| relay.destination().is_here()).count();
        let next = self.inputs(here, relays.is_tight(now), config, now).next_request()?;
        let relay = self.choose_relay(next.purpose, relays, now)?;
        let total = config.tuning.streams.downlink_total;
        let (outgoing, payload) = self.request_through(relays.get(relay)?, next, total, now, context.pool());
        context.add(|stats| &mut stats.uplink_bytes, payload);
        Some(outgoing)
    }

    /// The relay for a request: for repair another one than what was lost went through.
    fn choose_relay(&self, made_for: RequestPurpose, relays: &mut Relays, now: Instant) -> Option<RelayId> {
        let due =
            |record: &&Record| matches!(record.progress, Progress::Lost { resend, .. } if resend.is_queued());
        let lost = self.exchanges.iter().map(|(_, record)| record).find(due).map(|record| record.relay);
        let avoid = lost.filter(|_| made_for == RequestPurpose::Repair);
        let purpose = match made_for {
            RequestPurpose::Poll | RequestPurpose::Report => Purpose::Poll(Path::Any),
            RequestPurpose::Repair | RequestPurpose::Sparse | RequestPurpose::Bulk => {
                Purpose::Active(Path::Any)
            }
        };
        relays.choose_for_exchange(now, purpose, made_for == RequestPurpose::Bulk, avoid)
    }

    /// Writes the next request through a relay, and the record of it. Returns how many bytes of payload it has.
    fn request_through(
        &mut self,
        relay: &Relay,
        next: NextRequest,
        total: u64,
        now: Instant,
        pool: &mut Pool,
    ) -> (Outgoing, usize) {
        let hold = next.hold.min(relay.hold().ceiling(now));
        let header = RequestHeader {
            client: self.client(),
            epoch: Some(self.shared.epoch()),
            exchange: self.exchanges.next(),
            done: self.exchanges.done(),
            hold,
            keep: u32::try_from(next.max_held).unwrap_or(u32::MAX),
            room: ResponseRoom::Bytes(next.max_response),
            total,
            confirm: Some(next.confirm),
        };
        let granted = usize::try_from(self.shared.grants().max_packet).unwrap_or(usize::MAX);
        let limit = granted.min(relay.passes().max_packet(relay.options()));
        let max_request = self.controllers.request_size();
        let packed = self.pack(&header, header.exchange, next.payload, limit, now, pool);
        let payload = match next.payload {
            RequestPayload::Bulk(_) if packed.payload > 0 => RequestPayload::Bulk(packed.payload),
            RequestPayload::Bulk(_) => RequestPayload::Bare,
            RequestPayload::Bare | RequestPayload::Probe | RequestPayload::Sparse => next.payload,
        };
        if packed.payload > 0 {
            self.traffic = now;
        }
        let backlog = self.backlog > 0;
        let bulk = packed.len > BULK || backlog;
        let expected = if backlog { next.max_response } else { 0 };
        let accompanied = self.exchanges.tally().waiting > 0;
        self.exchanges.push(Record {
            relay: relay.id(),
            sent: now,
            held_until: now.saturating_add(hold),
            size: if bulk { Size::Bulk } else { Size::Small },
            bytes: expected.max(u64::try_from(packed.len).unwrap_or(u64::MAX)),
            max_response: next.max_response,
            max_request,
            payload,
            resends: packed.resends,
            progress: Progress::Out,
            arrived: false,
            accompanied,
            answering: false,
        });
        self.shared.on_sent(header.exchange, packed.frames, self.exchanges.oldest());
        let outgoing = Outgoing { relay: relay.id(), header, packet: packed.packet, hello: false };
        (outgoing, packed.payload)
    }
}
