//! Request packets: whose they are, what their exchange is, and how they are answered.

use core::time::Duration;

use bytes::Bytes;

use crate::level::Level;
use crate::node::Node;
use crate::node::action::NodeNotice;
use crate::node::sessions::batch::{OpRef, Slot};
use crate::node::sessions::reply::Fixed;
use crate::node::streams::client::{ClientFault, ConnectionId};
use crate::node::streams::hold::{Held, Load};
use crate::node::streams::largest_packet;
use crate::node::streams::sent::{Arrival, Progress};
use crate::wire::BadOp;
use crate::wire::frame::Frames;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{self, RequestHeader, ResponseRoom};

/// A request packet on its way in.
#[derive(Clone, Copy, Debug)]
struct Request<'h> {
    id: ConnectionId,
    at: OpRef,
    header: &'h RequestHeader,
    /// Bytes of its packet.
    len: usize,
    /// Whether other ops wait for their answers with it.
    shared: bool,
}

impl Node {
    /// A packet came as an op, or as a body. With `shared`, other ops of its batch must not wait for it.
    pub(in crate::node) fn on_packet(&mut self, at: OpRef, packet: Bytes, shared: bool) {
        if self.config.max_level < Level::Streams {
            return self.tell(at, Fixed::bad_op(&BadOp::Unknown("streams".into()), None));
        }
        self.stats.packets = self.stats.packets.saturating_add(1);
        let len = packet.len();
        if len > largest_packet(&self.config) {
            return self.bad_packet(at);
        }
        let opened =
            self.connections.up.open(packet).ok().and_then(|plain| packet::decode_request(plain).ok());
        match opened {
            Some((header, frames)) => self.on_request_packet(at, &header, frames, len, shared),
            None => self.bad_packet(at),
        }
    }

    /// Whatever is wrong is answered in the same way, and says nothing.
    fn bad_packet(&mut self, at: OpRef) {
        self.stats.bad_packets = self.stats.bad_packets.saturating_add(1);
        self.notice(NodeNotice::BadPacket { request: at.request });
        self.tell(at, Fixed::error("bad packet", None));
    }

    fn on_request_packet(
        &mut self,
        at: OpRef,
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
                    self.connections.table.entry(id).and_modify(|connection| connection.epoch = epoch);
                }
                id
            }
            (Some(id), epoch) if connection.is_some_and(|connection| Some(connection.epoch) == epoch) => id,
            (_, Some(epoch)) => return self.answer_unknown(at, header, epoch),
            (None, None) => match self.connections.grants(&self.config) {
                Ok(grants) => {
                    self.stats.clients = self.stats.clients.saturating_add(1);
                    self.notice(NodeNotice::ClientJoined { client: header.client });
                    self.connections.insert(header, grants, self.now)
                }
                Err(limit) => {
                    self.notice(NodeNotice::LimitReached { limit });
                    return self.bad_packet(at);
                }
            },
        };
        if let Err(fault) = self.take(Request { id, at, header, len, shared }, frames) {
            self.fail_client(id, fault);
            self.bad_packet(at);
        }
    }

    /// A packet of a client that is known, in its epoch.
    fn take(&mut self, request: Request<'_>, frames: Frames) -> Result<(), ClientFault> {
        let now = self.now;
        let Request { id, header, .. } = request;
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        connection.last_seen = now;
        let arrival =
            connection.exchanges.arrive(header.exchange).map_err(|_| ClientFault::TooManyExchanges)?;
        connection.confirm_below(header.done, now);
        connection.take_terms(header);
        self.answer_done(id);
        for frame in frames {
            self.on_frame(id, header.exchange, frame, arrival == Arrival::First, request.len)?;
        }
        self.admit_copy(request, arrival);
        self.touch_connection(id);
        Ok(())
    }

    /// Nobody will ask for what a held request below `done` would carry: it is answered by a header.
    fn answer_done(&mut self, id: ConnectionId) {
        while let Some(connection) = self.connections.get_mut(id)
            && let Some((exchange, held)) =
                connection.held.first_key_value().map(|(exchange, held)| (*exchange, *held))
            && exchange < connection.exchanges.done()
        {
            connection.held.remove(&exchange);
            self.answer_bare(id, exchange, held, false);
        }
    }

    /// Answers this copy of a request, or holds it.
    fn admit_copy(&mut self, request: Request<'_>, arrival: Arrival) {
        let now = self.now;
        let Request { id, at, header, shared, .. } = request;
        let exchange = header.exchange;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let max_hold = connection.grants.max_hold;
        let bare = header.epoch.is_none()
            || header.room == ResponseRoom::HeaderOnly
            || connection.is_named(exchange) && !planted!(NamedRefilled)
            || exchange < connection.exchanges.done();
        let hold = if shared { Duration::ZERO } else { header.hold.min(max_hold) };
        let held = Held { at, arrived: now, until: now.saturating_add(hold), room: header.room };
        match arrival {
            Arrival::Held if planted!(CopyRefilled) => self.answer_bare(id, exchange, held, false),
            Arrival::Held if !bare => {
                // Its content is fixed now, and both copies are answered with it.
                self.answer_held(id, exchange, Load::Anything);
                self.answer_again(id, exchange, held);
            }
            Arrival::Answered if !bare => self.answer_again(id, exchange, held),
            Arrival::First if !bare => {
                if let Some(record) = connection.exchanges.get_mut(exchange) {
                    record.progress = Progress::Held;
                }
                connection.held.insert(exchange, held);
                self.place(at, Slot::Exchange(id, exchange));
            }
            Arrival::First => {
                connection.exchanges.answered(exchange, 0, alloc::vec::Vec::new(), 0);
                self.answer_bare(id, exchange, held, header.epoch.is_none());
            }
            Arrival::Below | Arrival::Held | Arrival::Answered => {
                self.answer_bare(id, exchange, held, header.epoch.is_none());
            }
        }
    }

    /// The caller of a held request has gone. What its answer would have carried goes with another; a client that
    /// waits for this one learns that it was answered, and that nothing came.
    pub(in crate::node) fn on_exchange_gone(
        &mut self,
        at: OpRef,
        id: ConnectionId,
        exchange: ExchangeNumber,
    ) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.held.get(&exchange).is_some_and(|held| held.at == at) {
            connection.held.remove(&exchange);
            connection.exchanges.answered(exchange, 0, alloc::vec::Vec::new(), 0);
            self.touch_connection(id);
        }
    }
}
