//! What goes into a response packet (protocol.md 3.2 rule 8): sparse first, or bulk by deficit round robin.

use alloc::vec::Vec;
use core::ops::Bound;

use crate::connection::closing::{ClosingStream, Word};
use crate::connection::pending::Pending;
use crate::connection::stream::flow::Flow;
use crate::connection::stream::traffic::Class;
use crate::credit::{Pool, Within};
use crate::node::streams::client::ClientConnection;
use crate::node::streams::sent::SentFrame;
use crate::node::streams::stream::Stream;
use crate::seq::Seq;
use crate::time::Instant;
use crate::wire::frame::{Frame, MAX_DATA_OVERHEAD};
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::{PacketWriter, ResponseHeader};
use crate::wire::varint;

/// The largest packet of sparse data.
pub(super) const SPARSE_PACKET: usize = 64 * 1024;

/// What a bulk stream may send in its turn: one whole chunk.
const QUANTUM: usize = 64 * 1024;

/// A chunk is not cut to fit into less than this.
const LEAST_CUT: usize = 1024;

/// The most that a frame without payload takes: type, length, two integers.
const FACT: usize = 1 + 1 + 2 * varint::MAX_LEN;

/// Frames of one answer that may need repair.
const MAX_ITEMS: usize = 16 * 1024;

/// A response on its way into a packet.
///
/// It is filled such that the same contents fit again, whatever the numbers in its ACK and WINDOW frames are by
/// then: another copy of the request is answered with the same (protocol.md 3.2 rule 2).
pub(super) struct Packing<'p> {
    writer: PacketWriter,
    /// The exchange that it answers.
    by: ExchangeNumber,
    /// The longest that it may become, sealed.
    limit: usize,
    /// By how much the numbers in it may grow.
    growth: usize,
    frames: Vec<SentFrame>,
    /// Whether it carries DATA, OPENED or RESET.
    vital: bool,
    /// Payload bytes that go for the first time, and again.
    pub(super) first: usize,
    pub(super) again: usize,
    /// What all clients may keep.
    pool: &'p mut Pool,
}

/// A response whose frames are complete.
pub(super) struct Packed {
    pub(super) writer: PacketWriter,
    pub(super) frames: Vec<SentFrame>,
    pub(super) vital: bool,
}

impl<'p> Packing<'p> {
    pub(super) fn new(
        header: &ResponseHeader,
        by: ExchangeNumber,
        limit: usize,
        capacity: usize,
        pool: &'p mut Pool,
    ) -> Self {
        let writer = PacketWriter::response(header, capacity.min(limit));
        // BACKLOG comes last, and must fit.
        let limit = limit.saturating_sub(FACT);
        Self { writer, by, limit, growth: 0, frames: Vec::new(), vital: false, first: 0, again: 0, pool }
    }

    /// Narrows the packet to `limit` bytes.
    pub(super) fn narrow(&mut self, limit: usize) {
        self.limit = self.limit.min(limit.saturating_sub(FACT));
    }

    fn room(&self) -> usize {
        let full = self.frames.len() >= MAX_ITEMS;
        let taken = self.writer.sealed_len().saturating_add(self.growth);
        if full { 0 } else { self.limit.saturating_sub(taken) }
    }

    fn data_room(&self) -> usize {
        self.room().saturating_sub(MAX_DATA_OVERHEAD)
    }

    /// Appends a frame without payload, if there is room.
    fn fact(&mut self, frame: impl FnOnce() -> Frame, item: Option<SentFrame>) -> bool {
        if self.room() < FACT {
            return false;
        }
        let before = self.writer.sealed_len();
        self.writer.push(&frame());
        let len = self.writer.sealed_len().saturating_sub(before);
        self.growth = self.growth.saturating_add(FACT.saturating_sub(len));
        self.frames.extend(item);
        true
    }

    /// Appends what a stream sends next, of at most `room` bytes; says how many bytes that were.
    fn data(
        &mut self,
        number: StreamNumber,
        stream: &mut Stream,
        room: usize,
        pool: &mut Pool,
    ) -> Option<usize> {
        if self.room() < MAX_DATA_OVERHEAD {
            return None;
        }
        let room = room.min(self.data_room());
        let len = match &mut stream.traffic.flow {
            Flow::Tcp { send, .. } => {
                let chunk = send.next(self.by, room)?;
                let (len, first) = (chunk.len, chunk.first);
                self.frames.push(SentFrame::Chunk(number, chunk.seq));
                self.writer.push_data(chunk.head(number), len, chunk.slices);
                let count = if first { &mut self.first } else { &mut self.again };
                *count = count.saturating_add(len);
                len
            }
            Flow::Udp(datagrams) => {
                let bytes = datagrams.sending.pop_within(room)?;
                let len = bytes.len();
                stream.socket.release(len, &mut Within { inner: pool, outer: self.pool });
                self.writer.push(&Frame::Datagram { stream: number, bytes });
                self.first = self.first.saturating_add(len);
                len
            }
        };
        self.vital = true;
        stream.traffic.sent(len);
        Some(len)
    }

