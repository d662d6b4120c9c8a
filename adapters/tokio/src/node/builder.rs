//! Settings of a node, and its start.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use seqlane::{ConfigError, Level, Node as Machine, NodeOptions, Secret};
use tokio::sync::{broadcast, mpsc};
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::Node;
use super::connector::{AnyConnector, Connector};
use super::driver::{INPUT_QUEUE, NodeDriver, Parts};
use super::requests::Requests;
use super::service::{Intake, NodeService};
use super::sockets::Sockets;
use super::user::{Rules, User};
use crate::clock::Clock;
use crate::error::StartError;
use crate::http::body::BodyRoom;
use crate::http::server::{ConnectionLimits, HttpServer};
use crate::record::{self, RecordedMachine};
use crate::start;

/// Notices that wait for a slow observer; then it misses the oldest.
const NOTICE_QUEUE: usize = 1024;

const MIB: usize = 1024 * 1024;

impl Node {
    /// A builder of a node that accepts relays and clients with this key.
    pub fn builder(key: impl Into<Secret>) -> NodeBuilder {
        NodeBuilder {
            machine: NodeOptions::new(key.into()),
            listen: None,
            connector: None,
            allow_private: false,
            max_connections: 1024,
            max_pending_bodies: 256 * MIB,
            header_deadline: Duration::from_secs(30),
            body_deadline: Duration::from_secs(60),
            idle_deadline: Duration::from_secs(90),
            drain: Duration::from_secs(10),
            rules: Rules::default(),
            seed: None,
            record: None,
        }
    }
}

/// Settings of a [`Node`] before it starts, from [`Node::builder`]. Every one has a default.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct NodeBuilder {
    machine: NodeOptions,
    listen: Option<String>,
    connector: Option<Arc<dyn AnyConnector>>,
    allow_private: bool,
    max_connections: usize,
    max_pending_bodies: usize,
    header_deadline: Duration,
    body_deadline: Duration,
    idle_deadline: Duration,
    drain: Duration,
    rules: Rules,
    seed: Option<[u8; 32]>,
    record: Option<PathBuf>,
}

impl NodeBuilder {
    /// The secret that seals the packets of level 2. Clients must have the same, and no relay should know it.
    /// Default: none; then relays can read and change everything.
    pub fn secret(mut self, secret: impl Into<Secret>) -> Self {
        self.machine.secret = Some(secret.into());
        self
    }

    /// Users, each with a secret. Beside them, [`secret`](Self::secret) is that of the user `default`, who levels 0 and 1
    /// are, too. Default: none. [`Node::set_users`] changes them later.
    pub fn users(mut self, users: Vec<User>) -> Self {
        (self.machine.users, self.rules) = Rules::split(users);
        self
    }

    /// The highest level to offer. Default: level 2.
    pub fn max_level(mut self, level: Level) -> Self {
        self.machine.max_level = level;
        self
    }

    /// The lowest level to take: ops of lower ones are answered with an error. Default: level 2 where a
    /// [`secret`](Self::secret) or [`users`](Self::users) are given, any level otherwise.
    pub fn min_level(mut self, level: Level) -> Self {
        self.machine.min_level = Some(level);
        self
    }

    /// Changes any other option of the machine.
    pub fn options(mut self, change: impl FnOnce(NodeOptions) -> NodeOptions) -> Self {
        self.machine = change(self.machine);
        self
    }

    /// Listens at this address, such as `0.0.0.0:8080`, in plain HTTP. Port 0 takes a free one: see
    /// [`Node::local_addr`]. Default: no port is opened, and requests come through [`Node::service`] alone.
    pub fn listen(mut self, address: impl ToString) -> Self {
        self.listen = Some(address.to_string());
        self
    }

    /// What opens targets. Default: [`Sockets`].
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// Whether targets in loopback, private, link-local, multicast and other special ranges may be reached.
    /// Default: false, since flows of others have no business in the node's own network. A
    /// [`connector`](Self::connector) of your own decides by itself.
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

    /// The longest time that [`Node::shutdown`] waits for answers to be fetched, and again for upstreams to take
    /// their last bytes; half of it is for flows to end by themselves before. At most 1 h. Default 10 s.
    pub const fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// The seed of session ids, for repeatable runs. Default: from the operating system. Whoever knows the seed can
    /// guess the ids of other clients' sessions.
    pub const fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Records every event and action of the machine in a new file, for `seqlane-sim replay`. The file holds **all
    /// traffic in clear text**, so only its owner may read it. Keys and secrets are left out. The recording ends at
    /// 1 GiB, or when the file cannot be written as fast as events happen; neither disturbs the node.
    pub fn record(mut self, path: impl Into<PathBuf>) -> Self {
        self.record = Some(path.into());
        self
    }

    /// Checks the settings, binds the port if there is to be one, and starts the node on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] says which setting is wrong, or why the port cannot be bound.
    pub async fn start(self) -> Result<Node, StartError> {
        self.check()?;
        self.machine.check_users(&self.machine.users)?;
        let config = self.machine.clone().validate()?;
        let seed = self.seed.map_or_else(start::random_seed, Ok)?;
        let listener = match &self.listen {
            Some(address) => Some((address, start::bind(address).await?)),
            None => None,
        };
        let recording = self.record.as_ref();
        let recording =
            recording.map(|path| record::start(path, config.options().clone(), seed)).transpose()?;
        let (recorder, recording) = recording.unzip();

        let (inputs, queue) = mpsc::channel(INPUT_QUEUE);
        let (gone, gone_queue) = mpsc::unbounded_channel();
        let notices = broadcast::Sender::new(NOTICE_QUEUE);
        let clock = Clock::start();
        let parts = Parts {
            clock,
            inputs: queue,
            reports: inputs.clone(),
            gone: gone_queue,
            notices: notices.clone(),
            connector: self.connector.clone().unwrap_or_else(|| Arc::new(Sockets::new(self.allow_private))),
            rules: self.rules.clone(),
            flush: config.options().write_deadline,
        };
        let options = config.options().clone();
        let service = NodeService::new(Intake {
            requests: Requests::new(inputs.clone(), gone),
            room: BodyRoom::new(self.max_pending_bodies),
            max_body: config.options().max_body,
            body_deadline: self.body_deadline,
        });
        let now = clock.now();
        let driver =
            NodeDriver::new(RecordedMachine::new(Machine::new(config, seed, now), recorder, now), parts);
        let http = match listener {
            Some((address, listener)) => {
                let http = HttpServer::start(listener, self.limits(), service.clone());
                Some(http.map_err(start::cannot_listen(address))?)
            }
            None => None,
        };
        let driver = AbortOnDropHandle::new(tokio::spawn(driver.run()));
        match &http {
            Some(http) => info!(address = %http.local_addr(), "node started"),
            None => info!("node started without a listener"),
        }
        Ok(Node { http, service, options, inputs, notices, driver, drain: self.drain, recording })
    }

    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            max_connections: self.max_connections,
            header_deadline: self.header_deadline,
            idle_deadline: self.idle_deadline,
            linger: self.idle_deadline,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        const WAITS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
        start::check([
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
        ])
    }
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("machine", &self.machine)
            .field("listen", &self.listen)
            .field("has_connector", &self.connector.is_some())
            .field("allow_private", &self.allow_private)
            .finish_non_exhaustive()
    }
}
