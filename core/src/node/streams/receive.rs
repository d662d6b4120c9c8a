//! Request packets: their client, their exchange, and copies of a request (protocol.md 3.2 rules 2 and 12).

use core::time::Duration;

use bytes::Bytes;

use crate::id::RequestId;
use crate::level::Level;
use crate::node::action::ClientFault;
use crate::node::action::NodeNotice;
use crate::node::context::Context;
use crate::node::requests::{ExchangeRef, PacketReply, Part};
use crate::node::streams::Streams;
use crate::node::streams::exchanges::{Arrival, Progress};
use crate::node::streams::hold::{Held, Load};
use crate::node::streams::largest_packet;
use crate::node::upstreams::ConnectionId;
use crate::wire::frame::Frames;
use crate::wire::packet::{self, RequestHeader, ResponseRoom};

/// One copy of a request packet.
#[derive(Clone, Copy, Debug)]
struct RequestCopy<'h> {
    id: ConnectionId,
    at: Part,
    header: &'h RequestHeader,
    /// Bytes of its packet.
    len: usize,
    /// Whether other ops wait for their answers with it.
    shared: bool,
}

impl Streams {
    /// A packet came as an op, or as a body. With `shared`, other ops of its batch must not wait for it.
    pub(in crate::node) fn on_packet(&mut self, cx: &mut Context, at: Part, packet: Bytes, shared: bool) {
        if cx.config().max_level < Level::Streams {
            return cx.reply_packet(at, PacketReply::Unsupported);
        }
        cx.count(|stats| &mut stats.packets, 1);
        let len = packet.len();
        if len > largest_packet(cx.config()) {
            return self.bad_packet(cx, at);
        }
        let opened = self.up.open(packet).ok().and_then(|plain| packet::decode_request(plain).ok());
        match opened {
            Some((header, frames)) => self.on_request_packet(cx, at, &header, frames, len, shared),
            None => self.bad_packet(cx, at),
        }
    }

    /// Every error has the same answer, which tells nothing.
    fn bad_packet(&mut self, cx: &mut Context, at: Part) {
        cx.count(|stats| &mut stats.bad_packets, 1);
        cx.notice(NodeNotice::BadPacket { request: at.request });
        cx.reply_packet(at, PacketReply::BadPacket);
    }

    fn on_request_packet(
        &mut self,
        cx: &mut Context,
        at: Part,
        header: &RequestHeader,
        frames: Frames,
        len: usize,
        shared: bool,
    ) {
        let known = self.connections.find(header.client);
        let connection = known.and_then(|id| self.connections.get(id));
        let id = match (known, header.epoch) {
            (Some(id), None) => {
                if planted!(HelloAnew) {
                    let epoch = self.connections.epochs.generate();
                    self.connections
                        .table
                        .entry(id)
                        .and_modify(|connection| connection.shared.set_epoch(epoch));
                }
                id
            }
            (Some(id), epoch)
                if connection.is_some_and(|connection| Some(connection.shared.epoch()) == epoch) =>
            {
                id
            }
            (_, Some(epoch)) => return self.answer_unknown(cx, at, header, epoch),
            (None, None) => match self.connections.grants(cx.config()) {
                Ok(grants) => {
                    cx.count(|stats| &mut stats.clients, 1);
                    cx.notice(NodeNotice::ClientJoined { client: header.client });
                    self.connections.insert(header, grants, cx.now())
                }
                Err(limit) => {
                    cx.notice(NodeNotice::LimitReached { limit });
                    return self.bad_packet(cx, at);
                }
            },
        };
        if let Err(fault) = self.take(cx, RequestCopy { id, at, header, len, shared }, frames) {
            self.fail_client(cx, id, fault);
            self.bad_packet(cx, at);
        }
    }

    /// A packet of a client that is known, in its epoch.
    fn take(
        &mut self,
        cx: &mut Context,
        request: RequestCopy<'_>,
        frames: Frames,
    ) -> Result<(), ClientFault> {
        let now = cx.now();
        let RequestCopy { id, header, .. } = request;
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        connection.last_seen = now;
        let arrival =
            connection.exchanges.arrive(header.exchange).map_err(|_| ClientFault::TooManyExchanges)?;
        connection.confirm_below(header.done, now);
        connection.take_terms(header);
        self.answer_done(cx, id);
        for frame in frames {
            self.on_frame(cx, id, header.exchange, frame, arrival == Arrival::First, request.len)?;
        }
        self.admit_copy(cx, request, arrival);
        self.touch_connection(cx, id);
        Ok(())
    }

    /// Answers held requests below `done` by a header: the client will not ask for more.
    fn answer_done(&mut self, cx: &mut Context, id: ConnectionId) {
        while let Some(connection) = self.connections.get_mut(id)
            && let Some((exchange, held)) =
                connection.held.first_key_value().map(|(exchange, held)| (*exchange, *held))
            && exchange < connection.exchanges.done()
        {
            connection.held.remove(&exchange);
            self.answer_bare(cx, id, exchange, held, false);
        }
    }

    /// Answers this copy of a request, or holds it.
    fn admit_copy(&mut self, cx: &mut Context, request: RequestCopy<'_>, arrival: Arrival) {
        let now = cx.now();
        let RequestCopy { id, at, header, shared, .. } = request;
        let exchange = header.exchange;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let max_hold = connection.shared.grants().max_hold;
        let bare = header.epoch.is_none()
            || header.room == ResponseRoom::HeaderOnly
            || connection.is_named(exchange) && !planted!(NamedRefilled)
            || exchange < connection.exchanges.done();
        let hold = if shared { Duration::ZERO } else { header.hold.min(max_hold) };
        let held = Held { at, arrived: now, until: now.saturating_add(hold), room: header.room };
        match arrival {
            Arrival::Held if planted!(CopyRefilled) => self.answer_bare(cx, id, exchange, held, false),
            Arrival::Held if !bare => {
                // Its frames are fixed now, and both copies are answered with them.
                self.answer_held(cx, id, exchange, Load::Anything);
                self.answer_again(cx, id, exchange, held);
            }
            Arrival::Answered if !bare => self.answer_again(cx, id, exchange, held),
            Arrival::First if !bare => {
                if let Some(record) = connection.exchanges.get_mut(exchange) {
                    record.progress = Progress::Held;
                }
                connection.held.insert(exchange, held);
                cx.hold_exchange(at, ExchangeRef { connection: id, exchange });
            }
            Arrival::First => {
                connection.exchanges.answered(exchange, 0, 0);
                self.answer_bare(cx, id, exchange, held, header.epoch.is_none());
            }
            Arrival::Below | Arrival::Held | Arrival::Answered => {
                self.answer_bare(cx, id, exchange, held, header.epoch.is_none());
            }
        }
    }

    /// The caller of a held request has gone. The client learns that the exchange was answered, without frames.
    pub(in crate::node) fn on_request_gone(&mut self, cx: &mut Context, request: RequestId, at: ExchangeRef) {
        let ExchangeRef { connection: id, exchange } = at;
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.held.get(&exchange).is_some_and(|held| held.at.request == request) {
            connection.held.remove(&exchange);
            connection.exchanges.answered(exchange, 0, 0);
            self.touch_connection(cx, id);
        }
    }
}
