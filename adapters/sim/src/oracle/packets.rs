//! Packets of level 2: streams, epochs, and the calls of idle clients (S3, S10, S14, L8, R1, R4).

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::{Frame, Frames};
use seqlane::wire::packet::{self, ClientId, Epoch, RequestHeader, ResponseHeader, ResponseRoom};
use seqlane::wire::reset::ResetCode;
use seqlane::wire::seal::{Seal, VERSION};
use seqlane::wire::{self, Limits};
use seqlane::{BodyForm, EndReason, ExchangeFailure, FlowKind, Level};

use crate::ends::{Ends, Flow};
use crate::oracle::Oracle;
use crate::oracle::attribution::WHILE;
use crate::oracle::records::{OpKind, SentCall, SentOp, is_packet};
use crate::script::{Opening, Pace, Side};
use crate::{CoveragePoint, Fault, Time};

/// Calls that a client of idle flows makes at most beyond its holds, and how many it makes for each hold; while
/// faults happen, this many a minute.
const IDLE_CALLS: u64 = 60;
const CALLS_A_HOLD: u64 = 3;

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

impl Oracle {
    /// A client sends a packet of level 2.
    pub(super) fn on_packet(&mut self, ends: &Ends, client: usize, packet: Bytes) -> OpKind {
        // What goes up in bulk is bounded by credit, and may well wait for a part that was lost.
        let idle = packet.len() <= 64 * 1024;
        let (header, frames) = match read_request(packet) {
            Ok(read) => read,
            Err(why) => {
                violated!(self, S10, "client{client} sends an unreadable packet: {why}");
                return OpKind::Packet { name: None, hello: false, room: None };
            }
        };
        self.check_counting(client, &header);
        if idle {
            self.check_idle_calls(ends, client);
        }
        for frame in frames {
            match frame {
                Frame::Open { stream, target, .. } => {
                    self.on_stream_opened(ends, &header, stream.get(), target.host());
                }
                Frame::Resend { .. } => self.coverage.set(CoveragePoint::AskedAgain),
                _ => {}
            }
        }
        let room = match header.max_response {
            ResponseRoom::HeaderOnly => None,
            ResponseRoom::Bytes(bytes) => Some(bytes),
        };
        if room.is_none() && header.epoch.is_some() {
            self.coverage.set(CoveragePoint::BareCall);
        }
        OpKind::Packet { name: Some((header.client, header.exchange)), hello: header.epoch.is_none(), room }
    }

    /// S10: exchanges and what is done with are counted as protocol.md 3.1 has it.
    fn check_counting(&mut self, client: usize, header: &RequestHeader) {
        let instance = self.packets.instances.entry(header.client).or_default();
        let (next, done) = (instance.next, instance.done);
        instance.client = client;
        instance.next = header.exchange.next();
        instance.done = header.done;
        instance.epoch = header.epoch.or(instance.epoch);
        let exchange = header.exchange;
        require!(self, exchange >= next, S10, "client{client} counts exchange {exchange} after {next}");
        require!(self, header.done >= done, S10, "client{client} is done below {} after {done}", header.done);
    }

    /// S3: OPEN goes out. From the first time on, the flow is one of level 2.
    fn on_stream_opened(&mut self, ends: &Ends, header: &RequestHeader, stream: u64, host: &str) {
        let known = self.packets.instances.get_mut(&header.client);
        let Some(flow) = ends.flow_named(host) else { return };
        if !known.is_some_and(|instance| instance.streams.insert(stream)) {
            return;
        }
        let fresh = !self.is_stream(flow);
        require!(self, fresh, S3, "flow {flow} is opened as stream {stream}, and was a stream already");
        self.flows[flow].epoch = header.epoch;
        self.flows[flow].opening = true;
        self.coverage.set(CoveragePoint::StreamFlow);
    }

    /// R1: a node answers packets. No answer is larger than was allowed.
    pub(super) fn on_packet_answered(
        &mut self,
        node: usize,
        form: BodyForm,
        request: &[SentOp],
        body: &Bytes,
    ) {
        let [SentOp { kind: OpKind::Packet { hello, room, .. }, .. }] = request else { return };
        let Some(packet) = packet_in(form, body) else { return };
        let (len, room) = (packet.len(), room.unwrap_or(u64::MAX));
        require!(self, len as u64 <= room, R1, "node{node} answers {len} B where {room} B were allowed");
        if *hello && let Some(header) = read_response(packet) {
            let home = self.home(node);
            self.packets.epochs.insert(header.epoch, home);
        }
    }

