//! What client and node share for as long as both remember it: one name, one epoch, and the streams and exchanges of it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::client::action::{ClientAction, EndReason};
use crate::client::context::Outbox;
use crate::client::event::LocalEvent;
use crate::client::streams::congestion_window::CongestionWindow;
use crate::client::streams::next_request::Inputs;
use crate::client::streams::packet_size::PacketSize;
use crate::client::streams::peer_credit::PeerCredit;
use crate::client::streams::sent::{Exchanges, SentFrame};
use crate::client::streams::slow_start::SlowStart;
use crate::client::streams::stream::{Phase, Stream};
use crate::client::streams::timeout::LossDetector;
use crate::config::ClientOptions;
use crate::connection::closing::{ClosingStream, Word};
use crate::connection::pending::Pending;
use crate::connection::scheduler::SendScheduler;
use crate::connection::stream::flow::Flow;
use crate::credit::{Pool, Within};
use crate::error::Misuse;
use crate::id::FlowId;
use crate::time::Instant;
use crate::wire::number::{AnswerNumber, ExchangeNumber, StreamNumber};
use crate::wire::packet::{ClientId, Epoch, Grants};
use crate::wire::reset::ResetCode;

/// The bytes of an uplink packet in bulk to begin with, and the least.
const FIRST_REQUEST: u64 = 768 * 1024;
const LEAST_REQUEST: u64 = 128 * 1024;

/// A client instance, as the node knows it.
#[derive(Clone, Debug)]
pub(in crate::client) struct NodeConnection {
    pub(super) client: ClientId,
    pub(super) epoch: Epoch,
    pub(super) grants: Grants,
    pub(super) exchanges: Exchanges,
    pub(super) streams: BTreeMap<StreamNumber, Stream>,
    pub(super) next_stream: StreamNumber,
    /// Streams of which the node is not known to have heard.
    pub(super) unconfirmed: usize,
    pub(super) scheduler: SendScheduler,
    pub(super) closing: BTreeMap<StreamNumber, ClosingStream>,
    /// What its streams may keep of uplink bytes.
    pub(super) pool: Pool,
    /// Streams that this pool had no credit for.
    pub(super) blocked: BTreeSet<StreamNumber>,
    /// Streams that have ended, and why: the machine reports them.
    pub(super) ended: Vec<(FlowId, EndReason)>,
    /// The newest answer, and what it said.
    pub(super) newest: Option<AnswerNumber>,
    pub(super) backlog: u64,
    pub(super) peer_credit: PeerCredit,
    pub(super) draining: bool,
    /// When the node was last heard, and when payload last went either way.
    pub(super) heard: Instant,
    pub(super) traffic: Instant,
    /// When an application last took bytes, and how many were taken of which no request told.
    pub(super) taken: Instant,
    pub(super) unreported: u64,
    /// The last request that told of any.
    pub(super) reported: Option<ExchangeNumber>,
    pub(super) loss: LossDetector,
    pub(super) response_size: PacketSize,
    pub(super) request_size: PacketSize,
    pub(super) response_window: CongestionWindow,
    pub(super) request_window: CongestionWindow,
    pub(super) slow_start: SlowStart,
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
        let options = &config.tuning.streams;
        let packet = grants.max_packet.max(options.least_response);
        let request = u64::try_from(options.most_request).unwrap_or(u64::MAX).min(packet);
        Self {
            client,
            epoch,
            exchanges: Exchanges::new(next),
            streams: BTreeMap::new(),
            next_stream: StreamNumber::ZERO,
            unconfirmed: 0,
            scheduler: SendScheduler::default(),
            closing: BTreeMap::new(),
            pool: Pool::new(usize::try_from(grants.uplink_total).unwrap_or(usize::MAX)),
            blocked: BTreeSet::new(),
            ended: Vec::new(),
            newest: None,
            backlog: 0,
            peer_credit: PeerCredit::Free,
            draining: false,
            heard: now,
            traffic: now,
            taken: now,
            unreported: 0,
            reported: None,
            loss,
            response_size: PacketSize::new(
                options.first_response,
                options.least_response,
                options.most_response.min(packet),
            ),
            request_size: PacketSize::new(FIRST_REQUEST, LEAST_REQUEST, request),
            response_window: CongestionWindow::new(now),
            request_window: CongestionWindow::new(now),
            slow_start: SlowStart::new(),
            grants,
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
        let Self { scheduler, grants, loss, .. } = self;
        let (options, rtt) = (&config.tuning.streams, loss.rtt());
        let downlink_total = grants.downlink_total.min(options.downlink_total);
        Inputs {
            now,
            relays,
            thrifty,
            has_streams: !self.streams.is_empty(),
            closing: self.closing.len(),
            unconfirmed: self.unconfirmed,
            prompt: scheduler.is_prompt(),
            bulk: !scheduler.bulk.is_empty(),
            bulk_since: scheduler.bulk_wait.map(|waiting| waiting.since),
            sendable: scheduler.sums.sendable,
            exchanges: self.exchanges.tally(),
            span: self.exchanges.span(),
            traffic: self.traffic,
            taken: self.taken,
            unreported: self.unreported,
            backlog: self.backlog,
            peer_credit: self.peer_credit,
            rtt,
            is_silent: loss.is_silent(),
            request_size: self.request_size.bytes(),
            request_window: self.request_window.limit(grants.uplink_total, rtt.p50),
            response_size: self.response_size.bytes(),
            response_window: self.response_window.limit(downlink_total, rtt.p50),
            boost: self.slow_start.boost(now, rtt.p50),
            downlink_total,
            max_packet: grants.max_packet,
            max_hold: grants.max_hold.min(options.idle_hold),
            max_depth: options.max_depth,
        }
    }

