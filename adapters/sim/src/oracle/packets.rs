//! Packets of level 2 as clients send them, ends of streams, and the calls of idle clients (S3, S10, S14, L8, R4).

use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::end::EndCode;
use seqlane::wire::frame::{Frame, Frames};
use seqlane::wire::handshake::ReceivedHello;
use seqlane::wire::number::ExchangeNumber;
use seqlane::wire::packet::{self, ClientId, RequestHeader, ResponseRoom};
use seqlane::wire::reset::ResetCode;
use seqlane::wire::seal::{self, Seal};
use seqlane::{EndReason, ExchangeFailure, FlowKind, Level};

use crate::ends::{Ends, Flow};
use crate::hello::KEYS;
use crate::oracle::Oracle;
use crate::oracle::answers::is_hello;
use crate::oracle::attribution::WHILE;
use crate::oracle::records::{
    ConnectionRecord, HELLO_SENT, OpKind, SentCall, SentOp, SentPacket, is_packet, sent_packet,
};
use crate::script::{Opening, Pace, Side};
use crate::{CoveragePoint, Fault, Time};

/// Calls that a client of idle flows makes at most beyond its holds, and how many it makes for each hold; while
/// faults happen, this many a minute.
const IDLE_CALLS: u64 = 60;
const CALLS_A_HOLD: u64 = 3;

/// A node answers a hello again for so long.
const HELLO_KNOWN: Duration = Duration::from_secs(60);

impl Oracle {
    /// A client sends a packet of level 2, or a hello, through a relay.
    pub(super) fn on_packet(&mut self, ends: &Ends, client: usize, relay: u32, packet: &Bytes) -> OpKind {
        // What goes up in bulk is bounded by credit, and may well wait for a part that was lost.
        if packet.len() <= 64 * 1024 {
            self.check_idle_calls(ends, client);
        }
        let sent = if is_hello(packet) {
            self.on_hello(client, relay, packet)
        } else {
            self.on_exchange(ends, client, packet)
        };
        if let Err(why) = &sent {
            violated!(self, S10, "client{client} sends an unreadable packet: {why}");
        }
        OpKind::Packet(sent.ok())
    }

    /// S10: a hello is the same whenever it goes out, through the one relay that it is for.
    fn on_hello(&mut self, client: usize, relay: u32, hello: &Bytes) -> Result<SentPacket, String> {
        let received = ReceivedHello::open(&KEYS, hello).map_err(|closed| closed.to_string())?;
        let head = *hello.first_chunk().ok_or("it is short")?;
        let (id, first) = (received.client(), (self.now, self.client_now(client)));
        let fresh = || ConnectionRecord {
            client,
            hello: hello.clone(),
            relay,
            first,
            answered: false,
            spoken: first.0,
            home: None,
            keys: None,
            heard: first.0,
            heard_of: first.0,
            up: false,
            strays: 0,
            next: ExchangeNumber::ZERO,
            done: ExchangeNumber::ZERO,
            streams: Default::default(),
        };
        let record = self.packets.connections.entry(id).or_insert_with(fresh);
        let same = (record.client, record.relay, &record.hello) == (client, relay, hello);
        let age = first.1.saturating_since(record.first.1);
        require!(self, same, S10, "client{client} sends another hello under a known id through relay{relay}");
        require!(self, age < HELLO_SENT, S10, "client{client} sends a hello again after {age:?}");
        Ok(SentPacket { client: id, head, exchange: None, room: None })
    }

