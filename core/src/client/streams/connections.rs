//! Connections of a client, one for each node that its relays lead to, and the choice of one for a flow (protocol.md 3.3).

use alloc::collections::BTreeMap;
use core::hash::{Hash, Hasher};

use crate::client::action::EndReason;
use crate::client::relays::{Relay, Relays};
use crate::client::streams::connection::NodeConnection;
use crate::id::{Counter, FlowId};
use crate::relative;
use crate::time::Instant;
use crate::wire::handshake::NodeId;

/// A connection of this client; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::client) struct ConnectionKey(u64);

impl Hash for ConnectionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        relative::hash(relative::CONNECTION, self.0, state);
    }
}

/// A node with so many streams more than another is taken for twice as slow: few streams make no difference.
const STREAMS_LIKE_ONE: u64 = 8;

/// All connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    keys: Counter,
    table: BTreeMap<ConnectionKey, NodeConnection>,
}

impl Hash for Connections {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.table.hash(state);
    }
}

impl Connections {
    pub(super) fn get(&self, key: ConnectionKey) -> Option<&NodeConnection> {
        self.table.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut NodeConnection> {
        self.table.get_mut(&key)
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionKey, &NodeConnection)> {
        self.table.iter().map(|(key, connection)| (*key, connection))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnectionKey, &mut NodeConnection)> {
        self.table.iter_mut().map(|(key, connection)| (*key, connection))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Makes a connection.
    pub(super) fn insert(&mut self, connection: NodeConnection) -> ConnectionKey {
        let key = ConnectionKey(self.keys.next());
        self.table.insert(key, connection);
        key
    }

    pub(super) fn remove(&mut self, key: ConnectionKey) -> Option<NodeConnection> {
        self.table.remove(&key)
    }

    /// The connection to a node that takes relays and streams.
    pub(super) fn living(&mut self, node: NodeId) -> Option<&mut NodeConnection> {
        self.table.values_mut().find(|connection| connection.node() == node && connection.takes_relays())
    }

    /// The connection on which a flow opens now: of those with a relay and a place, the one whose node answers and should
    /// answer first, weighed by the streams that it has.
    pub(super) fn best(&self, relays: &Relays, now: Instant) -> Option<ConnectionKey> {
        let usable = |relay: &&Relay| relay.is_usable(now);
        // Where nothing can be used, waiting for a node is as good as anything.
        let idle = !relays.iter().any(|relay| relay.is_usable(now));
        let candidates = self.table.iter().filter(|(_, connection)| connection.has_place());
        let candidates = candidates.filter_map(|(key, connection)| {
            let own = || connection.relays().filter_map(|id| relays.get(id));
            let own = || own().filter(|relay| !relay.destination().is_narrow());
            let usable = || own().filter(usable);
            let answer = usable().map(Relay::expected_answer).min();
            let answer = answer.or_else(|| own().next().filter(|_| idle).map(|_| u64::MAX))?;
            let streams = u64::try_from(connection.shared().len()).unwrap_or(u64::MAX);
            let cost = answer.max(1).saturating_mul(streams.saturating_add(STREAMS_LIKE_ONE));
            Some((connection.is_silent() || connection.is_late(relays, now), cost, *key))
        });
        candidates.min().map(|(_, _, key)| key)
    }

    /// Whether a connection other than this one has been heard since then.
    pub(super) fn another_is_heard(&self, key: ConnectionKey, since: Instant) -> bool {
        self.iter().any(|(other, connection)| other != key && connection.heard() > since)
    }

    /// A flow whose stream has ended, and why.
    pub(super) fn next_ended(&mut self) -> Option<(FlowId, EndReason)> {
        self.table.values_mut().find_map(NodeConnection::next_ended)
    }
}
