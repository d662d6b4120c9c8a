//! Connections of the node, by number and by client (protocol.md 3.1).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::config::NodeOptions;
use crate::id::{Counter, IdGenerator};
use crate::node::packets::largest_packet;
use crate::node::streams::client::ClientConnection;
use crate::node::upstreams::ConnectionId;
use crate::time::Instant;
use crate::wire::packet::{ClientId, Epoch, Grants, RequestHeader};

/// Every client that the node knows.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    table: BTreeMap<ConnectionId, ClientConnection>,
    index: BTreeMap<ClientId, ConnectionId>,
    known: Counter,
    epochs: IdGenerator<Epoch>,
    /// Uplink bytes promised to all of them.
    promised: u64,
}

/// Names are random: their order in the index says nothing.
impl Hash for Connections {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.table, self.promised).hash(state);
    }
}

/// The least uplink bytes that are worth promising.
const LEAST_TOTAL: u64 = 64 * 1024;

impl Connections {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self {
            table: BTreeMap::new(),
            index: BTreeMap::new(),
            known: Counter::default(),
            epochs: IdGenerator::new(seed),
            promised: 0,
        }
    }

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

    /// Makes the connection of a client that says hello.
    ///
    /// # Errors
    /// The option that is in the way.
    pub(super) fn insert(
        &mut self,
        hello: &RequestHeader,
        config: &NodeOptions,
        now: Instant,
    ) -> Result<ConnectionId, &'static str> {
        let grants = self.grants(config)?;
        let id = ConnectionId::new(self.known.next());
        self.promised = self.promised.saturating_add(grants.uplink_total);
        self.index.insert(hello.client, id);
        self.table.insert(id, ClientConnection::new(id, hello, self.epochs.generate(), grants, now));
        Ok(id)
    }

    fn grants(&self, config: &NodeOptions) -> Result<Grants, &'static str> {
        let options = &config.tuning.streams;
        if self.table.len() >= options.max_clients {
            return Err("streams.max_clients");
        }
        // A quarter of what is left: late clients get less, and none gets everything.
        let left = options.uplink_memory.saturating_sub(self.promised);
        let uplink_total = options.uplink_total.min(left / 4);
        if uplink_total < LEAST_TOTAL {
            return Err("streams.uplink_memory");
        }
        Ok(Grants {
            uplink_window: options.uplink_window,
            uplink_total,
            downlink_total: options.downlink_total,
            max_packet: u64::try_from(largest_packet(config)).unwrap_or(u64::MAX),
            max_hold: options.max_hold,
            max_held: options.max_held,
            max_streams: options.max_streams,
        })
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<ClientConnection> {
        let connection = self.table.remove(&id)?;
        self.promised = self.promised.saturating_sub(connection.grants().uplink_total);
        self.index.remove(&connection.client());
        Some(connection)
    }
}
