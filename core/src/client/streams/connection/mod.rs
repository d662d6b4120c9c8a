//! State of the level 2 connection to one node (protocol.md 3.1 and 3.2).

mod belief;
mod loss;
pub(super) mod receive;
mod request;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::client::action::{ClientAction, EndReason};
use crate::client::context::Context;
use crate::client::event::LocalEvent;
use crate::client::sessions::session::Start;
use crate::client::streams::controllers::Controllers;
use crate::client::streams::decryptor::Opener;
use crate::client::streams::doubt::Doubt;
use crate::client::streams::exchanges::Exchanges;
use crate::client::streams::next_request::Inputs;
use crate::client::streams::peer_credit::PeerCredit;
use crate::client::streams::round_trips::Size;
use crate::client::streams::stream::{LocalSocket, LocalStream};
use crate::client::streams::timeout::LossDetector;
use crate::config::ClientOptions;
use crate::connection::{Connection, LastWord};
use crate::error::Misuse;
use crate::id::{FlowId, RelayId};
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::direction::Direction;
use crate::wire::handshake::{AnswerPayload, ConnectionKeys, NodeId, NoticeKey};
use crate::wire::number::{AnswerNumber, ExchangeNumber, StreamNumber};
use crate::wire::reset::ResetCode;
use crate::wire::seal::Seal;

/// A connection takes no new streams when it is as old: its keys have served for long enough.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// After a hello is answered, the node hears of the client within this time, or forgets it soon.
const CONFIRM: Duration = Duration::from_secs(1);

/// How long a node has to answer the first request.
const UNCONFIRMED: Duration = Duration::from_secs(60);

/// The client's end of the connection to a node.
#[derive(Clone, Debug)]
pub(in crate::client) struct NodeConnection {
    node: NodeId,
    up: Seal,
    opener: Arc<Opener>,
    /// The relays that lead to it.
    relays: BTreeSet<RelayId>,
    stage: ConnectionStage,
    began: Instant,
    doubt: Option<Doubt>,
    /// When the first of what was lost since the node was heard had been sent.
    silent_since: Option<Instant>,
    /// Whether that was long ago, while another node was heard.
    judged_silent: bool,
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
    /// Whether it takes no new streams for its age.
    retired: bool,
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

/// ```text
///   Answered ── a packet opens ──▶ Up ── the client stops, or it is old and has no streams ──▶ Leaving ──▶ (over)
///      └── nothing opens for 60 s ──▶ (over)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ConnectionStage {
    /// Its hello was answered, and nothing else yet.
    Answered,
    Up,
    /// GOODBYE is `due`, or waits for its answer.
    Leaving {
        due: bool,
        until: Instant,
    },
}

/// Its age counts while it is not confirmed, and once it is too old.
impl Hash for NodeConnection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.node, &self.relays, self.stage, &self.doubt, self.silent_since).hash(state);
        (&self.shared, &self.exchanges, self.next_stream, &self.ended, self.newest).hash(state);
        (self.backlog, self.peer_credit, self.draining, self.heard, self.traffic).hash(state);
        (self.taken, self.unreported, self.reported, &self.controllers).hash(state);
        self.retired.hash(state);
        if self.stage == ConnectionStage::Answered {
            self.began.hash(state);
        }
    }
}

