//! One connection of level 2, as both ends know it (protocol.md 3.2).
//!
//! ```text
//!            chunks                     frames
//!  socket ─────────▶ Stream ─▶ scheduler ─▶ assemble ─▶ packet, remembered in `sent`
//!    ▲                 │                                   │ acknowledged: forgotten
//!    └─────────────────┴──────────── lost: queued again ◀──┘
//! ```

pub(crate) mod assemble;
mod closing;
pub(crate) mod pending;
mod repeat;
pub(crate) mod scheduler;
pub(crate) mod sent;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::connection::closing::ClosingStream;
use crate::connection::pending::Pending;
use crate::connection::scheduler::SendScheduler;
use crate::connection::sent::{SentFrame, SentPackets};
use crate::connection::stream::Stream;
use crate::connection::stream::violation::Violation;
use crate::credit::{Credit, Pool, Within};
use crate::seq::Seq;
use crate::target::FlowKind;
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::{ClientId, Grants};
use crate::wire::reset::ResetCode;

/// What differs between the ends: `Self` is what an end knows of the socket of a stream.
pub(crate) trait Side {
    /// How an end fills its packets.
    const FILLING: Filling;

    /// OPEN at the client, OPENED at the node.
    fn opening(&self, stream: StreamNumber, kind: FlowKind) -> Frame;

    /// What may be read from the socket.
    fn credit_mut(&mut self) -> &mut Credit;
}

/// How an end fills its packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling {
    /// Whether the opening frame of a stream goes before every other frame of it in each packet, until the peer is known
    /// to have it (protocol.md 3.2 rule 3).
    pub(crate) opens_first: bool,
    /// Bytes that must be left for a frame without payload.
    pub(crate) least_room: usize,
    /// A chunk is not cut shorter than this because a packet is nearly full.
    pub(crate) least_cut: usize,
    /// Bytes that are left for what the end appends last.
    pub(crate) tail: usize,
    /// Frames of one packet that may have to be sent again.
    pub(crate) max_frames: usize,
    /// Whether the packet may be written once more: its numbers have grown by then.
    pub(crate) repeats: bool,
}

/// What the peer is told at the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastWord {
    /// Both directions came to their end: the last ACK, unless the peer has it.
    Finished,
    /// A RESET.
    Reset(ResetCode),
    /// Nothing: the peer ended it.
    Nothing,
}

/// One connection. `S` is what an end knows of the socket of a stream.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Connection<S> {
    client: ClientId,
    grants: Grants,
    streams: BTreeMap<StreamNumber, Stream<S>>,
    /// Streams whose opening frame is not acknowledged.
    unconfirmed: usize,
    closing: BTreeMap<StreamNumber, ClosingStream>,
    scheduler: SendScheduler,
    sent: SentPackets,
    /// What its streams may buffer of what their sockets say.
    pool: Pool,
    /// Streams that this pool had no credit for.
    blocked: BTreeSet<StreamNumber>,
}

impl<S: Side> Connection<S> {
    /// A connection whose streams may buffer `total` bytes of what their sockets say.
    pub(crate) fn new(client: ClientId, grants: Grants, total: u64) -> Self {
        Self {
            client,
            grants,
            streams: BTreeMap::new(),
            unconfirmed: 0,
            closing: BTreeMap::new(),
            scheduler: SendScheduler::default(),
            sent: SentPackets::default(),
            pool: Pool::new(usize::try_from(total).unwrap_or(usize::MAX)),
            blocked: BTreeSet::new(),
        }
    }

    /// Its id.
    pub(crate) const fn client(&self) -> ClientId {
        self.client
    }

    /// What the node grants.
    pub(crate) const fn grants(&self) -> &Grants {
        &self.grants
    }

    /// What goes into the next packet.
    pub(crate) const fn scheduler(&self) -> &SendScheduler {
        &self.scheduler
    }

    /// Changes how many bytes its streams may buffer of what their sockets say.
    pub(crate) fn set_total(&mut self, total: u64) {
        self.pool.set_total(usize::try_from(total).unwrap_or(usize::MAX));
    }

    /// A stream.
    pub(crate) fn stream(&self, number: StreamNumber) -> Option<&Stream<S>> {
        self.streams.get(&number)
    }

    /// A stream. What it has to send must not change without a [`refresh`](Self::refresh).
    pub(crate) fn stream_mut(&mut self, number: StreamNumber) -> Option<&mut Stream<S>> {
        self.streams.get_mut(&number)
    }

    /// Every stream.
    pub(crate) fn streams(&self) -> impl ExactSizeIterator<Item = (StreamNumber, &Stream<S>)> {
        self.streams.iter().map(|(number, stream)| (*number, stream))
    }

    /// How many streams there are.
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Whether another stream may be opened.
    pub(crate) fn has_place(&self) -> bool {
        self.streams.len() < usize::try_from(self.grants.max_streams).unwrap_or(usize::MAX)
    }