    /// A packet goes out over a connection.
    fn on_exchange(&mut self, ends: &Ends, client: usize, packet: &Bytes) -> Result<SentPacket, String> {
        let id = seal::client_of(packet).ok_or("it has no id")?;
        let head = *packet.first_chunk().ok_or("it is short")?;
        let (header, frames) = self.read_request(client, id, packet)?;
        self.check_counting(client, id, &header);
        for frame in frames {
            match frame {
                Frame::Open { stream, target, .. } => {
                    self.on_stream_opened(ends, id, stream.get(), target.host());
                }
                Frame::Resend { .. } => self.coverage.set(CoveragePoint::AskedAgain),
                _ => {}
            }
        }
        let room = match header.max_response {
            ResponseRoom::HeaderOnly => None,
            ResponseRoom::Bytes(bytes) => Some(bytes),
        };
        if room.is_none() {
            self.coverage.set(CoveragePoint::BareCall);
        }
        Ok(SentPacket { client: id, head, exchange: Some(header.exchange), room })
    }

    /// Opens a packet under the keys that the answer to its hello made.
    fn read_request(
        &self,
        client: usize,
        id: ClientId,
        packet: &Bytes,
    ) -> Result<(RequestHeader, Frames), String> {
        let record = self.packets.connections.get(&id).filter(|record| record.client == client);
        let keys = record.and_then(|record| record.keys.as_ref()).ok_or("its hello was not answered")?;
        let plain =
            Seal::new(keys, Direction::Up).open(packet.clone()).map_err(|closed| closed.to_string())?;
        packet::decode_request(plain).map_err(|error| error.to_string())
    }

    /// S10: exchanges and what is done with are counted as protocol.md 3.1 has it, from 0 in each connection.
    fn check_counting(&mut self, client: usize, id: ClientId, header: &RequestHeader) {
        let Some(record) = self.packets.connections.get_mut(&id) else { return };
        let (next, done, exchange) = (record.next, record.done, header.exchange);
        record.next = exchange.next();
        record.done = header.done;
        record.spoken = self.now;
        if let Some((node, _)) = record.home {
            self.packets.newest.insert((client, node), id);
        }
        let begins = next > ExchangeNumber::ZERO || exchange == ExchangeNumber::ZERO;
        require!(self, begins, S10, "client{client} begins a connection with exchange {exchange}");
        require!(self, exchange >= next, S10, "client{client} counts exchange {exchange} after {next}");
        require!(self, header.done >= done, S10, "client{client} is done below {} after {done}", header.done);
    }

    /// S3: OPEN goes out. From the first time on, the flow is one of level 2.
    fn on_stream_opened(&mut self, ends: &Ends, id: ClientId, stream: u64, host: &str) {
        let known = self.packets.connections.get_mut(&id);
        let Some(flow) = ends.flow_named(host) else { return };
        if !known.is_some_and(|record| record.streams.insert(stream)) {
            return;
        }
        let fresh = !self.is_stream(flow);
        require!(self, fresh, S3, "flow {flow} is opened as stream {stream}, and was a stream already");
        self.flows[flow].connection = Some(id);
        self.flows[flow].opening = true;
        self.coverage.set(CoveragePoint::StreamFlow);
    }

    /// S10: a packet that a node cannot read was damaged on its way, or refused for a limit, or came when the node had
    /// answered its hello for a second time, or is a hello that came late.
    pub(crate) fn on_bad_packet(&mut self, node: usize, request: Option<&[SentOp]>) {
        self.coverage.set(CoveragePoint::PacketRefused);
        let damaged = self.has_struck(Fault::Truncate) || self.has_struck(Fault::Corrupt) || self.limited;
        let late = request.and_then(sent_packet).is_some_and(|sent| {
            let Some(record) = self.packets.connections.get(&sent.client) else { return false };
            match sent.exchange {
                Some(_) => self.is_answered_again(node, sent.client, record),
                None => self.now.since(record.first.0) >= HELLO_KNOWN,
            }
        });
        require!(self, damaged || late, S10, "node{node} refuses a packet that is whole");
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
            EndReason::Reset(ResetCode::Gone) => self.may_be_gone(flow) || self.is_turned_away(client),
            // The node had no place for the connection.
            EndReason::NodeEnded(EndCode::Quota) => self.limited,
            EndReason::NodeSilent => self.may_be_silent(flow, client),
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
                && !self.is_given_up(*flow, client)
                && !self.may_be_gone(*flow)
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
