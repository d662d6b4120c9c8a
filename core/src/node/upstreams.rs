//! Upstreams: sockets to targets, which engine carries each, and what both engines know of an open one (protocol.md 2 rule 8).

use alloc::collections::BTreeMap;

use crate::config::NodeOptions;
use crate::error::Misuse;
#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;
use crate::id::{Counter, UpstreamId};
use crate::node::event::UpstreamEvent;
use crate::time::Instant;
use crate::wire::number::StreamNumber;

/// A connection of level 2 at the node; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(u64);

impl ConnectionId {
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// The stream that an upstream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamRef {
    pub(super) connection: ConnectionId,
    pub(super) number: StreamNumber,
}

/// What an upstream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// A session of level 0 or 1.
    Session,
    /// A stream of level 2.
    Stream(StreamRef),
}

/// Every upstream that has not ended, with its carrier.
#[derive(Clone, Debug, Default)]
pub(super) struct Upstreams {
    carriers: BTreeMap<UpstreamId, Carrier>,
    opened: Counter,
}

impl Upstreams {
    /// A new upstream; none if there are `most`.
    pub(super) fn open(&mut self, carrier: Carrier, most: usize) -> Option<UpstreamId> {
        if self.carriers.len() >= most {
            return None;
        }
        let upstream = UpstreamId::new(self.opened.next());
        self.carriers.insert(upstream, carrier);
        Some(upstream)
    }

    pub(super) fn remove(&mut self, upstream: UpstreamId) {
        self.carriers.remove(&upstream);
    }

    /// What an upstream belongs to; none once it has ended.
    pub(super) fn carrier(&self, upstream: UpstreamId) -> Option<Carrier> {
        self.carriers.get(&upstream).copied()
    }

    /// Whether there ever was such an upstream.
    pub(super) const fn was_opened(&self, upstream: UpstreamId) -> bool {
        upstream.number() < self.opened.issued()
    }

    /// The upstreams in the order in which they were opened.
    #[cfg(feature = "model")]
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (UpstreamId, Carrier)> {
        self.carriers.iter().map(|(upstream, carrier)| (*upstream, *carrier))
    }
}

/// Whether more may come from upstream.
///
/// ```text
///  Live ──Fin──▶ Finished ──┐
///   └─────────Reset─────────┴──Reset──▶ Reset
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// Yes, and it takes bytes.
    Live,
    /// No, and it may still take bytes.
    Finished,
    /// No, and it takes nothing.
    Reset,
}

/// Bytes handed out to be written, and not yet reported written.
#[derive(Clone, Debug)]
pub(super) struct WriteQueue {
    unwritten: usize,
    /// When the upstream last took bytes, or had nothing to take.
    progressed: Instant,
}

impl WriteQueue {
    pub(super) const fn new(now: Instant) -> Self {
        Self { unwritten: 0, progressed: now }
    }

    /// `bytes` more were handed out.
    pub(super) const fn push(&mut self, bytes: usize, now: Instant) {
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

    /// Nothing will be written any more.
    pub(super) const fn clear(&mut self) {
        self.unwritten = 0;
    }

    /// The queue's part of a state's fingerprint. While it is empty, no time matters.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(&self, print: &mut Fingerprint<'_>) {
        print.value(self.unwritten);
        if self.unwritten > 0 {
            print.time(self.progressed);
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

/// The largest UDP payload that a length field can name.
pub(super) const MAX_DATAGRAM: usize = 65_535;

/// A reader that has this much credit left gets no more yet: two reads of the usual size, so that small ones
/// do not cost an action each.
pub(super) const ENOUGH_CREDIT: usize = 128 * 1024;

/// Whether the contract allows an event of an upstream that is not open yet.
pub(super) const fn check_connecting(event: &UpstreamEvent) -> Result<(), Misuse> {
    match event {
        UpstreamEvent::Opened | UpstreamEvent::Failed(_) => Ok(()),
        UpstreamEvent::Data(_) => Err(Misuse::CreditExceeded),
        UpstreamEvent::Written(_) => Err(Misuse::WrittenTooMuch),
        UpstreamEvent::Datagram(_) | UpstreamEvent::Fin | UpstreamEvent::Reset => Err(Misuse::WrongKind),
    }
}