impl NodeConnection {
    /// A connection whose hello was answered through `relay`.
    pub(super) fn new(
        answer: &AnswerPayload,
        keys: &ConnectionKeys,
        notice: &NoticeKey,
        relay: RelayId,
        loss: LossDetector,
        config: &ClientOptions,
        now: Instant,
    ) -> Self {
        let (node, grants) = (answer.node, answer.grants);
        let opener = Opener { down: Seal::new(keys, Direction::Down), notice: notice.clone() };
        Self {
            node,
            up: Seal::new(keys, Direction::Up),
            opener: Arc::new(opener),
            relays: BTreeSet::from([relay]),
            stage: ConnectionStage::Answered,
            began: now,
            doubt: None,
            silent_since: None,
            judged_silent: false,
            controllers: Controllers::new(loss, grants.max_packet, &config.tuning.streams, now),
            shared: Connection::new(keys.client(), grants, grants.uplink_total),
            exchanges: Exchanges::new(ExchangeNumber::ZERO),
            next_stream: StreamNumber::ZERO,
            ended: VecDeque::new(),
            newest: None,
            backlog: 0,
            peer_credit: PeerCredit::Free,
            draining: false,
            retired: false,
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
            confirm: self.confirm_at().is_some_and(|at| at <= now),
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

    /// The node.
    pub(super) const fn node(&self) -> NodeId {
        self.node
    }

    /// Seals requests.
    pub(in crate::client) const fn up(&self) -> &Seal {
        &self.up
    }

    /// Opens answers.
    pub(super) const fn opener(&self) -> &Arc<Opener> {
        &self.opener
    }

    /// The relays that lead to it.
    pub(super) fn relays(&self) -> impl Iterator<Item = RelayId> {
        self.relays.iter().copied()
    }

    /// The controllers, for the next connection over the same paths.
    pub(super) fn into_loss(self) -> LossDetector {
        self.controllers.into_loss()
    }

    /// Whether another stream may be opened.
    pub(super) fn has_place(&self) -> bool {
        self.takes_relays() && self.shared.has_place() && !self.draining && !self.is_in_doubt()
    }

    /// Whether the node has said that it shuts down.
    pub(super) const fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether relays join it that turn out to lead to its node.
    pub(super) const fn takes_relays(&self) -> bool {
        matches!(self.stage, ConnectionStage::Answered | ConnectionStage::Up) && !self.retired
    }

    /// A relay leads to it too.
    pub(super) fn join(&mut self, relay: RelayId) {
        self.relays.insert(relay);
    }

    /// A relay leads elsewhere. Returns whether it was part of the connection.
    pub(super) fn leave(&mut self, relay: RelayId) -> bool {
        self.relays.remove(&relay)
    }

    /// Whether nothing was heard since something that is lost was sent.
    pub(super) const fn is_silent(&self) -> bool {
        self.silent_since.is_some()
    }

    /// Since when the node is silent.
    pub(super) const fn silent_since(&self) -> Option<Instant> {
        self.silent_since
    }

    /// When the node was last heard.
    pub(super) const fn heard(&self) -> Instant {
        self.heard
    }

    /// When an empty request is due, so that the node keeps the connection.
    pub(super) fn confirm_at(&self) -> Option<Instant> {
        let waits = self.stage == ConnectionStage::Answered && self.exchanges.tally().waiting == 0;
        waits.then(|| self.began.saturating_add(CONFIRM))
    }

    /// L of small exchanges.
    pub(super) fn timeout(&self) -> Duration {
        self.controllers.loss().timeout(None, Size::Small, 0)
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

    /// When the node has forgotten the connection, if it is not heard before.
    pub(super) fn forgotten_at(&self, config: &ClientOptions) -> Option<Instant> {
        match self.stage {
            ConnectionStage::Answered => Some(self.began.saturating_add(UNCONFIRMED)),
            ConnectionStage::Up => {
                self.is_in_use().then(|| self.heard.saturating_add(config.tuning.streams.idle))
            }
            ConnectionStage::Leaving { until, .. } => Some(until),
        }
    }

    /// When it takes no more streams.
    pub(super) fn retires_at(&self) -> Option<Instant> {
        if self.retired { None } else { Some(self.began.saturating_add(LIFETIME)) }
    }

    /// It is as old as a connection gets: another one takes its place.
    pub(super) const fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether it is old and has no streams.
    pub(super) fn is_done(&self) -> bool {
        self.retired && !self.is_in_use() && !self.is_leaving()
    }

    /// The client ends it: the node is told, and has some time to answer.
    pub(super) fn say_goodbye(&mut self, now: Instant) {
        if !self.is_leaving() {
            let until = now.saturating_add(self.timeout().saturating_mul(2));
            self.stage = ConnectionStage::Leaving { due: true, until };
        }
    }

    /// Whether the client has ended it.
    pub(super) const fn is_leaving(&self) -> bool {
        matches!(self.stage, ConnectionStage::Leaving { .. })
    }

    /// The call with GOODBYE failed: it goes again.
    pub(super) const fn on_goodbye_lost(&mut self) {
        if let ConnectionStage::Leaving { due, .. } = &mut self.stage {
            *due = true;
        }
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
