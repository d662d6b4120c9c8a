//! Calls that carry packets: what each is for, through which relay, and in which form.

use core::time::Duration;

use crate::client::calls::{NewCall, Payload};
use crate::client::context::Context;
use crate::client::relays::{Path, Purpose, Relay, Relays};
use crate::client::streams::exchanges::{Progress, Record, RequestPayload};
use crate::client::streams::handshake::{State, Streams};
use crate::client::streams::next_request::{NextRequest, RequestPurpose};
use crate::client::streams::packet_call::PacketCall;
use crate::client::streams::round_trips::Size;
use crate::id::RelayId;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{PacketWriter, RequestHeader, ResponseRoom};
use crate::wire::seal::Unsealed;
use crate::wire::{BodyForm, Sealing};

/// What a request of more, and the answer to it, counts as.
const BULK: usize = 128 * 1024;

/// What a call may take beyond its hold before nobody waits for it any more.
const CALL_MARGIN: Duration = Duration::from_secs(15);

/// A packet on its way out.
struct Outgoing {
    relay: RelayId,
    number: ExchangeNumber,
    packet: Unsealed,
    hello: bool,
    hold: Duration,
}

impl Streams {
    /// The next call to make; none when there is nothing to do now.
    pub(in crate::client) fn next_call(
        &mut self,
        relays: &mut Relays,
        context: &mut Context,
    ) -> Option<NewCall> {
        self.hello(relays, context)
            .or_else(|| self.probe(relays, context))
            .or_else(|| self.request(relays, context))
    }

    fn hello(&mut self, relays: &mut Relays, context: &mut Context) -> Option<NewCall> {
        if self.closed {
            return None;
        }
        let relay = self.wants_hello(context.now(), relays)?;
        self.header_only(relay, true, relays, context)
    }

    /// Asks a relay that is down whether it works again.
    fn probe(&mut self, relays: &mut Relays, context: &mut Context) -> Option<NewCall> {
        let now = context.now();
        let connection = self.connection().filter(|connection| connection.is_in_use())?;
        // An idle client has no use for it, and calls are dear.
        if !connection.inputs(0, false, context.config(), now).is_active() || self.closed {
            return None;
        }
        let due = |relay: &&mut Relay| {
            relay.destination().is_here()
                && relay.health().probe_at().is_some_and(|at| at <= now)
                && relay.can_take(now, Purpose::Active(Path::Any))
        };
        let relay = relays.iter_mut().find(due)?;
        relay.health_mut().on_probe(now);
        let relay = relay.id();
        self.header_only(relay, false, relays, context)
    }

    /// A request for nothing but a header: a hello, or a probe.
    fn header_only(
        &mut self,
        relay: RelayId,
        hello: bool,
        relays: &mut Relays,
        context: &mut Context,
    ) -> Option<NewCall> {
        let now = context.now();
        let total = context.config().tuning.streams.downlink_total;
        if hello && let Some(relay) = relays.get_mut(relay) {
            relay.destination_mut().on_hello(now);
        }
        let client = self.client();
        let (number, epoch, done) = match &mut self.state {
            State::Handshake { next, .. } => {
                let number = *next;
                *next = number.next();
                (number, None, number)
            }
            State::Ready(connection) => {
                let (number, done) = (connection.exchanges.next(), connection.exchanges.done());
                connection.exchanges.push(Record::probe(relay, now));
                (number, Some(connection.shared.epoch()).filter(|_| !hello), done)
            }
        };
        let header = RequestHeader {
            client,
            epoch,
            exchange: number,
            done,
            hold: Duration::ZERO,
            keep: 1,
            room: ResponseRoom::HeaderOnly,
            total,
            confirm: None,
        };
        let mut packet = PacketWriter::request(&header, 0).finish();
        if planted!(ProbeCarries)
            && let State::Ready(connection) = &mut self.state
            && !hello
        {
            packet =
                connection.pack(&header, number, RequestPayload::Sparse, BULK, now, context.pool()).packet;
        }
        self.call(Outgoing { relay, number, packet, hello, hold: Duration::ZERO }, relays, context)
    }

