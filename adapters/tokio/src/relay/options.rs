//! What a stand-in relay can be told.

use std::net::SocketAddr;
use std::time::Duration;

use seqlane::ConfigError;

use super::StandInRelay;
use crate::http::bearer;
use crate::start::StartError;

/// Settings of a [`StandInRelay`] before it starts. By default it has no faults and takes no time.
///
/// Every probability is 0 to 1. Which calls a fault befalls depends on the seed and the call's number alone.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct RelayBuilder {
    pub(super) node_url: String,
    pub(super) key: String,
    pub(super) node_key: String,
    pub(super) listen: SocketAddr,
    pub(super) gzip: bool,
    pub(super) binary: bool,
    pub(super) faults: Faults,
}

/// The faults of a relay, and the seed that spreads them.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) seed: u64,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) lose_request: f64,
    pub(super) lose_reply: f64,
    pub(super) duplicate: f64,
    pub(super) truncate: f64,
    pub(super) html: f64,
    pub(super) statuses: Vec<(u16, f64)>,
    pub(super) max_concurrent: Option<usize>,
    pub(super) bandwidth: Option<u64>,
    pub(super) strip_seq: bool,
    pub(super) redirect: bool,
}

impl RelayBuilder {
    pub(super) fn new(node_url: String, key: String, node_key: String) -> Self {
        Self {
            node_url,
            key,
            node_key,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            gzip: false,
            binary: false,
            faults: Faults::default(),
        }
    }

    /// The address to listen on. Default: a free port of 127.0.0.1.
    pub const fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Where the faults fall. Default 0.
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

    /// Whether packets of level 2 are passed on as they are, from those who show the key in `Authorization`.
    /// Hosted relays whose platform is 8-bit clean can; the default is false.
    pub const fn binary(mut self, binary: bool) -> Self {
        self.binary = binary;
        self
    }

    /// What a call takes longer than without the relay: half of it passes before the node is asked and half
    /// after. At most 10 min. Default 0.
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.faults.delay = delay;
        self
    }

    /// How much shorter or longer than `delay` a call may take, evenly spread. At most 10 min. Default 0.
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.faults.jitter = jitter;
        self
    }

    /// The probability that a call is lost on its way to the node: the connection closes without an answer,
    /// and nothing was run.
    pub const fn lose_request(mut self, probability: f64) -> Self {
        self.faults.lose_request = probability;
        self
    }

    /// The probability that an answer is lost on its way back: the connection closes without an answer, and
    /// the call was run.
    pub const fn lose_reply(mut self, probability: f64) -> Self {
        self.faults.lose_reply = probability;
        self
    }

    /// The probability that the node is asked twice, at the same time. The answer is that to the first copy.
    pub const fn duplicate(mut self, probability: f64) -> Self {
        self.faults.duplicate = probability;
        self
    }

    /// The probability that an answer of status 200 is cut somewhere. The call was run.
    pub const fn truncate(mut self, probability: f64) -> Self {
        self.faults.truncate = probability;
        self
    }

    /// The probability that an answer is replaced by an HTML page of status 200. The call was run.
    pub const fn html(mut self, probability: f64) -> Self {
        self.faults.html = probability;
        self
    }

    /// The probability that a call is answered with this status at once, and not run. Several add up; the
    /// first that befalls a call counts.
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

    /// Whether `seq` is taken out of ops and replies, as by a relay that only knows older fields.
    pub const fn strip_seq(mut self, strip: bool) -> Self {
        self.faults.strip_seq = strip;
        self
    }

    /// Whether an answer is a redirect (302) to an address of the relay that gives the real answer once, as
    /// hosted relays have it.
    pub const fn redirect(mut self, redirect: bool) -> Self {
        self.faults.redirect = redirect;
        self
    }

    /// Checks the settings, binds the port and starts to serve, on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] says which setting is wrong, or why the port cannot be bound.
    pub async fn start(self) -> Result<StandInRelay, StartError> {
        StandInRelay::start(self).await
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        const CHANCE: &str = "must be a probability: 0 to 1";
        const LONGEST: Duration = Duration::from_secs(600);
        let faults = &self.faults;
        let chance = |probability: f64| (0.0..=1.0).contains(&probability);
        let checks = [
            (!self.key.is_empty(), "key", "must not be empty: an empty key lets anybody in"),
            (!self.node_key.is_empty(), "node_key", "must not be empty"),
            (
                !self.binary || bearer::header(&self.node_key).is_some(),
                "node_key",
                "must have no control character, and no space at either end, to be shown with packets",
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
        ];
        match checks.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, option, reason)) => Err(ConfigError { option, reason }),
            None => Ok(()),
        }
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
