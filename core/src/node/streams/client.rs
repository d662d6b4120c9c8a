//! Connection of one client at the node (protocol.md 3.1 and 3.2).

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::config::NodeOptions;
use crate::connection::stream::violation::Violation;
use crate::connection::{Connection, LastWord};
use crate::credit::Pool;
use crate::id::UpstreamId;
use crate::node::action::ClientFault;
use crate::node::streams::ended::Ended;
use crate::node::streams::exchanges::Exchanges;
use crate::node::streams::hold::{Circumstances, Held, Patience};
use crate::node::streams::stream::{UpstreamSocket, UpstreamStream};
use crate::time::{Instant, share};
use crate::timer::TimerSlot;
use crate::wire::number::{AnswerNumber, ExchangeNumber, StreamNumber};
use crate::wire::packet::{Epoch, Grants, RequestHeader};
use crate::wire::reset::ResetCode;

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
pub(in crate::node) struct ClientConnection {
    pub(super) shared: Connection<UpstreamSocket>,
    pub(super) exchanges: Exchanges,
    /// The number of the next answer.
    pub(super) answers: AnswerNumber,
    /// From the request with the highest number: how many requests may be held, and when a small answer is repeated.
    pub(super) keep: usize,
    pub(super) confirm: Option<Duration>,
    pub(super) held: BTreeMap<ExchangeNumber, Held>,
    pub(super) ended: Ended,
    /// Small answers that are not acknowledged, by when they are repeated.
    pub(super) unconfirmed: BTreeSet<(Instant, ExchangeNumber)>,
    pub(super) last_seen: Instant,
    pub(super) timer: TimerSlot,
    /// Whether it is on the machine's work queue already.
    pub(super) listed: bool,
}

impl ClientConnection {
    /// A client that says hello.
    pub(super) fn new(hello: &RequestHeader, epoch: Epoch, grants: Grants, now: Instant) -> Self {
        let total = grants.downlink_total.min(hello.total);
        Self {
            shared: Connection::new(hello.client, epoch, grants, total),
            exchanges: Exchanges::new(hello.done),
            answers: AnswerNumber::ZERO,
            keep: 0,
            confirm: None,
            held: BTreeMap::new(),
            ended: Ended::default(),
            unconfirmed: BTreeSet::new(),
            last_seen: now,
            timer: TimerSlot::default(),
            listed: false,
        }
    }

    /// Takes the limits that the newest request names.
    pub(super) fn take_terms(&mut self, header: &RequestHeader) {
        if header.exchange >= self.exchanges.seen() {
            let grants = self.shared.grants();
            self.keep = usize::try_from(header.keep.min(grants.max_held)).unwrap_or(usize::MAX);
            self.confirm = header.confirm;
            let total = grants.downlink_total.min(header.total);
            self.shared.set_total(total);
        }
    }

    /// Every exchange below `done` is acknowledged or was named in a RESEND.
    pub(super) fn confirm_below(&mut self, done: ExchangeNumber, now: Instant) {
        self.exchanges.forget_below(done);
        let done = self.exchanges.done();
        self.shared.on_acked_below(done, now);
        self.unconfirmed.retain(|(_, exchange)| *exchange >= done);
    }

    /// The client says that the answer of `exchange` may be lost. Returns its request if it is held.
    pub(super) fn resend(&mut self, exchange: ExchangeNumber, now: Instant) -> Option<Held> {
        self.exchanges.get_mut(exchange)?.named = true;
        self.unconfirmed.retain(|(_, unconfirmed)| *unconfirmed != exchange);
        self.shared.on_lost(exchange, now);
        self.held.remove(&exchange)
    }

    /// The upstream of a stream.
    pub(super) fn upstream(&self, number: StreamNumber) -> Option<UpstreamId> {
        self.shared.stream(number).map(|stream| stream.upstream_id())
    }

    /// A stream is over.
    pub(super) fn remove(
        &mut self,
        number: StreamNumber,
        last: LastWord,
        pool: &mut Pool,
        now: Instant,
    ) -> Option<UpstreamStream> {
        let stream = self.shared.remove(number, last, pool, now)?;
        self.ended.insert(number);
        Some(stream)
    }

    /// A stream is refused before it begins.
    pub(super) fn refuse(&mut self, number: StreamNumber, code: ResetCode, now: Instant) {
        self.ended.insert(number);
        self.shared.refuse(number, code, now);
    }

    /// The client reset a stream that does not exist: it is never opened.
    pub(super) fn forget(&mut self, number: StreamNumber, now: Instant) {
        self.ended.insert(number);
        self.shared.forget(number, now);
    }

    /// DATA came for a stream that does not exist.
    pub(super) fn on_stray_chunk(&mut self, number: StreamNumber, now: Instant) {
        if !self.shared.on_stray_chunk(number, now) && !self.ended.contains(number) {
            self.shared.queue_gone(number, now);
        }
    }

    /// Whether the sums and the numbers of ended streams are within their bounds.
    pub(super) fn check(&self, config: &NodeOptions) -> Result<(), ClientFault> {
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
    pub(super) fn patience(&self, config: &NodeOptions) -> Patience {
        const LEAST: Duration = Duration::from_millis(1);
        let longest = config.tuning.streams.settle.saturating_mul(20);
        let (settle, acks) = (config.tuning.streams.settle, config.tuning.streams.ack_delay);
        let Some(confirm) = self.confirm else { return Patience { settle, fill: settle, acks } };
        let settle = share(confirm, 1, 100).min(settle);
        if settle < LEAST {
            return Patience { acks, ..Patience::default() };
        }
        Patience { settle, fill: share(confirm, 1, 16).min(longest), acks }
    }

    fn fills_lowest(&self) -> bool {
        let room = self.held.values().next().map_or(u64::MAX, |held| held.room.get());
        u64::try_from(self.shared.scheduler().sums().sendable).unwrap_or(u64::MAX) >= room
    }

    /// How many held requests bulk leaves for sparse data: all but one, or none if every stream is in bulk.
    pub(super) fn reserve(&self) -> usize {
        if self.shared.scheduler().bulk_len() >= self.shared.len() { 0 } else { self.keep.saturating_sub(1) }
    }

    /// What decides about the held requests.
    pub(super) fn circumstances(&self) -> Circumstances {
        let scheduler = self.shared.scheduler();
        Circumstances {
            held: self.held.len(),
            keep: self.keep,
            reserve: self.reserve(),
            lowest: self.held.keys().next().copied(),
            ends: self.held.iter().map(|(exchange, held)| (held.until, *exchange)).min(),
            prompt: scheduler.prompt_wait(),
            bulk: scheduler.bulk_wait(),
            acks: scheduler.acks_since(),
            ready: scheduler.bulk_len() > 1 || self.fills_lowest(),
            repeat: self.unconfirmed.first().copied(),
        }
    }

    /// When the client is dropped if it is not heard of.
    pub(super) fn idle_deadline(&self, config: &NodeOptions) -> Instant {
        self.last_seen.saturating_add(config.tuning.streams.idle)
    }

    /// Whether an exchange was named in a RESEND: its answers carry a header only.
    pub(super) fn is_named(&self, exchange: ExchangeNumber) -> bool {
        self.exchanges.get(exchange).is_some_and(|record| record.named)
    }
}
