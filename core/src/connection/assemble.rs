//! Assembly of a packet within a size (protocol.md 3.2 rules 3, 5 and 8).

use alloc::vec::Vec;

use crate::connection::pending::Pending;
use crate::connection::sent::SentFrame;
use crate::connection::stream::send::OutgoingChunk;
use crate::connection::stream::{Class, Stream};
use crate::connection::{Connection, Filling, Side};
use crate::credit::{Pool, Within};
use crate::time::Instant;
use crate::wire::frame::{Frame, MAX_DATA_OVERHEAD};
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::Unsealed;

/// The largest packet of sparse data.
pub(crate) const SPARSE_PACKET: usize = 64 * 1024;

/// A packet that is being written.
pub(crate) struct Assembler<'p> {
    packet: Assembled,
    by: ExchangeNumber,
    /// The longest that it may become, sealed.
    limit: usize,
    filling: Filling,
    /// By how much the numbers in it may grow before it is written once more.
    growth: usize,
    /// The pool around those of all connections.
    pool: &'p mut Pool,
}

/// A packet whose frames are complete.
pub(crate) struct Assembled {
    pub(crate) writer: Unsealed,
    /// The frames that are sent again if it is lost.
    pub(crate) frames: Vec<SentFrame>,
    /// Whether it carries DATA, OPENED or RESET.
    pub(crate) vital: bool,
    /// Payload bytes that are sent for the first time, and again.
    pub(crate) first: usize,
    pub(crate) again: usize,
}

impl Assembler<'_> {
    /// Narrows the packet to `limit` bytes.
    pub(crate) fn narrow(&mut self, limit: usize) {
        self.limit = self.limit.min(limit.saturating_sub(self.filling.tail));
    }

    /// Bytes that are left.
    pub(crate) fn room(&self) -> usize {
        let full = self.packet.frames.len() >= self.filling.max_frames;
        let taken = self.packet.writer.sealed_len().saturating_add(self.growth);
        if full { 0 } else { self.limit.saturating_sub(taken) }
    }

    /// Bytes of payload for which there is room.
    pub(super) fn data_room(&self) -> usize {
        self.room().saturating_sub(MAX_DATA_OVERHEAD)
    }

    /// The exchange that the packet belongs to.
    pub(super) const fn by(&self) -> ExchangeNumber {
        self.by
    }

    /// Appends a frame without payload, if there is room. Says whether there was.
    pub(crate) fn put(&mut self, frame: impl FnOnce() -> Frame, sent: Option<SentFrame>) -> bool {
        if self.room() < self.filling.least_room {
            return false;
        }
        let before = self.packet.writer.sealed_len();
        self.packet.writer.push(&frame());
        if self.filling.repeats {
            let len = self.packet.writer.sealed_len().saturating_sub(before);
            self.growth = self.growth.saturating_add(self.filling.least_room.saturating_sub(len));
        }
        self.packet.vital |= matches!(sent, Some(SentFrame::Opening(_) | SentFrame::Reset(_)));
        self.packet.frames.extend(sent);
        true
    }

    /// Appends a chunk.
    pub(super) fn put_chunk(&mut self, number: StreamNumber, chunk: OutgoingChunk<'_>, remembered: bool) {
        let count = if chunk.first { &mut self.packet.first } else { &mut self.packet.again };
        *count = count.saturating_add(chunk.len);
        if remembered {
            self.packet.frames.push(SentFrame::Chunk(number, chunk.seq));
            self.packet.vital = true;
        }
        self.packet.writer.push_data(chunk.head(number), chunk.len, chunk.slices);
    }

    /// Appends the opening frame of a stream if it is due. Whether other frames of the stream may follow.
    fn open<S: Side>(&mut self, number: StreamNumber, stream: &mut Stream<S>) -> bool {
        let first = self.filling.opens_first;
        let opening = stream.opening();
        if opening.is_clear() || opening == Pending::InFlight(self.by) || !(first || opening.is_queued()) {
            return true;
        }
        let frame = stream.socket().opening(number, stream.kind());
        let least = self.filling.least_room.saturating_add(if first { frame.encoded_len() } else { 0 });
        if self.room() >= least && self.put(|| frame, Some(SentFrame::Opening(number))) {
            stream.opening_mut().send_in(self.by);
            return true;
        }
        !first
    }

    /// Whether a frame of a stream may follow: appends its opening frame where that has to go first.
    fn admits<S: Side>(&mut self, number: StreamNumber, stream: &mut Stream<S>) -> bool {
        !self.filling.opens_first || self.open(number, stream)
    }

    /// Appends what a stream sends next, of at most `room` bytes; says how many bytes that were.
    fn put_data<S: Side>(
        &mut self,
        number: StreamNumber,
        stream: &mut Stream<S>,
        room: usize,
        pool: &mut Pool,
    ) -> Option<usize> {
        if !self.admits(number, stream) || self.room() < MAX_DATA_OVERHEAD {
            return None;
        }
        let (by, room) = (self.by, room.min(self.data_room()));
        let len = if let Some((datagrams, socket)) = stream.datagrams_mut() {
            let bytes = datagrams.sending.pop_within(room)?;
            let len = bytes.len();
            self.packet.writer.push(&Frame::Datagram { stream: number, bytes });
            self.packet.first = self.packet.first.saturating_add(len);
            self.packet.vital = true;
            socket.credit_mut().release(len, &mut Within { inner: pool, outer: self.pool });
            len
        } else {
            let chunk = stream.send_half_mut()?.next(by, room)?;
            let len = chunk.len;
            self.put_chunk(number, chunk, true);
            len
        };
        stream.sent(len);
        Some(len)
    }

    /// Ends the packet.
    pub(crate) fn finish(self) -> Assembled {
        self.packet
    }
}

