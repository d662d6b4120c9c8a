//! Level 2 as its packets show it: whose a stream is, what an epoch is worth, and what calls idle clients spend.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::{Frame, Frames};
use seqlane::wire::number::ExchangeNumber;
use seqlane::wire::packet::{self, ClientId, Epoch, RequestHeader, ResponseHeader, ResponseRoom};
use seqlane::wire::reset::ResetCode;
use seqlane::wire::seal::{Seal, VERSION};
use seqlane::wire::{self, Limits};
use seqlane::{BodyForm, EndReason, ExchangeFailure, ExchangeId, FlowKind, Level};

use crate::chooser::Chooser;
use crate::coverage::CoveragePoint;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::property::Property;
use crate::script::{Opening, Pace, Side};
use crate::time::Time;
use crate::trace::Sink;
use crate::world::World;
use crate::world::event::RelayState;
use crate::world::flow::Flow;
use crate::world::oracle::attribution::WHILE;
use crate::world::oracle::ledger::{Note, Role, Sent};

/// Calls that a client of idle flows makes at most beyond its holds, and how many it makes for each hold; while
/// things go wrong, so many a minute.
const IDLE_CALLS: u64 = 60;
const CALLS_A_HOLD: u64 = 3;

/// What the oracle knows of level 2.
#[derive(Clone, Debug, Default)]
pub(in crate::world) struct PacketBook {
    instances: BTreeMap<ClientId, Instance>,
    /// The node, and the life of it, that gave an epoch.
    epochs: BTreeMap<Epoch, (usize, u64)>,
    /// Epochs of clients that were forgotten with streams.
    forgotten: BTreeSet<Epoch>,
    /// By client of the world: when a packet of it was last answered.
    pub(in crate::world) heard: BTreeMap<usize, Time>,
    /// By client of the world: calls since anything of its flows last moved.
    idle: BTreeMap<usize, IdleCalls>,
}

/// A client under one name.
#[derive(Clone, Debug, Default)]
struct Instance {
    /// Which client of the world it is.
    client: usize,
    /// The exchange after the newest.
    next: ExchangeNumber,
    done: ExchangeNumber,
    /// The newest epoch that it spoke of.
    epoch: Option<Epoch>,
    /// The flow of each stream that it has opened, by number.
    flows: BTreeMap<u64, usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct IdleCalls {
    since: Time,
    calls: u64,
}

/// Opens a packet that went up, and reads it.
fn read_request(packet: Bytes) -> Result<(RequestHeader, Frames), String> {
    let plain = Seal::null(Direction::Up).open(packet).map_err(|closed| closed.to_string())?;
    packet::decode_request(plain).map_err(|error| error.to_string())
}

/// Opens a packet that comes down, and reads its header.
fn read_response(packet: Bytes) -> Option<ResponseHeader> {
    let plain = Seal::null(Direction::Down).open(packet).ok()?;
    packet::decode_response(plain).ok().map(|(header, _)| header)
}

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// A client sends a packet of level 2.
    pub(in crate::world) fn note_packet(&mut self, client: usize, packet: Bytes) -> Role {
        // What goes up in bulk is bounded by credit, and may well wait for a part that was lost.
        let idle = packet.len() <= 64 * 1024;
        let (header, frames) = match read_request(packet) {
            Ok(read) => read,
            Err(why) => {
                let what = format!("client{client} sends a packet that nobody can read: {why}");
                self.violated(Property::S10, what);
                return Role::Packet { name: None, hello: false, room: None };
            }
        };
        self.check_counting(client, &header);
        if idle {
            self.check_idle_calls(client);
        }
        for frame in frames {
            match frame {
                Frame::Open { stream, target, .. } => {
                    self.note_stream(header.client, stream.get(), header.epoch, target.host());
                }
                Frame::Resend { .. } => self.coverage.set(CoveragePoint::AskedAgain),
                _ => {}
            }
        }
        let room = match header.room {
            ResponseRoom::HeaderOnly => None,
            ResponseRoom::Bytes(bytes) => Some(bytes),
        };
        if room.is_none() && header.epoch.is_some() {
            self.coverage.set(CoveragePoint::BareCall);
        }
        Role::Packet { name: Some((header.client, header.exchange)), hello: header.epoch.is_none(), room }
    }