    /// S10: a packet that a node cannot read was damaged on its way, or refused for a limit.
    pub(crate) fn on_bad_packet(&mut self, node: usize) {
        self.coverage.set(CoveragePoint::PacketRefused);
        let damaged = self.has_struck(Fault::Truncate) || self.has_struck(Fault::Corrupt) || self.limited;
        require!(self, damaged, S10, "node{node} refuses a packet that is whole");
    }

    /// A node has not heard of a client for too long. Streams that lived then are lost for a reason; one without any
    /// streams is to say hello before its next.
    pub(crate) fn on_forgotten(&mut self, ends: &Ends, name: ClientId) {
        let Some(instance) = self.packets.instances.get(&name) else { return };
        if ends.flows.iter().any(|flow| flow.client == instance.client && flow.is_alive()) {
            self.packets.forgotten.extend(instance.epoch);
        }
    }

    /// R4: a client whose flows are all idle spends little more than a call for each hold.
    fn check_idle_calls(&mut self, ends: &Ends, client: usize) {
        // An answer that takes its time keeps a client awake.
        // So does a node that takes some of its requests and refuses others for a limit.
        if self.calls_of(client).any(|call| call.answering) || self.limited {
            return;
        }
        let ended = |flow: &Flow| flow.over.map_or(Time::ZERO, |(_, at)| at);
        let own = ends.flows.iter().filter(|flow| flow.client == client);
        let moved = own.map(|flow| flow.moved.max(ended(flow))).max().unwrap_or(Time::ZERO);
        let (calls, since) = &mut self.clients[client].idle_calls;
        if moved > *since {
            (*calls, *since) = (0, moved);
        }
        *calls += 1;
        let (calls, time) = (*calls, self.now.since(*since));
        let hold = self.setup.client.tuning.streams.idle_hold.min(self.setup.node.tuning.streams.max_hold);
        let holds = IDLE_CALLS + CALLS_A_HOLD * (time.as_millis() / hold.as_millis().max(1)) as u64;
        // When a relay comes back, what was lost is asked for at once.
        let calm = self.setup.is_calm() && self.setup.outages.is_empty();
        let most = if calm { holds } else { holds.max(IDLE_CALLS * (1 + time.as_secs() / 60)) };
        require!(
            self,
            calls <= most,
            R4,
            "client{client} makes {calls} calls in {time:?} in which nothing moves"
        );
    }

    /// A client says at which level a flow is carried (S4).
    pub(crate) fn on_connected(&mut self, flow: usize, level: Level) {
        let agrees = self.is_stream(flow) == (level == Level::Streams);
        require!(self, agrees, S4, "flow {flow} is said to speak level {}", level.number());
    }

    /// L8: a stream ends by itself, or for what happened to its ends or its machines; never for what happens to
    /// exchanges. S1: an orderly end has brought everything to the upstream too.
    pub(super) fn check_stream_end(&mut self, ends: &Ends, flow: usize, why: EndReason) {
        let Flow { client, ref script, ref app, .. } = ends.flows[flow];
        let udp = script.transport() == FlowKind::Udp;
        let fails = script.opening != Opening::Accept;
        let fair = match why {
            EndReason::Finished | EndReason::ClientClosed | EndReason::Idle => true,
            EndReason::Local => script.is_ended_locally(),
            EndReason::ConnectFailed(_) => fails || self.limited,
            EndReason::Reset(ResetCode::Connect(_)) => fails,
            EndReason::Reset(ResetCode::Aborted) => script.is_reset_by(Side::Upstream),
            // A client whose every relay asks to be left alone may be forgotten before one is asked again.
            EndReason::Reset(ResetCode::Gone) => {
                self.may_be_gone(flow, client) || self.is_turned_away(client)
            }
            EndReason::Reset(ResetCode::Idle) => udp,
            EndReason::Reset(ResetCode::Stalled) => script.upstream_reads != Pace::AtOnce,
            EndReason::Reset(ResetCode::TooManyStreams) => self.limited,
            // Chunks are never cut again, and no relay takes them.
            EndReason::ExchangeLost(ExchangeFailure::TooLarge) => self.has_struck(Fault::BodyCap),
            // No relay may be called for longer than a call lasts.
            EndReason::NoRelay => self.is_turned_away(client),
            _ => false,
        };
        let (fair, kind) = (fair || self.flows[flow].upset, script.kind);
        require!(self, fair, L8, "stream of flow {flow} ({kind:?}) is lost: {why}");
        let (taken, sent) = (ends.received_upstream(flow), app.sent);
        let whole = why != EndReason::Finished || udp || taken == sent;
        require!(self, whole, S1, "flow {flow} looks finished, and its upstream has {taken} B of {sent} B");
    }

