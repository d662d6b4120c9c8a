//! Calls that carry packets: how they are made, and what becomes of them.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::client::action::{BodyForm, ClientAction, ClientNotice, EndReason};
use crate::client::event::ExchangeFailure;
use crate::client::exchange::{Class, Exchange};
use crate::client::flow::{Flow, Kind};
use crate::client::opener::OpenedPacket;
use crate::client::outbox::count;
use crate::client::relay::{Path, Purpose};
use crate::client::session::Start;
use crate::client::streams::demand::{Circumstances, Demand};
use crate::client::streams::exchange::{Load, Progress, Record};
use crate::client::streams::greeting::{Outlook, State, Streams};
use crate::client::streams::intake::Answer;
use crate::client::streams::lane::Lane;
use crate::client::streams::lateness::Size;
use crate::client::streams::route::{Health, Leads, Route};
use crate::client::streams::stream::Stream;
use crate::client::{Client, LocalEvent, Stage, TimerOwner};
use crate::config::RelayOptions;
use crate::id::{ExchangeId, RelayId, StreamId};
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::frame::Frames;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{ClientId, PacketWriter, RequestHeader, ResponseHeader, ResponseRoom};
use crate::wire::reset::ResetCode;
use crate::wire::seal::Unsealed;
use crate::wire::{self, AnswerError, Limits, Sealing, Wrapping};

/// What a request of more, and the answer to it, counts as.
const BULK: usize = 128 * 1024;

/// What a call may take beyond its hold before nobody waits for it any more.
const CALL_MARGIN: Duration = Duration::from_secs(15);

