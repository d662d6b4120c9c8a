//! What a node server can be told, beyond what its machine is told.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use seqlane::{ConfigError, NodeOptions};

use super::NodeServer;
use crate::start::StartError;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Settings of a [`NodeServer`] before it starts. Every one has a default.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct NodeBuilder {
    pub(super) machine: NodeOptions,
    pub(super) listen: SocketAddr,
    pub(super) allow_private: bool,
    pub(super) max_connections: usize,
    pub(super) max_pending_bodies: usize,
    pub(super) header_deadline: Duration,
    pub(super) body_deadline: Duration,
    pub(super) idle_deadline: Duration,
    pub(super) drain: Duration,
    pub(super) seed: Option<[u8; 32]>,
    pub(super) record: Option<PathBuf>,
}

impl NodeBuilder {
    pub(super) fn new(machine: NodeOptions) -> Self {
        Self {
            machine,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            allow_private: false,
            max_connections: 1024,
            max_pending_bodies: 256 * MIB,
            header_deadline: Duration::from_secs(30),
            body_deadline: Duration::from_secs(60),
            idle_deadline: Duration::from_secs(90),
            drain: Duration::from_secs(10),
            seed: None,
            record: None,
        }
    }

    /// The address to listen on. Default: a free port of 127.0.0.1.
    pub const fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Whether targets in loopback, private, link-local, multicast and other special ranges may be reached.
    /// Default false: a stranger's flow has no business in the node's own network.
    pub const fn allow_private(mut self, allow: bool) -> Self {
        self.allow_private = allow;
        self
    }

    /// HTTP connections at a time, 1 to 100 000; more wait in the listener's backlog. Default 1024, as many as
    /// the machine holds requests: HTTP/1.1 needs one for each.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Bytes of request bodies that are being read or inflated, or wait for the machine, over all
    /// connections; at least the machine's `max_body`, at most 2 GiB. Default 256 MiB: 16 requests of the
    /// largest default size.
    pub const fn max_pending_bodies(mut self, bytes: usize) -> Self {
        self.max_pending_bodies = bytes;
        self
    }

    /// The longest wait for a connection's first request, for the rest of a request's header, and for the
    /// next request of an HTTP/1.1 connection; 10 ms to 1 h. Default 30 s.
    pub const fn header_deadline(mut self, deadline: Duration) -> Self {
        self.header_deadline = deadline;
        self
    }

    /// The longest wait for a whole request body; 10 ms to 1 h. Default 60 s, the longest that hosted relays
    /// wait for a fetch.
    pub const fn body_deadline(mut self, deadline: Duration) -> Self {
        self.body_deadline = deadline;
        self
    }

    /// A connection without a request for this long is closed; 10 ms to 1 h. Default 90 s.
    pub const fn idle_deadline(mut self, deadline: Duration) -> Self {
        self.idle_deadline = deadline;
        self
    }

    /// How long [`NodeServer::shutdown`] waits for answers to be fetched, and again for upstreams to take
    /// their last bytes; at most 1 h. Default 10 s.
    pub const fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// The seed of session ids, for runs that shall repeat. Default: fresh from the operating system; whoever
    /// knows the seed can guess the ids of other clients' sessions.
    pub const fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// A new file for everything that the machine is told and wants done, to be replayed by `seqlane-sim replay`. It
    /// has **everything in it that is carried**, so only its owner may read it. Keys and secrets are not in it. It ends
    /// at 1 GiB, or when it cannot be written as fast as things happen; neither disturbs anything else.
    pub fn record(mut self, path: impl Into<PathBuf>) -> Self {
        self.record = Some(path.into());
        self
    }

    /// Checks the settings, binds the port and starts to serve, on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] says which setting is wrong, or why the port cannot be bound.
    pub async fn start(self) -> Result<NodeServer, StartError> {
        NodeServer::start(self).await
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        const WAITS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
        let checks = [
            ((1..=100_000).contains(&self.max_connections), "max_connections", "must be 1 to 100000"),
            (
                (self.machine.max_body..=2048 * MIB).contains(&self.max_pending_bodies),
                "max_pending_bodies",
                "must be at least max_body, and at most 2 GiB",
            ),
            (WAITS.contains(&self.header_deadline), "header_deadline", "must be 10 ms to 1 h"),
            (WAITS.contains(&self.body_deadline), "body_deadline", "must be 10 ms to 1 h"),
            (WAITS.contains(&self.idle_deadline), "idle_deadline", "must be 10 ms to 1 h"),
            (self.drain <= *WAITS.end(), "drain", "must be at most 1 h"),
        ];
        match checks.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, option, reason)) => Err(ConfigError { option, reason }),
            None => Ok(()),
        }
    }
}