    /// How many streams have an opening frame that is not acknowledged.
    pub(crate) const fn unconfirmed(&self) -> usize {
        self.unconfirmed
    }

    /// How many streams have ended with a last frame that is not acknowledged.
    pub(crate) fn closing_len(&self) -> usize {
        self.closing.len()
    }

    /// Frames that may have to be sent again, over all packets.
    pub(crate) const fn frames_in_flight(&self) -> usize {
        self.sent.len()
    }

    /// Payload bytes that are buffered. Visits every stream.
    pub(crate) fn buffered(&self) -> usize {
        self.streams.values().map(Stream::buffered).fold(0, usize::saturating_add)
    }

    /// A stream begins.
    pub(crate) fn insert(&mut self, number: StreamNumber, stream: Stream<S>) {
        if !stream.opening().is_clear() {
            self.unconfirmed = self.unconfirmed.saturating_add(1);
        }
        self.streams.insert(number, stream);
    }

    /// A stream has changed: the scheduler looks up what it has to send. Returns whether both directions have finished.
    pub(crate) fn refresh(&mut self, number: StreamNumber, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(&number) else { return false };
        let finished = stream.is_finished();
        if !finished {
            self.scheduler.refresh(number, stream, now);
        }
        finished
    }

    /// The opening frame of a stream must be sent.
    pub(crate) fn queue_opening(&mut self, number: StreamNumber) {
        if let Some(stream) = self.streams.get_mut(&number) {
            if stream.opening().is_clear() {
                self.unconfirmed = self.unconfirmed.saturating_add(1);
            }
            stream.opening_mut().queue();
        }
    }

    /// The peer has the opening frame of a stream.
    pub(crate) fn confirm_opening(&mut self, number: StreamNumber) {
        if let Some(stream) = self.streams.get_mut(&number)
            && !stream.opening().is_clear()
        {
            *stream.opening_mut() = Pending::Clear;
            self.unconfirmed = self.unconfirmed.saturating_sub(1);
        }
    }

    /// A stream is over.
    pub(crate) fn remove(
        &mut self,
        number: StreamNumber,
        last: LastWord,
        outer: &mut Pool,
        now: Instant,
    ) -> Option<Stream<S>> {
        let mut stream = self.streams.remove(&number)?;
        if !stream.opening().is_clear() {
            self.unconfirmed = self.unconfirmed.saturating_sub(1);
        }
        self.scheduler.remove(number, stream.counted());
        self.blocked.remove(&number);
        let closing = match last {
            LastWord::Reset(code) => Some(ClosingStream::reset(code)),
            LastWord::Finished => {
                stream.recv_half().map(|recv| ClosingStream::finished(recv.taken(), recv.ack()))
            }
            LastWord::Nothing => None,
        };
        self.close(number, closing, now);
        stream.socket_mut().credit_mut().close(&mut Within { inner: &mut self.pool, outer });
        Some(stream)
    }

    /// A stream that never began at this end is reset.
    pub(crate) fn refuse(&mut self, number: StreamNumber, code: ResetCode, now: Instant) {
        self.close(number, Some(ClosingStream::reset(code)), now);
    }

    /// The peer reset a stream: nothing is sent about it any more.
    pub(crate) fn forget(&mut self, number: StreamNumber, now: Instant) {
        self.close(number, None, now);
    }

    fn close(&mut self, number: StreamNumber, closing: Option<ClosingStream>, now: Instant) {
        let closing = closing.filter(|closing| !closing.pending().is_clear());
        self.scheduler.set_closing(number, closing.is_some_and(|closing| closing.pending().is_queued()));
        match closing {
            Some(closing) => drop(self.closing.insert(number, closing)),
            None => drop(self.closing.remove(&number)),
        }
        self.scheduler.note(now);
    }

    /// DATA came for a stream that does not exist. If it is closing, its last frame is sent again. Returns whether it is.
    pub(crate) fn on_stray_chunk(&mut self, number: StreamNumber, now: Instant) -> bool {
        let Some(closing) = self.closing.get_mut(&number) else { return false };
        closing.pending_mut().queue();
        self.scheduler.set_closing(number, true);
        self.scheduler.note(now);
        true
    }

    /// DATA came for a stream that this end does not know.
    pub(crate) fn queue_gone(&mut self, number: StreamNumber, now: Instant) {
        self.scheduler.queue_gone(number);
        self.scheduler.note(now);
    }