    /// Whether another stream may be opened.
    pub(super) fn has_place(&self) -> bool {
        self.streams.len() < usize::try_from(self.grants.max_streams).unwrap_or(usize::MAX)
    }

    /// Whether the node must still hear of anything, or the client of anything from it.
    pub(super) fn is_in_use(&self) -> bool {
        !self.streams.is_empty() || !self.closing.is_empty() || self.exchanges.tally().lost > 0
    }

    /// Whether the node may have forgotten the client by its own rules: `idle` is half of the time after which it does.
    pub(super) fn is_stale(&self, now: Instant, idle: Duration) -> bool {
        self.streams.is_empty() && now.saturating_since(self.heard) >= idle
    }

    /// When the node has forgotten the client, if it is not heard before.
    pub(super) fn forgotten_at(&self, config: &ClientOptions) -> Option<Instant> {
        self.is_in_use().then(|| self.heard.saturating_add(config.tuning.streams.idle))
    }

    /// Every stream is over.
    pub(super) fn end_all(&mut self, why: EndReason) {
        self.ended.extend(self.streams.values().map(|stream| (stream.id, why)));
    }

    /// A stream begins.
    pub(super) fn insert(&mut self, stream: Stream, now: Instant) -> StreamNumber {
        let number = self.next_stream;
        self.next_stream = number.next();
        self.unconfirmed = self.unconfirmed.saturating_add(1);
        self.streams.insert(number, stream);
        self.refresh(number, now);
        number
    }

    /// A stream has changed: what it wants sent is looked up, and its end is reported.
    pub(super) fn refresh(&mut self, number: StreamNumber, now: Instant) {
        let Self { streams, scheduler, ended, .. } = self;
        let Some(stream) = streams.get_mut(&number) else { return };
        if stream.traffic.flow.is_finished() {
            return ended.push((stream.id, EndReason::Finished));
        }
        scheduler.refresh(number, &mut stream.traffic, stream.open.is_queued(), now);
    }

