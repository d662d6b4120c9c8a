//! The engine of level 2 (protocol.md 3).
//!
//! ```text
//!          hello ──▶ admission ──▶ half_open
//!                                      │ its first packet
//!                                      ▼
//!  request packet ────────────▶ connections ──▶ client ── frames ──▶ stream ──▶ upstream
//!                                                  │   ▲                 ◀──────── upstream
//!                                            hold ─┘   └─ what the stream has to send
//!  response packet ◀── packets ◀── response ◀──┘
//! ```
//!
//! A [`client::ClientConnection`] is the node's end of the connection of one client. A request is an
//! [exchange](exchanges) that is [held](hold) until there is something to send. Its response is assembled from the
//! streams, and what it carried is remembered until the client confirms it.

mod admission;
mod client;
mod connections;
mod ended;
mod ended_connections;
mod exchanges;
mod half_open;
mod hold;
mod readable;
mod stream;
mod token;

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::Bytes;

use crate::config::UserOptions;
use crate::entropy::Draws;
use crate::error::Misuse;
use crate::id::{Generated, IdGenerator, RequestId, first};
use crate::level::Level;
use crate::node::action::{ClientEnd, NodeNotice, SessionEnd};
use crate::node::context::{Context, Owner};
use crate::node::event::UpstreamEvent;
use crate::node::packets::largest_packet;
use crate::node::requests::{ExchangeRef, PacketError, Part};
use crate::node::streams::admission::{Applicant, Verdict};
use crate::node::streams::client::ClientConnection;
use crate::node::streams::client::request::RequestCopy;
use crate::node::streams::client::response::end_packet;
use crate::node::streams::connections::Connections;
use crate::node::streams::ended_connections::Ended;
use crate::node::streams::half_open::{HalfOpen, Handshake};
use crate::node::streams::token::Tokens;
use crate::node::upstreams::{ConnectionId, StreamRef};
use crate::node::users::{User, UserId, Users};
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::direction::Direction;
use crate::wire::end::EndCode;
use crate::wire::frame::{Frame, Frames};
use crate::wire::handshake::{
    self, AnswerPayload, HANDSHAKE_LEN, HELLO, NodeId, Notice, NoticeKind, ReceivedHello,
};
use crate::wire::packet::{self, ClientId, RequestHeader};
use crate::wire::reset::ResetCode;
use crate::wire::seal::{self, HEAD_LEN, Head, Seal};

/// The engine of level 2.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    users: Users,
    /// The name of this start of the node.
    node: NodeId,
    tokens: Tokens,
    /// Draws ephemeral keys.
    draws: Draws,
    connections: Connections,
    timer: TimerSlot,
}

impl Hash for Streams {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.connections.hash(state);
    }
}

impl Generated for NodeId {
    const LABEL: &'static [u8] = b"seqlane node";

    fn from_digest(digest: [u8; 32]) -> Self {
        Self(first(digest))
    }
}

impl Streams {
    /// Level 2 for these users, under a name made of `names`.
    pub(super) fn new(users: Users, names: [u8; 32], draws: Draws) -> Self {
        Self {
            users,
            node: IdGenerator::new(names).generate(),
            tokens: Tokens::new(names),
            draws,
            connections: Connections::default(),
            timer: TimerSlot::default(),
        }
    }

