//! Calls that carry packets: what each is for, through which relay, and in which form.

use alloc::vec::Vec;
use core::time::Duration;

use crate::client::action::ClientAction;
use crate::client::calls::{Class, Exchange};
use crate::client::context::count;
use crate::client::relays::{Path, Purpose, Relay};
use crate::client::streams::handshake::{State, Streams};
use crate::client::streams::next_request::{Circumstances, NextRequest};
use crate::client::streams::round_trips::Size;
use crate::client::streams::sent::{Progress, Record, RequestPayload};
use crate::client::{Client, Stage, TimerOwner};
use crate::id::{ExchangeId, RelayId};
use crate::timer::TimerSlot;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{ClientId, PacketWriter, RequestHeader, ResponseRoom};
use crate::wire::seal::Unsealed;
use crate::wire::{BodyForm, Sealing};

/// What a request of more, and the answer to it, counts as.
const BULK: usize = 128 * 1024;

/// What a call may take beyond its hold before nobody waits for it any more.
const CALL_MARGIN: Duration = Duration::from_secs(15);

/// Which packet a call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) struct PacketRef {
    pub(super) client: ClientId,
    pub(super) number: ExchangeNumber,
    /// Without an epoch.
    pub(super) hello: bool,
    pub(super) form: BodyForm,
    pub(super) hold: Duration,
}

impl PacketRef {
    /// What of it a fingerprint has: the name of the client does not matter.
    #[cfg(feature = "model")]
    pub(in crate::client) const fn place(&self) -> (ExchangeNumber, bool, BodyForm, Duration) {
        (self.number, self.hello, self.form, self.hold)
    }
}

/// A packet on its way out.
struct Outgoing {
    relay: RelayId,
    number: ExchangeNumber,
    packet: Unsealed,
    hello: bool,
    hold: Duration,
    /// Whether somebody waits for the answer.
    class: Class,
}

impl Client {
    /// Makes one call of level 2, or moves flows that open onto it; false when there is nothing to do now.
    pub(in crate::client) fn send_streams(&mut self) -> bool {
        if self.streams.is_none() {
            return false;
        }
        self.upgrade_flows();
        self.send_hello() || self.send_probe_packet() || self.send_request()
    }

    fn circumstances_of_connection(&self) -> Circumstances {
        Circumstances {
            now: self.now,
            relays: self.relays.iter().filter(|relay| relay.destination().is_here()).count(),
            thrifty: self.relays.is_tight(self.now),
        }
    }

    fn send_hello(&mut self) -> bool {
        if self.stage == Stage::Closed {
            return false;
        }
        let Self { streams: Some(streams), relays, now, .. } = self else { return false };
        let Some(relay) = streams.wants_hello(*now, relays) else { return false };
        self.send_header(relay, true)
    }

    /// Asks a relay that is down whether it works again.
    fn send_probe_packet(&mut self) -> bool {
        let now = self.now;
        let Self { streams: Some(streams), relays, .. } = self else { return false };
        let Some(connection) = streams.connection().filter(|connection| connection.is_in_use()) else {
            return false;
        };
        // An idle client has no use for it, and calls are dear.
        if !connection.is_active(now) || self.stage == Stage::Closed {
            return false;
        }
        let due = |relay: &&mut Relay| {
            relay.destination().is_here()
                && relay.health().probe_at().is_some_and(|at| at <= now)
                && relay.can_take(now, Purpose::Active(Path::Any))
        };
        let Some(relay) = relays.iter_mut().find(due) else { return false };
        relay.health_mut().on_probe(now);
        let relay = relay.id();
        self.send_header(relay, false)
    }

