//! What a stream has to send and what it was sent, at either end, with what decides how it travels.

use core::time::Duration;

use crate::flow::FLOOR;
use crate::stream::flow::Flow;
use crate::time::Instant;

/// A stream that sent less than this since it was last quiet is sparse (protocol.md 3.2 rule 8): less than 64 KiB by
/// what else a packet of sparse data has, so that all of it fits into one.
const SPARSE: usize = 60 * 1024;

/// How long a stream is quiet before what it sends counts anew.
const QUIET: Duration = Duration::from_secs(1);

/// How what a stream has to send travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// In packets of at most 64 KiB.
    Sparse,
    /// In packets of any size, with others.
    Bulk,
}

/// A stream's part of the sums over all streams of its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Bytes that could be sent now.
    pub(crate) sendable: usize,
    /// 1 if it is at its credit.
    pub(crate) blocked: usize,
    /// Received bytes kept beyond the floor.
    pub(crate) beyond: usize,
    /// Places of the reorder queue.
    pub(crate) span: usize,
}

/// The payload of a stream on its way.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) flow: Flow,
    /// Bytes sent since the stream was last quiet, and when.
    burst: usize,
    last_sent: Instant,
    /// The turn that it has left in deficit round robin.
    pub(crate) deficit: usize,
    /// What the sums of its client contain of it.
    pub(crate) counted: Counted,
}

impl Traffic {
    pub(crate) fn new(flow: Flow, now: Instant) -> Self {
        Self { flow, burst: 0, last_sent: now, deficit: 0, counted: Counted::default() }
    }

    /// How what it has to send travels, if it has anything.
    pub(crate) fn class(&self, now: Instant) -> Option<Class> {
        if !self.flow.is_ready() {
            None
        } else if self.sparse_room(now) > 0 && !self.is_too_large() {
            Some(Class::Sparse)
        } else {
            Some(Class::Bulk)
        }
    }

    /// Whether what goes next was cut too large for a packet of sparse data, or came so.
    fn is_too_large(&self) -> bool {
        !self.is_cut_next() && self.flow.next_len() > SPARSE
    }

    /// Whether what goes next is as long as it is cut now.
    const fn is_cut_next(&self) -> bool {
        match &self.flow {
            Flow::Tcp { send, .. } => !send.has_lost(),
            Flow::Udp(_) => false,
        }
    }

    /// How long the next chunk of a sparse stream may be: what was cut before goes as it is.
    pub(crate) fn sparse_cut(&self, now: Instant) -> usize {
        if self.is_cut_next() { self.sparse_room(now) } else { SPARSE }
    }

    /// Bytes that it may still send as a sparse stream.
    fn sparse_room(&self, now: Instant) -> usize {
        let quiet = now.saturating_since(self.last_sent) >= QUIET;
        if quiet { SPARSE } else { SPARSE.saturating_sub(self.burst) }
    }

    /// `bytes` went out.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant) {
        if now.saturating_since(self.last_sent) >= QUIET {
            self.burst = 0;
        }
        self.burst = self.burst.saturating_add(bytes).min(SPARSE);
        self.last_sent = now;
    }

    /// Whether WINDOW should go, or so much was taken that the peer must hear of it soon.
    pub(crate) const fn has_facts(&self) -> bool {
        match &self.flow {
            Flow::Tcp { recv, .. } => recv.is_window_due() || recv.is_report_due(),
            Flow::Udp(_) => false,
        }
    }

    /// Whether an ACK should go, which can wait a little.
    pub(crate) const fn has_ack(&self) -> bool {
        match &self.flow {
            Flow::Tcp { recv, .. } => recv.is_ack_due(),
            Flow::Udp(_) => false,
        }
    }

    /// What it sent since it was last quiet, and when, for a fingerprint.
    #[cfg(feature = "model")]
    pub(crate) const fn burst(&self) -> (usize, Instant) {
        (self.burst, self.last_sent)
    }

    /// What the sums should contain of it.
    pub(crate) fn count(&self) -> Counted {
        Counted {
            sendable: self.flow.sendable(),
            blocked: usize::from(self.flow.is_blocked()),
            beyond: self.flow.kept_in().saturating_sub(FLOOR),
            span: self.flow.span(),
        }
    }

    /// Payload bytes that are kept.
    pub(crate) fn kept(&self) -> usize {
        self.flow.kept_in().saturating_add(self.flow.kept_out())
    }
}
