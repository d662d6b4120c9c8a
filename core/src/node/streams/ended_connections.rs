//! Connections that the node has ended, and whose clients shall hear of it (protocol.md 3.1 END).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::time::Instant;
use crate::wire::direction::Direction;
use crate::wire::end::EndCode;
use crate::wire::handshake::ConnectionKeys;
use crate::wire::packet::ClientId;
use crate::wire::seal::Seal;

/// How long the end of a connection is told.
const TOLD: Duration = Duration::from_secs(60);

/// The most connections whose end is told.
const MOST: usize = 4096;

/// A connection that the node has ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) up: Seal,
    pub(super) down: Seal,
    pub(super) code: EndCode,
    pub(super) text: Box<str>,
    until: Instant,
}

impl Ended {
    /// The end of a connection with these keys.
    pub(super) fn new(keys: &ConnectionKeys, code: EndCode, text: &str, now: Instant) -> Self {
        let (up, down) = (Seal::new(keys, Direction::Up), Seal::new(keys, Direction::Down));
        Self { up, down, code, text: text.into(), until: now.saturating_add(TOLD) }
    }
}

/// Those whose end is told.
#[derive(Clone, Debug, Default)]
pub(super) struct EndedConnections {
    table: BTreeMap<ClientId, Ended>,
    /// The oldest first.
    order: VecDeque<ClientId>,
}

/// Ids are random: they count in the order in which they ended.
impl Hash for EndedConnections {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for client in &self.order {
            (client, self.table.get(client).map(|ended| (ended.code, ended.until))).hash(state);
        }
    }
}

impl EndedConnections {
    /// How a connection has ended, if that is still told.
    pub(super) fn get(&self, client: ClientId, now: Instant) -> Option<&Ended> {
        self.table.get(&client).filter(|ended| now < ended.until)
    }

    /// All, the oldest first.
    #[cfg(feature = "model")]
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Ended)> {
        self.order.iter().filter_map(|client| Some((*client, self.table.get(client)?)))
    }

    /// A connection has ended.
    pub(super) fn insert(&mut self, client: ClientId, ended: Ended) {
        if self.order.len() >= MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.table.remove(&oldest);
        }
        if self.table.insert(client, ended).is_none() {
            self.order.push_back(client);
        }
    }

    /// Those that were told long enough are erased.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.expires_at().is_some_and(|at| at <= now)
            && let Some(client) = self.order.pop_front()
        {
            self.table.remove(&client);
        }
    }

    /// When the oldest is erased.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.order.front().and_then(|client| self.table.get(client)).map(|ended| ended.until)
    }
}
