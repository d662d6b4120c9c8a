//! Sending half of a stream: a retransmission queue (protocol.md 3.2 rules 1, 5 and 6).

use alloc::collections::VecDeque;

use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::connection::stream::violation::{MAX_AHEAD, Violation};
use crate::error::Misuse;
use crate::queue::{ByteQueue, Position, Slices};
use crate::seq::Seq;
use crate::wire::frame::{DataHead, MAX_CHUNK};
use crate::wire::number::{ExchangeNumber, StreamNumber};

/// State of the direction.
///
/// ```text
///          finish           the end is cut        all acknowledged
///   Open ─────────▶ Ending ───────────────▶ Sent ─────────────────▶ Finished
/// ```
///
/// | event | Open | Ending | Sent | Finished |
/// |---|---|---|---|---|
/// | write | buffered | misuse | misuse | misuse |
/// | finish | Ending | misuse | misuse | misuse |
/// | next | cuts | cuts; with the last byte Sent | what was lost | nothing |
/// | acknowledge | frees | frees | frees; with the end Finished | nothing |
/// | acknowledge of what was not sent | violation | violation | violation | violation |
/// | lost, acked, window | noted | noted | noted | nothing |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SendState {
    /// More may be written.
    Open,
    /// All is written; the end is in no chunk yet.
    Ending,
    /// The chunk with the end was cut.
    Sent,
    /// Everything was acknowledged, the end included.
    Finished,
}

/// State of a chunk.
///
/// ```text
///                   lost(x)
///   Carried(x) ──────────────▶ Lost
///     │ ▲ ▲ │ ◀──── sent in y ──┘ │
///     │ └─┘ └──────┐      ┌───────┘
///  again, in y     ▼      ▼
///                   Arrived       (acknowledged: gone, from every state)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ChunkState {
    /// In flight; this is the last exchange that carried it.
    Carried(ExchangeNumber),
    /// The last exchange that carried it may be lost: it can be sent again.
    Lost,
    /// At the peer, which has not taken it yet.
    Arrived,
}

#[derive(Clone, Debug)]
struct Chunk {
    start: Position,
    len: usize,
    fin: bool,
    state: ChunkState,
}

/// A chunk on its way into a packet.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingChunk<'h> {
    /// Its place in the direction.
    pub(crate) seq: Seq,
    /// Whether the direction ends with it.
    pub(crate) fin: bool,
    /// Its length.
    pub(crate) len: usize,
    /// Whether it is sent for the first time.
    pub(crate) first: bool,
    /// Its bytes.
    pub(crate) slices: Slices<'h>,
}

impl OutgoingChunk<'_> {
    /// The head of its DATA frame.
    pub(crate) const fn head(&self, stream: StreamNumber) -> DataHead {
        DataHead { stream, seq: self.seq, fin: self.fin }
    }
}

/// One direction at its sender.
///
/// Bytes are buffered as they were written until they are acknowledged. A chunk is cut when it is first sent, and never
/// again. The caller bounds how much is written, by [`buffered`](Self::buffered).
#[derive(Clone, Debug)]
pub(crate) struct SendHalf {
    state: SendState,
    queue: ByteQueue,
    /// Where the bytes begin that are in no chunk.
    cut: Position,
    /// Bytes in no chunk.
    uncut: usize,
    /// The chunks that are not acknowledged; the first has the number `acked`.
    chunks: VecDeque<Chunk>,
    acked: Seq,
    /// Lost chunks, their bytes, and an index before which there is none.
    lost: usize,
    lost_bytes: usize,
    lost_from: usize,
    /// Bytes cut since the start, and how many may be.
    sent: u64,
    limit: u64,
}

/// Positions count every piece that there ever was: what is left, and how it is cut, says the rest.
impl Hash for SendHalf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.state, self.uncut, self.acked, self.sent, self.limit).hash(state);
        self.queue.hash(state);
        self.chunks.len().hash(state);
        self.chunks.iter().for_each(|chunk| (chunk.len, chunk.fin, chunk.state).hash(state));
    }
}

