//! The engine of level 2 (protocol.md 3).
//!
//! ```text
//!  request packet ──▶ packets ──▶ connections ──▶ client ── frames ──▶ stream ──▶ upstream
//!                                                  │   ▲                 ◀──────── upstream
//!                                            hold ─┘   └─ what the stream has to send
//!  response packet ◀── packets ◀── response ◀──┘
//! ```
//!
//! A [`client::ClientConnection`] is the node's end of the connection of one client. A request is an
//! [exchange](exchanges) that is [held](hold) until there is something to send. Its response is assembled from the
//! streams, and what it carried is remembered until the client confirms it.

mod client;
mod connections;
mod ended;
mod exchanges;
mod hold;
mod stream;

use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::error::Misuse;
use crate::id::RequestId;
use crate::level::Level;
use crate::node::action::{ClientEnd, NodeNotice, SessionEnd};
use crate::node::context::Context;
use crate::node::event::UpstreamEvent;
use crate::node::requests::{ExchangeRef, PacketError, Part};
use crate::node::streams::client::ClientConnection;
use crate::node::streams::client::request::RequestCopy;
use crate::node::streams::client::response::unknown_epoch;
use crate::node::streams::connections::Connections;
use crate::node::upstreams::{ConnectionId, StreamRef};
use crate::wire::packet::RequestHeader;
use crate::wire::reset::ResetCode;

/// The engine of level 2.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    connections: Connections,
}

impl Hash for Streams {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.connections.hash(state);
    }
}

impl Streams {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { connections: Connections::new(seed) }
    }

    /// Payload bytes that are kept for all clients. Visits every stream.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.connections.iter().map(ClientConnection::buffered).fold(0, usize::saturating_add)
    }

    /// Whether the contract allows an event of a stream's upstream now.
    pub(super) fn check(&self, at: StreamRef, event: &UpstreamEvent) -> Result<(), Misuse> {
        self.connections.get(at.connection).map_or(Ok(()), |connection| connection.check(at.number, event))
    }

    /// A packet came. With `shared`, other ops of its request must not wait for its answer.
    pub(super) fn on_packet(&mut self, cx: &mut Context, part: Part, packet: Bytes, shared: bool) {
        if cx.config().max_level < Level::Streams {
            return cx.refuse_packet(part, PacketError::Unsupported);
        }
        cx.count(|stats| &mut stats.packets, 1);
        let len = packet.len();
        let Some((header, frames)) = cx.open_packet(packet) else {
            return bad_packet(cx, part);
        };
        let Some(id) = self.connection_of(cx, part, &header) else { return };
        let Some(connection) = self.connections.get_mut(id) else { return };
        let request = RequestCopy { part, header: &header, len, shared };
        if let Err(fault) = connection.on_request(request, frames, cx) {
            self.drop_client(cx, id, ClientEnd::Failed(fault));
            bad_packet(cx, part);
        }
    }

    /// The connection that a packet belongs to; without one, the packet is answered.
    fn connection_of(
        &mut self,
        cx: &mut Context,
        part: Part,
        header: &RequestHeader,
    ) -> Option<ConnectionId> {
        let known = self.connections.find(header.client);
        let epoch = known.and_then(|id| self.connections.get(id)).map(ClientConnection::epoch);
        match (known, header.epoch) {
            (Some(id), None) => Some(id),
            (Some(id), Some(_)) if epoch == header.epoch => Some(id),
            (_, Some(epoch)) => {
                let writer = unknown_epoch(header, epoch, cx);
                cx.reply_packet(part, writer);
                None
            }
            (None, None) => match self.connections.insert(header, cx.config(), cx.now()) {
                Ok(id) => {
                    cx.count(|stats| &mut stats.clients, 1);
                    cx.notice(NodeNotice::ClientJoined { client: header.client });
                    Some(id)
                }
                Err(limit) => {
                    cx.notice(NodeNotice::LimitReached { limit });
                    bad_packet(cx, part);
                    None
                }
            },
        }
    }

    /// The caller of a held request has gone.
    pub(super) fn on_request_gone(&mut self, cx: &mut Context, request: RequestId, at: ExchangeRef) {
        if let Some(connection) = self.connections.get_mut(at.connection) {
            connection.on_request_gone(request, at.exchange, cx);
        }
    }

    /// Something happened to a stream's upstream; the contract was checked.
    pub(super) fn on_upstream(&mut self, cx: &mut Context, at: StreamRef, event: UpstreamEvent) {
        if let Some(connection) = self.connections.get_mut(at.connection) {
            connection.on_upstream(at.number, event, cx);
        }
    }

    /// A stream has changed: its reader may get credit, its deadline may be another.
    pub(super) fn advance(&mut self, cx: &mut Context, at: StreamRef) {
        if let Some(connection) = self.connections.get_mut(at.connection) {
            connection.grant(at.number, cx);
            connection.arm(at.number, cx);
        }
    }

    /// Gives the reader of a stream's upstream what credit there is.
    pub(super) fn grant(&mut self, cx: &mut Context, at: StreamRef) {
        if let Some(connection) = self.connections.get_mut(at.connection) {
            connection.grant(at.number, cx);
        }
    }

    /// A deadline of a stream's upstream has passed.
    pub(super) fn on_upstream_deadline(&mut self, cx: &mut Context, at: StreamRef) {
        if let Some(connection) = self.connections.get_mut(at.connection) {
            connection.on_upstream_deadline(at.number, cx);
        }
    }

    /// Answers the held requests of a client for which it is time, and sets the client's timer.
    pub(super) fn respond(&mut self, cx: &mut Context, connection: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.respond(cx);
        }
    }

    /// A deadline of a client has passed.
    pub(super) fn on_connection_deadline(&mut self, cx: &mut Context, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.idle_deadline(cx.config()) <= cx.now() {
            self.drop_client(cx, id, ClientEnd::Idle);
        } else {
            connection.queue(cx);
        }
    }

    /// The node closes: every stream is reset, and every held request is answered with that.
    pub(super) fn close(&mut self, cx: &mut Context) {
        for id in self.connections.ids() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.close(cx);
            }
            self.drop_client(cx, id, ClientEnd::NodeClosed);
        }
    }

    /// Drops a client with everything that it has. Its requests are answered as packets that do not open.
    fn drop_client(&mut self, cx: &mut Context, id: ConnectionId, why: ClientEnd) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.end_streams(SessionEnd::ClientLost, ResetCode::Gone, cx);
        }
        if let Some(connection) = self.connections.remove(id) {
            cx.notice(NodeNotice::ClientEnded { client: connection.client(), why });
            connection.drop_requests(cx);
        }
    }
}

/// Whatever is wrong with a packet is answered in the same way.
fn bad_packet(cx: &mut Context, part: Part) {
    cx.count(|stats| &mut stats.bad_packets, 1);
    cx.notice(NodeNotice::BadPacket { request: part.request });
    cx.refuse_packet(part, PacketError::BadPacket);
}
