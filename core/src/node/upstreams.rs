//! Upstreams: sockets to targets, and which engine carries each.

use alloc::collections::BTreeMap;
use core::hash::{Hash, Hasher};

use crate::id::{Counter, UpstreamId};
use crate::relative;
use crate::wire::number::StreamNumber;

/// A connection of level 2 at the node; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId(u64);

impl Hash for ConnectionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        relative::hash(relative::CONNECTION, self.0, state);
    }
}

impl ConnectionId {
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// The stream that an upstream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct StreamRef {
    pub(super) connection: ConnectionId,
    pub(super) number: StreamNumber,
}

/// What an upstream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Carrier {
    /// A session of level 0 or 1.
    Session,
    /// A stream of level 2.
    Stream(StreamRef),
}

/// Every upstream that has not ended, with its carrier.
#[derive(Clone, Debug, Default, Hash)]
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

    /// How many more there may be, of `most`.
    pub(super) fn places_left(&self, most: usize) -> usize {
        most.saturating_sub(self.carriers.len())
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
}
