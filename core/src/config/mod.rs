//! Every bound and every wait of the machines, named, with its default and the reason for it.
//!
//! The options are plain data that anyone can fill; [`ClientOptions::validate`] and
//! [`NodeOptions::validate`] turn them into the configuration that a machine takes, so that a machine
//! never meets a value that makes no sense.

mod streams;

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, RangeInclusive};
use core::time::Duration;

pub use streams::{ClientStreamOptions, NodeStreamOptions};

use crate::level::Level;
use crate::secret::Secret;
use crate::wire::Form;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A value that the machines cannot work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The option's name.
    pub option: &'static str,
    /// What is wrong with its value, and what would be right.
    pub reason: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.reason)
    }
}

impl core::error::Error for ConfigError {}

fn check(holds: bool, option: &'static str, reason: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { option, reason }) }
}

fn check_secret(secret: Option<&Secret>) -> Result<(), ConfigError> {
    check(
        !secret.is_some_and(Secret::is_empty),
        "secret",
        "must not be empty: an empty secret keeps nobody out",
    )
}

fn within<T: PartialOrd>(
    value: &T,
    range: RangeInclusive<T>,
    option: &'static str,
    reason: &'static str,
) -> Result<(), ConfigError> {
    check(range.contains(value), option, reason)
}

/// When a flow's application is told that it is open (protocol.md 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub enum OpenMode {
    /// At once, so that its first bytes ride with the open; a failure shows as a reset.
    #[default]
    Optimistic,
    /// When the node has opened the target; a failure has its reason.
    Confirmed,
}

/// How the client chooses among relays that can take a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub enum Balance {
    /// The relay that should answer first, from its round trips and its calls in flight.
    #[default]
    Fastest,
    /// Each in turn.
    RoundRobin,
}

/// One relay, or the node itself when the client speaks to it directly.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct RelayOptions {
    /// The key that it expects.
    #[cfg_attr(feature = "record", serde(with = "crate::record::stand_in"))]
    pub key: Secret,
    /// The JSON form that it takes.
    pub form: Form,
    /// Calls in flight at a time. Default 30: the limit of the hosted relays, per account.
    pub max_concurrent: usize,
    /// Calls per day, if they are limited. Hosted relays allow about 20 000.
    pub daily_calls: Option<u64>,
    /// From the start of the client until the daily budget starts anew for the first time. Default 24 h.
    pub budget_resets_in: Duration,
    /// Largest request body in bytes. Default 2 093 056: deployed nodes refuse bodies above 2 MiB, and some
    /// relays add a little of their own. Raise it for a node that is known to take more.
    pub max_body: usize,
    /// Whether the way keeps all 8 bits, so that packets of level 2 need neither JSON nor base64. Default: only
    /// where there is no relay between.
    pub binary: bool,
}

