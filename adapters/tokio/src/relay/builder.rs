//! Settings of a stand-in relay, and its start.

use std::sync::Arc;
use std::time::Duration;

use seqlane::ConfigError;

use tokio::sync::Semaphore;
use tracing::info;

use super::bandwidth::Bandwidth;
use super::counters::Counting;
use super::fault_rng::FaultRng;
use super::faults::Faults;
use super::fetch::NodeCalls;
use super::one_time::OneTimeAnswers;
use super::script::Script;
use super::service::{CALL_ROOM, RelayService, RelayState};
use super::{Handle, StandInRelay};
use crate::error::StartError;
use crate::http::bearer;
use crate::http::body::BodyRoom;
use crate::http::server::{ConnectionLimits, HttpServer};
use crate::start;

/// Limits of connections: more calls than any client has in flight, and deadlines longer than any test.
const CONNECTIONS: ConnectionLimits = ConnectionLimits {
    max_connections: 4096,
    header_deadline: Duration::from_secs(60),
    idle_deadline: Duration::from_secs(300),
    linger: Duration::from_secs(300),
};

impl StandInRelay {
    /// A builder of a relay between clients that have `key` and the node at `node_url` (`http://`) that has
    /// `node_key`.
    pub fn builder(
        node_url: impl Into<String>,
        key: impl Into<String>,
        node_key: impl Into<String>,
    ) -> RelayBuilder {
        RelayBuilder {
            node_url: node_url.into(),
            key: key.into(),
            node_key: node_key.into(),
            listen: "127.0.0.1:0".to_owned(),
            gzip: false,
            binary: false,
            faults: Faults::default(),
        }
    }
}

/// Settings of a [`StandInRelay`] before it starts, from [`StandInRelay::builder`]. By default it has no faults and adds
/// no latency.
///
/// Every probability is 0 to 1. Which calls have a fault depends only on the seed and the number of the call.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct RelayBuilder {
    node_url: String,
    key: String,
    node_key: String,
    listen: String,
    gzip: bool,
    binary: bool,
    faults: Faults,
}

impl RelayBuilder {
    /// The address to listen on, such as `127.0.0.1:8081`. Default: a free port of 127.0.0.1.
    pub fn listen(mut self, address: impl ToString) -> Self {
        self.listen = address.to_string();
        self
    }