    /// The next request of the connection.
    fn request(&mut self, relays: &mut Relays, context: &mut Context) -> Option<NewCall> {
        let (now, config) = (context.now(), context.config());
        let here = relays.iter().filter(|relay| relay.destination().is_here()).count();
        let inputs = self.connection()?.inputs(here, relays.is_tight(now), config, now);
        let NextRequest { purpose, payload: load, hold, max_held, max_response: room, confirm } =
            inputs.next_request()?;
        let relay = self.choose_relay(purpose, relays, context)?;
        let limit = self.packet_limit(relay, relays);
        let hold = relays.get(relay).map_or(hold, |relay| hold.min(relay.hold().ceiling(now)));
        let State::Ready(connection) = &mut self.state else { return None };
        let number = connection.exchanges.next();
        let header = RequestHeader {
            client: connection.client(),
            epoch: Some(connection.shared.epoch()),
            exchange: number,
            done: connection.exchanges.done(),
            hold,
            keep: u32::try_from(max_held).unwrap_or(u32::MAX),
            room: ResponseRoom::Bytes(room),
            total: config.tuning.streams.downlink_total,
            confirm: Some(confirm),
        };
        let backlog = connection.backlog > 0;
        let up_room = connection.request_size.bytes();
        let packed = connection.pack(&header, number, load, limit, now, context.pool());
        let load = match load {
            RequestPayload::Bulk(_) if packed.payload > 0 => RequestPayload::Bulk(packed.payload),
            RequestPayload::Bulk(_) => RequestPayload::Bare,
            RequestPayload::Bare | RequestPayload::Probe | RequestPayload::Sparse => load,
        };
        if packed.payload > 0 {
            connection.traffic = now;
        }
        let tally = connection.exchanges.tally();
        let bulk = packed.len > BULK || backlog;
        let expected = if backlog { room } else { 0 };
        connection.exchanges.push(Record {
            relay,
            sent: now,
            held_until: now.saturating_add(hold),
            size: if bulk { Size::Bulk } else { Size::Small },
            bytes: expected.max(u64::try_from(packed.len).unwrap_or(u64::MAX)),
            room,
            up_room,
            load,
            resends: packed.resends,
            progress: Progress::Out,
            arrived: false,
            accompanied: tally.waiting > 0,
            answering: false,
        });
        connection.shared.on_sent(number, packed.frames, connection.exchanges.oldest());
        context.add(|stats| &mut stats.uplink_bytes, packed.payload);
        self.call(Outgoing { relay, number, packet: packed.packet, hello: false, hold }, relays, context)
    }

    /// The relay for a request: a good one before one that is down, and for repair another than what was lost went
    /// through.
    fn choose_relay(
        &self,
        made_for: RequestPurpose,
        relays: &mut Relays,
        context: &Context,
    ) -> Option<RelayId> {
        let now = context.now();
        let connection = self.connection()?;
        let due =
            |record: &&Record| matches!(record.progress, Progress::Lost { resend, .. } if resend.is_queued());
        let lost = connection.exchanges.iter().map(|(_, record)| record).find(due).map(|record| record.relay);
        let lost = lost.filter(|_| made_for == RequestPurpose::Repair);
        let purpose = match made_for {
            RequestPurpose::Poll | RequestPurpose::Report => Purpose::Poll(Path::Any),
            RequestPurpose::Repair | RequestPurpose::Sparse | RequestPurpose::Bulk => {
                Purpose::Active(Path::Any)
            }
        };
        let good = |relay: &Relay| relay.is_good(now);
        let chosen = relays
            .choose_among(now, purpose, |relay| good(relay) && Some(relay.id()) != lost)
            .or_else(|| relays.choose_among(now, purpose, good));
        // One that is only full is worth waiting for: what goes through one that is silent has to be repaired.
        if chosen.is_some() || relays.iter().any(|relay| good(relay) && relay.is_usable(now)) {
            return chosen;
        }
        // What ends streams that found no way is small enough for any; a chunk is not.
        let here = relays.may_reach_node() || made_for == RequestPurpose::Bulk;
        let leads = |relay: &Relay| {
            if here { relay.destination().is_here() } else { relay.destination().is_narrow() }
        };
        relays.choose_among(now, purpose, |relay| leads(relay) && !relay.health().is_backing_off(now))
    }

    /// Bytes of the largest packet that a relay takes.
    fn packet_limit(&self, relay: RelayId, relays: &Relays) -> usize {
        let granted = self.connection().map_or(0, |connection| connection.shared.grants().max_packet);
        let granted = usize::try_from(granted).unwrap_or(usize::MAX);
        let Some(relay) = relays.get(relay) else { return granted };
        granted.min(relay.passes().max_packet(relay.options()))
    }

    fn call(&mut self, outgoing: Outgoing, relays: &Relays, context: &Context) -> Option<NewCall> {
        let Outgoing { relay, number, packet, hello, hold } = outgoing;
        let client = self.client();
        let packet = Sealing::new(packet, &self.up, self.nonces.next());
        let via = relays.get(relay)?;
        // A hello is understood by every node, if only to be refused.
        let form = if hello { BodyForm::Json } else { via.packet_form() };
        let body = packet.into_body(via.wrapping(form));
        let deadline = context
            .now()
            .saturating_add(hold)
            .saturating_add(context.config().request_timeout)
            .saturating_add(CALL_MARGIN);
        let overdue = deadline.saturating_add(CALL_MARGIN);
        let payload = Payload::Packet(PacketCall { client, number, hello, form, hold });
        Some(NewCall { relay, body, form, deadline, overdue, payload })
    }
}
