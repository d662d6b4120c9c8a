//! Connection of one client at the node (protocol.md 3.1, 3.2).

mod frames;
pub(super) mod request;
pub(super) mod response;
mod upstream;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::config::NodeOptions;
use crate::connection::stream::violation::Violation;
use crate::connection::{Connection, LastWord};
use crate::error::Misuse;
use crate::node::action::{ClientFault, SessionEnd, Shut};
use crate::node::context::{Context, Owner};
use crate::node::event::UpstreamEvent;
use crate::node::requests::{PacketError, Part};
use crate::node::socket::Socket;
use crate::node::streams::ended::EndedStreams;
use crate::node::streams::ended_connections::Ended;
use crate::node::streams::exchanges::Exchanges;
use crate::node::streams::half_open::{HalfOpen, Handshake};
use crate::node::streams::hold::{Delays, HeldExchange, HoldInputs};
use crate::node::upstreams::ConnectionId;
use crate::node::users::UserId;
use crate::time::{Deadline, Instant, share};
use crate::timer::TimerSlot;
use crate::wire::direction::Direction;
use crate::wire::end::EndCode;
use crate::wire::frame::Frame;
use crate::wire::handshake::ConnectionKeys;
use crate::wire::number::{AnswerNumber, ExchangeNumber, StreamNumber};
use crate::wire::packet::{ClientId, Grants, RequestHeader, Unsealed};
use crate::wire::reset::ResetCode;
use crate::wire::seal::Seal;

/// Closing streams that a client may have however few streams it may open: it opens the next one as soon as it learns of
/// an end, and acknowledges the end only when every older exchange is done.
const LEAST_CLOSING: usize = 1024;

impl From<Violation> for ClientFault {
    fn from(violation: Violation) -> Self {
        Self::Stream(violation.text())
    }
}

/// The node's end of the connection of one client.
#[derive(Clone, Debug)]
pub(super) struct ClientConnection {
    id: ConnectionId,
    user: UserId,
    /// The name of its user.
    name: Arc<str>,
    keys: ConnectionKeys,
    up: Seal,
    down: Seal,
    /// Its hello and the answer, which may be asked for again.
    handshake: Option<Handshake>,
    shared: Connection<Socket>,
    exchanges: Exchanges,
    /// The number of the next answer.
    answers: AnswerNumber,
    /// From the request with the highest number: how many requests may be held, and when a small answer is repeated.
    max_held: usize,
    confirm: Option<Duration>,
    held: BTreeMap<ExchangeNumber, HeldExchange>,
    ended: EndedStreams,
    /// Small answers that are not acknowledged, by when they are repeated.
    unconfirmed: BTreeSet<(Deadline, ExchangeNumber)>,
    last_seen: Instant,
    timer: TimerSlot,
    /// Whether it is in the work queue.
    queued: bool,
}

/// Of a connection in models, which has no keys.
impl Hash for ClientConnection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.id, &self.shared, &self.exchanges, self.answers, self.max_held, self.confirm).hash(state);
        (&self.held, &self.ended, &self.unconfirmed, self.last_seen, self.queued).hash(state);
    }
}

impl ClientConnection {
    /// A client whose first packet came.
    pub(super) fn new(id: ConnectionId, name: Arc<str>, half: HalfOpen, now: Instant) -> Self {
        let HalfOpen { user, keys, grants, handshake } = half;
        Self {
            id,
            user,
            name,
            up: Seal::new(&keys, Direction::Up),
            down: Seal::new(&keys, Direction::Down),
            handshake: Some(handshake),
            shared: Connection::new(keys.client(), grants, grants.downlink_total),
            keys,
            exchanges: Exchanges::new(ExchangeNumber::ZERO),
            answers: AnswerNumber::ZERO,
            max_held: 0,
            confirm: None,
            held: BTreeMap::new(),
            ended: EndedStreams::default(),
            unconfirmed: BTreeSet::new(),
            last_seen: now,
            timer: TimerSlot::default(),
            queued: false,
        }
    }

    /// Takes the limits that the newest request names.
    fn take_terms(&mut self, header: &RequestHeader) {
        if header.exchange >= self.exchanges.seen() {
            let grants = self.shared.grants();
            self.max_held = usize::try_from(header.max_held.min(grants.max_held)).unwrap_or(usize::MAX);
            self.confirm = header.confirm;
            let total = grants.downlink_total.min(header.total);
            self.shared.set_total(total);
        }
    }

