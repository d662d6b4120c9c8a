//! Level 2 at the node: clients, their exchanges, and their streams (protocol.md 3).
//!
//! ```text
//!             packet                 frames                    chunks
//!  Slot ───────────────▶ intake ───────────────▶ Stream ──────────────────▶ upstream
//!   ▲                      │ exchange               │  ◀──────────────────── upstream
//!   │       packet         ▼        what is due     ▼
//!   └─────────────────── serve ◀─────────────── SendScheduler
//! ```
//!
//! A [`peer::ClientConnection`] is one client. A request of it is an [exchange] that is [held](hold) until there is something to
//! say; what goes into its answer is [packed](pack), and remembered until the client confirms it. A [stream] has the
//! two halves that both machines share, and an upstream like any session's.

pub(super) mod client;
mod ended;
mod ending;
mod exchanges;
#[cfg(feature = "model")]
mod fingerprint;
mod frames;
mod hold;
mod receive;
mod respond;
mod stream;
mod upstream;

use alloc::collections::BTreeMap;

use crate::config::NodeOptions;
use crate::error::Misuse;
use crate::id::{Counter, IdGenerator, UpstreamId};
use crate::node::context::Context;
use crate::node::event::UpstreamEvent;
use crate::node::streams::client::ClientConnection;
use crate::node::upstreams::{ConnectionId, StreamRef};
use crate::time::Instant;
use crate::wire::direction::Direction;
use crate::wire::number::StreamNumber;
use crate::wire::packet::{ClientId, Epoch, Grants, RequestHeader};
use crate::wire::seal::{Nonces, Seal};

/// The engine of level 2.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    connections: Connections,
    /// Opens request packets.
    up: Seal,
    /// Seals response packets.
    down: Seal,
    nonces: Nonces,
}

impl Streams {
    pub(super) fn new(config: &NodeOptions, seed: [u8; 32]) -> Self {
        let secret = config.seal_secret();
        Self {
            connections: Connections::new(seed),
            up: Seal::new(secret, Direction::Up),
            down: Seal::new(secret, Direction::Down),
            nonces: Nonces::new(seed),
        }
    }

    /// An engine whose packets are not sealed.
    #[cfg(any(test, feature = "model"))]
    pub(super) fn unsealed(config: &NodeOptions, seed: [u8; 32]) -> Self {
        let (up, down) = (Seal::null(Direction::Up), Seal::null(Direction::Down));
        Self { up, down, ..Self::new(config, seed) }
    }

    /// Payload bytes that are kept for all clients. Visits every stream.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.connections.buffered_bytes()
    }

    /// Whether the contract allows an event of a stream's upstream now.
    pub(super) fn check(&self, at: StreamRef, event: &UpstreamEvent) -> Result<(), Misuse> {
        self.stream(at).map_or(Ok(()), |stream| stream.check(event))
    }

    /// A stream has changed: gives its reader what credit there is, and sets its timer.
    pub(super) fn advance(&mut self, cx: &mut Context, at: StreamRef) {
        self.grant(cx, at);
        self.arm(cx, at);
    }
}

/// Every client that the node knows.
#[derive(Clone, Debug)]
struct Connections {
    table: BTreeMap<ConnectionId, ClientConnection>,
    index: BTreeMap<ClientId, ConnectionId>,
    known: Counter,
    epochs: IdGenerator<Epoch>,
    /// Uplink bytes promised to all of them.
    promised: u64,
}

impl Connections {
    fn new(seed: [u8; 32]) -> Self {
        Self {
            table: BTreeMap::new(),
            index: BTreeMap::new(),
            known: Counter::default(),
            epochs: IdGenerator::new(seed),
            promised: 0,
        }
    }

    fn get(&self, connection: ConnectionId) -> Option<&ClientConnection> {
        self.table.get(&connection)
    }

    fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut ClientConnection> {
        self.table.get_mut(&connection)
    }

    fn buffered_bytes(&self) -> usize {
        self.table.values().map(|connection| connection.shared.buffered()).fold(0, usize::saturating_add)
    }

    fn find(&self, client: ClientId) -> Option<ConnectionId> {
        self.index.get(&client).copied()
    }

    /// What a new client is granted, or which option is in the way.
    fn grants(&self, config: &NodeOptions) -> Result<Grants, &'static str> {
        let options = &config.tuning.streams;
        if self.table.len() >= options.max_clients {
            return Err("streams.max_clients");
        }
        // Whoever comes late gets less, and nobody gets it all.
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

    fn insert(&mut self, hello: &RequestHeader, grants: Grants, now: Instant) -> ConnectionId {
        let id = ConnectionId::new(self.known.next());
        self.promised = self.promised.saturating_add(grants.uplink_total);
        self.index.insert(hello.client, id);
        self.table.insert(id, ClientConnection::new(hello, self.epochs.generate(), grants, now));
        id
    }

    fn remove(&mut self, id: ConnectionId) -> Option<ClientConnection> {
        let connection = self.table.remove(&id)?;
        self.promised = self.promised.saturating_sub(connection.shared.grants().uplink_total);
        self.index.remove(&connection.shared.client());
        Some(connection)
    }
}

/// The least uplink bytes that are worth promising.
const LEAST_TOTAL: u64 = 64 * 1024;

/// The largest packet, so that it also fits into a body of base64.
fn largest_packet(config: &NodeOptions) -> usize {
    const ENVELOPE: usize = 1024;
    let body = config.max_body.saturating_sub(ENVELOPE) / 4;
    config.tuning.streams.max_packet.min(body.saturating_mul(3))
}

/// A stream's upstream, and where it is from now on: what the machine needs to act on both.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: ConnectionId,
    number: StreamNumber,
    upstream: UpstreamId,
}
