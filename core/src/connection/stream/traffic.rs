//! Payload of a stream, classed as sparse or bulk (protocol.md 3.2 rule 8).

use core::time::Duration;

use crate::connection::stream::transport::Transport;
use crate::credit::FLOOR;
use crate::time::Instant;

/// A stream that sent less than this since it was last quiet is sparse (protocol.md 3.2 rule 8). With the overhead of a
/// packet it is less than 64 KiB, so that all of it fits into one packet.
const SPARSE: usize = 60 * 1024;

/// A stream that had nothing to send for this long begins a new burst.
const QUIET: Duration = Duration::from_secs(1);

/// What a stream may send in its turn: one whole chunk.
const QUANTUM: usize = 64 * 1024;

/// How the payload of a stream travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// In packets of at most 64 KiB.
    Sparse,
    /// In packets of any size, with others.
    Bulk,
}

/// A stream's part of the sums over all streams of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Counted {
    /// Bytes that could be sent now.
    pub(crate) sendable: usize,
    /// 1 if it is blocked on flow control.
    pub(crate) blocked: usize,
    /// Received bytes buffered beyond the floor.
    pub(crate) beyond: usize,
    /// Places of the reorder queue.
    pub(crate) span: usize,
}

/// The payload of a stream, with what decides how it travels.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Traffic {
    transport: Transport,
    /// Bytes sent since the stream was last quiet.
    burst: usize,
    /// Since when it has had nothing to send.
    dry_since: Option<Instant>,
    /// Bytes of its turn that are left in deficit round robin.
    deficit: usize,
    /// What the sums of its connection contain of it.
    counted: Counted,
}

impl Traffic {
    pub(crate) fn new(transport: Transport, now: Instant) -> Self {
        Self { transport, burst: 0, dry_since: Some(now), deficit: 0, counted: Counted::default() }
    }

    /// The payload.
    pub(crate) const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The payload, to be changed.
    pub(crate) const fn transport_mut(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// Notes whether there is anything to send. A stream whose bytes only wait for a packet is not quiet.
    pub(crate) fn note(&mut self, now: Instant) {
        if !self.transport.is_ready() {
            self.dry_since.get_or_insert(now);
        } else if self.dry_since.take().is_some_and(|since| now.saturating_since(since) >= QUIET) {
            self.burst = 0;
        }
    }

    /// How its payload travels, if it has any.
    pub(crate) fn class(&self) -> Option<Class> {
        if !self.transport.is_ready() {
            None
        } else if self.sparse_room() > 0 && !self.is_too_large() {
            Some(Class::Sparse)
        } else {
            Some(Class::Bulk)
        }
    }

    /// Whether the next chunk or datagram is too large for a packet of sparse data.
    fn is_too_large(&self) -> bool {
        !self.is_cut_next() && self.transport.next_len() > SPARSE
    }

    /// Whether the next chunk is yet to be cut.
    const fn is_cut_next(&self) -> bool {
        match &self.transport {
            Transport::Tcp { send, .. } => !send.has_lost(),
            Transport::Udp(_) => false,
        }
    }

    /// How long the next chunk of a sparse stream may be. A chunk that was cut before is not cut again.
    pub(crate) const fn sparse_cut(&self) -> usize {
        if self.is_cut_next() { self.sparse_room() } else { SPARSE }
    }

    /// Bytes that it may still send as a sparse stream.
    const fn sparse_room(&self) -> usize {
        SPARSE.saturating_sub(self.burst)
    }

    /// `bytes` were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.burst = self.burst.saturating_add(bytes).min(SPARSE);
    }

    /// Whether a WINDOW is queued, or so much was taken that a report is due.
    pub(crate) const fn has_facts(&self) -> bool {
        match &self.transport {
            Transport::Tcp { recv, .. } => recv.is_window_due() || recv.is_report_due(),
            Transport::Udp(_) => false,
        }
    }

    /// Whether an ACK is queued.
    pub(crate) const fn has_ack(&self) -> bool {
        match &self.transport {
            Transport::Tcp { recv, .. } => recv.is_ack_due(),
            Transport::Udp(_) => false,
        }
    }

    /// The length of the next chunk in bulk. A turn that is too short for it begins anew.
    pub(crate) fn next_in_turn(&mut self) -> usize {
        let next = self.transport.next_len();
        if self.deficit < next {
            self.deficit = self.deficit.saturating_add(QUANTUM);
        }
        next
    }

    /// Bytes of its turn that are left.
    pub(crate) const fn turn(&self) -> usize {
        self.deficit
    }

    /// `bytes` were sent in its turn. Returns whether the turn is over.
    pub(crate) fn spend_turn(&mut self, bytes: usize) -> bool {
        self.deficit = self.deficit.saturating_sub(bytes);
        self.deficit < self.transport.next_len()
    }

    /// It has nothing in bulk any more.
    pub(crate) const fn end_turn(&mut self) {
        self.deficit = 0;
    }

    /// What the sums contain of it.
    pub(crate) const fn counted(&self) -> Counted {
        self.counted
    }

    /// Counts it anew. Returns what the sums contained of it before.
    pub(crate) fn recount(&mut self) -> Counted {
        let counted = Counted {
            sendable: self.transport.sendable(),
            blocked: usize::from(self.transport.is_blocked()),
            beyond: self.transport.buffered_in().saturating_sub(FLOOR),
            span: self.transport.span(),
        };
        core::mem::replace(&mut self.counted, counted)
    }

    /// Payload bytes that are buffered.
    pub(crate) fn buffered(&self) -> usize {
        self.transport.buffered_in().saturating_add(self.transport.buffered_out())
    }
}