    /// Every exchange below `done` is acknowledged or was named in a RESEND.
    fn confirm_below(&mut self, done: ExchangeNumber, now: Instant) {
        self.exchanges.forget_below(done);
        let done = self.exchanges.done();
        self.shared.on_acked_below(done, now);
        self.unconfirmed.retain(|(_, exchange)| *exchange >= done);
    }

    /// The client says that the answer of `exchange` may be lost. Returns its request if it is held.
    fn resend(&mut self, exchange: ExchangeNumber, now: Instant) -> Option<HeldExchange> {
        self.exchanges.name(exchange)?;
        self.unconfirmed.retain(|(_, unconfirmed)| *unconfirmed != exchange);
        self.shared.on_lost(exchange, now);
        self.held.remove(&exchange)
    }

    /// Whether the sums and the numbers of ended streams are within their bounds.
    fn check_bounds(&self, config: &NodeOptions) -> Result<(), ClientFault> {
        let (sums, grants) = (self.shared.scheduler().sums(), self.shared.grants());
        let most = usize::try_from(grants.max_streams).unwrap_or(usize::MAX).saturating_mul(2);
        let beyond = u64::try_from(sums.beyond).unwrap_or(u64::MAX);
        if beyond > grants.uplink_total {
            Err(ClientFault::TotalExceeded)
        } else if sums.span > config.tuning.streams.reorder_chunks {
            Err(ClientFault::ReorderExceeded)
        } else if self.ended.ranges() > most || self.shared.closing_len() > most.max(LEAST_CLOSING) {
            Err(ClientFault::TooManyEnded)
        } else {
            Ok(())
        }
    }

    /// How long frames wait for others: a hundredth of the client's round trip if it is known, and not at all if that is
    /// below the resolution of timers. While bytes keep coming, a sixteenth, at most 20 settles.
    fn delays(&self, config: &NodeOptions) -> Delays {
        const LEAST: Duration = Duration::from_millis(1);
        let longest = config.tuning.streams.settle.saturating_mul(20);
        let (settle, acks) = (config.tuning.streams.settle, config.tuning.streams.ack_delay);
        let Some(confirm) = self.confirm else { return Delays { settle, fill: settle, acks } };
        let settle = share(confirm, 1, 100).min(settle);
        if settle < LEAST {
            return Delays { acks, ..Delays::default() };
        }
        Delays { settle, fill: share(confirm, 1, 16).min(longest), acks }
    }

    fn fills_lowest(&self) -> bool {
        let room = self.held.values().next().map_or(u64::MAX, |held| held.max_response.get());
        u64::try_from(self.shared.scheduler().sums().sendable).unwrap_or(u64::MAX) >= room
    }

    /// How many held requests bulk leaves for sparse data: all but one, or none if every stream is in bulk.
    fn reserve(&self) -> usize {
        if self.shared.scheduler().bulk_len() >= self.shared.len() {
            0
        } else {
            self.max_held.saturating_sub(1)
        }
    }

    /// What decides about the held requests.
    fn inputs(&self) -> HoldInputs {
        let scheduler = self.shared.scheduler();
        HoldInputs {
            held: self.held.len(),
            max_held: self.max_held,
            reserve: self.reserve(),
            lowest: self.held.keys().next().copied(),
            ends: self.held.iter().map(|(exchange, held)| (held.until, *exchange)).min(),
            prompt: scheduler.prompt_wait(),
            bulk: scheduler.bulk_wait(),
            acks: scheduler.acks_since(),
            ready: scheduler.bulk_len() > 1 || self.fills_lowest(),
            repeat: self.unconfirmed.first().map(|(at, exchange)| (at.0, *exchange)),
        }
    }

    /// When it has something to forget, or is itself forgotten if its client stays silent.
    pub(super) fn lapses_at(&self, config: &NodeOptions) -> Instant {
        let idle = self.idle_deadline(config);
        self.handshake.as_ref().map_or(idle, |handshake| handshake.ends_at().min(idle))
    }

    /// Its hello is answered no more once it is too old.
    pub(super) fn lapse(&mut self, now: Instant) {
        self.handshake.take_if(|handshake| handshake.ends_at() <= now);
    }

    /// When the client is dropped if it stays silent.
    pub(super) fn idle_deadline(&self, config: &NodeOptions) -> Instant {
        self.last_seen.saturating_add(config.tuning.streams.idle)
    }