    /// The peer took every chunk below `next`. Returns how many bytes are free now, if the stream is there.
    pub(crate) fn on_ack(
        &mut self,
        number: StreamNumber,
        next: Seq,
        outer: &mut Pool,
    ) -> Result<Option<usize>, Violation> {
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(None) };
        let Some(send) = stream.send_half_mut() else { return Ok(None) };
        let freed = send.acknowledge(next)?;
        stream.socket_mut().credit_mut().release(freed, &mut Within { inner: &mut self.pool, outer });
        Ok(Some(freed))
    }

    /// The peer gives credit.
    pub(crate) fn on_window(&mut self, number: StreamNumber, limit: u64) {
        if let Some(send) = self.streams.get_mut(&number).and_then(Stream::send_half_mut) {
            send.window(limit);
        }
    }

    /// A stream, with the pools that its socket gets credit from.
    pub(crate) fn with_pools<'p>(
        &'p mut self,
        number: StreamNumber,
        outer: &'p mut Pool,
    ) -> Option<(&'p mut Stream<S>, Within<'p>)> {
        let stream = self.streams.get_mut(&number)?;
        Some((stream, Within { inner: &mut self.pool, outer }))
    }

    /// Whether the pool of the connection has credit for another stream.
    pub(crate) const fn has_credit(&self) -> bool {
        self.pool.has_room()
    }

    /// A stream waits for credit.
    pub(crate) fn block(&mut self, number: StreamNumber) {
        self.blocked.insert(number);
    }

    /// The first stream that waits for credit, if the pool of the connection has any.
    pub(crate) fn next_blocked(&mut self) -> Option<StreamNumber> {
        if self.pool.has_room() { self.blocked.pop_first() } else { None }
    }

    /// The packet of `exchange` was sent with these frames. Packets below `oldest` are forgotten.
    pub(crate) fn on_sent(
        &mut self,
        exchange: ExchangeNumber,
        frames: Vec<SentFrame>,
        oldest: ExchangeNumber,
    ) {
        self.sent.insert(exchange, frames);
        while self.sent.take_below(oldest).is_some() {}
    }

    /// The packet of `exchange` has arrived.
    pub(crate) fn on_acked(&mut self, exchange: ExchangeNumber, now: Instant) {
        for frame in self.sent.take(exchange) {
            self.frame_acked(frame, exchange, now);
        }
    }

    /// Every packet below `done` has arrived.
    pub(crate) fn on_acked_below(&mut self, done: ExchangeNumber, now: Instant) {
        while let Some((exchange, frames)) = self.sent.take_below(done) {
            for frame in frames {
                self.frame_acked(frame, exchange, now);
            }
        }
    }

    /// The packet of `exchange` is lost: what it carried is sent again.
    pub(crate) fn on_lost(&mut self, exchange: ExchangeNumber, now: Instant) {
        for frame in self.sent.take(exchange) {
            self.frame_lost(frame, exchange, now);
        }
    }

    /// The packet of `exchange` is probably lost: what it carried is sent again. It may still be acknowledged.
    pub(crate) fn declare_lost(&mut self, exchange: ExchangeNumber, now: Instant) {
        for frame in self.sent.frames(exchange).to_vec() {
            self.frame_lost(frame, exchange, now);
        }
    }

    fn frame_acked(&mut self, frame: SentFrame, by: ExchangeNumber, now: Instant) {
        let number = frame.stream();
        if let Some(stream) = self.streams.get_mut(&number) {
            match frame {
                SentFrame::Opening(_) => {
                    // What a client says of a stream with OPEN never changes.
                    if S::FILLING.opens_first || stream.opening() == Pending::InFlight(by) {
                        self.confirm_opening(number);
                    }
                }
                SentFrame::Chunk(_, seq) => {
                    if let Some(send) = stream.send_half_mut() {
                        send.acked(seq);
                    }
                }
                SentFrame::Ack(_) | SentFrame::Window(_) | SentFrame::Reset(_) => {
                    if let Some(recv) = stream.recv_half_mut() {
                        recv.acked(by);
                    }
                }
            }
            self.refresh(number, now);
        } else if let Some(closing) = self.closing.get_mut(&number) {
            closing.pending_mut().acked(by);
            if closing.pending().is_clear() {
                self.closing.remove(&number);
                self.scheduler.set_closing(number, false);
            }
        }
    }

    fn frame_lost(&mut self, frame: SentFrame, by: ExchangeNumber, now: Instant) {
        let number = frame.stream();
        if let Some(stream) = self.streams.get_mut(&number) {
            match frame {
                SentFrame::Opening(_) => stream.opening_mut().lost(by),
                SentFrame::Chunk(_, seq) => {
                    if let Some(send) = stream.send_half_mut() {
                        send.lost(seq, by);
                    }
                }
                SentFrame::Ack(_) | SentFrame::Window(_) | SentFrame::Reset(_) => {
                    if let Some(recv) = stream.recv_half_mut() {
                        recv.lost(by);
                    }
                }
            }
            self.refresh(number, now);
        } else if let Some(closing) = self.closing.get_mut(&number) {
            closing.pending_mut().lost(by);
            if closing.pending().is_queued() {
                self.scheduler.set_closing(number, true);
                self.scheduler.note(now);
            }
        }
    }
}