/// Which packet a call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) struct PacketRef {
    client: ClientId,
    number: ExchangeNumber,
    /// Without an epoch.
    hello: bool,
    form: BodyForm,
    hold: Duration,
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
        self.adopt_flows();
        self.send_hello() || self.send_probe_packet() || self.send_request()
    }

    /// Flows whose open is due become streams, if there is a lane.
    fn adopt_flows(&mut self) {
        let Some(streams) = &mut self.streams else { return };
        streams.wanted = false;
        if self.ready.connects.is_empty() {
            return;
        }
        streams.renew(&self.config, self.now);
        match self.outlook() {
            Some(Outlook::Ready) => {
                while self.outlook() == Some(Outlook::Ready)
                    && let Some(id) = self.next_connect()
                {
                    self.adopt(id);
                }
            }
            Some(Outlook::Undecided) => {
                if let Some(streams) = &mut self.streams {
                    streams.wanted = true;
                }
            }
            Some(Outlook::Sessions) | None => {}
        }
    }

    /// What a flow finds that opens now.
    fn outlook(&self) -> Option<Outlook> {
        let now = self.now;
        Some(self.streams.as_ref()?.outlook(now, |relay| self.relays.is_usable(now, relay)))
    }

    /// Whether flows that open wait until it is known whether there is level 2.
    pub(in crate::client) fn is_undecided(&self) -> bool {
        self.outlook() == Some(Outlook::Undecided)
    }

    fn adopt(&mut self, id: StreamId) {
        let Self { streams, flows, config, now, out, .. } = self;
        let Some(lane) = streams.as_mut().and_then(Streams::lane_mut) else { return };
        let Some(Flow { kind, .. }) = flows.get_mut(&id) else { return };
        let Some(start) = kind.start() else { return };
        let Start { target, flow, bytes, finished, credit } = start;
        let mut stream = Stream::new(id, target, flow, credit, &lane.grants, config, *now);
        for piece in bytes {
            stream.begin_with(piece, config);
        }
        if finished {
            // It was not finished before: it is new.
            let _ = stream.on_local(LocalEvent::Fin, *now, config);
        }
        let number = lane.insert(stream, *now);
        *kind = Kind::Stream(number);
        lane.grant(number, out);
        self.refresh(id);
    }

    fn circumstances_of_lane(&self) -> Circumstances {
        let routes = self.streams.iter().flat_map(|streams| &streams.routes);
        Circumstances {
            now: self.now,
            relays: routes.filter(|route| route.leads == Leads::Here).count(),
            thrifty: self.relays.is_tight(self.now),
            closed: self.stage == Stage::Closed,
        }
    }

    fn send_hello(&mut self) -> bool {
        if self.stage == Stage::Closed {
            return false;
        }
        let Self { streams: Some(streams), relays, now, .. } = self else { return false };
        let (now, purpose) = (*now, Purpose::Active(Path::Any));
        let Some(relay) = streams.wants_hello(now, |relay| relays.could_take(now, relay, purpose)) else {
            return false;
        };
        self.send_header(relay, true)
    }

    /// Asks a relay that is down whether it works again.
    fn send_probe_packet(&mut self) -> bool {
        let now = self.now;
        let Self { streams: Some(streams), relays, .. } = self else { return false };
        let Some(lane) = streams.lane().filter(|lane| lane.is_in_use()) else { return false };
        // An idle client has no use for it, and calls are dear.
        if !lane.is_active(now) || self.stage == Stage::Closed {
            return false;
        }
        let due = streams.routes.iter().filter(|route| route.leads == Leads::Here);
        let mut due =
            due.filter(|route| route.probe_at().is_some_and(|at| at <= now)).map(|route| route.relay);
        let Some(relay) = due.find(|relay| relays.could_take(now, *relay, Purpose::Active(Path::Any))) else {
            return false;
        };
        if let Some(route) = streams.route_mut(relay) {
            route.on_probe(now);
        }
        self.send_header(relay, false)
    }

    /// A request for nothing but a header: a hello, or a probe.
    fn send_header(&mut self, relay: RelayId, hello: bool) -> bool {
        let now = self.now;
        let total = self.config.streams.downlink_total;
        let Some(streams) = &mut self.streams else { return false };
        if hello && let Some(route) = streams.route_mut(relay) {
            route.on_hello(now);
        }
        let client = streams.client();
        let (number, epoch, done) = match &mut streams.state {
            State::Greeting { next, .. } => {
                let number = *next;
                *next = number.next();
                (number, None, number)
            }
            State::Ready(lane) => {
                let (number, done) = (lane.exchanges.next(), lane.exchanges.done());
                lane.exchanges.push(Record::probe(relay, now));
                (number, Some(lane.epoch).filter(|_| !hello), done)
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
            && let State::Ready(lane) = &mut streams.state
            && !hello
        {
            packet = lane.pack(&header, number, Load::Sparse, BULK, now).packet;
        }
        let outgoing = Outgoing { relay, number, packet, hello, hold: Duration::ZERO, class: Class::Control };
        self.dispatch_packet(outgoing);
        true
    }

    /// The next request of the lane.
    fn send_request(&mut self) -> bool {
        let circumstances = self.circumstances_of_lane();
        let Some(lane) = self.streams.as_ref().and_then(Streams::lane) else { return false };
        let Some(demand) = lane.demand(&self.config, circumstances) else { return false };
        let Some(relay) = self.choose_route(demand) else { return false };
        let limit = self.packet_limit(relay);
        let Self { streams: Some(streams), config, .. } = self else { return false };
        let cap = streams
            .routes
            .iter()
            .find(|route| route.relay == relay)
            .map(|route| route.hold(circumstances.now));
        let State::Ready(lane) = &mut streams.state else { return false };
        let now = circumstances.now;
        let number = lane.exchanges.next();
        let load = lane.load_of(demand);
        let hold = lane.hold(config, circumstances).min(cap.unwrap_or(Duration::MAX));
        let room = lane.room(circumstances);
        let header = RequestHeader {
            client: lane.client,
            epoch: Some(lane.epoch),
            exchange: number,
            done: lane.exchanges.done(),
            hold,
            keep: u32::try_from(lane.keep(circumstances)).unwrap_or(u32::MAX),
            room: ResponseRoom::Bytes(room),
            total: config.streams.downlink_total,
            confirm: Some(lane.confirm()),
        };
        let backlog = lane.backlog > 0;
        let up_room = lane.up.bytes();
        let packed = lane.pack(&header, number, load, limit, now);
        let load = match load {
            Load::Bulk(_) if packed.payload > 0 => Load::Bulk(packed.payload),
            Load::Bulk(_) => Load::Bare,
            Load::Bare | Load::Probe | Load::Sparse => load,
        };
        if packed.payload > 0 {
            lane.traffic = now;
        }
        let tally = lane.exchanges.tally();
        let bulk = packed.len > BULK || backlog;
        let expected = if backlog { room } else { 0 };
        lane.exchanges.push(Record {
            relay,
            sent: now,
            held_until: now.saturating_add(hold),
            size: if bulk { Size::Bulk } else { Size::Small },
            bytes: expected.max(u64::try_from(packed.len).unwrap_or(u64::MAX)),
            room,
            up_room,
            load,
            contents: packed.contents,
            resends: packed.resends,
            progress: Progress::Out,
            arrived: false,
            accompanied: tally.waiting > 0,
            answering: false,
        });
        let uplink = &mut self.out.stats.uplink_bytes;
        *uplink = uplink.saturating_add(u64::try_from(packed.payload).unwrap_or(u64::MAX));
        let class = if load == Load::Bare { Class::IdlePoll } else { Class::Payload };
        self.dispatch_packet(Outgoing { relay, number, packet: packed.packet, hello: false, hold, class });
        true
    }

    /// The relay for a request: a good one before one that is down, and for repair another than what was lost went
    /// through.
    fn choose_route(&mut self, demand: Demand) -> Option<RelayId> {
        let now = self.now;
        let Self { streams: Some(streams), relays, .. } = self else { return None };
        let lane = streams.lane()?;
        let due =
            |record: &&Record| matches!(record.progress, Progress::Late { resend, .. } if resend.is_due());
        let lost = lane.exchanges.iter().map(|(_, record)| record).find(due).map(|record| record.relay);
        let lost = lost.filter(|_| demand == Demand::Repair);
        let routes = &streams.routes;
        let is = |relay: RelayId, test: fn(&Route) -> bool| {
            routes.iter().any(|route| route.relay == relay && test(route))
        };
        let purpose = match demand {
            Demand::Poll | Demand::Report => Purpose::Poll(Path::Any),
            Demand::Repair | Demand::Sparse | Demand::Bulk => Purpose::Active(Path::Any),
        };
        let rested =
            |relay: RelayId| routes.iter().any(|route| route.relay == relay && !route.is_resting(now));
        let good =
            |relay: RelayId| rested(relay) && is(relay, |route| route.is_good() && route.unknown.is_none());
        relays
            .choose_among(now, purpose, |relay| good(relay) && Some(relay) != lost)
            .or_else(|| relays.choose_among(now, purpose, good))
            .or_else(|| {
                let leads = |relay: RelayId| is(relay, |route| route.leads == Leads::Here);
                relays.choose_among(now, purpose, |relay| rested(relay) && leads(relay))
            })
    }

    /// Bytes of the largest packet that a relay takes.
    fn packet_limit(&self, relay: RelayId) -> usize {
        let granted = self.streams.as_ref().and_then(Streams::lane).map_or(0, |lane| lane.grants.max_packet);
        let granted = usize::try_from(granted).unwrap_or(usize::MAX);
        let Some(relay) = self.relays.get(relay) else { return granted };
        let body = match form_of(&relay.options) {
            BodyForm::Packet => relay.max_body,
            BodyForm::Json => {
                let around = wrapping(&relay.options, BodyForm::Json).len(0);
                (relay.max_body.saturating_sub(around) / 4).saturating_mul(3)
            }
        };
        granted.min(body)
    }

    fn dispatch_packet(&mut self, outgoing: Outgoing) {
        let Outgoing { relay: id, number, packet, hello, hold, class } = outgoing;
        let Some(streams) = &mut self.streams else { return };
        let client = streams.client();
        let packet = Sealing::new(packet, &streams.up, streams.nonces.next());
        let Some(relay) = self.relays.get_mut(id) else { return };
        // A hello is understood by every node, if only to be refused.
        let form = if hello { BodyForm::Json } else { form_of(&relay.options) };
        let body = packet.into_body(wrapping(&relay.options, form));
        let spent = relay.on_sent();
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

    /// The answer of a call that carries a packet has begun to come.
    pub(in crate::client) fn on_answering(&mut self, id: ExchangeId) {
        let Some(PacketRef { client, number, .. }) =
            self.exchanges.get(&id).and_then(|exchange| exchange.packet)
        else {
            return;
        };
        if let Some(lane) = self.lane_of(client) {
            lane.exchanges.change(number, |record| record.answering = true);
        }
    }

    fn lane_of(&mut self, client: ClientId) -> Option<&mut Lane> {
        self.streams.as_mut()?.lane_mut().filter(|lane| lane.client == client)
    }

    /// A call that carried a packet was answered with `body`.
    pub(in crate::client) fn on_packet_reply(
        &mut self,
        id: ExchangeId,
        exchange: &Exchange,
        packet: PacketRef,
        body: Bytes,
    ) {
        match self.read_packet(exchange.relay, packet, body) {
            Ok(opened) => self.on_opened_packet(id, exchange, packet, &opened),
            Err(Some(why)) => self.fail_packet(id, exchange, packet, why),
            Err(None) => {
                count(&mut self.out.stats.answered);
                self.on_no_streams(exchange.relay, packet);
                self.sweep();
            }
        }
    }

    /// A call that carried a packet was answered with one.
    pub(in crate::client) fn on_opened_packet(
        &mut self,
        id: ExchangeId,
        exchange: &Exchange,
        packet: PacketRef,
        opened: &OpenedPacket,
    ) {
        let header = &opened.header;
        if header.client != packet.client || header.exchange != packet.number {
            return self.fail_packet(id, exchange, packet, ExchangeFailure::Garbage);
        }
        count(&mut self.out.stats.answered);
        self.on_packet(exchange, packet, header, opened.frames.clone(), opened.len);
        self.rearm_relay(exchange.relay);
        self.sweep();
    }

    /// Reads a response packet out of the body of an answer; no reason when the node behind the relay has no level 2.
    fn read_packet(
        &mut self,
        relay: RelayId,
        packet: PacketRef,
        body: Bytes,
    ) -> Result<OpenedPacket, Option<ExchangeFailure>> {
        let garbage = Some(ExchangeFailure::Garbage);
        let sealed = match packet.form {
            BodyForm::Packet => body,
            BodyForm::Json => {
                let limits = Limits { max_body: self.config.max_reply_body, max_ops: 1 };
                let mut replies = match wire::decode_answer(&body, 1, limits) {
                    Ok(replies) => replies,
                    Err(AnswerError::Envelope(text)) => {
                        return Err(Some(self.on_envelope_error(relay, &text)));
                    }
                    Err(
                        AnswerError::TooLarge | AnswerError::NotAnAnswer | AnswerError::WrongLength { .. },
                    ) => {
                        return Err(garbage);
                    }
                };
                let reply = replies.pop().ok_or(garbage)?;
                if reply.error.as_deref() == Some("unauthorized") {
                    self.out.notice(ClientNotice::Unauthorized { relay });
                }
                // A node that cannot open a hello has another secret.
                if reply.is_unsupported("streams") || (packet.hello && reply.error.is_some()) {
                    return Err(None);
                }
                if reply.error.is_some() || reply.damaged {
                    return Err(garbage);
                }
                reply.data
            }
        };
        self.opener().and_then(|opener| opener.open(packet.form, sealed)).ok_or(garbage)
    }

    /// A response packet to a packet of ours.
    fn on_packet(
        &mut self,
        exchange: &Exchange,
        packet: PacketRef,
        header: &ResponseHeader,
        frames: Frames,
        len: usize,
    ) {
        let (now, id) = (self.now, exchange.relay);
        if let Some(relay) = self.relays.get_mut(id) {
            let up = relay.on_answer(now);
            relay.on_round_trip(now.saturating_since(exchange.sent).saturating_sub(header.held));
            self.out.notice(up);
        }
        let Self { streams: Some(streams), config, out, .. } = self else { return };
        if streams.client() != packet.client {
            return;
        }
        if packet.hello
            && let Some(grants) = header.grants
        {
            streams.on_welcome(header.epoch, grants, config, now);
        }
        let Some(lane) = streams.lane_mut() else { return };
        if header.epoch != lane.epoch || header.flags.unknown {
            lane.give_up(packet.number, now);
            if packet.hello {
                self.on_no_streams(id, packet);
            } else if streams.on_unknown(id, now) {
                self.start_over();
            } else {
                // Until that is confirmed, asking again and again would cost calls.
                let short = streams.rest();
                streams.route_mut(id).into_iter().for_each(|route| route.on_useless(short, now));
            }
            return;
        }
        if streams.route_mut(id).is_some_and(Route::on_here) {
            out.notice(ClientNotice::StreamsReady { relay: id });
        }
        for relay in streams.on_known(id, exchange.sent, now) {
            out.notice(ClientNotice::StreamsUnsupported { relay });
        }
        let answer = Answer { number: packet.number, relay: id, sent: exchange.sent, header, len };
        let Streams { routes, state: State::Ready(lane), .. } = streams else { return };
        lane.on_answer(&answer, frames, routes, config, now, out);
    }

    /// The node behind a relay does not speak level 2, or not with us.
    fn on_no_streams(&mut self, relay: RelayId, packet: PacketRef) {
        let now = self.now;
        let up = self.relays.get_mut(relay).and_then(|relay| relay.on_answer(now));
        self.out.notice(up);
        if let Some(lane) = self.lane_of(packet.client) {
            lane.give_up(packet.number, now);
        }
        let news = self
            .streams
            .as_mut()
            .and_then(|streams| streams.route_mut(relay))
            .is_some_and(|route| route.on_elsewhere(now));
        if news {
            self.out.notice(ClientNotice::StreamsUnsupported { relay });
        }
    }

    /// The node has forgotten the client: every stream ends, and the client greets anew.
    fn start_over(&mut self) {
        if let Some(lane) = self.streams.as_mut().and_then(Streams::lane_mut) {
            let gone = EndReason::Reset(ResetCode::Gone);
            lane.ended.extend(lane.streams.values().map(|stream| (stream.id, gone)));
        }
        // A stream gives back what it keeps while its lane is still there.
        self.sweep();
        if let Some(streams) = &mut self.streams {
            streams.start_over(&self.config, self.now);
        }
    }

    /// A call that carried a packet failed.
    pub(in crate::client) fn fail_packet(
        &mut self,
        id: ExchangeId,
        exchange: &Exchange,
        packet: PacketRef,
        why: ExchangeFailure,
    ) {
        let now = self.now;
        let relay = exchange.relay;
        self.report_failure(id, relay, why);
        let notice = self.relays.get_mut(relay).and_then(|table| match why {
            ExchangeFailure::NotSent => table.on_unreachable(now, &self.config),
            ExchangeFailure::Refused { retry_after } => table.on_refused(now, retry_after, &self.config),
            ExchangeFailure::TooLarge => table.on_too_large(exchange.body_len),
            // What is lost on the way is nothing that the relay is left alone for: level 2 has its own judgement.
            ExchangeFailure::Unknown | ExchangeFailure::Garbage => None,
        });
        self.out.notice(notice);
        let mut garbled = false;
        let short = self.streams.as_ref().map_or(Duration::ZERO, |streams| streams.rest());
        if let Some(route) = self.streams.as_mut().and_then(|streams| streams.route_mut(relay)) {
            match why {
                ExchangeFailure::Garbage if packet.hello => garbled = route.on_garbled_hello(now),
                ExchangeFailure::Unknown | ExchangeFailure::Garbage => {
                    route.on_cut(now.saturating_since(exchange.sent), packet.hold, now);
                    route.on_useless(short, now);
                }
                ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge => {}
            }
        }
        self.out.notice(garbled.then_some(ClientNotice::StreamsUnsupported { relay }));
        if let Some(Streams { routes, state: State::Ready(lane), .. }) = &mut self.streams
            && lane.client == packet.client
        {
            match why {
                // It says nothing about how long answers take.
                ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge => {
                    lane.give_up_out(packet.number, now);
                }
                ExchangeFailure::Unknown | ExchangeFailure::Garbage => {
                    lane.call_late(packet.number, routes, now)
                }
            }
        }
        self.rearm_relay(relay);
        self.sweep();
    }

    /// Time has come for something of level 2.
    pub(in crate::client) fn on_streams_timeout(&mut self) {
        let now = self.now;
        if let Some(Streams { routes, state: State::Ready(lane), .. }) = &mut self.streams {
            lane.on_time(routes, now);
            if lane.forgotten_at(&self.config).is_some_and(|at| at <= now) {
                self.start_over();
            }
        }
        self.sweep();
        self.rearm_streams();
    }

    /// Reports the streams that have ended.
    pub(in crate::client) fn sweep(&mut self) {
        while let Some(lane) = self.streams.as_mut().and_then(Streams::lane_mut)
            && !lane.ended.is_empty()
        {
            for (id, why) in core::mem::take(&mut lane.ended) {
                self.end(id, why);
            }
        }
    }

    /// When level 2 wants to be woken.
    pub(in crate::client) fn rearm_streams(&mut self) {
        let now = self.now;
        let Self { streams: Some(streams), timers, config, .. } = self else { return };
        let mut due: Option<(Instant, TimerKind)> = None;
        let mut note = |at: Option<Instant>, timer| {
            if let Some(at) = at.filter(|at| *at > now) {
                due = Some(due.map_or((at, timer), |due| due.min((at, timer))));
            }
        };
        let sleeps = |lane: &&Lane| planted!(OwesAsleep) && lane.streams.is_empty();
        let in_use = streams.lane().filter(|lane| !sleeps(lane)).is_some_and(Lane::is_in_use);
        for route in &streams.routes {
            note(streams.hello_at(route).filter(|_| streams.wanted || in_use), TimerKind::Hello);
            note(Some(route.rests_until()).filter(|_| in_use), TimerKind::Probe);
            let probed = matches!(route.health, Health::Down { .. }) && in_use;
            note(route.probe_at().filter(|_| probed), TimerKind::Probe);
        }
        if let Some(lane) = streams.lane().filter(|lane| !sleeps(lane)) {
            // What was measured since may have made something late already.
            let soon = now.saturating_add(Duration::from_micros(1));
            note(lane.next_late().map(|at| at.max(soon)), TimerKind::Late);
            note(lane.forgotten_at(config).map(|at| at.max(soon)), TimerKind::IdleClient);
            note(lane.bulk_at(), TimerKind::Coalesce);
        }
        streams.due = due.map_or(TimerKind::Hello, |(_, timer)| timer);
        timers.set(&mut streams.timer, TimerOwner::Streams, due.map(|(at, _)| at));
    }
}

/// What a packet travels in through a relay.
fn wrapping(options: &RelayOptions, form: BodyForm) -> Wrapping {
    match form {
        BodyForm::Packet => Wrapping::Raw,
        BodyForm::Json => Wrapping::Request(options.form, options.key.clone()),
    }
}

/// What bodies through a relay are.
const fn form_of(options: &RelayOptions) -> BodyForm {
    if options.binary { BodyForm::Packet } else { BodyForm::Json }
}