    /// Payload bytes that are kept for all clients. Visits every stream.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.connections.iter().map(ClientConnection::buffered).fold(0, usize::saturating_add)
    }

    /// The ids of connections that are half-open, up or ended.
    #[cfg(feature = "model")]
    pub(super) fn known(&self) -> impl Iterator<Item = (ClientId, Option<u64>)> {
        self.connections.known()
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
        if let Ok(hello) = <[u8; HANDSHAKE_LEN]>::try_from(&packet[..])
            && hello.first() == Some(&HELLO)
        {
            self.on_hello(cx, part, hello);
        } else if let Some(client) =
            seal::client_of(&packet).filter(|_| packet.len() <= largest_packet(cx.config()))
        {
            self.on_exchange(cx, part, client, packet, shared);
        } else {
            bad_packet(cx, part);
        }
        self.rearm(cx);
    }

    /// A hello came: it is answered as before, or a connection begins, or a notice says why not.
    fn on_hello(&mut self, cx: &mut Context, part: Part, hello: [u8; HANDSHAKE_LEN]) {
        let Some(client) = handshake::client_of(&hello) else { return bad_packet(cx, part) };
        let now = cx.now();
        self.connections.expire(now);
        let up = self.connections.find(client).and_then(|id| self.connections.get(id));
        let half = self.connections.half_open().get(client).map(|half| &half.handshake);
        let known = up.is_some() || half.is_some() || self.connections.ended().get(client, now).is_some();
        if known {
            let handshake = up.and_then(ClientConnection::handshake).or(half);
            let answer = handshake.and_then(|handshake| handshake.answer(&hello, now));
            return match answer {
                Some(answer) => cx.reply_ready(part, answer),
                None => bad_packet(cx, part),
            };
        }
        let user = self.users.find(client).and_then(|id| Some((id, self.users.get(id)?)));
        let Some((id, user)) = user else { return self.on_foreign_hello(cx, part, client, &hello) };
        let Ok(received) = ReceivedHello::open(user.keys(), &hello) else { return bad_packet(cx, part) };
        let grants = self.connections.grants(cx.config(), user.max_streams());
        let applicant = self.applicant(cx, id, user, &received, grants.uplink_total);
        match applicant.verdict() {
            Verdict::LetIn => {
                let payload = AnswerPayload { node: self.node, grants };
                let Ok((answer, keys)) = received.answer(*self.draws.draw(), payload) else {
                    return bad_packet(cx, part);
                };
                let handshake = Handshake::new(hello, answer.clone(), now);
                let half = HalfOpen { user: id, keys, grants, handshake };
                self.connections.half_open_mut().insert(client, half, now);
                cx.reply_ready(part, answer);
            }
            Verdict::Refuse { kind, wait, invited } => {
                if kind == NoticeKind::Busy && !applicant.has_place {
                    cx.notice(NodeNotice::LimitReached { limit: "streams.max_clients" });
                    cx.count_user(user.name(), |stats| &mut stats.refused, 1);
                }
                let token = invited.then(|| self.tokens.make(user.name(), now));
                let text = if kind == NoticeKind::NotAllowed { "over quota" } else { "" };
                let notice = Notice { kind, node: self.node, wait, token, text: text.into() };
                let nonce = cx.nonce();
                reply_notice(cx, part, notice.seal(user.keys().notice(), head_of(&hello), nonce));
            }
        }
    }

    /// What decides about a hello of a user.
    fn applicant(
        &self,
        cx: &Context,
        id: UserId,
        user: &User,
        hello: &ReceivedHello,
        total: u64,
    ) -> Applicant {
        let (now, half_open) = (cx.now(), self.connections.half_open());
        let token = hello.payload().token;
        let place = self.connections.has_place(id, user.max_clients(), total, cx.config());
        Applicant {
            draining: cx.is_draining(),
            over_quota: false,
            has_place: place || self.connections.replaceable(id, now).is_some(),
            has_token: token.is_some_and(|token| self.tokens.is_good(token, user.name(), now)),
            half_open_of_user: half_open.len_of(id),
            half_open: half_open.len(),
            recent: half_open.recent(id, now),
        }
    }

    /// A hello of nobody: one without a secret is told that it needs one.
    fn on_foreign_hello(&self, cx: &mut Context, part: Part, client: ClientId, hello: &[u8; HANDSHAKE_LEN]) {
        const WAIT: Duration = Duration::from_secs(600);
        let open = self.users.open_keys(client).filter(|keys| ReceivedHello::open(keys, hello).is_ok());
        let Some(keys) = open else { return bad_packet(cx, part) };
        let notice = Notice {
            kind: NoticeKind::NotAllowed,
            node: self.node,
            wait: WAIT,
            token: None,
            text: "this node wants a secret".into(),
        };
        let nonce = cx.nonce();
        reply_notice(cx, part, notice.seal(keys.notice(), head_of(hello), nonce));
    }

    /// A packet of a connection came, or one that says so.
    fn on_exchange(&mut self, cx: &mut Context, part: Part, client: ClientId, packet: Bytes, shared: bool) {
        let now = cx.now();
        if let Some(id) = self.connections.find(client) {
            return self.serve(cx, part, id, packet, shared);
        }
        self.connections.expire(now);
        if let Some(half) = self.connections.half_open().get(client) {
            let up = Seal::new(&half.keys, Direction::Up);
            let Some(read) = read(&up, packet) else { return bad_packet(cx, part) };
            return self.on_confirmed(cx, part, client, read, shared);
        }
        if let Some(ended) = self.connections.ended().get(client, now) {
            let Some((header, ..)) = read(&ended.up, packet) else { return bad_packet(cx, part) };
            let writer = end_packet(header.exchange, ended.code, &ended.text, cx);
            return cx.reply_packet(part, writer, &ended.down.clone());
        }
        let user = self.users.find(client).and_then(|id| self.users.get(id));
        let Some(user) = user else { return bad_packet(cx, part) };
        let notice = Notice {
            kind: NoticeKind::Unknown,
            node: self.node,
            wait: Duration::ZERO,
            token: None,
            text: "".into(),
        };
        let nonce = cx.nonce();
        reply_notice(cx, part, notice.seal(user.keys().notice(), head_of(&packet), nonce));
    }

    /// The first packet of a half-open connection opened: it takes a place, if there is one.
    fn on_confirmed(
        &mut self,
        cx: &mut Context,
        part: Part,
        client: ClientId,
        read: (RequestHeader, Frames, usize),
        shared: bool,
    ) {
        let now = cx.now();
        let Some(half) = self.connections.half_open_mut().remove(client) else { return };
        let (user, total) = (half.user, half.grants.uplink_total);
        let most = self.users.get(user).map_or(0, User::max_clients);
        let name = cx.accounts().name(self.users.get(user).map_or("", User::name));
        if !self.connections.has_place(user, most, total, cx.config())
            && let Some(silent) = self.connections.replaceable(user, now)
        {
            self.drop_client(cx, silent, ClientEnd::Replaced);
        }
        if !self.connections.has_place(user, most, total, cx.config()) {
            cx.notice(NodeNotice::LimitReached { limit: "streams.max_clients" });
            cx.count_user(&name, |stats| &mut stats.refused, 1);
            let ended = Ended::new(&half.keys, EndCode::Quota, "no place", now);
            let writer = end_packet(read.0.exchange, ended.code, &ended.text, cx);
            cx.reply_packet(part, writer, &ended.down);
            return self.connections.ended_mut().insert(client, ended);
        }
        cx.count(|stats| &mut stats.clients, 1);
        cx.notice(NodeNotice::ClientJoined { client, user: (&*name).into() });
        let id = self.connections.confirm(client, name, half, now);
        self.take(cx, part, id, read, shared);
    }

    /// Serves a packet of a connection, if it opens.
    fn serve(&mut self, cx: &mut Context, part: Part, id: ConnectionId, packet: Bytes, shared: bool) {
        let read = self.connections.get(id).and_then(|connection| read(connection.up(), packet));
        match read {
            Some(read) => self.take(cx, part, id, read, shared),
            None => bad_packet(cx, part),
        }
    }

    /// Takes a request of a connection.
    fn take(
        &mut self,
        cx: &mut Context,
        part: Part,
        id: ConnectionId,
        (header, frames, len): (RequestHeader, Frames, usize),
        shared: bool,
    ) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if frames.clone().next() == Some(Frame::Goodbye) {
            connection.on_goodbye(part, &header, cx);
            return self.drop_client(cx, id, ClientEnd::Goodbye);
        }
        let request = RequestCopy { part, header: &header, len, shared };
        if let Err(fault) = connection.on_request(request, frames, cx) {
            self.drop_client(cx, id, ClientEnd::Failed(fault));
            bad_packet(cx, part);
        }
    }

    /// Other users take the place of those that there are.
    pub(super) fn on_users(&mut self, cx: &mut Context, users: Vec<UserOptions>) {
        for user in self.users.replace(users) {
            self.connections.half_open_mut().forget_user(user);
            for id in self.connections.ids() {
                if self.connections.get(id).is_some_and(|connection| connection.user() == user) {
                    self.end_client(cx, id, EndCode::User, ClientEnd::UserGone);
                }
            }
        }
        self.rearm(cx);
    }

    /// Something is too old.
    pub(super) fn on_handshakes_deadline(&mut self, cx: &mut Context) {
        self.connections.expire(cx.now());
        self.rearm(cx);
    }

    fn rearm(&mut self, cx: &mut Context) {
        let at = self.connections.expires_at().map(|at| (at, TimerKind::Handshake));
        cx.set_timer(&mut self.timer, Owner::Handshakes, at);
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
        connection.lapse(cx.now());
        if connection.idle_deadline(cx.config()) <= cx.now() {
            self.drop_client(cx, id, ClientEnd::Idle);
        } else {
            connection.queue(cx);
        }
    }

    /// The node closes: every stream is reset, and every held request is answered with that. Later ones are refused.
    pub(super) fn close(&mut self, cx: &mut Context) {
        for id in self.connections.ids() {
            self.end_client(cx, id, EndCode::Stop, ClientEnd::NodeClosed);
        }
        self.connections.forget_others();
        self.rearm(cx);
    }

    /// Ends a connection, and tells its client why.
    fn end_client(&mut self, cx: &mut Context, id: ConnectionId, code: EndCode, why: ClientEnd) {
        if let Some(connection) = self.connections.get_mut(id) {
            let (client, ended) = connection.end(code, cx);
            self.connections.ended_mut().insert(client, ended);
        }
        self.drop_client(cx, id, why);
    }

    /// Drops a client with everything that it has. Its requests are answered as packets that do not open.
    fn drop_client(&mut self, cx: &mut Context, id: ConnectionId, why: ClientEnd) {
        let end = match why {
            ClientEnd::NodeClosed => SessionEnd::NodeClosed,
            ClientEnd::UserGone => SessionEnd::UserGone,
            ClientEnd::Idle | ClientEnd::Failed(_) | ClientEnd::Goodbye | ClientEnd::Replaced => {
                SessionEnd::ClientLost
            }
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.end_streams(end, ResetCode::Gone, cx);
        }
        if let Some(connection) = self.connections.remove(id) {
            cx.notice(NodeNotice::ClientEnded { client: connection.client(), why });
            connection.drop_requests(cx);
        }
    }
}

/// The content of a packet, and its length, if it opens under this seal and can be read.
fn read(up: &Seal, packet: Bytes) -> Option<(RequestHeader, Frames, usize)> {
    let len = packet.len();
    let (header, frames) = packet::decode_request(up.open(packet).ok()?).ok()?;
    Some((header, frames, len))
}

/// What a hello or a packet begins with; both are longer.
fn head_of(request: &[u8]) -> &Head {
    request.first_chunk().unwrap_or(&[0; HEAD_LEN])
}

fn reply_notice(cx: &mut Context, part: Part, notice: Option<Bytes>) {
    match notice {
        Some(notice) => cx.reply_ready(part, notice),
        None => bad_packet(cx, part),
    }
}

/// Whatever is wrong with a packet is answered in the same way.
fn bad_packet(cx: &mut Context, part: Part) {
    cx.count(|stats| &mut stats.bad_packets, 1);
    cx.notice(NodeNotice::BadPacket { request: part.request });
    cx.refuse_packet(part, PacketError::BadPacket);
}
