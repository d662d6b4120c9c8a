//! Receiving half of a stream: a reorder queue with credit (protocol.md 3.2 rules 1, 5 and 6).

use alloc::collections::VecDeque;
use core::fmt;

use bytes::Bytes;

use crate::connection::pending::Pending;
use crate::connection::stream::violation::{MAX_AHEAD, Violation};
use crate::error::Misuse;
use crate::reorder::{Rejected, ReorderLimits, ReorderQueue};
use crate::seq::Seq;
use crate::wire::number::ExchangeNumber;

/// The part of the window that may be taken before it is reported to the sender. A window has at least 64 KiB.
const REPORT: u64 = 4;

/// State of the direction.
///
/// ```text
///              fin arrives              fin is delivered              all taken
///   Receiving ─────────────▶ EndKnown ──────────────────▶ Delivered ────────────▶ Finished
/// ```
///
/// | event | Receiving | EndKnown | Delivered | Finished |
/// |---|---|---|---|---|
/// | new chunk | queued; with fin EndKnown | queued | violation | violation |
/// | chunk seen before | ACK queued | ACK queued | ACK queued | ACK queued |
/// | chunk behind the end, another end | violation | violation | violation | violation |
/// | deliver | in order | in order; with fin Delivered | nothing | nothing |
/// | take | ACK queued | ACK queued | ACK queued; with the last Finished | misuse |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RecvState {
    /// The end has not come.
    Receiving,
    /// The end has come, and its chunk is this.
    EndKnown(Seq),
    /// Everything was delivered, up to the end, which is this chunk.
    Delivered(Seq),
    /// Everything was taken.
    Finished(Seq),
}

/// What is handed to the application, or to the upstream.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Delivery {
    /// The bytes; none only with `fin`.
    pub(crate) bytes: Bytes,
    /// Whether nothing follows.
    pub(crate) fin: bool,
}

/// Never shows the bytes.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("len", &self.bytes.len()).field("fin", &self.fin).finish()
    }
}

/// One direction at its receiver.
///
/// Chunks are *delivered* in order as soon as they are there. A chunk counts as *taken* when all its bytes were, and is
/// acknowledged only then. So what the reader does not take stays in the window of the sender.
#[derive(Clone, Debug, Hash)]
pub(crate) struct RecvHalf {
    state: RecvState,
    queue: ReorderQueue<Delivery>,
    /// The chunk behind the highest that came.
    after_highest: Seq,
    /// Bytes that came, each once, and how many may.
    received: u64,
    limit: u64,
    window: u64,
    /// Lengths of the chunks that were delivered and not taken, and how much of the first was.
    delivered: VecDeque<usize>,
    partly: usize,
    /// Bytes that were delivered and not taken.
    untaken: usize,
    /// The first chunk that was not taken, and the bytes before it or in it that were.
    taken: Seq,
    taken_bytes: u64,
    /// `taken_bytes` when an ACK or a WINDOW was last sent.
    reported: u64,
    ack: Pending,
    credit: Pending,
}

impl RecvHalf {
    /// A direction whose sender has credit for `window` bytes beyond what was taken.
    pub(crate) const fn new(window: u64) -> Self {
        Self {
            state: RecvState::Receiving,
            queue: ReorderQueue::new(ReorderLimits { items: MAX_AHEAD, bytes: usize::MAX }),
            after_highest: Seq::ZERO,
            received: 0,
            limit: window,
            window,
            delivered: VecDeque::new(),
            partly: 0,
            untaken: 0,
            taken: Seq::ZERO,
            taken_bytes: 0,
            reported: 0,
            ack: Pending::Clear,
            credit: Pending::Clear,
        }
    }

    /// The sender began with credit for `first` bytes, and is granted the rest of the window.
    pub(crate) fn widen(&mut self, first: u64) {
        if first < self.window && self.state == RecvState::Receiving {
            self.credit.queue();
        }
    }

    /// A chunk came in a copy of a packet that had come before. If it is not new, it is not acknowledged again: an
    /// acknowledgement that may be lost is queued anyway.
    pub(crate) fn receive_copy(&mut self, seq: Seq, fin: bool, bytes: Bytes) -> Result<(), Violation> {
        let ack = self.ack;
        if !self.receive(seq, fin, bytes)? {
            self.ack = ack;
        }
        Ok(())
    }

    /// A chunk came. Returns whether it is new; if not, it is acknowledged again.
    pub(crate) fn receive(&mut self, seq: Seq, fin: bool, bytes: Bytes) -> Result<bool, Violation> {
        self.check_end(seq, fin)?;
        if seq.ahead_of(self.taken) > u64::try_from(MAX_AHEAD).unwrap_or(u64::MAX) {
            return Err(Violation::TooFarAhead);
        }
        let len = bytes.len();
        match self.queue.insert(seq, Delivery { bytes, fin }, len) {
            Ok(()) => {}
            Err(Rejected::Old(_) | Rejected::Duplicate(_)) => {
                self.ack.queue();
                return Ok(false);
            }
            Err(Rejected::Full(_)) => return Err(Violation::TooFarAhead),
        }
        self.received = self.received.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        if self.received > self.limit {
            return Err(Violation::CreditExceeded);
        }
        self.after_highest = self.after_highest.max(seq.next());
        if fin {
            self.state = RecvState::EndKnown(seq);
            self.credit = Pending::Clear; // no new chunk can come
        }
        Ok(true)
    }