    /// Something happened on an application's socket.
    pub(super) fn on_local(
        &mut self,
        number: StreamNumber,
        event: LocalEvent,
        now: Instant,
        config: &ClientOptions,
        out: &mut Outbox,
    ) -> Result<(), Misuse> {
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(()) };
        let taken = match event {
            LocalEvent::Written(bytes) => u64::try_from(bytes).unwrap_or(u64::MAX),
            LocalEvent::Data(_) | LocalEvent::Fin | LocalEvent::Reset => 0,
        };
        let dropped = stream.on_local(event, now, config)?;
        out.stats.datagrams_dropped = out.stats.datagrams_dropped.saturating_add(dropped);
        if taken > 0 && stream.traffic.flow.kind() == crate::target::FlowKind::Tcp {
            self.unreported = self.unreported.saturating_add(taken);
            self.taken = now;
        }
        self.grant(number, out);
        self.refresh(number, now);
        Ok(())
    }

    /// Gives the reader of an application's socket what credit there is.
    pub(super) fn grant(&mut self, number: StreamNumber, out: &mut Outbox) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let Flow::Tcp { send, .. } = &stream.traffic.flow else { return };
        // Before a confirmed open, the application has nothing to say yet.
        let told = stream.phase == Phase::Open || stream.credit.was_granted();
        if !told || send.state() != crate::connection::stream::send::SendState::Open {
            return;
        }
        let bytes = stream.credit.grant(&mut Within { inner: &mut self.pool, outer: &mut out.pool });
        if bytes > 0 {
            out.actions.push_back(ClientAction::Credit { flow: stream.id, bytes });
        }
        if stream.credit.is_blocked() {
            self.blocked.insert(number);
        }
    }

    /// Gives credit to streams that got none while there was none, the oldest first.
    pub(in crate::client) fn feed(&mut self, out: &mut Outbox) {
        while self.pool.has_room()
            && out.pool.has_room()
            && let Some(number) = self.blocked.pop_first()
        {
            self.grant(number, out);
        }
    }

    /// A stream is over. The node hears of it unless it said so itself.
    pub(super) fn remove(
        &mut self,
        number: StreamNumber,
        why: EndReason,
        out: &mut Outbox,
    ) -> Option<Stream> {
        let mut stream = self.streams.remove(&number)?;
        if stream.phase == Phase::Unconfirmed {
            self.unconfirmed = self.unconfirmed.saturating_sub(1);
        }
        self.scheduler.remove(number, stream.traffic.counted);
        self.blocked.remove(&number);
        let word = match (why, &stream.traffic.flow) {
            (EndReason::Finished, Flow::Tcp { recv, .. }) => Some((Word::Ack(recv.taken()), recv.ack())),
            // It is the node that ended it.
            (EndReason::ConnectFailed(_) | EndReason::Reset(_), _) => None,
            (_, Flow::Tcp { .. } | Flow::Udp(_)) => Some((Word::Reset(ResetCode::Aborted), Pending::Queued)),
        };
        self.close_stream(number, word);
        stream.credit.close(&mut Within { inner: &mut self.pool, outer: &mut out.pool });
        self.feed(out);
        Some(stream)
    }

    fn close_stream(&mut self, number: StreamNumber, word: Option<(Word, Pending)>) {
        if let Some((word, pending)) = word.filter(|(_, pending)| !pending.is_clear()) {
            self.closing.insert(number, ClosingStream { word, pending });
            if pending.is_queued() {
                self.scheduler.closing.insert(number);
            }
        }
    }

    /// The node heard of a stream.
    pub(super) fn on_heard(&mut self, number: StreamNumber, phase: Phase) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if stream.phase == Phase::Unconfirmed {
            self.unconfirmed = self.unconfirmed.saturating_sub(1);
            stream.open = Pending::Clear;
        }
        if stream.phase != Phase::Open {
            stream.phase = phase;
        }
    }

    /// What an exchange carried has arrived.
    pub(super) fn frame_acked(&mut self, item: SentFrame, by: ExchangeNumber, now: Instant) {
        let number = match item {
            SentFrame::Open(number) => {
                self.on_heard(number, Phase::Heard);
                number
            }
            SentFrame::Chunk(number, seq) => {
                if let Some(Flow::Tcp { send, .. }) = self.flow_mut(number) {
                    send.acked(seq);
                }
                number
            }
            SentFrame::Ack(number) | SentFrame::Window(number) | SentFrame::Reset(number) => {
                if let Some(Flow::Tcp { recv, .. }) = self.flow_mut(number) {
                    recv.acked(by);
                } else if let Some(closing) = self.closing.get_mut(&number) {
                    closing.pending.acked(by);
                    if closing.pending.is_clear() {
                        self.closing.remove(&number);
                        self.scheduler.closing.remove(&number);
                    }
                }
                number
            }
        };
        self.refresh(number, now);
    }

    /// What an exchange carried may be lost.
    pub(super) fn frame_lost(&mut self, item: SentFrame, by: ExchangeNumber, now: Instant) {
        let number = match item {
            SentFrame::Open(number) => {
                if let Some(stream) = self.streams.get_mut(&number) {
                    stream.open.lost(by);
                }
                number
            }
            SentFrame::Chunk(number, seq) => {
                if let Some(Flow::Tcp { send, .. }) = self.flow_mut(number) {
                    send.lost(seq, by);
                }
                number
            }
            SentFrame::Ack(number) | SentFrame::Window(number) | SentFrame::Reset(number) => {
                if let Some(Flow::Tcp { recv, .. }) = self.flow_mut(number) {
                    recv.lost(by);
                } else if let Some(closing) = self.closing.get_mut(&number) {
                    if !planted!(FarewellOnce) {
                        closing.pending.lost(by);
                    }
                    if closing.pending.is_queued() {
                        self.scheduler.closing.insert(number);
                    }
                }
                number
            }
        };
        self.refresh(number, now);
    }

    pub(super) fn flow_mut(&mut self, number: StreamNumber) -> Option<&mut Flow> {
        self.streams.get_mut(&number).map(|stream| &mut stream.traffic.flow)
    }

    /// Payload bytes that are kept. Visits every stream.
    pub(super) fn kept(&self) -> usize {
        self.streams.values().map(|stream| stream.traffic.kept()).fold(0, usize::saturating_add)
    }
}
