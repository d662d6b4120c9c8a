//! State of the level 2 connection to the node (protocol.md 3.1 and 3.2).

mod loss;
pub(super) mod receive;
mod request;

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::client::action::{ClientAction, EndReason};
use crate::client::context::Context;
use crate::client::event::LocalEvent;
use crate::client::sessions::session::Start;
use crate::client::streams::controllers::Controllers;
use crate::client::streams::exchanges::Exchanges;
use crate::client::streams::next_request::Inputs;
use crate::client::streams::peer_credit::PeerCredit;
use crate::client::streams::stream::{LocalSocket, LocalStream};
use crate::client::streams::timeout::LossDetector;
use crate::config::ClientOptions;
use crate::connection::{Connection, LastWord};
use crate::error::Misuse;
use crate::id::FlowId;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::number::{AnswerNumber, ExchangeNumber, StreamNumber};
use crate::wire::packet::{ClientId, Epoch, Grants};
use crate::wire::reset::ResetCode;

/// The client's end of the connection to its node.
#[derive(Clone, Debug, Hash)]
pub(in crate::client) struct NodeConnection {
    shared: Connection<LocalSocket>,
    exchanges: Exchanges,
    next_stream: StreamNumber,
    /// Streams that have ended, and why: the machine reports them.
    ended: VecDeque<(FlowId, EndReason)>,
    /// The newest answer, and what it said.
    newest: Option<AnswerNumber>,
    backlog: u64,
    peer_credit: PeerCredit,
    draining: bool,
    /// When the node was last heard, and when payload last went either way.
    heard: Instant,
    traffic: Instant,
    /// When an application last took bytes, and how many were taken of which no request told.
    taken: Instant,
    unreported: u64,
    /// The last request that told of any.
    reported: Option<ExchangeNumber>,
    controllers: Controllers,
}

impl NodeConnection {
    /// A connection whose hello was answered; `next` is its next exchange.
    pub(super) fn new(
        client: ClientId,
        epoch: Epoch,
        grants: Grants,
        next: ExchangeNumber,
        loss: LossDetector,
        config: &ClientOptions,
        now: Instant,
    ) -> Self {
        Self {
            controllers: Controllers::new(loss, grants.max_packet, &config.tuning.streams, now),
            shared: Connection::new(client, epoch, grants, grants.uplink_total),
            exchanges: Exchanges::new(next),
            next_stream: StreamNumber::ZERO,
            ended: VecDeque::new(),
            newest: None,
            backlog: 0,
            peer_credit: PeerCredit::Free,
            draining: false,
            heard: now,
            traffic: now,
            taken: now,
            unreported: 0,
            reported: None,
        }
    }

    /// What decides over the next request, with so many `relays` that lead to the node.
    pub(super) fn inputs(
        &self,
        relays: usize,
        thrifty: bool,
        config: &ClientOptions,
        now: Instant,
    ) -> Inputs {
        let (scheduler, grants) = (self.shared.scheduler(), self.shared.grants());
        let options = &config.tuning.streams;
        let downlink_total = grants.downlink_total.min(options.downlink_total);
        Inputs {
            now,
            relays,
            thrifty,
            has_streams: !self.shared.is_empty(),
            closing: self.shared.closing_len(),
            unconfirmed: self.shared.unconfirmed(),
            prompt: scheduler.is_prompt(),
            bulk_since: scheduler.bulk_wait().map(|waiting| waiting.since),
            sendable: scheduler.sums().sendable,
            exchanges: self.exchanges.tally(),
            span: self.exchanges.span(),
            traffic: self.traffic,
            taken: self.taken,
            unreported: self.unreported,
            backlog: self.backlog,
            peer_credit: self.peer_credit,
            allowed: self.controllers.allowance(grants.uplink_total, downlink_total, now),
            downlink_total,
            max_packet: grants.max_packet,
            max_hold: grants.max_hold.min(options.idle_hold),
            max_depth: options.max_depth,
        }
    }

    /// The answer of an exchange has begun to come.
    pub(super) fn on_answering(&mut self, exchange: ExchangeNumber) {
        self.exchanges.change(exchange, |record| record.answering = true);
    }

    /// The connection, as both ends know it.
    pub(super) const fn shared(&self) -> &Connection<LocalSocket> {
        &self.shared
    }

    /// Whether another stream may be opened.
    pub(super) fn has_place(&self) -> bool {
        self.shared.has_place() && !self.draining
    }

    /// A flow whose stream has ended, and why.
    pub(super) fn next_ended(&mut self) -> Option<(FlowId, EndReason)> {
        self.ended.pop_front()
    }

    /// The controllers of the path.
    pub(super) const fn controllers(&self) -> &Controllers {
        &self.controllers
    }