    /// S10: exchanges and what is done with are counted as protocol.md 3.1 has it.
    fn check_counting(&mut self, client: usize, header: &RequestHeader) {
        let instance = self.ledger.packets.instances.entry(header.client).or_default();
        let wrong = if header.exchange < instance.next {
            Some(format!("client{client} counts exchange {} after {}", header.exchange, instance.next))
        } else if header.done < instance.done {
            Some(format!("client{client} is done below {} after {}", header.done, instance.done))
        } else {
            None
        };
        instance.client = client;
        instance.next = header.exchange.next();
        instance.done = header.done;
        instance.epoch = header.epoch.or(instance.epoch);
        if let Some(what) = wrong {
            self.violated(Property::S10, what);
        }
    }

    /// OPEN goes out: for the first time, the flow is one of level 2 from now on.
    fn note_stream(&mut self, name: ClientId, stream: u64, epoch: Option<Epoch>, host: &str) {
        if self.ledger.packets.instances.get(&name).is_none_or(|known| known.flows.contains_key(&stream)) {
            return;
        }
        let Some(flow) = self.flow_named(host) else { return };
        if self.flows[flow].epoch.is_some() {
            let what = format!("flow {flow} is opened as stream {stream}, and was a stream already");
            return self.violated(Property::S3, what);
        }
        if let Some(instance) = self.ledger.packets.instances.get_mut(&name) {
            instance.flows.insert(stream, flow);
        }
        self.flows[flow].epoch = epoch;
        self.ledger.flows[flow].opening = true;
        self.coverage.set(CoveragePoint::StreamFlow);
    }

    /// A node answers packets: what it gives out is remembered, and no answer is larger than was allowed.
    pub(in crate::world) fn note_packet_answer(
        &mut self,
        node: usize,
        form: BodyForm,
        notes: &[Note],
        body: &Bytes,
    ) {
        let [Note { role: Role::Packet { hello, room, .. }, .. }] = notes else { return };
        let Some(packet) = packet_in(form, body) else { return };
        if let Some(room) = room.filter(|room| packet.len() as u64 > *room) {
            let what = format!("node{node} answers {} B where {room} B were allowed", packet.len());
            self.violated(Property::R1, what);
        }
        if *hello && let Some(header) = read_response(packet) {
            let home = (node, self.nodes[node].life);
            self.ledger.packets.epochs.insert(header.epoch, home);
        }
    }

    /// A packet that a node cannot read was damaged on its way, or refused for a limit.
    pub(in crate::world) fn check_bad_packet(&mut self, node: usize) {
        let struck = |fault: Fault| self.tally.faults[fault.index()] > 0;
        self.coverage.set(CoveragePoint::PacketRefused);
        if !struck(Fault::Truncate) && !struck(Fault::Corrupt) && !self.ledger.limited {
            self.violated(Property::S10, format!("node{node} refuses a packet that is whole"));
        }
    }

    /// A node has not heard of a client for too long. Streams that lived then are lost for a reason; one without any
    /// streams is to say hello before its next.
    pub(in crate::world) fn on_forgotten(&mut self, name: ClientId) {
        let Some(instance) = self.ledger.packets.instances.get(&name) else { return };
        let lives = |flow: &Flow| {
            flow.client == instance.client && flow.stream.is_some() && flow.local.ended.is_none()
        };
        if self.flows.iter().any(lives) {
            self.ledger.packets.forgotten.extend(instance.epoch);
        }
    }

    /// R4: a client whose flows are all idle spends little more than a call for each hold.
    fn check_idle_calls(&mut self, client: usize) {
        let flows = self.flows.iter().filter(|flow| flow.client == client);
        let moved = flows.map(|flow| flow.moved.max(flow.over.map_or(Time::ZERO, |(_, at)| at))).max();
        let moved = moved.unwrap_or(Time::ZERO);
        let hold = self.setup.client.tuning.streams.idle_hold.min(self.setup.node.tuning.streams.max_hold);
        // When a relay comes back, what was lost is asked for at once.
        let (now, calm) = (self.now, self.setup.is_calm() && self.setup.outages.is_empty());
        // An answer that takes its time keeps a client awake.
        let mut open =
            self.ledger.exchanges.range((client, ExchangeId::new(0))..(client + 1, ExchangeId::new(0)));
        // So does a node that takes some of its requests and refuses others for a limit.
        if open.any(|(_, sent)| sent.answering) || self.ledger.limited {
            return;
        }
        let book = self.ledger.packets.idle.entry(client).or_default();
        if moved > book.since {
            *book = IdleCalls { since: moved, calls: 0 };
        }
        book.calls += 1;
        let (calls, time) = (book.calls, now.since(book.since));
        let holds = IDLE_CALLS + CALLS_A_HOLD * (time.as_millis() / hold.as_millis().max(1)) as u64;
        let most = if calm { holds } else { holds.max(IDLE_CALLS * (1 + time.as_secs() / 60)) };
        if calls > most {
            let what = format!("client{client} makes {calls} calls in {time:?} in which nothing moves");
            self.violated(Property::R4, what);
        }
    }

