//! A local stand-in for a hosted relay script, with seeded faults: for trying, measuring and testing.

mod counters;
mod dice;
mod fetch;
mod link;
mod once;
mod options;
mod script;
mod service;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::info;

pub use counters::RelayCounters;
pub use options::RelayBuilder;

use self::counters::Counting;
use self::dice::Dice;
use self::fetch::NodeLink;
use self::link::Link;
use self::once::OneTime;
use self::script::Script;
use self::service::{CALL_ROOM, Relay, RelayService};
use crate::http::answer;
use crate::http::bearer;
use crate::http::body::BodyRoom;
use crate::http::server::{ConnectionLimits, HttpServer};
use crate::start::StartError;

/// Bounds on connections: more calls than any client has out, and deadlines longer than any test.
const CONNECTIONS: ConnectionLimits = ConnectionLimits {
    max_connections: 4096,
    header_deadline: Duration::from_secs(60),
    idle_deadline: Duration::from_secs(300),
    linger: Duration::from_secs(300),
};

/// How long [`StandInRelay::shutdown`] waits for the calls that are under way.
const DRAIN: Duration = Duration::from_secs(10);

/// A running relay: takes the relay form on any path, answers as hosted scripts do.
///
/// When the node cannot be reached, callers get the same HTML page with status 200 as callers with a wrong
/// key: a hosted script would end with an exception there, and its host would show a page. Dropping the relay cuts every connection.
///
/// ```no_run
/// use std::time::Duration;
/// use seqlane_tokio::{StandInRelay, StartError};
///
/// # async fn run() -> Result<(), StartError> {
/// let relay = StandInRelay::builder("http://127.0.0.1:8080", "client key", "node key")
///     .delay(Duration::from_millis(300))
///     .jitter(Duration::from_millis(100))
///     .lose_reply(0.01)
///     .start()
///     .await?;
/// println!("post to {}", relay.url());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StandInRelay {
    http: HttpServer,
    relay: Handle,
}

impl StandInRelay {
    /// A relay between clients that know `key` and the node at `node_url` (`http://`) that knows `node_key`.
    pub fn builder(
        node_url: impl Into<String>,
        key: impl Into<String>,
        node_key: impl Into<String>,
    ) -> RelayBuilder {
        RelayBuilder::new(node_url.into(), key.into(), node_key.into())
    }

    async fn start(builder: RelayBuilder) -> Result<Self, StartError> {
        builder.check()?;
        let authorization = if builder.binary { bearer::header(&builder.node_key) } else { None };
        let node = NodeLink::new(&builder.node_url, authorization)?;
        let address = builder.listen;
        let listen = |error| StartError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let faults = builder.faults;
        let relay = Arc::new(Relay {
            script: Script::new(&builder.key, &builder.node_key),
            node,
            dice: Dice::new(faults.seed),
            gzip: builder.gzip,
            binary: builder.binary,
            slots: faults.max_concurrent.map(Semaphore::new),
            uplink: Link::new(faults.bandwidth),
            downlink: Link::new(faults.bandwidth),
            room: BodyRoom::new(CALL_ROOM),
            once: OneTime::default(),
            counters: Counting::default(),
            faults,
        });
        let http =
            HttpServer::start(listener, CONNECTIONS, RelayService(Arc::clone(&relay))).map_err(listen)?;
        info!(address = %http.local_addr(), "relay started");
        Ok(Self { http, relay: Handle(relay) })
    }

    /// The address that the relay listens on, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// The address for clients, in the shape that hosted scripts have.
    pub fn url(&self) -> String {
        format!("http://{}/macros/s/stand-in/exec", self.local_addr())
    }

    /// How many calls were taken on.
    pub fn calls(&self) -> u64 {
        self.counters().calls
    }

    /// What has happened so far.
    pub fn counters(&self) -> RelayCounters {
        self.relay.0.counters.read()
    }

    /// Takes no more calls and waits a while for those under way.
    pub async fn shutdown(self) {
        self.http.shutdown(DRAIN).await;
        info!("relay stopped");
    }
}

/// The relay's state, without a debug form.
struct Handle(Arc<Relay>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.counters.fmt(f)
    }
}

/// An answer before it goes out.
#[derive(Clone, Debug)]
struct Reply {
    status: u16,
    content_type: HeaderValue,
    body: Bytes,
}

impl Reply {
    fn json(body: impl Into<Bytes>) -> Self {
        Self { status: 200, content_type: answer::JSON, body: body.into() }
    }

    fn packet(body: Bytes) -> Self {
        Self { status: 200, content_type: answer::PACKET, body }
    }

    /// The page for strangers and accidents.
    fn page() -> Self {
        const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
        Self { status: 200, content_type: HTML, body: Bytes::from_static(script::DECOY.as_bytes()) }
    }
}
