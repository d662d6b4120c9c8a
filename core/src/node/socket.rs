//! An open upstream, as its session or stream knows it (protocol.md 2.4 rule 8, 3.2 rule 6).

use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::config::NodeOptions;
use crate::credit::{Credit, Lender};
use crate::error::Misuse;
use crate::id::UpstreamId;
use crate::node::context::Context;
use crate::node::event::UpstreamEvent;
use crate::target::FlowKind;
use crate::time::Instant;

/// The largest UDP payload that a length field can name.
const MAX_DATAGRAM: usize = 65_535;

/// A reader that has this much credit left gets no more yet: two reads of the usual size, so that small ones
/// do not cost an action each.
const ENOUGH_CREDIT: usize = 128 * 1024;

/// An upstream that is open.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    upstream: UpstreamId,
    kind: FlowKind,
    source: Source,
    writes: WriteQueue,
    /// What may be read from it.
    credit: Credit,
    /// The last byte or datagram of either direction, or op that spoke to it.
    last_active: Instant,
}

/// Whether more may come from upstream.
///
/// ```text
///  Live ──Fin──▶ Finished ──┐
///   └─────────Reset─────────┴──Reset──▶ Reset
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    /// Yes, and it takes bytes.
    Live,
    /// No, and it may still take bytes.
    Finished,
    /// No, and it takes nothing.
    Reset,
}

impl Socket {
    /// An upstream of whose downlink at most `window` bytes are kept.
    pub(super) const fn new(upstream: UpstreamId, kind: FlowKind, window: usize, now: Instant) -> Self {
        Self {
            upstream,
            kind,
            source: Source::Live,
            writes: WriteQueue::new(now),
            credit: Credit::new(window),
            last_active: now,
        }
    }

    pub(super) const fn upstream(&self) -> UpstreamId {
        self.upstream
    }

    pub(super) const fn kind(&self) -> FlowKind {
        self.kind
    }

    /// Whether more may come from it.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.source, Source::Live)
    }

    /// Whether it takes nothing any more.
    pub(super) const fn was_reset(&self) -> bool {
        matches!(self.source, Source::Reset)
    }

    /// Something happened: it is not idle.
    pub(super) const fn touch(&mut self, now: Instant) {
        self.last_active = now;
    }

    /// Bytes came. False if they are not to be taken: it has ended, or had no credit for them.
    pub(super) fn arrive(&mut self, bytes: usize, now: Instant) -> bool {
        let taken = self.is_live() && self.credit.arrive(bytes).is_ok();
        if taken {
            self.touch(now);
        }
        taken
    }

    /// The credit that datagrams take.
    pub(super) const fn credit(&mut self) -> &mut Credit {
        &mut self.credit
    }

    /// No more will come from it.
    pub(super) const fn finish(&mut self) {
        if self.is_live() {
            self.source = Source::Finished;
        }
    }

    /// It was reset, or could not be opened: nothing comes and nothing is written any more.
    pub(super) const fn reset(&mut self) {
        self.source = Source::Reset;
        self.writes.unwritten = 0;
    }

    /// Hands out bytes to be written.
    pub(super) fn write(&mut self, bytes: Bytes, cx: &mut Context) {
        if self.kind == FlowKind::Tcp {
            self.writes.push(bytes.len(), cx.now());
        }
        cx.write(self.upstream, bytes);
    }

    /// The driver wrote `bytes` of them.
    pub(super) const fn written(&mut self, bytes: usize, now: Instant) {
        self.writes.written(bytes, now);
        self.touch(now);
    }

    /// Bytes handed out and not reported written.
    pub(super) const fn unwritten(&self) -> usize {
        self.writes.unwritten
    }

    /// What is left to be written after its session has ended.
    pub(super) fn into_writes(self) -> WriteQueue {
        self.writes
    }

    /// New credit for its reader, in bytes; 0 if it needs none.
    pub(super) fn grant(&mut self, pool: &mut impl Lender) -> usize {
        let reads = self.kind == FlowKind::Tcp && self.is_live();
        if reads && self.credit.promised() < ENOUGH_CREDIT { self.credit.grant(pool) } else { 0 }
    }

    /// Whether its reader waits for credit that the pool did not have.
    pub(super) const fn is_blocked(&self) -> bool {
        matches!(self.kind, FlowKind::Tcp) && self.is_live() && self.credit.is_blocked()
    }

    /// Whether the node has stopped reading from it.
    pub(super) const fn is_paused(&self, window: usize) -> bool {
        self.credit.is_blocked() || self.credit.kept() >= window
    }

    /// Downlink bytes are kept no longer.
    pub(super) fn release(&mut self, bytes: usize, pool: &mut impl Lender) {
        self.credit.release(bytes, pool);
    }

    /// Its session or stream ends: everything goes back to the pool.
    pub(super) fn close(&mut self, pool: &mut impl Lender) {
        self.credit.close(pool);
    }

    /// When it has taken nothing for too long.
    pub(super) fn write_deadline(&self, config: &NodeOptions) -> Option<Instant> {
        self.writes.deadline(config)
    }

    /// When it has been idle for too long.
    pub(super) fn idle_deadline(&self, config: &NodeOptions) -> Instant {
        self.last_active.saturating_add(match self.kind {
            FlowKind::Tcp => config.tcp_idle,
            FlowKind::Udp => config.udp_idle,
        })
    }

    /// Whether the contract allows an event now.
    pub(super) fn check(&self, event: &UpstreamEvent) -> Result<(), Misuse> {
        let (is_tcp, is_udp) = (self.kind == FlowKind::Tcp, self.kind == FlowKind::Udp);
        match event {
            UpstreamEvent::Opened | UpstreamEvent::Failed(_) => Err(Misuse::WrongKind),
            // Nothing follows a reset, but what the driver had under way may.
            _ if self.was_reset() => Ok(()),
            UpstreamEvent::Datagram(bytes) if bytes.len() > MAX_DATAGRAM => Err(Misuse::DatagramTooLarge),
            UpstreamEvent::Datagram(_) if is_tcp => Err(Misuse::WrongKind),
            UpstreamEvent::Data(_) | UpstreamEvent::Written(_) if is_udp => Err(Misuse::WrongKind),
            UpstreamEvent::Data(_) | UpstreamEvent::Datagram(_) | UpstreamEvent::Fin if !self.is_live() => {
                Err(Misuse::AfterFin)
            }
            UpstreamEvent::Data(bytes) if bytes.len() > self.credit.promised() => Err(Misuse::CreditExceeded),
            UpstreamEvent::Written(bytes) if *bytes > self.unwritten() => Err(Misuse::WrittenTooMuch),
            UpstreamEvent::Data(_)
            | UpstreamEvent::Datagram(_)
            | UpstreamEvent::Fin
            | UpstreamEvent::Reset
            | UpstreamEvent::Written(_) => Ok(()),
        }
    }
}

