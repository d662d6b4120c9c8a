//! Connections of the node, from the answered hello to 60 s after the end (protocol.md 3.1 Node).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::config::NodeOptions;
use crate::id::Counter;
use crate::node::packets::largest_packet;
use crate::node::streams::client::ClientConnection;
use crate::node::streams::ended_connections::EndedConnections;
use crate::node::streams::half_open::{HalfOpen, HalfOpens};
use crate::node::upstreams::ConnectionId;
use crate::node::users::UserId;
use crate::time::Instant;
use crate::wire::packet::{ClientId, Grants};

/// The first uplink window of a stream, at most: a hello promises little.
const FIRST_WINDOW: u64 = 256 * 1024;

/// The least uplink bytes that are worth promising.
const LEAST_TOTAL: u64 = 64 * 1024;

/// A connection that was silent for as long gives its place to a new one of its user.
const GIVES_WAY: Duration = Duration::from_secs(120);

/// Every connection that the node knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    half_open: HalfOpens,
    table: BTreeMap<ConnectionId, ClientConnection>,
    index: BTreeMap<ClientId, ConnectionId>,
    ended: EndedConnections,
    known: Counter,
    /// Uplink bytes promised to all of them.
    promised: u64,
}

/// Names are random: their order in the index says nothing.
impl Hash for Connections {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.half_open, &self.table, &self.ended, self.promised).hash(state);
    }
}

impl Connections {
    pub(super) fn get(&self, connection: ConnectionId) -> Option<&ClientConnection> {
        self.table.get(&connection)
    }

    pub(super) fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut ClientConnection> {
        self.table.get_mut(&connection)
    }

    pub(super) fn find(&self, client: ClientId) -> Option<ConnectionId> {
        self.index.get(&client).copied()
    }

    /// The connections in the order in which they were made.
    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.table.keys().copied().collect()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &ClientConnection> {
        self.table.values()
    }

    /// The ids of all, half-open ones and ended ones included.
    #[cfg(feature = "model")]
    pub(super) fn known(&self) -> impl Iterator<Item = (ClientId, Option<u64>)> {
        let half = self.half_open.iter().map(|(client, half)| (client, Some(half.keys.session())));
        let up = self.iter().map(|connection| (connection.client(), connection.up().session()));
        let ended = self.ended.iter().map(|(client, ended)| (client, ended.up.session()));
        half.chain(up).chain(ended)
    }

    pub(super) const fn half_open(&self) -> &HalfOpens {
        &self.half_open
    }

    pub(super) const fn half_open_mut(&mut self) -> &mut HalfOpens {
        &mut self.half_open
    }

    /// Those that have ended, which is still told.
    pub(super) const fn ended(&self) -> &EndedConnections {
        &self.ended
    }

    pub(super) const fn ended_mut(&mut self) -> &mut EndedConnections {
        &mut self.ended
    }

    /// How many connections of a user there are.
    pub(super) fn len_of(&self, user: UserId) -> usize {
        self.table.values().filter(|connection| connection.user() == user).count()
    }

    /// What a new connection is granted: an eighth of what is left, so that several that come together all find room.
    pub(super) fn grants(&self, config: &NodeOptions, max_streams: u32) -> Grants {
        let options = &config.tuning.streams;
        let left = options.uplink_memory.saturating_sub(self.promised);
        Grants {
            uplink_window: options.uplink_window.min(FIRST_WINDOW),
            uplink_total: options.uplink_total.min((left / 8).max(LEAST_TOTAL)),
            downlink_total: options.downlink_total,
            max_packet: u64::try_from(largest_packet(config)).unwrap_or(u64::MAX),
            max_hold: options.max_hold,
            max_held: options.max_held,
            max_streams: max_streams.min(options.max_streams),
        }
    }

    /// Whether there is a place for another connection of a user, who may have `most`.
    pub(super) fn has_place(&self, user: UserId, most: usize, total: u64, config: &NodeOptions) -> bool {
        let options = &config.tuning.streams;
        self.table.len() < options.max_clients
            && self.len_of(user) < most
            && self.promised.saturating_add(total) <= options.uplink_memory
    }

    /// The connection of a user that gives its place to a new one.
    pub(super) fn replaceable(&self, user: UserId, now: Instant) -> Option<ConnectionId> {
        let silent = |(_, connection): &(&ConnectionId, &ClientConnection)| {
            connection.user() == user
                && !connection.holds_requests()
                && now.saturating_since(connection.last_seen()) >= GIVES_WAY
        };
        let candidates = self.table.iter().filter(silent);
        candidates.min_by_key(|(_, connection)| connection.last_seen()).map(|(id, _)| *id)
    }

    /// The client of a half-open connection is heard: it is a connection now.
    pub(super) fn confirm(
        &mut self,
        client: ClientId,
        name: Arc<str>,
        half: HalfOpen,
        now: Instant,
    ) -> ConnectionId {
        let id = ConnectionId::new(self.known.next());
        self.promised = self.promised.saturating_add(half.grants.uplink_total);
        self.index.insert(client, id);
        self.table.insert(id, ClientConnection::new(id, name, half, now));
        id
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<ClientConnection> {
        let connection = self.table.remove(&id)?;
        self.promised = self.promised.saturating_sub(connection.grants().uplink_total);
        self.index.remove(&connection.client());
        Some(connection)
    }

    /// Erases what is half-open or has ended.
    pub(super) fn forget_others(&mut self) {
        self.half_open = HalfOpens::default();
        self.ended = EndedConnections::default();
    }

    /// What is too old is erased.
    pub(super) fn expire(&mut self, now: Instant) {
        self.half_open.expire(now);
        self.ended.expire(now);
    }

    /// When something is too old next.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.half_open.expires_at().into_iter().chain(self.ended.expires_at()).min()
    }
}