    /// Whether a flow is a stream of level 2.
    pub(in crate::world) fn is_stream(&self, flow: usize) -> bool {
        self.flows[flow].epoch.is_some()
    }

    /// L8: a stream ends by itself, or for what happened to its ends or its machines; never for what happens to
    /// exchanges.
    pub(in crate::world) fn check_stream_end(&mut self, flow: usize, why: EndReason) {
        let state = &self.flows[flow];
        let script = &state.script;
        let reset_by = |side: Side| script.reset.is_some_and(|(by, _)| by == side);
        let udp = script.transport() == FlowKind::Udp;
        let fails = script.opening != Opening::Accept;
        let fair = match why {
            EndReason::Finished | EndReason::ClientClosed | EndReason::Idle => true,
            EndReason::Local => udp || reset_by(Side::Local) || script.gives_up.is_some(),
            EndReason::ConnectFailed(_) => fails || self.ledger.limited,
            EndReason::Reset(ResetCode::Connect(_)) => fails,
            EndReason::Reset(ResetCode::Aborted) => reset_by(Side::Upstream),
            // A client whose every relay asks to be left alone may be forgotten before one is asked again.
            EndReason::Reset(ResetCode::Gone) => self.may_be_gone(flow) || self.is_turned_away(state.client),
            EndReason::Reset(ResetCode::Idle) => udp,
            EndReason::Reset(ResetCode::Stalled) => script.upstream_reads != Pace::AtOnce,
            EndReason::Reset(ResetCode::TooManyStreams) => self.ledger.limited,
            // Chunks are never cut again, and no relay takes them.
            EndReason::ExchangeLost(ExchangeFailure::TooLarge) => {
                self.tally.faults[Fault::BodyCap.index()] > 0
            }
            // Nobody may be called for longer than a call may last.
            EndReason::NoRelay => self.is_turned_away(state.client),
            _ => false,
        };
        if !fair && !self.ledger.flows[flow].upset {
            let kind = script.kind;
            self.violated(Property::L8, format!("stream of flow {flow} ({kind:?}) is lost: {why}"));
        }
        if why == EndReason::Finished && !udp {
            self.check_uplink_whole(flow);
        }
    }

    /// Whether every relay has refused and was left alone until a moment ago, has spent its budget, or is broken.
    pub(in crate::world) fn is_turned_away(&self, client: usize) -> bool {
        let now = self.client_now(client);
        (0..self.network.relays.len() as u32).all(|relay| {
            let book = self.ledger.relays.get(&(client, relay));
            let limit = self.daily_calls(client, relay);
            let broken = self.network.relays[relay as usize].state != RelayState::Well;
            broken
                || book.is_some_and(|book| {
                    let refused = book.refused_until.is_some_and(|until| until.saturating_add(WHILE) >= now);
                    refused || book.alone_until.is_some() || limit.is_some_and(|limit| book.spent >= limit)
                })
        })
    }

    /// S1 upwards: an orderly end has brought everything to the upstream too.
    fn check_uplink_whole(&mut self, flow: usize) {
        let state = &self.flows[flow];
        let taken = state.upstreams.iter().map(|up| self.upstreams[*up].received).max().unwrap_or(0);
        let sent = state.local.sent;
        if taken != sent {
            let what = format!("flow {flow} looks finished, and its upstream has {taken} B of {sent} B");
            self.violated(Property::S1, what);
        }
    }

    /// Whether the node that gave a stream's epoch has restarted since, or forgot its client, or relays led elsewhere.
    fn may_be_gone(&self, flow: usize) -> bool {
        let client = self.flows[flow].client;
        let orphaned = self.flows[flow].orphaned;
        self.flows[flow].epoch.is_some_and(|epoch| orphaned || self.is_epoch_lost(client, epoch))
    }

    /// Whether a flow that is no stream yet may have been about to be one of a client that its node has forgotten.
    pub(in crate::world) fn is_lane_lost(&self, flow: usize) -> bool {
        let client = self.flows[flow].client;
        let mut own = self.ledger.packets.instances.values().filter(|instance| instance.client == client);
        let lost = own.any(|instance| instance.epoch.is_some_and(|epoch| self.is_epoch_lost(client, epoch)));
        lost || self.flows[flow].orphaned
    }