impl RelayOptions {
    /// A relay with this key and every other value at its default.
    pub const fn new(key: Secret) -> Self {
        Self {
            key,
            form: Form::Relay,
            max_concurrent: 30,
            daily_calls: None,
            budget_resets_in: DAY,
            max_body: 2 * MIB - 4 * KIB,
            binary: false,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        within(&self.max_concurrent, 1..=10_000, "max_concurrent", "must be 1 to 10000 calls")?;
        check(self.daily_calls != Some(0), "daily_calls", "must be at least 1; leave it out for no limit")?;
        within(
            &self.max_body,
            64 * KIB..=256 * MIB,
            "max_body",
            "must be 64 KiB to 256 MiB, so that an op fits and memory stays bounded",
        )
    }
}

/// What a client can be told. `ClientOptions::new(relays)` has every default.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct ClientOptions {
    /// The relays, at least one. A [`RelayId`](crate::RelayId) is a place in this list.
    pub relays: Vec<RelayOptions>,
    /// The highest level to use. Default: 2, streams, where the node has it and the same secret.
    pub max_level: Level,
    /// What seals the packets of level 2; the node must have the same, and no relay should know it. Default: the key
    /// of the first relay, which keeps out everybody but the relays.
    #[cfg_attr(feature = "record", serde(with = "crate::record::stand_in::optional"))]
    pub secret: Option<Secret>,
    /// The bounds and waits of level 2.
    pub streams: ClientStreamOptions,
    /// When applications are told that their flow is open. Default: at once.
    pub open: OpenMode,
    /// How batches spread over relays. Default: to the fastest.
    pub balance: Balance,
    /// How long an optimistic open waits for the application's first bytes. Default 20 ms: one trip of a
    /// local socket with room to spare, nothing beside the round trip that it saves.
    pub first_bytes_wait: Duration,
    /// Ports on which the server speaks first, so that waiting for the application is useless.
    pub server_first_ports: Vec<u16>,
    /// Data ops in flight per session, at most. Default 8: what the deployed clients settled on.
    pub max_depth: usize,
    /// Flows open at a time. Default 4096.
    pub max_streams: usize,
    /// Ops per batch. Default 50, as deployed: nodes and relays are known to take it.
    pub max_batch_ops: usize,
    /// Payload bytes per batch, before base64. Default 4 MiB; the relay's `max_body` usually ends a batch
    /// earlier.
    pub max_batch_payload: usize,
    /// Payload bytes per op. Default 1 MiB: two ops fill a body of deployed size, so a large body that is
    /// refused can still be split.
    pub max_op_payload: usize,
    /// Answer body bytes. Default 64 MiB: a batch of 32 MiB of payload is 43 MiB of base64.
    pub max_reply_body: usize,
    /// Uplink bytes kept per flow: read from the application and not yet answered. Default 8 MiB, one op of
    /// full size for every place of the default depth.
    pub uplink_window: usize,
    /// Uplink bytes kept over all flows beyond the first 64 KiB of each. Default 256 MiB.
    pub uplink_total: usize,
    /// No poll is sent for a flow whose application has left this many delivered bytes unread. Default
    /// 4 MiB; polls already in flight can bring more, at most 16 MiB each from a node that keeps the rules.
    pub downlink_window: usize,
    /// Replies that wait per flow for an earlier one. Default 64: more than any depth can bring.
    pub reorder_replies: usize,
    /// How long an exchange may take, as configured. Default 30 s. Batches with `seq` get at least 60 s, so
    /// that a node's wait of 30 s for an earlier op plus a hold of 15 s fits.
    pub request_timeout: Duration,
    /// How long a half-closed session may go without downlink before it is closed. Default 30 s.
    pub half_close_quiet: Duration,
    /// How long a target that could not be reached fails at once. Default 30 s.
    pub unreachable_ttl: Duration,
    /// Unreachable targets remembered. Default 256.
    pub unreachable_entries: usize,
    /// Idle limit of UDP flows. Default 120 s.
    pub udp_idle: Duration,
    /// Datagrams that wait per UDP flow, each way; the oldest make room. Default 256.
    pub udp_queue: usize,
    /// Exchanges that carry nothing but idle polls, before a new one gathers the polls of all. Default 4.
    pub idle_exchanges: usize,
    /// Small writes wait for company for at most this long, and only while calls with payload are in flight.
    /// Default 40 ms; on fast paths a twentieth of the round trip is less and counts instead.
    pub coalesce: Duration,
    /// Timeouts within `strike_window` that take a relay out. Default 3, as deployed.
    pub strikes: u32,
    /// See `strikes`. Default 30 s.
    pub strike_window: Duration,
    /// How long a relay that timed out is left alone the first time; doubled each time after. Default 15 s.
    pub relay_backoff: Duration,
    /// The longest that a relay is left alone. Default 120 s.
    pub relay_backoff_max: Duration,
    /// How long a relay that refuses (403, 429, quota) is left alone when it does not say. Default 600 s.
    pub refused_backoff: Duration,
}

