//! One client of level 2, as the node knows it.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::config::NodeOptions;
use crate::connection::closing::{ClosingStream, Word};
use crate::connection::pending::Pending;
use crate::connection::scheduler::SendScheduler;
use crate::connection::stream::Violation;
use crate::connection::stream::flow::Flow;
use crate::credit::Pool;
use crate::node::action::ClientFault;
use crate::node::streams::ended::Ended;
use crate::node::streams::hold::{Circumstances, Held, Patience};
use crate::node::streams::sent::{Exchanges, Record, SentFrame};
use crate::node::streams::stream::Stream;
use crate::time::{Instant, share};
use crate::timer::TimerSlot;
use crate::wire::number::{AnswerNumber, ExchangeNumber, StreamNumber};
use crate::wire::packet::{ClientId, Epoch, Grants, RequestHeader};
use crate::wire::reset::ResetCode;

/// Ends that may wait for their confirmation however few streams a client may have at a time: it opens the next one as
/// soon as it hears of an end, and confirms that only when every older exchange is done.
const LEAST_CLOSING: usize = 1024;

impl From<Violation> for ClientFault {
    fn from(violation: Violation) -> Self {
        Self::Stream(violation.text())
    }
}

/// One client.
#[derive(Clone, Debug)]
pub(in crate::node) struct ClientConnection {
    pub(super) client: ClientId,
    pub(super) epoch: Epoch,
    pub(super) grants: Grants,
    pub(super) exchanges: Exchanges,
    /// The number of the next answer.
    pub(super) answers: AnswerNumber,
    /// From the request with the highest number: how many requests may be held, and when a small answer is repeated.
    pub(super) keep: usize,
    pub(super) confirm: Option<Duration>,
    pub(super) held: BTreeMap<ExchangeNumber, Held>,
    pub(super) streams: BTreeMap<StreamNumber, Stream>,
    pub(super) ended: Ended,
    pub(super) closing: BTreeMap<StreamNumber, ClosingStream>,
    pub(super) scheduler: SendScheduler,
    /// What its streams may keep of downlink bytes.
    pub(super) pool: Pool,
    /// Streams that this pool had no credit for.
    pub(super) blocked: BTreeSet<StreamNumber>,
    /// Small answers that are not confirmed, by when they are repeated.
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
            client: hello.client,
            epoch,
            grants,
            exchanges: Exchanges::new(hello.done),
            answers: AnswerNumber::ZERO,
            keep: 0,
            confirm: None,
            held: BTreeMap::new(),
            streams: BTreeMap::new(),
            ended: Ended::default(),
            closing: BTreeMap::new(),
            scheduler: SendScheduler::default(),
            pool: Pool::new(usize::try_from(total).unwrap_or(usize::MAX)),
            blocked: BTreeSet::new(),
            unconfirmed: BTreeSet::new(),
            last_seen: now,
            timer: TimerSlot::default(),
            listed: false,
        }
    }

    /// Takes what the newest request says of the client as a whole.
    pub(super) fn take_terms(&mut self, header: &RequestHeader) {
        if header.exchange >= self.exchanges.seen() {
            self.keep = usize::try_from(header.keep.min(self.grants.max_held)).unwrap_or(usize::MAX);
            self.confirm = header.confirm;
            let total = self.grants.downlink_total.min(header.total);
            self.pool.set_total(usize::try_from(total).unwrap_or(usize::MAX));
        }
    }

    /// Every exchange below `done` is confirmed, or was named: what those carried has arrived.
    pub(super) fn confirm_below(&mut self, done: ExchangeNumber, now: Instant) {
        while let Some((exchange, record)) = self.exchanges.forget(done) {
            for item in record.frames {
                self.frame_acked(item, exchange, now);
            }
        }
        let done = self.exchanges.done();
        self.unconfirmed.retain(|(_, exchange)| *exchange >= done);
    }

    fn frame_acked(&mut self, item: SentFrame, by: ExchangeNumber, now: Instant) {
        let (number, chunk) = match item {
            SentFrame::Chunk(number, seq) => (number, Some(seq)),
            SentFrame::Ack(number)
            | SentFrame::Window(number)
            | SentFrame::Opened(number)
            | SentFrame::Reset(number) => (number, None),
        };
        if let Some(stream) = self.streams.get_mut(&number) {
            match (&mut stream.traffic.flow, chunk) {
                (Flow::Tcp { send, .. }, Some(seq)) => send.acked(seq),
                (Flow::Tcp { recv, .. }, None) => recv.acked(by),
                (Flow::Udp(_), _) => {}
            }
            stream.opened.acked(by);
            self.scheduler.refresh(number, &mut stream.traffic, stream.opened.is_queued(), now);
        } else if let Some(closing) = self.closing.get_mut(&number) {
            closing.pending.acked(by);
            if closing.pending.is_clear() {
                self.forget_closing(number);
            }
        }
    }

    /// The client says that the answer of `exchange` may be lost. Gives its request if it is held: it is answered
    /// by a header.
    pub(super) fn resend(&mut self, exchange: ExchangeNumber, now: Instant) -> Option<Held> {
        self.exchanges.get_mut(exchange)?.named = true;
        self.unconfirmed.retain(|(_, unconfirmed)| *unconfirmed != exchange);
        for item in self.exchanges.take_frames(exchange) {
            self.frame_lost(item, exchange, now);
        }
        self.held.remove(&exchange)
    }

    pub(super) fn frame_lost(&mut self, item: SentFrame, by: ExchangeNumber, now: Instant) {
        let (number, chunk) = match item {
            SentFrame::Chunk(number, seq) => (number, Some(seq)),
            SentFrame::Ack(number)
            | SentFrame::Window(number)
            | SentFrame::Opened(number)
            | SentFrame::Reset(number) => (number, None),
        };
        if let Some(stream) = self.streams.get_mut(&number) {
            match (&mut stream.traffic.flow, chunk) {
                (Flow::Tcp { send, .. }, Some(seq)) => drop(send.lost(seq, by)),
                (Flow::Tcp { recv, .. }, None) => recv.lost(by),
                (Flow::Udp(_), _) => {}
            }
            stream.opened.lost(by);
            self.scheduler.refresh(number, &mut stream.traffic, stream.opened.is_queued(), now);
        } else if let Some(closing) = self.closing.get_mut(&number) {
            if !planted!(FarewellOnce) {
                closing.pending.lost(by);
            }
            if closing.pending.is_queued() {
                self.scheduler.closing.insert(number);
                self.scheduler.note(now);
            }
        }
    }

    /// A stream is over, and the client is owed this last word, if any.
    pub(super) fn close_stream(&mut self, number: StreamNumber, word: Option<(Word, Pending)>, now: Instant) {
        self.ended.insert(number);
        match word.filter(|(_, pending)| !pending.is_clear()) {
            Some((word, pending)) => {
                self.closing.insert(number, ClosingStream { word, pending });
                if pending.is_queued() {
                    self.scheduler.closing.insert(number);
                }
            }
            None => self.forget_closing(number),
        }
        self.scheduler.note(now);
    }

    pub(super) fn forget_closing(&mut self, number: StreamNumber) {
        self.closing.remove(&number);
        self.scheduler.closing.remove(&number);
    }

    /// The stream was refused before it began.
    pub(super) fn refuse(&mut self, number: StreamNumber, code: ResetCode, now: Instant) {
        self.close_stream(number, Some((Word::Reset(code), Pending::Queued)), now);
    }

    /// Whether the sums and the numbers of ended streams are within their bounds.
    pub(super) fn check(&self, config: &NodeOptions) -> Result<(), ClientFault> {
        let most = usize::try_from(self.grants.max_streams).unwrap_or(usize::MAX).saturating_mul(2);
        let beyond = u64::try_from(self.scheduler.sums.beyond).unwrap_or(u64::MAX);
        if beyond > self.grants.uplink_total {
            Err(ClientFault::TotalExceeded)
        } else if self.scheduler.sums.span > config.tuning.streams.reorder_chunks {
            Err(ClientFault::ReorderExceeded)
        } else if self.ended.ranges() > most || self.closing.len() > most.max(LEAST_CLOSING) {
            Err(ClientFault::TooManyEnded)
        } else {
            Ok(())
        }
    }

    /// How long frames wait for company: a hundredth of the client's round trip, as far as it says how long that is, and
    /// not at all where that is less than a timer can tell. Where bytes keep coming, a sixteenth, and 20 settles at most.
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
        u64::try_from(self.scheduler.sums.sendable).unwrap_or(u64::MAX) >= room
    }

    /// How many held requests bulk leaves for sparse data: all that are kept but one, or none where every stream is in
    /// bulk, and has nothing else to say.
    pub(super) fn reserve(&self) -> usize {
        if self.scheduler.bulk.len() >= self.streams.len() { 0 } else { self.keep.saturating_sub(1) }
    }

    /// What decides about the held requests.
    pub(super) fn circumstances(&self) -> Circumstances {
        Circumstances {
            held: self.held.len(),
            keep: self.keep,
            reserve: self.reserve(),
            lowest: self.held.keys().next().copied(),
            ends: self.held.iter().map(|(exchange, held)| (held.until, *exchange)).min(),
            prompt: self.scheduler.prompt_wait,
            bulk: self.scheduler.bulk_wait,
            acks: self.scheduler.acks_since,
            ready: self.scheduler.bulk.len() > 1 || self.fills_lowest(),
            repeat: self.unconfirmed.first().copied(),
        }
    }

    /// When the client is dropped if it is not heard of.
    pub(super) fn idle_deadline(&self, config: &NodeOptions) -> Instant {
        self.last_seen.saturating_add(config.tuning.streams.idle)
    }

    /// What is known of an exchange that carries no more than a header.
    pub(super) fn is_named(&self, exchange: ExchangeNumber) -> bool {
        self.exchanges.get(exchange).is_some_and(|record: &Record| record.named)
    }
}