    /// Whether every relay has refused and was left alone until a moment ago, has spent its budget, or is broken.
    pub(super) fn is_turned_away(&self, client: usize) -> bool {
        let now = self.client_now(client);
        (0..self.passes.len() as u32).all(|relay| {
            let limit = self.daily_calls(relay);
            let turned_away = self.relays.get(&(client, relay)).is_some_and(|record| {
                let refused = record.refused_until.is_some_and(|until| until.saturating_add(WHILE) >= now);
                refused || record.alone_until.is_some() || limit.is_some_and(|limit| record.spent >= limit)
            });
            turned_away || !self.passes[relay as usize]
        })
    }

    /// Whether the node that gave a stream's epoch has restarted since, or forgot its client, or relays led elsewhere.
    fn may_be_gone(&self, flow: usize, client: usize) -> bool {
        let record = &self.flows[flow];
        record.epoch.is_some_and(|epoch| record.orphaned || self.is_epoch_lost(client, epoch))
    }

    /// Whether a flow that is no stream yet may have been about to be one of a client that its node has forgotten.
    pub(super) fn is_connection_lost(&self, flow: usize, client: usize) -> bool {
        let mut own = self.packets.instances.values().filter(|instance| instance.client == client);
        let lost = own.any(|instance| instance.epoch.is_some_and(|epoch| self.is_epoch_lost(client, epoch)));
        lost || self.flows[flow].orphaned
    }

    /// Whether the node that gave an epoch has restarted since, or has forgotten the client.
    fn is_epoch_lost(&self, client: usize, epoch: Epoch) -> bool {
        let home = self.packets.epochs.get(&epoch);
        let restarted = home.is_none_or(|(node, life)| self.nodes[*node].life != *life);
        // An answer that is not what it seems (F18, F19) is none.
        let forged = |fault: Fault| !self.setup.probability(fault).is_never();
        let heard = self.clients[client].heard;
        let heard = if forged(Fault::Swap) || forged(Fault::Corrupt) { Time::ZERO } else { heard };
        // By its own rules the node has forgotten a client that it has not answered for so long.
        let idle = self.setup.client.tuning.streams.idle;
        // Clocks differ by up to 1 in 2000.
        let silent = self.now.since(heard) >= idle - idle / 1000;
        restarted || silent || self.packets.forgotten.contains(&epoch)
    }

    /// S14: a client that waits for an exchange, or leaves a stream at its node behind, is woken again.
    pub(crate) fn on_client_idle(&mut self, ends: &Ends, client: usize, wakes: bool) {
        if wakes || self.setup.client.max_level < Level::Streams {
            return;
        }
        let now = self.client_now(client);
        // What is past its deadline is over for the client, though its host is yet to say so.
        let open = |call: &&SentCall| call.deadline > now && is_packet(&call.request);
        let out = self.calls_of(client).filter(open).count();
        let left = |flow: &usize| {
            let state = &ends.flows[*flow];
            self.is_stream(*flow)
                && state.client == client
                && state.app.ended.is_some_and(|why| why != EndReason::Reset(ResetCode::Gone))
                && !self.may_be_gone(*flow, client)
                && !self.flows[*flow].upset
                && ends.upstreams_of(*flow).any(|upstream| !upstream.state.is_over())
        };
        let left = (0..ends.flows.len()).find(left);
        require!(self, out == 0, S14, "client{client} has {out} packets in flight and no wake time");
        if let Some(flow) = left {
            violated!(
                self,
                S14,
                "client{client} has no wake time, and its node still has the stream of flow {flow}"
            );
        }
    }
}

/// Whether a body brings a packet, and no error or page.
pub(super) fn looks_like_packet(body: &Bytes) -> bool {
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
pub(super) fn answers(sent: &SentCall, body: &Bytes) -> bool {
    let limits = Limits { max_body: 1 << 30, max_ops: sent.request.len() };
    let replies = || wire::decode_answer(body, sent.request.len(), limits);
    let [SentOp { kind: OpKind::Packet { name, hello, .. }, .. }] = *sent.request else {
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