impl ClientOptions {
    /// These relays, and every other value at its default.
    pub fn new(relays: Vec<RelayOptions>) -> Self {
        Self {
            relays,
            max_level: Level::Streams,
            secret: None,
            streams: ClientStreamOptions::default(),
            open: OpenMode::default(),
            balance: Balance::default(),
            first_bytes_wait: Duration::from_millis(20),
            server_first_ports: vec![21, 22, 25, 110, 143, 587],
            max_depth: 8,
            max_streams: 4096,
            max_batch_ops: 50,
            max_batch_payload: 4 * MIB,
            max_op_payload: MIB,
            max_reply_body: 64 * MIB,
            uplink_window: 8 * MIB,
            uplink_total: 256 * MIB,
            downlink_window: 4 * MIB,
            reorder_replies: 64,
            request_timeout: Duration::from_secs(30),
            half_close_quiet: Duration::from_secs(30),
            unreachable_ttl: Duration::from_secs(30),
            unreachable_entries: 256,
            udp_idle: Duration::from_secs(120),
            udp_queue: 256,
            idle_exchanges: 4,
            coalesce: Duration::from_millis(40),
            strikes: 3,
            strike_window: Duration::from_secs(30),
            relay_backoff: Duration::from_secs(15),
            relay_backoff_max: Duration::from_secs(120),
            refused_backoff: Duration::from_secs(600),
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first option that the machine could not work with.
    pub fn validate(self) -> Result<ClientConfig, ConfigError> {
        check(!self.relays.is_empty(), "relays", "at least one relay is needed")?;
        check(self.relays.len() <= 1024, "relays", "at most 1024 relays")?;
        self.relays.iter().try_for_each(RelayOptions::check)?;
        within(&self.max_depth, 1..=64, "max_depth", "must be 1 to 64")?;
        within(&self.max_streams, 1..=1_000_000, "max_streams", "must be 1 to 1000000")?;
        within(&self.max_batch_ops, 1..=1000, "max_batch_ops", "must be 1 to 1000")?;
        within(&self.max_op_payload, 1..=64 * MIB, "max_op_payload", "must be 1 byte to 64 MiB")?;
        check(
            self.max_batch_payload >= self.max_op_payload,
            "max_batch_payload",
            "must be at least max_op_payload",
        )?;
        within(&self.max_reply_body, 64 * KIB..=1024 * MIB, "max_reply_body", "must be 64 KiB to 1 GiB")?;
        within(&self.uplink_window, 64 * KIB..=1024 * MIB, "uplink_window", "must be 64 KiB to 1 GiB")?;
        within(&self.downlink_window, 1..=1024 * MIB, "downlink_window", "must be 1 byte to 1 GiB")?;
        check(self.reorder_replies >= self.max_depth, "reorder_replies", "must be at least max_depth")?;
        within(
            &self.request_timeout,
            Duration::from_secs(5)..=Duration::from_secs(300),
            "request_timeout",
            "must be 5 s to 300 s",
        )?;
        check(self.unreachable_entries >= 1, "unreachable_entries", "must be at least 1")?;
        check(self.udp_queue >= 1, "udp_queue", "must be at least 1")?;
        check(self.idle_exchanges >= 1, "idle_exchanges", "must be at least 1")?;
        check(self.strikes >= 1, "strikes", "must be at least 1")?;
        check(
            !self.relay_backoff.is_zero() && self.relay_backoff <= self.relay_backoff_max,
            "relay_backoff",
            "must be more than 0 and at most relay_backoff_max",
        )?;
        check(!self.refused_backoff.is_zero(), "refused_backoff", "must be more than 0")?;
        check(!self.udp_idle.is_zero(), "udp_idle", "must be more than 0")?;
        check(!self.half_close_quiet.is_zero(), "half_close_quiet", "must be more than 0")?;
        check_secret(self.secret.as_ref())?;
        self.streams.check()?;
        Ok(ClientConfig(self))
    }
}

/// Client options whose every value was checked.
#[derive(Clone, Debug)]
pub struct ClientConfig(ClientOptions);

impl ClientConfig {
    /// What seals the packets of level 2: the secret, or else the first relay's key.
    pub(crate) fn seal_secret(&self) -> Option<&Secret> {
        self.secret.as_ref().or_else(|| self.relays.first().map(|relay| &relay.key))
    }

    /// How long a batch may take: at least 60 s when it carries `seq` (protocol.md 2).
    pub fn batch_timeout(&self, with_seq: bool) -> Duration {
        const SEQ_FLOOR: Duration = Duration::from_secs(60);
        if with_seq { self.request_timeout.max(SEQ_FLOOR) } else { self.request_timeout }
    }

    /// How long a reply to an op with `seq` may take before its session is given up.
    pub fn reply_watchdog(&self) -> Duration {
        self.exchange_watchdog(true)
    }

    /// How long an exchange may take before it is given up although the driver has said nothing of it: twice
    /// its timeout and 15 s (protocol.md 2).
    pub fn exchange_watchdog(&self, with_seq: bool) -> Duration {
        self.batch_timeout(with_seq).saturating_mul(2).saturating_add(Duration::from_secs(15))
    }
}

impl Deref for ClientConfig {
    type Target = ClientOptions;

    fn deref(&self) -> &ClientOptions {
        &self.0
    }
}

/// What a node can be told. `NodeOptions::new(key)` has every default.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct NodeOptions {
    /// The key that requests must carry.
    #[cfg_attr(feature = "record", serde(with = "crate::record::stand_in"))]
    pub key: Secret,
    /// The highest level to offer. Default: 2, streams.
    pub max_level: Level,
    /// What seals the packets of level 2; the clients must have the same, and no relay should know it. Default:
    /// the key, which keeps out everybody but the relays that have it.
    #[cfg_attr(feature = "record", serde(with = "crate::record::stand_in::optional"))]
    pub secret: Option<Secret>,
    /// The bounds of level 2.
    pub streams: NodeStreamOptions,
    /// Answer a wrong key with JSON instead of a decoy page. Default false.
    pub diagnostic: bool,
    /// Largest request body in bytes. Default 16 MiB.
    pub max_body: usize,
    /// Ops per batch; more make the batch bad. Default 256, five times what deployed clients send.
    pub max_batch_ops: usize,
    /// Sessions at a time, connects in progress included. Default 4096.
    pub max_sessions: usize,
    /// Requests held at a time; beyond it, a request is answered with an error. Default 1024.
    pub max_requests: usize,
    /// LONGPOLL_DEADLINE: how long a batch of polls is held. Default 15 s.
    pub longpoll: Duration,
    /// ACTIVE_DRAIN_DEADLINE: how long a payload waits for its own session. Default 350 ms.
    pub active_drain: Duration,
    /// Step of the settle. Default 10 ms.
    pub settle_step: Duration,
    /// Longest settle. Default 1 s.
    pub settle_max: Duration,
    /// How long a single op (`POST /tunnel`) waits for bytes. Default 5 s.
    pub single_wait: Duration,
    /// A single op ends this long after its last byte. Default 100 ms.
    pub single_settle: Duration,
    /// Downlink bytes per session and drain. Default 16 MiB.
    pub max_drain: usize,
    /// Downlink bytes per batch. Default 32 MiB.
    pub max_batch_drain: usize,
    /// SEQ_WAIT_TIMEOUT: how long an op waits for an earlier one that has not come. Default 30 s.
    pub seq_wait: Duration,
    /// Ops that wait per session for an earlier one. Default 64.
    pub seq_queue_ops: usize,
    /// Payload bytes that those ops pin. Default 16 MiB.
    pub seq_queue_bytes: usize,
    /// Unwritten uplink bytes per session above which its next op waits. Default 512 KiB; an op more may be
    /// waiting to be written than this.
    pub write_queue: usize,
    /// An upstream that takes nothing for this long is given up. Default 30 s.
    pub write_deadline: Duration,
    /// Downlink bytes kept per session; reading pauses there. Default 16 MiB.
    pub session_buffer: usize,
    /// Downlink bytes kept over all sessions beyond the first 64 KiB of each. Default 512 MiB.
    pub total_buffer: usize,
    /// TCP sessions idle for this long are closed. Default 300 s.
    pub tcp_idle: Duration,
    /// UDP sessions idle for this long are closed. Default 120 s.
    pub udp_idle: Duration,
    /// Downlink datagrams kept per UDP session; the oldest make room. Default 256.
    pub udp_queue: usize,
    /// How long a connect may take. Default 10 s.
    pub connect_deadline: Duration,
}

impl NodeOptions {
    /// This key, and every other value at its default.
    pub fn new(key: Secret) -> Self {
        Self {
            key,
            max_level: Level::Streams,
            secret: None,
            streams: NodeStreamOptions::default(),
            diagnostic: false,
            max_body: 16 * MIB,
            max_batch_ops: 256,
            max_sessions: 4096,
            max_requests: 1024,
            longpoll: Duration::from_secs(15),
            active_drain: Duration::from_millis(350),
            settle_step: Duration::from_millis(10),
            settle_max: Duration::from_secs(1),
            single_wait: Duration::from_secs(5),
            single_settle: Duration::from_millis(100),
            max_drain: 16 * MIB,
            max_batch_drain: 32 * MIB,
            seq_wait: Duration::from_secs(30),
            seq_queue_ops: 64,
            seq_queue_bytes: 16 * MIB,
            write_queue: 512 * KIB,
            write_deadline: Duration::from_secs(30),
            session_buffer: 16 * MIB,
            total_buffer: 512 * MIB,
            tcp_idle: Duration::from_secs(300),
            udp_idle: Duration::from_secs(120),
            udp_queue: 256,
            connect_deadline: Duration::from_secs(10),
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first option that the machine could not work with.
    pub fn validate(self) -> Result<NodeConfig, ConfigError> {
        check(!self.key.is_empty(), "key", "must not be empty: an empty key lets anybody in")?;
        within(&self.max_body, 64 * KIB..=256 * MIB, "max_body", "must be 64 KiB to 256 MiB")?;
        within(&self.max_batch_ops, 1..=10_000, "max_batch_ops", "must be 1 to 10000")?;
        within(&self.max_sessions, 1..=1_000_000, "max_sessions", "must be 1 to 1000000")?;
        within(&self.max_requests, 1..=1_000_000, "max_requests", "must be 1 to 1000000")?;
        for (wait, option) in [
            (self.longpoll, "longpoll"),
            (self.active_drain, "active_drain"),
            (self.settle_step, "settle_step"),
            (self.settle_max, "settle_max"),
            (self.single_wait, "single_wait"),
            (self.single_settle, "single_settle"),
            (self.seq_wait, "seq_wait"),
            (self.write_deadline, "write_deadline"),
            (self.tcp_idle, "tcp_idle"),
            (self.udp_idle, "udp_idle"),
            (self.connect_deadline, "connect_deadline"),
        ] {
            check(!wait.is_zero(), option, "must be more than 0")?;
        }
        check(self.max_drain >= 1, "max_drain", "must be at least 1 byte")?;
        check(self.max_batch_drain >= self.max_drain, "max_batch_drain", "must be at least max_drain")?;
        check(self.seq_queue_ops >= 1, "seq_queue_ops", "must be at least 1")?;
        check(self.write_queue >= 1, "write_queue", "must be at least 1 byte")?;
        check(self.session_buffer >= 64 * KIB, "session_buffer", "must be at least 64 KiB")?;
        check(self.udp_queue >= 1, "udp_queue", "must be at least 1")?;
        check_secret(self.secret.as_ref())?;
        self.streams.check()?;
        Ok(NodeConfig(self))
    }
}

/// Node options whose every value was checked.
#[derive(Clone, Debug)]
pub struct NodeConfig(NodeOptions);

impl NodeConfig {
    /// What seals the packets of level 2: the secret, or else the key.
    pub(crate) fn seal_secret(&self) -> &Secret {
        self.secret.as_ref().unwrap_or(&self.key)
    }
}

impl Deref for NodeConfig {
    type Target = NodeOptions;

    fn deref(&self) -> &NodeOptions {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> ClientOptions {
        ClientOptions::new(vec![RelayOptions::new(Secret::new("k"))])
    }

    #[test]
    fn the_defaults_are_valid() {
        client().validate().unwrap();
        NodeOptions::new(Secret::new("k")).validate().unwrap();
    }

    #[test]
    fn the_defaults_that_the_protocol_names_are_those() {
        let seconds = Duration::from_secs;
        let client = client();
        let relay = &client.relays[0];
        assert_eq!((relay.max_concurrent, client.max_batch_ops, client.max_depth), (30, 50, 8));
        assert!(client.max_batch_payload == 4 * MIB && relay.max_body < 2 * MIB);
        assert_eq!((client.unreachable_ttl, client.unreachable_entries), (seconds(30), 256));
        assert_eq!(
            (client.half_close_quiet, client.udp_idle, client.udp_queue),
            (seconds(30), seconds(120), 256)
        );
        assert_eq!(client.first_bytes_wait, Duration::from_millis(20));
        let node = NodeOptions::new(Secret::new("k"));
        assert_eq!((node.longpoll, node.active_drain), (seconds(15), Duration::from_millis(350)));
        assert_eq!((node.settle_step, node.settle_max), (Duration::from_millis(10), seconds(1)));
        assert_eq!(
            (node.seq_wait, node.write_deadline, node.connect_deadline),
            (seconds(30), seconds(30), seconds(10))
        );
        assert_eq!((node.tcp_idle, node.udp_idle, node.udp_queue), (seconds(300), seconds(120), 256));
        assert_eq!((node.max_body, node.session_buffer), (16 * MIB, 16 * MIB));
        assert_eq!((node.max_drain, node.max_batch_drain), (16 * MIB, 32 * MIB));
    }

    #[test]
    fn a_bad_value_is_named() {
        let error = ClientOptions { max_depth: 0, ..client() }.validate().unwrap_err();
        assert_eq!(error.option, "max_depth");
        assert_eq!(ClientOptions::new(vec![]).validate().unwrap_err().option, "relays");
        assert_eq!(NodeOptions::new(Secret::new("")).validate().unwrap_err().option, "key");
    }

    #[test]
    fn a_sequenced_batch_has_at_least_60_seconds_whatever_is_configured() {
        let quick = ClientOptions { request_timeout: Duration::from_secs(5), ..client() }.validate().unwrap();
        assert_eq!(quick.batch_timeout(true), Duration::from_secs(60));
        assert_eq!(quick.batch_timeout(false), Duration::from_secs(5));
        assert_eq!(quick.reply_watchdog(), Duration::from_secs(135));
        let slow =
            ClientOptions { request_timeout: Duration::from_secs(100), ..client() }.validate().unwrap();
        assert_eq!(slow.batch_timeout(true), Duration::from_secs(100));
        assert_eq!(slow.reply_watchdog(), Duration::from_secs(215));
    }

    #[test]
    fn the_longest_node_wait_fits_into_a_sequenced_batch() {
        let node = NodeOptions::new(Secret::new("k"));
        assert!(node.seq_wait + node.longpoll < client().validate().unwrap().batch_timeout(true));
    }
}