    /// Tells what is left, and ends the packet.
    pub(super) fn finish(mut self, backlog: usize) -> Packed {
        if backlog > 0 {
            let bytes = u64::try_from(backlog).unwrap_or(u64::MAX).min(varint::MAX);
            self.writer.push(&Frame::Backlog { bytes });
        }
        Packed { writer: self.writer, frames: self.frames, vital: self.vital }
    }
}

impl ClientConnection {
    /// Everything that is not bulk, and acknowledgements.
    pub(super) fn fill_prompt(&mut self, packing: &mut Packing<'_>, now: Instant) {
        packing.narrow(SPARSE_PACKET);
        self.fill_closing(packing);
        let mut next = self.scheduler.sparse.first().copied();
        while let Some(number) = next {
            self.fill_sparse(number, packing, now);
            next = self.scheduler.sparse.range((Bound::Excluded(number), Bound::Unbounded)).next().copied();
        }
        self.fill_acks(packing, now);
    }

    fn fill_closing(&mut self, packing: &mut Packing<'_>) {
        while let Some(number) = self.scheduler.closing.first().copied() {
            let Some(closing) = self.closing.get_mut(&number) else {
                self.scheduler.closing.remove(&number);
                continue;
            };
            if !closing.fill(number, packing) {
                break;
            }
            closing.pending.send_in(packing.by);
            self.scheduler.closing.remove(&number);
        }
        while let Some(stream) = self.scheduler.gone.first().copied() {
            if !packing.fact(|| Frame::Gone { stream }, None) {
                break;
            }
            self.scheduler.gone.remove(&stream);
        }
    }

    fn fill_sparse(&mut self, number: StreamNumber, packing: &mut Packing<'_>, now: Instant) {
        let Self { streams, scheduler, pool, .. } = self;
        let Some(stream) = streams.get_mut(&number) else { return };
        let by = packing.by;
        if stream.opened.is_queued()
            && packing.fact(|| Frame::Opened { stream: number }, Some(SentFrame::Opened(number)))
        {
            stream.opened.send_in(by);
            packing.vital = true;
        }
        if let Flow::Tcp { recv, .. } = &mut stream.traffic.flow
            && recv.is_window_due()
        {
            let window = || Frame::Window { stream: number, limit: recv.put_window(by) };
            packing.fact(window, Some(SentFrame::Window(number)));
        }
        while stream.traffic.class() == Some(Class::Sparse) {
            let room = stream.traffic.sparse_cut();
            if packing.data(number, stream, room, pool).is_none() {
                break;
            }
        }
        scheduler.refresh(number, &mut stream.traffic, stream.opened.is_queued(), now);
    }

    /// Acknowledgements.
    pub(super) fn fill_acks(&mut self, packing: &mut Packing<'_>, now: Instant) {
        let Self { streams, scheduler, .. } = self;
        while let Some(number) = scheduler.acks.first().copied() {
            let Some(stream) = streams.get_mut(&number) else { break };
            let Flow::Tcp { recv, .. } = &mut stream.traffic.flow else { break };
            let by = packing.by;
            let ack = || Frame::Ack { stream: number, next: recv.put_ack(by) };
            if !packing.fact(ack, Some(SentFrame::Ack(number))) {
                break;
            }
            scheduler.refresh(number, &mut stream.traffic, stream.opened.is_queued(), now);
        }
        scheduler.note(now);
    }

    /// Data in bulk, and acknowledgements.
    pub(super) fn fill_bulk(&mut self, packing: &mut Packing<'_>, now: Instant) {
        self.fill_acks(packing, now);
        let Self { streams, scheduler, pool, .. } = self;
        while let Some(number) = scheduler.bulk.front().copied() {
            let Some(stream) = streams.get_mut(&number) else { break };
            let next = stream.traffic.flow.next_len();
            if stream.traffic.deficit < next {
                stream.traffic.deficit = stream.traffic.deficit.saturating_add(QUANTUM);
            }
            let room = packing.data_room();
            if room < next.min(LEAST_CUT) {
                break;
            }
            let Some(sent) = packing.data(number, stream, room.min(stream.traffic.deficit), pool) else {
                break;
            };
            stream.traffic.deficit = stream.traffic.deficit.saturating_sub(sent);
            let turn_is_over = stream.traffic.deficit < stream.traffic.flow.next_len();
            scheduler.refresh(number, &mut stream.traffic, stream.opened.is_queued(), now);
            if turn_is_over && scheduler.bulk.front() == Some(&number) {
                scheduler.pass_turn();
            }
        }
        scheduler.note(now);
    }

    /// What the answer of `exchange` carried, for another copy of its request. Its header may have grown since: what finds
    /// no room any more goes with another answer.
    pub(super) fn fill_again(&mut self, exchange: ExchangeNumber, packing: &mut Packing<'_>, now: Instant) {
        let frames = self.exchanges.take_frames(exchange);
        let (put, left): (Vec<SentFrame>, Vec<SentFrame>) =
            frames.into_iter().partition(|item| self.put_again(*item, packing));
        // What was left out is not confirmed with the exchange.
        self.exchanges.put_frames(exchange, put);
        for item in left {
            self.frame_lost(item, exchange, now);
        }
    }