    pub(super) const fn client(&self) -> ClientId {
        self.shared.client()
    }

    pub(super) const fn user(&self) -> UserId {
        self.user
    }

    /// Opens requests.
    pub(super) const fn up(&self) -> &Seal {
        &self.up
    }

    /// Its hello and the answer, while they may be asked for again.
    pub(super) const fn handshake(&self) -> Option<&Handshake> {
        self.handshake.as_ref()
    }

    /// When the client last showed that it is alive.
    pub(super) const fn last_seen(&self) -> Instant {
        self.last_seen
    }

    /// Whether a request of the client is held.
    pub(super) fn holds_requests(&self) -> bool {
        !self.held.is_empty()
    }

    /// The client says goodbye: held requests and this one are answered by headers.
    pub(super) fn on_goodbye(&mut self, part: Part, header: &RequestHeader, cx: &mut Context) {
        let now = cx.now();
        let copy = HeldExchange { at: part, arrived: now, until: now, max_response: header.max_response };
        let arrival = self.exchanges.arrive(header.exchange);
        if matches!(arrival, Ok(Some(_))) {
            self.exchanges.answered(header.exchange, 0, 0);
        }
        while let Some((exchange, held)) = self.held.pop_first() {
            self.exchanges.answered(exchange, 0, 0);
            self.answer_bare(exchange, held, cx);
        }
        self.answer_bare(header.exchange, copy, cx);
    }

    /// The node ends the connection: held requests are answered with the reason, and later ones shall be.
    pub(super) fn end(&mut self, code: EndCode, cx: &mut Context) -> (ClientId, Ended) {
        let ended = Ended::new(&self.keys, code, "", cx.now());
        while let Some((exchange, held)) = self.held.pop_first() {
            self.exchanges.answered(exchange, 0, 0);
            let header = self.header(exchange, &held, cx);
            let mut writer = Unsealed::response(&header, 0);
            writer.push(&Frame::End { code, text: ended.text.clone() });
            cx.reply_packet(held.at, writer, &self.down);
        }
        (self.client(), ended)
    }

    /// What the client was granted.
    pub(super) const fn grants(&self) -> &Grants {
        self.shared.grants()
    }

    /// Payload bytes that are kept. Visits every stream.
    pub(super) fn buffered(&self) -> usize {
        self.shared.buffered()
    }

    /// Whether the contract allows an event of a stream's upstream now.
    pub(super) fn check(&self, number: StreamNumber, event: &UpstreamEvent) -> Result<(), Misuse> {
        self.shared.stream(number).map_or(Ok(()), |stream| stream.socket().check(event))
    }

    /// A held request may be ready to be answered.
    pub(super) fn queue(&mut self, cx: &mut Context) {
        if !core::mem::replace(&mut self.queued, true) {
            cx.queue_connection(self.id);
        }
    }
}

/// Ends.
impl ClientConnection {
    /// Ends a stream. With a code, a RESET is sent; without one, the last ACK if it finished, and nothing if the client
    /// reset it.
    fn end_stream(
        &mut self,
        number: StreamNumber,
        why: SessionEnd,
        code: Option<ResetCode>,
        cx: &mut Context,
    ) {
        let now = cx.now();
        let last = match code {
            Some(code) => LastWord::Reset(code),
            None if why == SessionEnd::Finished => LastWord::Finished,
            None => LastWord::Nothing,
        };
        let Some(mut stream) = self.shared.remove(number, last, cx.pool(), now) else { return };
        self.ended.insert(number);
        let how = if why == SessionEnd::Finished { Shut::Close } else { Shut::Reset };
        stream.socket_mut().shut(how, cx);
        stream.socket().ended(why, cx);
        self.grant_blocked(cx);
        self.queue(cx);
    }

    /// Resets every stream.
    pub(super) fn end_streams(&mut self, why: SessionEnd, code: ResetCode, cx: &mut Context) {
        let first = |connection: &Self| connection.shared.streams().next().map(|(number, _)| number);
        while let Some(number) = first(self) {
            self.end_stream(number, why, Some(code), cx);
        }
    }

    /// The client was dropped: its requests are answered as packets that do not open.
    pub(super) fn drop_requests(mut self, cx: &mut Context) {
        cx.set_timer(&mut self.timer, Owner::Connection(self.id), None);
        for held in self.held.values() {
            cx.refuse_packet(held.at, PacketError::BadPacket);
        }
    }
}
