//! What a stream has to send and what it was sent, at either end, with what decides how it travels.

use core::time::Duration;

use crate::connection::stream::flow::Flow;
use crate::credit::FLOOR;
use crate::time::Instant;

/// A stream that sent less than this since it was last quiet is sparse (protocol.md 3.2 rule 8): less than 64 KiB by
/// what else a packet of sparse data has, so that all of it fits into one.
const SPARSE: usize = 60 * 1024;

/// How long a stream has nothing to send before what it sends counts anew.
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
    /// Bytes sent since the stream was last quiet.
    burst: usize,
    /// Since when it has had nothing to send.
    dry_since: Option<Instant>,
    /// The turn that it has left in deficit round robin.
    pub(crate) deficit: usize,
    /// What the sums of its client contain of it.
    pub(crate) counted: Counted,
}

impl Traffic {
    pub(crate) fn new(flow: Flow, now: Instant) -> Self {
        Self { flow, burst: 0, dry_since: Some(now), deficit: 0, counted: Counted::default() }
    }

    /// Looks whether there is anything to send. A stream whose bytes only wait for a packet is not quiet.
    pub(crate) fn note(&mut self, now: Instant) {
        if !self.flow.is_ready() {
            self.dry_since.get_or_insert(now);
        } else if self.dry_since.take().is_some_and(|since| now.saturating_since(since) >= QUIET) {
            self.burst = 0;
        }
    }

    /// How what it has to send travels, if it has anything.
    pub(crate) fn class(&self) -> Option<Class> {
        if !self.flow.is_ready() {
            None
        } else if self.sparse_room() > 0 && !self.is_too_large() {
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
    pub(crate) const fn sparse_cut(&self) -> usize {
        if self.is_cut_next() { self.sparse_room() } else { SPARSE }
    }

    /// Bytes that it may still send as a sparse stream.
    const fn sparse_room(&self) -> usize {
        SPARSE.saturating_sub(self.burst)
    }

    /// `bytes` went out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.burst = self.burst.saturating_add(bytes).min(SPARSE);
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

    /// What it sent since it was last quiet, and since when it has nothing, for a fingerprint.
    #[cfg(feature = "model")]
    pub(crate) const fn burst(&self) -> (usize, Option<Instant>) {
        (self.burst, self.dry_since)
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