impl<S: Side> Connection<S> {
    /// Begins the packet `by`, of at most `limit` bytes, behind what `writer` has written.
    pub(crate) fn assemble<'p>(
        writer: Unsealed,
        by: ExchangeNumber,
        limit: usize,
        pool: &'p mut Pool,
    ) -> Assembler<'p> {
        let filling = S::FILLING;
        let packet = Assembled { writer, frames: Vec::new(), vital: false, first: 0, again: 0 };
        Assembler { packet, by, limit: limit.saturating_sub(filling.tail), filling, growth: 0, pool }
    }

    /// The last frames of streams that have ended.
    pub(crate) fn fill_closing(&mut self, packet: &mut Assembler<'_>) {
        while let Some(number) = self.scheduler.next_closing() {
            if let Some(closing) = self.closing.get_mut(&number) {
                let (frame, sent) = closing.frame(number);
                if !packet.put(|| frame, Some(sent)) {
                    break;
                }
                closing.pending_mut().send_in(packet.by());
            }
            self.scheduler.set_closing(number, false);
        }
        while let Some(stream) = self.scheduler.next_gone() {
            if !packet.put(|| Frame::Gone { stream }, None) {
                break;
            }
            self.scheduler.remove_gone(stream);
        }
    }

    /// Sparse data, OPEN, OPENED, WINDOW.
    pub(crate) fn fill_sparse(&mut self, packet: &mut Assembler<'_>, now: Instant) {
        let mut next = self.scheduler.next_sparse(None);
        while let Some(number) = next {
            self.fill_sparse_stream(number, packet);
            self.refresh(number, now);
            next = self.scheduler.next_sparse(Some(number));
        }
    }

    fn fill_sparse_stream(&mut self, number: StreamNumber, packet: &mut Assembler<'_>) {
        let Self { streams, pool, .. } = self;
        let Some(stream) = streams.get_mut(&number) else { return };
        if packet.room() < packet.filling.least_room || !packet.open(number, stream) {
            return;
        }
        let by = packet.by();
        if let Some(recv) = stream.recv_half_mut().filter(|recv| recv.is_window_due()) {
            let window = || Frame::Window { stream: number, limit: recv.put_window(by) };
            packet.put(window, Some(SentFrame::Window(number)));
        }
        while stream.class() == Some(Class::Sparse) {
            let room = stream.sparse_cut();
            if packet.put_data(number, stream, room, pool).is_none() {
                break;
            }
        }
    }

    /// Acknowledgements. Whether all of them found room.
    pub(crate) fn fill_acks(&mut self, packet: &mut Assembler<'_>, now: Instant) -> bool {
        let by = packet.by();
        while let Some(number) = self.scheduler.next_ack() {
            let Some(stream) = self.streams.get_mut(&number) else { break };
            let admitted = packet.admits(number, stream);
            let Some(recv) = stream.recv_half_mut() else { break };
            let ack = || Frame::Ack { stream: number, next: recv.put_ack(by) };
            if !admitted || !packet.put(ack, Some(SentFrame::Ack(number))) {
                self.scheduler.note(now);
                return false;
            }
            self.refresh(number, now);
        }
        self.scheduler.note(now);
        true
    }

    /// Data in bulk, by deficit round robin.
    pub(crate) fn fill_bulk(&mut self, packet: &mut Assembler<'_>, now: Instant) {
        while let Some(number) = self.scheduler.next_bulk() {
            let Self { streams, pool, .. } = self;
            let Some(stream) = streams.get_mut(&number) else { break };
            let next = stream.next_in_turn();
            let room = packet.data_room();
            if room < next.min(packet.filling.least_cut) {
                break;
            }
            let room = room.min(stream.turn());
            let Some(sent) = packet.put_data(number, stream, room, pool) else { break };
            let turn_is_over = stream.spend_turn(sent);
            self.refresh(number, now);
            if turn_is_over && self.scheduler.next_bulk() == Some(number) {
                self.scheduler.pass_turn();
            }
        }
        self.scheduler.note(now);
    }
}