    /// Whether the node that gave an epoch has restarted since, or has forgotten the client.
    fn is_epoch_lost(&self, client: usize, epoch: Epoch) -> bool {
        let home = self.ledger.packets.epochs.get(&epoch);
        let restarted = home.is_none_or(|(node, life)| self.nodes[*node].life != *life);
        // By its own rules the node has forgotten a client that it has not answered for so long.
        let heard = self.ledger.packets.heard.get(&client).copied().unwrap_or(Time::ZERO);
        // An answer that is not what it seems (F18, F19) is none.
        let forged =
            [Fault::Swap, Fault::Corrupt].iter().any(|fault| !self.setup.probability(*fault).is_never());
        let heard = if forged { Time::ZERO } else { heard };
        let idle = self.setup.client.tuning.streams.idle;
        // Clocks differ by up to 1 in 2000.
        let silent = self.now.since(heard) >= idle - idle / 1000;
        restarted || silent || self.ledger.packets.forgotten.contains(&epoch)
    }

    /// S14, when a client is idle: who waits for an exchange, or leaves a stream at its node behind, is woken again.
    pub(in crate::world) fn check_owing(&mut self, client: usize) {
        let side = &self.clients[client];
        if side.wake.is_some() || side.config.options().max_level < Level::Streams {
            return;
        }
        let left = |flow: &usize| {
            self.is_stream(*flow)
                && self.flows[*flow].client == client
                && self.flows[*flow].local.ended.is_some_and(|why| why != EndReason::Reset(ResetCode::Gone))
                && !self.may_be_gone(*flow)
                && !self.ledger.flows[*flow].upset
                && self.flows[*flow].upstreams.iter().any(|up| !self.upstreams[*up].state.is_over())
        };
        let now = self.client_now(client);
        // What is past its deadline is over for the client, though its host is yet to say so.
        let out = side.exchanges.iter().filter(|(exchange, (_, deadline))| {
            let sent = self.ledger.exchanges.get(&(client, **exchange));
            *deadline > now && sent.is_some_and(|sent| Note::are_packet(&sent.notes))
        });
        let out = out.count();
        if out > 0 {
            self.violated(Property::S14, format!("client{client} has {out} packets out and sleeps for ever"));
        } else if let Some(flow) = (0..self.flows.len()).find(left) {
            let what =
                format!("client{client} sleeps for ever, and its node still has the stream of flow {flow}");
            self.violated(Property::S14, what);
        }
    }
}

/// Whether a body brings a packet, and no error or page.
pub(in crate::world) fn looks_like_packet(body: &Bytes) -> bool {
    body.starts_with(br#"{"r":[{"d":"#) || body.first() == Some(&VERSION)
}

/// The packet in the body of an answer.
fn packet_in(form: BodyForm, body: &Bytes) -> Option<Bytes> {
    match form {
        BodyForm::Packet => Some(body.clone()),
        BodyForm::Json => {
            let limits = Limits { max_body: 1 << 30, max_ops: 1 };
            let replies = wire::decode_answer(body, 1, limits).ok()?;
            replies.into_iter().next().filter(|reply| reply.error.is_none()).map(|reply| reply.data)
        }
    }
}

/// Whether a body answers a request: each of its ops, or the packet that it was.
pub(in crate::world) fn answers(sent: &Sent, body: &Bytes) -> bool {
    let limits = Limits { max_body: 1 << 30, max_ops: sent.notes.len() };
    let replies = || wire::decode_answer(body, sent.notes.len(), limits);
    let [Note { role: Role::Packet { name, hello, .. }, .. }] = *sent.notes else {
        return replies().is_ok();
    };
    let fits = |packet: Bytes| {
        let header = read_response(packet);
        header.is_some_and(|header| name.is_none_or(|name| name == (header.client, header.exchange)))
    };
    match (sent.form, replies().ok().and_then(|replies| replies.into_iter().next())) {
        (BodyForm::Packet, _) => fits(body.clone()),
        (BodyForm::Json, None) => false,
        // That there is no level 2 is an answer.
        (BodyForm::Json, Some(reply)) if reply.error.is_some() => hello || reply.is_unsupported("streams"),
        (BodyForm::Json, Some(reply)) => fits(reply.data),
    }
}
