//! One stream of a client, with its upstream.

use core::time::Duration;

use bytes::Bytes;

use crate::config::NodeConfig;
use crate::error::Misuse;
use crate::flow::{Credit, FLOOR};
use crate::id::UpstreamId;
use crate::node::contract::{MAX_DATAGRAM, check_connecting};
use crate::node::event::UpstreamEvent;
use crate::node::session::Source;
use crate::node::streams::flow::{Datagrams, Flow};
use crate::node::upstream::WriteQueue;
use crate::stream::owed::Owed;
use crate::stream::recv::RecvHalf;
use crate::stream::send::SendHalf;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::TimerKind;

/// A stream that sent less than this since it was last quiet is sparse (protocol.md 3.2 rule 8): less than 64 KiB by
/// what else a packet of sparse data has, so that all of it fits into one.
const SPARSE: usize = 60 * 1024;

/// How long a stream is quiet before what it sends counts anew.
const QUIET: Duration = Duration::from_secs(1);

/// Uplink chunks that would keep alive more than this many times their own length are copied out of their packet.
const PIN_MULTIPLE: usize = 4;

/// How what a stream has to send travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// In packets of at most 64 KiB.
    Sparse,
    /// In packets of any size, with others.
    Bulk,
}

/// One stream.
#[derive(Clone, Debug)]
pub(in crate::node) struct Stream {
    pub(super) upstream: UpstreamId,
    pub(super) link: Link,
    pub(super) flow: Flow,
    /// Whether more may come from upstream.
    pub(super) source: Source,
    /// Bytes with the upstream that it has not taken.
    pub(super) uplink: WriteQueue,
    /// What may be read from upstream.
    pub(super) credit: Credit,
    /// OPENED.
    pub(super) opened: Owed,
    /// Bytes sent since the stream was last quiet, and when.
    burst: usize,
    last_sent: Instant,
    /// The turn that it has left in deficit round robin.
    pub(super) deficit: usize,
    pub(super) last_active: Instant,
    /// What the client's sums contain of it.
    pub(super) counted: Counted,
}

/// Where a stream's upstream is.
///
/// ```text
///  OPEN ─▶ Connecting ──Opened──▶ Open ──finished, RESET──▶ (gone)
///              └──── Failed, deadline, RESET ─────────────────┘
/// ```
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// The driver tries to open it. What the client sends waits.
    Connecting { target: Target, deadline: Instant },
    /// It is open.
    Open,
}

/// A stream's part of its client's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Bytes that could be sent now.
    pub(super) sendable: usize,
    /// 1 if it is at its credit.
    pub(super) blocked: usize,
    /// Uplink bytes kept beyond the floor.
    pub(super) beyond: usize,
    /// Places of the reorder queue.
    pub(super) span: usize,
}

impl Stream {
    pub(super) fn new(
        upstream: UpstreamId,
        target: Target,
        kind: FlowKind,
        window: u64,
        config: &NodeConfig,
        now: Instant,
    ) -> Self {
        let deadline = now.saturating_add(config.connect_deadline);
        let flow = match kind {
            FlowKind::Tcp => {
                Flow::Tcp { send: SendHalf::new(window), recv: RecvHalf::new(config.streams.window) }
            }
            FlowKind::Udp => Flow::Udp(Datagrams::default()),
        };
        let keeps = match kind {
            // Nothing is gained by keeping more than the client has room for.
            FlowKind::Tcp => usize::try_from(window).unwrap_or(usize::MAX).max(FLOOR),
            FlowKind::Udp => config.session_buffer,
        };
        Self {
            upstream,
            link: Link::Connecting { target, deadline },
            flow,
            source: Source::Live,
            uplink: WriteQueue::new(now),
            credit: Credit::new(keeps),
            opened: Owed::Settled,
            burst: 0,
            last_sent: now,
            deficit: 0,
            last_active: now,
            counted: Counted::default(),
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.link, Link::Open)
    }