    /// Whether a chunk agrees with what is known of the end.
    fn check_end(&self, seq: Seq, fin: bool) -> Result<(), Violation> {
        let agrees = match self.end() {
            Some(end) => seq <= end && fin == (seq == end),
            None => !fin || seq >= self.after_highest,
        };
        if agrees { Ok(()) } else { Err(Violation::EndMoved) }
    }

    const fn end(&self) -> Option<Seq> {
        match self.state {
            RecvState::EndKnown(end) | RecvState::Delivered(end) | RecvState::Finished(end) => Some(end),
            RecvState::Receiving => None,
        }
    }

    /// The next chunk, if it is there.
    pub(crate) fn deliver(&mut self) -> Option<Delivery> {
        let delivery = self.queue.pop()?;
        self.delivered.push_back(delivery.bytes.len());
        self.untaken = self.untaken.saturating_add(delivery.bytes.len());
        if delivery.fin {
            if let Some(end) = self.end() {
                self.state = RecvState::Delivered(end);
            }
            self.settle();
        }
        Some(delivery)
    }

    /// The application, or the upstream's socket, took `bytes` more of what was delivered.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Misuse> {
        self.untaken = self.untaken.checked_sub(bytes).ok_or(Misuse::WrittenTooMuch)?;
        self.partly = self.partly.saturating_add(bytes);
        self.taken_bytes = self.taken_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.settle();
        Ok(())
    }

    /// Counts the chunks of which every byte was taken.
    fn settle(&mut self) {
        while let Some(len) = self.delivered.front().copied().filter(|len| *len <= self.partly) {
            self.delivered.pop_front();
            self.partly = self.partly.saturating_sub(len);
            self.taken = self.taken.next();
            self.ack.queue();
        }
        if let RecvState::Delivered(end) = self.state
            && self.delivered.is_empty()
        {
            self.state = RecvState::Finished(end);
            self.credit = Pending::Clear;
            self.delivered = VecDeque::new();
        } else if self.end().is_none() && self.next_limit().saturating_sub(self.limit) >= self.window / REPORT
        {
            self.credit.queue();
        }
    }

    /// Whether an ACK is queued.
    pub(crate) const fn is_ack_due(&self) -> bool {
        self.ack.is_queued()
    }

    /// Whether a WINDOW is queued: a quarter of the window has become free.
    pub(crate) const fn is_window_due(&self) -> bool {
        self.credit.is_queued()
    }

    /// Bytes taken that are not reported to the sender.
    pub(crate) const fn unreported(&self) -> u64 {
        self.taken_bytes.saturating_sub(self.reported)
    }

    /// Whether a request is due to report a quarter of the window (protocol.md 3.2 rule 6).
    ///
    /// A chunk that was taken in part may leave nothing to report; then nothing is due.
    pub(crate) const fn is_report_due(&self) -> bool {
        let tells = self.ack.is_queued() || self.credit.is_queued();
        tells && self.unreported() >= self.window / REPORT
    }

    /// The `next` of the ACK that is sent in exchange `by`.
    pub(crate) const fn put_ack(&mut self, by: ExchangeNumber) -> Seq {
        self.ack.send_in(by);
        self.reported = self.taken_bytes;
        self.taken
    }

    /// The `limit` of the WINDOW that is sent in exchange `by`. From then on it is promised.
    pub(crate) fn put_window(&mut self, by: ExchangeNumber) -> u64 {
        self.credit.send_in(by);
        self.limit = self.limit.max(self.next_limit());
        self.reported = self.taken_bytes;
        self.limit
    }

    /// Exchange `by` may be lost: its ACK and WINDOW are queued again unless newer ones were sent.
    pub(crate) fn lost(&mut self, by: ExchangeNumber) {
        self.ack.lost(by);
        self.credit.lost(by);
    }

    /// Exchange `by` has arrived.
    pub(crate) fn acked(&mut self, by: ExchangeNumber) {
        self.ack.acked(by);
        self.credit.acked(by);
    }

    /// The first chunk that was not taken: what an ACK says.
    pub(crate) const fn taken(&self) -> Seq {
        self.taken
    }

    /// Delivery of the last ACK.
    pub(crate) const fn ack(&self) -> Pending {
        self.ack
    }

    /// Bytes that the sender may send in all: what a WINDOW says.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Places of the reorder queue that are in use, empty ones included.
    pub(crate) fn span(&self) -> usize {
        let ahead = self.after_highest.ahead_of(self.queue.expected());
        usize::try_from(ahead).unwrap_or(usize::MAX)
    }

    const fn next_limit(&self) -> u64 {
        self.taken_bytes.saturating_add(self.window)
    }

    /// State of the direction.
    pub(crate) const fn state(&self) -> RecvState {
        self.state
    }

    /// Bytes that were delivered and not taken.
    pub(crate) const fn untaken(&self) -> usize {
        self.untaken
    }

    /// Bytes that wait in the reorder queue.
    pub(crate) const fn waiting(&self) -> usize {
        self.queue.bytes()
    }
}