    /// The exchanges from the first that is remembered.
    #[cfg(test)]
    pub(super) const fn exchanges(&self) -> &Exchanges {
        &self.exchanges
    }

    /// The newest answer.
    #[cfg(feature = "model")]
    pub(in crate::client) const fn newest(&self) -> Option<AnswerNumber> {
        self.newest
    }

    /// Whether the node must still hear of anything, or the client of anything from it.
    pub(super) fn is_in_use(&self) -> bool {
        !self.shared.is_empty() || self.shared.closing_len() > 0 || self.exchanges.tally().lost > 0
    }

    /// Whether the node may have forgotten the client by its own rules: `idle` is half of the time after which it does.
    pub(super) fn is_stale(&self, now: Instant, idle: Duration) -> bool {
        self.shared.is_empty() && now.saturating_since(self.heard) >= idle
    }

    /// When the node has forgotten the client, if it is not heard before.
    pub(super) fn forgotten_at(&self, config: &ClientOptions) -> Option<Instant> {
        self.is_in_use().then(|| self.heard.saturating_add(config.tuning.streams.idle))
    }

    /// Every stream is over.
    pub(super) fn end_all(&mut self, why: EndReason) {
        self.ended.extend(self.shared.streams().map(|(_, stream)| (stream.socket().flow(), why)));
    }

    /// A stream is over; the engine takes it out.
    pub(super) fn end(&mut self, number: StreamNumber, why: EndReason) {
        if let Some(stream) = self.shared.stream(number) {
            self.ended.push_back((stream.socket().flow(), why));
        }
    }

    /// A flow whose open is due becomes a stream.
    pub(super) fn open(&mut self, flow: FlowId, start: Start, context: &mut Context) -> StreamNumber {
        let (number, now) = (self.next_stream, context.now());
        self.next_stream = number.next();
        let stream = LocalStream::open(flow, start, self.shared.grants(), context.config(), now);
        self.shared.insert(number, stream);
        self.refresh(number, now);
        self.grant(number, context);
        number
    }

    /// A stream has changed: the scheduler looks up what it has to send, and its end is reported.
    pub(super) fn refresh(&mut self, number: StreamNumber, now: Instant) {
        if self.shared.refresh(number, now) {
            self.end(number, EndReason::Finished);
        }
    }

    /// Something happened on an application's socket.
    pub(super) fn on_local(
        &mut self,
        number: StreamNumber,
        event: LocalEvent,
        context: &mut Context,
    ) -> Result<(), Misuse> {
        let now = context.now();
        let Some(stream) = self.shared.stream_mut(number) else { return Ok(()) };
        let taken = match event {
            LocalEvent::Written(bytes) if stream.kind() == FlowKind::Tcp => bytes,
            LocalEvent::Written(_) | LocalEvent::Data(_) | LocalEvent::Fin | LocalEvent::Reset => 0,
        };
        let dropped = stream.on_local(event, now, context.config())?;
        context.add(|stats| &mut stats.datagrams_dropped, dropped);
        if taken > 0 {
            self.unreported = self.unreported.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
            self.taken = now;
        }
        self.grant(number, context);
        self.refresh(number, now);
        Ok(())
    }

    /// Gives an application's socket what credit there is.
    pub(super) fn grant(&mut self, number: StreamNumber, context: &mut Context) {
        let Some((stream, mut pools)) = self.shared.with_pools(number, context.pool()) else { return };
        let (flow, (bytes, blocked)) = (stream.socket().flow(), stream.grant(&mut pools));
        if bytes > 0 {
            context.push(ClientAction::Credit { flow, bytes });
        }
        if blocked {
            self.shared.block(number);
        }
    }

    /// Gives credit to blocked streams, the oldest first.
    pub(in crate::client) fn feed(&mut self, context: &mut Context) {
        while context.pool_has_room()
            && let Some(number) = self.shared.next_blocked()
        {
            self.grant(number, context);
        }
    }

    /// A stream is over. The node is told unless it ended the stream itself. Returns the target.
    pub(super) fn remove(
        &mut self,
        number: StreamNumber,
        why: EndReason,
        context: &mut Context,
    ) -> Option<Target> {
        let last = match (why, self.shared.stream(number)?.kind()) {
            (EndReason::Finished, FlowKind::Tcp) => LastWord::Finished,
            (EndReason::ConnectFailed(_) | EndReason::Reset(_), _) => LastWord::Nothing,
            _ => LastWord::Reset(ResetCode::Aborted),
        };
        let now = context.now();
        let stream = self.shared.remove(number, last, context.pool(), now)?;
        self.feed(context);
        Some(stream.socket().target().clone())
    }
}