    /// Whether the contract allows an event of its upstream now.
    pub(in crate::node) fn check(&self, event: &UpstreamEvent) -> Result<(), Misuse> {
        let kind = self.flow.kind();
        match event {
            _ if !self.is_open() => check_connecting(event),
            UpstreamEvent::Opened | UpstreamEvent::Failed(_) => Err(Misuse::WrongKind),
            UpstreamEvent::Datagram(bytes) if bytes.len() > MAX_DATAGRAM => Err(Misuse::DatagramTooLarge),
            UpstreamEvent::Datagram(_) if kind == FlowKind::Tcp => Err(Misuse::WrongKind),
            UpstreamEvent::Data(_) | UpstreamEvent::Written(_) if kind == FlowKind::Udp => {
                Err(Misuse::WrongKind)
            }
            UpstreamEvent::Data(_) | UpstreamEvent::Datagram(_) | UpstreamEvent::Fin
                if self.source == Source::Finished =>
            {
                Err(Misuse::AfterFin)
            }
            UpstreamEvent::Data(bytes) if bytes.len() > self.credit.promised() => Err(Misuse::CreditExceeded),
            UpstreamEvent::Written(bytes) if *bytes > self.uplink.unwritten() => Err(Misuse::WrittenTooMuch),
            UpstreamEvent::Data(_)
            | UpstreamEvent::Datagram(_)
            | UpstreamEvent::Fin
            | UpstreamEvent::Reset
            | UpstreamEvent::Written(_) => Ok(()),
        }
    }

    /// How what it has to send travels, if it has anything.
    pub(super) fn class(&self, now: Instant) -> Option<Class> {
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
    pub(super) fn sparse_cut(&self, now: Instant) -> usize {
        if self.is_cut_next() { self.sparse_room(now) } else { SPARSE }
    }

    /// Bytes that it may still send as a sparse stream.
    fn sparse_room(&self, now: Instant) -> usize {
        let quiet = now.saturating_since(self.last_sent) >= QUIET;
        if quiet { SPARSE } else { SPARSE.saturating_sub(self.burst) }
    }

    /// `bytes` went down.
    pub(super) fn sent(&mut self, bytes: usize, now: Instant) {
        if now.saturating_since(self.last_sent) >= QUIET {
            self.burst = 0;
        }
        self.burst = self.burst.saturating_add(bytes).min(SPARSE);
        self.last_sent = now;
    }

    /// Whether OPENED or WINDOW should go, or so much was taken that the client must hear of it soon.
    pub(super) const fn has_facts(&self) -> bool {
        let uplink = match &self.flow {
            Flow::Tcp { recv, .. } => recv.is_window_due() || recv.is_report_due(),
            Flow::Udp(_) => false,
        };
        self.opened.is_due() || uplink
    }

    /// Whether an ACK should go, which can wait a little.
    pub(super) const fn has_ack(&self) -> bool {
        match &self.flow {
            Flow::Tcp { recv, .. } => recv.is_ack_due(),
            Flow::Udp(_) => false,
        }
    }

    /// What it sent since it was last quiet, for a fingerprint.
    #[cfg(feature = "model")]
    pub(super) const fn burst(&self) -> usize {
        self.burst
    }

    /// When it sent last, for a fingerprint.
    #[cfg(feature = "model")]
    pub(super) const fn last_sent(&self) -> Instant {
        self.last_sent
    }

    /// What the client's sums should contain of it.
    pub(super) fn count(&self) -> Counted {
        Counted {
            sendable: self.flow.sendable(),
            blocked: usize::from(self.flow.is_blocked()),
            beyond: self.flow.kept_up().saturating_sub(FLOOR),
            span: self.flow.span(),
        }
    }

    /// When it needs attention by itself, and why.
    pub(in crate::node) fn deadline(&self, config: &NodeConfig) -> Option<(Instant, TimerKind)> {
        if let Link::Connecting { deadline, .. } = &self.link {
            return Some((*deadline, TimerKind::Connect));
        }
        let write = self.uplink.deadline(config).map(|at| (at, TimerKind::Write));
        let idle = self.idle_deadline(config).map(|at| (at, TimerKind::IdleFlow));
        [write, idle].into_iter().flatten().min()
    }

    /// When nothing has happened for too long. A TCP stream lives as long as its client.
    pub(super) fn idle_deadline(&self, config: &NodeConfig) -> Option<Instant> {
        (self.flow.kind() == FlowKind::Udp).then(|| self.last_active.saturating_add(config.udp_idle))
    }

    /// Payload bytes that are kept.
    pub(super) fn kept(&self) -> usize {
        self.flow.kept_up().saturating_add(self.flow.kept_down())
    }
}

/// A payload of a packet of `packet` bytes, as it may be kept.
pub(super) fn compact(payload: Bytes, packet: usize) -> Bytes {
    if payload.len().saturating_mul(PIN_MULTIPLE) < packet {
        Bytes::copy_from_slice(&payload)
    } else {
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_alive_at_most_four_times_itself() {
        let packet = Bytes::from(alloc::vec![7; 100]);
        let (large, small) = (packet.slice(..25), packet.slice(25..49));
        assert_eq!(compact(large.clone(), packet.len()).as_ptr(), large.as_ptr());
        let copy = compact(small.clone(), packet.len());
        assert_ne!(copy.as_ptr(), small.as_ptr());
        assert_eq!(copy, small);
    }
}