    /// Appends what an answer carried, as far as it still counts; says whether there was room.
    fn put_again(&self, item: SentFrame, packing: &mut Packing<'_>) -> bool {
        match item {
            SentFrame::Chunk(number, seq) => {
                let Some(Flow::Tcp { send, .. }) = self.flow(number) else { return true };
                let Some(chunk) = send.again(seq) else { return true };
                if chunk.len > packing.data_room() {
                    return false;
                }
                packing.again = packing.again.saturating_add(chunk.len);
                packing.writer.push_data(chunk.head(number), chunk.len, chunk.slices);
                true
            }
            SentFrame::Opened(stream) => packing.fact(|| Frame::Opened { stream }, None),
            SentFrame::Window(stream) => match self.flow(stream) {
                Some(Flow::Tcp { recv, .. }) => {
                    packing.fact(|| Frame::Window { stream, limit: recv.limit() }, None)
                }
                Some(Flow::Udp(_)) | None => true,
            },
            SentFrame::Ack(stream) => match self.flow(stream) {
                Some(Flow::Tcp { recv, .. }) => {
                    packing.fact(|| Frame::Ack { stream, next: recv.taken() }, None)
                }
                Some(Flow::Udp(_)) | None => self.put_closing(stream, packing),
            },
            SentFrame::Reset(stream) => self.put_closing(stream, packing),
        }
    }

    fn put_closing(&self, stream: StreamNumber, packing: &mut Packing<'_>) -> bool {
        self.closing.get(&stream).is_none_or(|closing| closing.fill(stream, packing))
    }

    fn flow(&self, number: StreamNumber) -> Option<&Flow> {
        self.streams.get(&number).map(|stream| &stream.traffic.flow)
    }

    /// Whether anything that the answer of `old` carried is still under way with it.
    pub(super) fn needs_repeat(&self, old: ExchangeNumber) -> bool {
        let carried = Pending::InFlight(old);
        let frames = self.exchanges.get(old).map_or(&[][..], |record| &record.frames);
        frames.iter().any(|item| match *item {
            SentFrame::Chunk(number, seq) => match self.flow(number) {
                Some(Flow::Tcp { send, .. }) => send.carrier(seq) == Some(old),
                Some(Flow::Udp(_)) | None => false,
            },
            SentFrame::Opened(number) => {
                self.streams.get(&number).is_some_and(|stream| stream.opened == carried)
            }
            SentFrame::Reset(number) => {
                self.closing.get(&number).is_some_and(|closing| closing.pending == carried)
            }
            SentFrame::Ack(_) | SentFrame::Window(_) => false,
        })
    }

    /// What the answer of `old` carried, once more; the facts become owed again, and go with everything prompt.
    pub(super) fn fill_repeat(&mut self, old: ExchangeNumber, packing: &mut Packing<'_>, now: Instant) {
        packing.narrow(SPARSE_PACKET);
        let frames = self.exchanges.get(old).map(|record| record.frames.clone()).unwrap_or_default();
        for item in frames {
            match item {
                SentFrame::Chunk(number, seq) => self.repeat_chunk(number, seq, old, packing, now),
                SentFrame::Opened(_) | SentFrame::Reset(_) | SentFrame::Ack(_) | SentFrame::Window(_) => {
                    self.frame_lost(item, old, now);
                }
            }
        }
        self.fill_prompt(packing, now);
    }

    fn repeat_chunk(
        &mut self,
        number: StreamNumber,
        seq: Seq,
        old: ExchangeNumber,
        packing: &mut Packing<'_>,
        now: Instant,
    ) {
        let Self { streams, scheduler, .. } = self;
        let Some(stream) = streams.get_mut(&number) else { return };
        let Flow::Tcp { send, .. } = &mut stream.traffic.flow else { return };
        let room = packing.data_room();
        if send.carrier(seq) == Some(old)
            && let Some(chunk) = send.repeat(seq, packing.by, room)
        {
            packing.frames.push(SentFrame::Chunk(number, seq));
            packing.again = packing.again.saturating_add(chunk.len);
            packing.vital = true;
            packing.writer.push_data(chunk.head(number), chunk.len, chunk.slices);
        }
        scheduler.refresh(number, &mut stream.traffic, stream.opened.is_queued(), now);
    }
}

impl ClosingStream {
    fn fill(&self, stream: StreamNumber, packing: &mut Packing<'_>) -> bool {
        match self.word {
            Word::Ack(next) => packing.fact(|| Frame::Ack { stream, next }, Some(SentFrame::Ack(stream))),
            Word::Reset(code) => {
                let there = packing.fact(|| Frame::Reset { stream, code }, Some(SentFrame::Reset(stream)));
                packing.vital |= there;
                there
            }
        }
    }
}