    /// The seed that chooses the calls with faults. Default 0.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.faults.seed = seed;
        self
    }

    /// Whether answers are compressed for callers that take gzip. Hosted relays do; the default is false, so
    /// that measuring through this relay measures the rest and not its compression.
    pub const fn gzip(mut self, compress: bool) -> Self {
        self.gzip = compress;
        self
    }

    /// Whether raw packets of level 2 are forwarded, from callers with the key in `Authorization`. Hosted relays on an
    /// 8-bit clean platform can; the default is false.
    pub const fn binary(mut self, binary: bool) -> Self {
        self.binary = binary;
        self
    }

    /// Added latency per call: half before the node is called and half after. At most 10 min. Default 0.
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.faults.delay = delay;
        self
    }

    /// The most by which the latency of a call is below or above `delay`, evenly distributed. At most 10 min. Default 0.
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.faults.jitter = jitter;
        self
    }

    /// The probability that a request is lost: the connection closes without an answer,
    /// and nothing was executed.
    pub const fn lose_request(mut self, probability: f64) -> Self {
        self.faults.lose_request = probability;
        self
    }

    /// The probability that a reply is lost: the connection closes without an answer, and
    /// the call was executed.
    pub const fn lose_reply(mut self, probability: f64) -> Self {
        self.faults.lose_reply = probability;
        self
    }

    /// The probability that a request is duplicated: both copies are sent at the same time, and the answer to the first
    /// is returned.
    pub const fn duplicate(mut self, probability: f64) -> Self {
        self.faults.duplicate = probability;
        self
    }

    /// The probability that an answer of status 200 is truncated. The call was executed.
    pub const fn truncate(mut self, probability: f64) -> Self {
        self.faults.truncate = probability;
        self
    }

    /// The probability that an answer is replaced by an HTML page of status 200. The call was executed.
    pub const fn html(mut self, probability: f64) -> Self {
        self.faults.html = probability;
        self
    }

    /// The probability that a call is answered with this status at once, and not executed. Several can be set;
    /// the first that applies to a call is used.
    pub fn status(mut self, code: u16, probability: f64) -> Self {
        self.faults.statuses.push((code, probability));
        self
    }

    /// Calls at a time, 1 to 100 000; more are answered with 429 and `Retry-After: 1`. Default: no limit.
    pub const fn max_concurrent(mut self, calls: usize) -> Self {
        self.faults.max_concurrent = Some(calls);
        self
    }

    /// Bytes a second of all calls together, in each direction. Default: no limit.
    pub const fn bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.faults.bandwidth = Some(bytes_per_second);
        self
    }

    /// Whether `seq` is stripped from ops and replies, as by a relay that only knows older fields.
    pub const fn strip_seq(mut self, strip: bool) -> Self {
        self.faults.strip_seq = strip;
        self
    }

    /// Whether answers are redirects (302) to a one-time address of the relay, as those of hosted relays.
    pub const fn redirect(mut self, redirect: bool) -> Self {
        self.faults.redirect = redirect;
        self
    }

    /// Checks the settings, binds the port and starts to serve, on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] says which setting is wrong, or why the port cannot be bound.
    pub async fn start(self) -> Result<StandInRelay, StartError> {
        self.check()?;
        let authorization = if self.binary { bearer::header(&self.node_key) } else { None };
        let node = NodeCalls::new(&self.node_url, authorization)?;
        let listener = start::bind(&self.listen).await?;
        let faults = self.faults;
        let relay = Arc::new(RelayState {
            script: Script::new(&self.key, &self.node_key),
            node,
            rng: FaultRng::new(faults.seed),
            gzip: self.gzip,
            binary: self.binary,
            slots: faults.max_concurrent.map(Semaphore::new),
            uplink: Bandwidth::new(faults.bandwidth),
            downlink: Bandwidth::new(faults.bandwidth),
            room: BodyRoom::new(CALL_ROOM),
            one_time: OneTimeAnswers::default(),
            counters: Counting::default(),
            faults,
        });
        let http = HttpServer::start(listener, CONNECTIONS, RelayService(Arc::clone(&relay)));
        let http = http.map_err(start::cannot_listen(&self.listen))?;
        info!(address = %http.local_addr(), "relay started");
        Ok(StandInRelay { http, relay: Handle(relay) })
    }

    fn check(&self) -> Result<(), ConfigError> {
        const CHANCE: &str = "must be a probability: 0 to 1";
        const LONGEST: Duration = Duration::from_secs(600);
        let faults = &self.faults;
        let chance = |probability: f64| (0.0..=1.0).contains(&probability);
        start::check([
            (!self.key.is_empty(), "key", "must not be empty: an empty key admits everybody"),
            (!self.node_key.is_empty(), "node_key", "must not be empty"),
            (
                !self.binary || bearer::header(&self.node_key).is_some(),
                "node_key",
                "must have no control character, and no space at either end, to be sent with packets",
            ),
            (faults.delay <= LONGEST, "delay", "must be at most 10 min"),
            (faults.jitter <= LONGEST, "jitter", "must be at most 10 min"),
            (chance(faults.lose_request), "lose_request", CHANCE),
            (chance(faults.lose_reply), "lose_reply", CHANCE),
            (chance(faults.duplicate), "duplicate", CHANCE),
            (chance(faults.truncate), "truncate", CHANCE),
            (chance(faults.html), "html", CHANCE),
            (faults.statuses.iter().all(|(_, probability)| chance(*probability)), "status", CHANCE),
            (
                faults.statuses.iter().all(|(code, _)| (200..=599).contains(code)),
                "status",
                "must be an HTTP status: 200 to 599",
            ),
            (
                faults.max_concurrent.is_none_or(|calls| (1..=100_000).contains(&calls)),
                "max_concurrent",
                "must be 1 to 100000",
            ),
            (faults.bandwidth != Some(0), "bandwidth", "must be at least 1 byte a second"),
        ])
    }
}

impl std::fmt::Debug for RelayBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the keys.
        f.debug_struct("RelayBuilder")
            .field("node_url", &self.node_url)
            .field("listen", &self.listen)
            .field("gzip", &self.gzip)
            .field("binary", &self.binary)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