impl SendHalf {
    /// A direction that may send `limit` bytes before any WINDOW.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            state: SendState::Open,
            queue: ByteQueue::default(),
            cut: Position::default(),
            uncut: 0,
            chunks: VecDeque::new(),
            acked: Seq::ZERO,
            lost: 0,
            lost_bytes: 0,
            lost_from: 0,
            sent: 0,
            limit,
        }
    }

    /// The application, or the upstream, sent `bytes`.
    pub(crate) fn write(&mut self, bytes: Bytes) -> Result<(), Misuse> {
        match self.state {
            SendState::Open => {
                let waits = self.uncut > 0;
                self.uncut = self.uncut.saturating_add(bytes.len());
                self.queue.push_behind(bytes, waits);
                Ok(())
            }
            SendState::Ending | SendState::Sent | SendState::Finished => Err(Misuse::AfterFin),
        }
    }

    /// The application, or the upstream, will send no more.
    pub(crate) const fn finish(&mut self) -> Result<(), Misuse> {
        match self.state {
            SendState::Open => {
                self.state = SendState::Ending;
                Ok(())
            }
            SendState::Ending | SendState::Sent | SendState::Finished => Err(Misuse::AfterFin),
        }
    }

    /// The peer gives credit. A WINDOW that was overtaken takes none back.
    pub(crate) fn window(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// The next chunk to send in exchange `by`, of at most `room` bytes: the first lost one, or else a new one, as long as
    /// credit, room and [`MAX_CHUNK`] allow. A lost chunk is not cut to fit.
    pub(crate) fn next(&mut self, by: ExchangeNumber, room: usize) -> Option<OutgoingChunk<'_>> {
        match self.first_lost() {
            Some(index) => {
                self.lost_from = index;
                self.carry(index, by, room)
            }
            None => self.cut(by, room),
        }
    }

    fn first_lost(&self) -> Option<usize> {
        if self.lost == 0 {
            return None; // without a look at every chunk
        }
        let found =
            self.chunks.iter().skip(self.lost_from).position(|chunk| chunk.state == ChunkState::Lost)?;
        Some(self.lost_from.saturating_add(found))
    }

    /// Sends the chunk `seq` once more in exchange `by`, lost or not; `None` if it has arrived, or does not fit.
    pub(crate) fn repeat(&mut self, seq: Seq, by: ExchangeNumber, room: usize) -> Option<OutgoingChunk<'_>> {
        self.carry(self.index(seq)?, by, room)
    }

    /// The chunk `seq` for another copy of the answer that carried it; `None` once it was acknowledged.
    pub(crate) fn again(&self, seq: Seq) -> Option<OutgoingChunk<'_>> {
        let index = self.index(seq)?;
        let chunk = self.chunks.get(index)?;
        Some(self.outgoing(index, chunk.start, chunk.len, chunk.fin, false))
    }

    /// The length of the chunk that [`next`](Self::next) would give, if there is one and room for it.
    pub(crate) fn next_len(&self) -> usize {
        let lost = self.first_lost().and_then(|index| self.chunks.get(index));
        lost.map_or_else(|| self.uncut.min(self.credit()).min(MAX_CHUNK), |chunk| chunk.len)
    }

    fn carry(&mut self, index: usize, by: ExchangeNumber, room: usize) -> Option<OutgoingChunk<'_>> {
        let chunk =
            self.chunks.get(index).filter(|chunk| chunk.len <= room && chunk.state != ChunkState::Arrived)?;
        let (start, len, fin) = (chunk.start, chunk.len, chunk.fin);
        self.set_state(index, ChunkState::Carried(by));
        Some(self.outgoing(index, start, len, fin, false))
    }

    fn cut(&mut self, by: ExchangeNumber, room: usize) -> Option<OutgoingChunk<'_>> {
        let len = self.uncut.min(room).min(self.credit()).min(MAX_CHUNK);
        let fin = self.state == SendState::Ending && len == self.uncut;
        if self.chunks.len() >= MAX_AHEAD || (len == 0 && !fin) {
            return None;
        }
        let start = self.queue.behind(self.cut, 0);
        self.cut = self.queue.behind(start, len);
        self.uncut = self.uncut.saturating_sub(len);
        self.sent = self.sent.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        if fin {
            self.state = SendState::Sent;
        }
        let index = self.chunks.len();
        self.chunks.push_back(Chunk { start, len, fin, state: ChunkState::Carried(by) });
        Some(self.outgoing(index, start, len, fin, true))
    }

    fn outgoing(
        &self,
        index: usize,
        start: Position,
        len: usize,
        fin: bool,
        first: bool,
    ) -> OutgoingChunk<'_> {
        let ahead = u64::try_from(index).unwrap_or(u64::MAX);
        let seq = Seq::new(self.acked.number().saturating_add(ahead));
        OutgoingChunk { seq, fin, len, first, slices: self.queue.slices(start, len) }
    }

    /// The exchange `by`, which carried the chunk `seq`, may be lost. Returns whether the chunk is lost now: not if another
    /// exchange has carried it since.
    pub(crate) fn lost(&mut self, seq: Seq, by: ExchangeNumber) -> bool {
        let Some(index) = self.index(seq) else { return false };
        let concerned = self.chunks.get(index).is_some_and(|chunk| chunk.state == ChunkState::Carried(by));
        if concerned {
            self.set_state(index, ChunkState::Lost);
        }
        concerned
    }

    /// An exchange that carried the chunk `seq` has arrived: a selective acknowledgement.
    pub(crate) fn acked(&mut self, seq: Seq) {
        if let Some(index) = self.index(seq) {
            self.set_state(index, ChunkState::Arrived);
        }
    }

    /// The peer took every chunk below `next`. Returns how many bytes are free now.
    pub(crate) fn acknowledge(&mut self, next: Seq) -> Result<usize, Violation> {
        let count = usize::try_from(next.ahead_of(self.acked)).unwrap_or(usize::MAX);
        if count > self.chunks.len() {
            return Err(Violation::AckOfUnsent);
        }
        let mut freed = 0_usize;
        for index in 0..count {
            self.set_state(index, ChunkState::Arrived); // what is acknowledged is not lost any more
        }
        for chunk in self.chunks.drain(..count) {
            freed = freed.saturating_add(chunk.len);
        }
        self.acked = self.acked.max(next);
        self.lost_from = self.lost_from.saturating_sub(count);
        self.release(freed);
        if self.state == SendState::Sent && self.chunks.is_empty() {
            self.state = SendState::Finished;
        }
        Ok(freed)
    }

    fn release(&mut self, freed: usize) {
        if freed == self.queue.len() {
            self.cut = self.queue.clear();
        } else {
            let front = self.chunks.front().map_or(self.cut, |chunk| chunk.start);
            self.queue.release(front, freed);
        }
    }

    /// The index of the chunk `seq`, which is behind the last if it was never cut.
    fn index(&self, seq: Seq) -> Option<usize> {
        let ahead = seq.number().checked_sub(self.acked.number())?;
        usize::try_from(ahead).ok()
    }

    /// The one transition of a chunk, with the counters of lost chunks.
    fn set_state(&mut self, index: usize, state: ChunkState) {
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        let len = chunk.len;
        if core::mem::replace(&mut chunk.state, state) == ChunkState::Lost {
            self.lost = self.lost.saturating_sub(1);
            self.lost_bytes = self.lost_bytes.saturating_sub(len);
        }
        if state == ChunkState::Lost {
            self.lost = self.lost.saturating_add(1);
            self.lost_bytes = self.lost_bytes.saturating_add(len);
            self.lost_from = self.lost_from.min(index);
        }
    }

    /// Bytes that may be cut now, as far as the peer's credit goes.
    fn credit(&self) -> usize {
        usize::try_from(self.limit.saturating_sub(self.sent)).unwrap_or(usize::MAX)
    }

    /// State of the direction.
    pub(crate) const fn state(&self) -> SendState {
        self.state
    }

    /// Bytes buffered: written, and not acknowledged.
    pub(crate) const fn buffered(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that could be sent now.
    pub(crate) fn sendable(&self) -> usize {
        let new = if self.chunks.len() < MAX_AHEAD { self.uncut.min(self.credit()) } else { 0 };
        self.lost_bytes.saturating_add(new)
    }

    /// Whether [`next`](Self::next) would give a chunk if there were room for any: an end alone has no bytes.
    pub(crate) fn is_ready(&self) -> bool {
        let end = self.state == SendState::Ending && self.uncut == 0 && self.chunks.len() < MAX_AHEAD;
        self.lost > 0 || end || self.sendable() > 0
    }

    /// The last exchange that carried the chunk `seq`, while the chunk is in flight.
    pub(crate) fn carrier(&self, seq: Seq) -> Option<ExchangeNumber> {
        match self.chunks.get(self.index(seq)?)?.state {
            ChunkState::Carried(by) => Some(by),
            ChunkState::Lost | ChunkState::Arrived => None,
        }
    }

    /// Whether any chunk is lost.
    pub(crate) const fn has_lost(&self) -> bool {
        self.lost > 0
    }

    /// Whether there are bytes that only lack credit.
    pub(crate) fn is_blocked(&self) -> bool {
        self.uncut > 0 && (self.credit() == 0 || self.chunks.len() >= MAX_AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl SendHalf {
        /// Asserts that what is counted is what is there.
        pub(in crate::connection::stream) fn assert_consistent(&self) {
            let bytes = |matches: fn(&ChunkState) -> bool| {
                let chunks = self.chunks.iter().filter(|chunk| matches(&chunk.state));
                chunks.fold((0, 0), |(count, bytes), chunk| (count + 1, bytes + chunk.len))
            };
            assert_eq!(bytes(|state| *state == ChunkState::Lost), (self.lost, self.lost_bytes));
            assert_eq!(bytes(|_| true).1 + self.uncut, self.buffered());
            let first = self.chunks.iter().position(|chunk| chunk.state == ChunkState::Lost);
            assert!(first.is_none_or(|first| self.lost_from <= first));
        }
    }
}