impl Hash for Socket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
        self.credit.hash(state);
        self.writes.hash(state);
    }
}

/// Bytes handed out to be written, and not yet reported written.
#[derive(Clone, Debug)]
pub(super) struct WriteQueue {
    unwritten: usize,
    /// When the upstream last took bytes, or had nothing to take.
    progressed: Instant,
}

impl WriteQueue {
    const fn new(now: Instant) -> Self {
        Self { unwritten: 0, progressed: now }
    }

    /// `bytes` more were handed out.
    const fn push(&mut self, bytes: usize, now: Instant) {
        if self.unwritten == 0 {
            self.progressed = now;
        }
        self.unwritten = self.unwritten.saturating_add(bytes);
    }

    /// The driver wrote `bytes` of them.
    pub(super) const fn written(&mut self, bytes: usize, now: Instant) {
        self.unwritten = self.unwritten.saturating_sub(bytes);
        if bytes > 0 {
            self.progressed = now;
        }
    }

    pub(super) const fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// Whether the contract allows an event of an upstream that only writes what is left.
    pub(super) const fn check(&self, event: &UpstreamEvent) -> Result<(), Misuse> {
        match event {
            UpstreamEvent::Opened | UpstreamEvent::Failed(_) | UpstreamEvent::Datagram(_) => {
                Err(Misuse::WrongKind)
            }
            UpstreamEvent::Written(bytes) if *bytes > self.unwritten => Err(Misuse::WrittenTooMuch),
            UpstreamEvent::Data(_)
            | UpstreamEvent::Fin
            | UpstreamEvent::Reset
            | UpstreamEvent::Written(_) => Ok(()),
        }
    }

    /// When the upstream has taken nothing for too long.
    pub(super) fn deadline(&self, config: &NodeOptions) -> Option<Instant> {
        (self.unwritten > 0).then(|| self.progressed.saturating_add(config.write_deadline))
    }
}

impl Hash for WriteQueue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.unwritten.hash(state);
        if self.unwritten > 0 {
            self.progressed.hash(state);
        }
    }
}

/// Whether the contract allows an event of an upstream that is not open yet.
pub(super) const fn check_connecting(event: &UpstreamEvent) -> Result<(), Misuse> {
    match event {
        UpstreamEvent::Opened | UpstreamEvent::Failed(_) => Ok(()),
        UpstreamEvent::Data(_) => Err(Misuse::CreditExceeded),
        UpstreamEvent::Written(_) => Err(Misuse::WrittenTooMuch),
        UpstreamEvent::Datagram(_) | UpstreamEvent::Fin | UpstreamEvent::Reset => Err(Misuse::WrongKind),
    }
}