    /// A request for nothing but a header: a hello, or a probe.
    fn send_header(&mut self, relay: RelayId, hello: bool) -> bool {
        let now = self.now;
        let total = self.config.tuning.streams.downlink_total;
        let Some(streams) = &mut self.streams else { return false };
        if hello && let Some(relay) = self.relays.get_mut(relay) {
            relay.destination_mut().on_hello(now);
        }
        let client = streams.client();
        let (number, epoch, done) = match &mut streams.state {
            State::Handshake { next, .. } => {
                let number = *next;
                *next = number.next();
                (number, None, number)
            }
            State::Ready(connection) => {
                let (number, done) = (connection.exchanges.next(), connection.exchanges.done());
                connection.exchanges.push(Record::probe(relay, now));
                (number, Some(connection.epoch).filter(|_| !hello), done)
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
            && let State::Ready(connection) = &mut streams.state
            && !hello
        {
            packet = connection.pack(&header, number, RequestPayload::Sparse, BULK, now).packet;
        }
        let outgoing = Outgoing { relay, number, packet, hello, hold: Duration::ZERO, class: Class::Control };
        self.dispatch_packet(outgoing);
        true
    }

    /// The next request of the connection.
    fn send_request(&mut self) -> bool {
        let circumstances = self.circumstances_of_connection();
        let Some(connection) = self.streams.as_ref().and_then(Streams::connection) else { return false };
        let Some(demand) = connection.demand(&self.config, circumstances) else { return false };
        let Some(relay) = self.choose_route(demand) else { return false };
        let limit = self.packet_limit(relay);
        let Self { streams: Some(streams), relays, config, .. } = self else { return false };
        let ceiling = relays.get(relay).map(|relay| relay.hold().ceiling(circumstances.now));
        let State::Ready(connection) = &mut streams.state else { return false };
        let now = circumstances.now;
        let number = connection.exchanges.next();
        let load = connection.load_of(demand);
        let hold = connection.hold(config, circumstances).min(ceiling.unwrap_or(Duration::MAX));
        let room = connection.room(circumstances);
        let header = RequestHeader {
            client: connection.client,
            epoch: Some(connection.epoch),
            exchange: number,
            done: connection.exchanges.done(),
            hold,
            keep: u32::try_from(connection.keep(circumstances)).unwrap_or(u32::MAX),
            room: ResponseRoom::Bytes(room),
            total: config.tuning.streams.downlink_total,
            confirm: Some(connection.confirm()),
        };
        let backlog = connection.backlog > 0;
        let up_room = connection.request_size.bytes();
        let packed = connection.pack(&header, number, load, limit, now);
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
            frames: packed.frames,
            resends: packed.resends,
            progress: Progress::Out,
            arrived: false,
            accompanied: tally.waiting > 0,
            answering: false,
        });
        let uplink = &mut self.out.stats.uplink_bytes;
        *uplink = uplink.saturating_add(u64::try_from(packed.payload).unwrap_or(u64::MAX));
        let class = if load == RequestPayload::Bare { Class::IdlePoll } else { Class::Payload };
        self.dispatch_packet(Outgoing { relay, number, packet: packed.packet, hello: false, hold, class });
        true
    }

    /// The relay for a request: a good one before one that is down, and for repair another than what was lost went
    /// through.
    fn choose_route(&mut self, demand: NextRequest) -> Option<RelayId> {
        let now = self.now;
        let Self { streams: Some(streams), relays, .. } = self else { return None };
        let connection = streams.connection()?;
        let due =
            |record: &&Record| matches!(record.progress, Progress::Lost { resend, .. } if resend.is_queued());
        let lost = connection.exchanges.iter().map(|(_, record)| record).find(due).map(|record| record.relay);
        let lost = lost.filter(|_| demand == NextRequest::Repair);
        let purpose = match demand {
            NextRequest::Poll | NextRequest::Report => Purpose::Poll(Path::Any),
            NextRequest::Repair | NextRequest::Sparse | NextRequest::Bulk => Purpose::Active(Path::Any),
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
        let here = relays.may_reach_node() || demand == NextRequest::Bulk;
        let leads = |relay: &Relay| {
            if here { relay.destination().is_here() } else { relay.destination().is_narrow() }
        };
        relays.choose_among(now, purpose, |relay| leads(relay) && !relay.health().is_backing_off(now))
    }

    /// Bytes of the largest packet that a relay takes.
    fn packet_limit(&self, relay: RelayId) -> usize {
        let granted = self
            .streams
            .as_ref()
            .and_then(Streams::connection)
            .map_or(0, |connection| connection.grants.max_packet);
        let granted = usize::try_from(granted).unwrap_or(usize::MAX);
        let Some(relay) = self.relays.get(relay) else { return granted };
        granted.min(relay.passes().max_packet(relay.options()))
    }

    fn dispatch_packet(&mut self, outgoing: Outgoing) {
        let Outgoing { relay: id, number, packet, hello, hold, class } = outgoing;
        let Some(streams) = &mut self.streams else { return };
        let client = streams.client();
        let packet = Sealing::new(packet, &streams.up, streams.nonces.next());
        let Some(relay) = self.relays.get_mut(id) else { return };
        // A hello is understood by every node, if only to be refused.
        let form = if hello { BodyForm::Json } else { relay.packet_form() };
        let body = packet.into_body(relay.wrapping(form));
        let spent = relay.on_sent(self.now);
        self.out.notice(spent);
        let exchange = ExchangeId::new(self.exchange_ids.next());
        count(&mut self.out.stats.calls);
        let deadline = self
            .now
            .saturating_add(hold)
            .saturating_add(self.config.request_timeout)
            .saturating_add(CALL_MARGIN);
        let mut timer = TimerSlot::default();
        let overdue = deadline.saturating_add(CALL_MARGIN);
        self.timers.set(&mut timer, TimerOwner::Exchange(exchange), Some(overdue));
        let packet = Some(PacketRef { client, number, hello, form, hold });
        let (body_len, sent) = (body.len(), self.now);
        self.exchanges
            .insert(exchange, Exchange { relay: id, class, sent, body_len, ops: Vec::new(), packet, timer });
        self.out.actions.push_back(ClientAction::Send { exchange, relay: id, body, form, deadline });
    }
}
