//! Options of the client (protocol.md 2).

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    ClientStreamOptions, ConfigError, DAY, KIB, MIB, MORE_THAN_ZERO, Valid, check, check_secret, lowest_level,
};
use crate::level::Level;
use crate::secret::Secret;
use crate::wire::Form;

/// When a flow's application is told that it is open (protocol.md 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenMode {
    /// At once, so that its first bytes travel with the open; a failure shows as a reset.
    #[default]
    Optimistic,
    /// When the node has opened the target; a failure has its reason.
    Confirmed,
}

/// How the client chooses among relays that can take a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Balance {
    /// The relay that should answer first, from its round trips and its calls in flight.
    #[default]
    Fastest,
    /// Each in turn.
    RoundRobin,
}

options! {
    /// One relay, or the node itself when the client calls it directly.
    RelayOptions(
        /// The key that it expects.
        #[serde(skip, default = "Secret::unset")]
        key: Secret
    ) {
        /// The JSON form that it takes. Default: that of a relay.
        form: Form = Form::Relay;
        /// Calls in flight at a time. Default 30: the limit of the hosted relays, per account.
        max_concurrent: usize = 30, within 1..=10_000, "must be 1 to 10000 calls";
        /// Time from the start of the client until the daily budget starts anew for the first time. Default 24 h.
        budget_resets_in: Duration = DAY;
        /// Largest request body in bytes. Default 2 093 056: deployed nodes refuse bodies above 2 MiB, and some relays
        /// add a little of their own. Raise it for a node that takes more.
        max_body: usize = 2 * MIB - 4 * KIB,
            within 64 * KIB..=256 * MIB, "must be 64 KiB to 256 MiB, so that an op fits and memory stays bounded";
        /// Whether the path keeps all 8 bits, so that packets of level 2 need neither JSON nor base64. Default false;
        /// set it where no relay is between, or where the relay is known to.
        binary: bool = false;
    }
    optional {
        /// Calls per day, if they are limited. Hosted relays allow about 20 000.
        daily_calls: u64,
    }
}

impl RelayOptions {
    fn check(&self) -> Result<(), ConfigError> {
        check(self.daily_calls != Some(0), "daily_calls", "must be at least 1; leave it out for no limit")?;
        self.check_bounds()
    }
}

options! {
    /// Options of a client.
    ClientOptions(
        /// The relays, at least one. A [`RelayId`](crate::RelayId) is an index into this list.
        relays: Vec<RelayOptions>
    ) {
        /// The highest level to use. Default: 2, streams, where the node has it and the same secret.
        max_level: Level = Level::Streams;
        /// When applications are told that their flow is open. Default: at once.
        open: OpenMode = OpenMode::default();
        /// How batches spread over relays. Default: to the fastest.
        balance: Balance = Balance::default();
        /// Data ops in flight per session, at most. Default 8, as in the deployed clients.
        max_depth: usize = 8, within 1..=64, "must be 1 to 64";
        /// Flows open at a time. Default 4096.
        max_flows: usize = 4096, within 1..=1_000_000, "must be 1 to 1000000";
        /// Uplink bytes kept per flow: read from the application and not yet answered. Default 8 MiB, one op of full
        /// size for each of the default depth.
        uplink_window: usize = 8 * MIB, within 64 * KIB..=1024 * MIB, "must be 64 KiB to 1 GiB";
        /// Uplink bytes kept over all flows beyond the first 64 KiB of each. Default 256 MiB.
        uplink_total: usize = 256 * MIB;
        /// Delivered bytes that the application of a flow has not read, above which no poll is sent for it. Default
        /// 4 MiB; polls already in flight can bring more, at most 16 MiB each from a node that keeps the rules.
        downlink_window: usize = 4 * MIB, within 1..=1024 * MIB, "must be 1 byte to 1 GiB";
        /// How long an exchange may take. Default 30 s. Batches with `seq` get at least 60 s, so that a node's wait of
        /// 30 s for an earlier op plus a hold of 15 s fits.
        request_timeout: Duration = Duration::from_secs(30),
            within Duration::from_secs(5)..=Duration::from_secs(300), "must be 5 s to 300 s";
        /// How long a half-closed session may go without downlink before it is closed. Default 30 s.
        half_close_quiet: Duration = Duration::from_secs(30), within MORE_THAN_ZERO, "must be more than 0";
        /// Idle limit of UDP flows. Default 120 s.
        udp_idle: Duration = Duration::from_secs(120), within MORE_THAN_ZERO, "must be more than 0";
        /// How long a node may be silent while another one answers, before its flows end. Default 60 s.
        dead_node: Duration = Duration::from_secs(60), within MORE_THAN_ZERO, "must be more than 0";
        /// What few people set.
        tuning: ClientTuning = ClientTuning::new();
    }
    optional {
        /// What seals the packets of level 2; the node must have the same, and no relay should know it. Default: the
        /// key of the first relay, which keeps out everybody but the relays.
        #[serde(skip)]
        secret: Secret,
        /// The lowest level to use: a flow that cannot have it is refused. Default: 2 with a secret, so that nothing that
        /// a relay answers makes the client send in clear; 0 without one.
        min_level: Level,
    }
}

options! {
    /// Options of a client that few people set.
    ClientTuning {
        /// The bounds and waits of level 2.
        streams: ClientStreamOptions = ClientStreamOptions::new();
        /// How long an optimistic open waits for the application's first bytes. Default 20 ms: one trip of a local
        /// socket with room to spare, little beside the round trip that it saves.
        first_bytes_wait: Duration = Duration::from_millis(20);
        /// Ports on which the server speaks first, so that waiting for the application is useless.
        server_first_ports: Vec<u16> = vec![21, 22, 25, 110, 143, 587];
        /// Ops per batch. Default 50, as deployed: nodes and relays are known to take it.
        max_batch_ops: usize = 50, within 1..=1000, "must be 1 to 1000";
        /// Payload bytes per batch, before base64. Default 4 MiB; the relay's `max_body` usually ends a batch earlier.
        max_batch_payload: usize = 4 * MIB;
        /// Payload bytes per op. Default 1 MiB: two ops fill a body of deployed size, so a large body that is refused
        /// can still be split.
        max_op_payload: usize = MIB, within 1..=64 * MIB, "must be 1 byte to 64 MiB";
        /// Bytes of an answer's body. Default 64 MiB: a batch of 32 MiB of payload is 43 MiB of base64.
        max_reply_body: usize = 64 * MIB, within 64 * KIB..=1024 * MIB, "must be 64 KiB to 1 GiB";
        /// Replies that wait per flow for an earlier one, at least; `max_depth` counts where it is more. Default 64.
        reorder_replies: usize = 64;
        /// How long a target that could not be reached fails at once. Default 30 s.
        unreachable_ttl: Duration = Duration::from_secs(30);
        /// Unreachable targets remembered. Default 256.
        unreachable_entries: usize = 256, within 1.., "must be at least 1";
        /// Datagrams that wait per UDP flow, each way; beyond it the oldest are dropped. Default 256.
        udp_queue: usize = 256, within 1.., "must be at least 1";
        /// Exchanges that carry nothing but idle polls, before a new one gathers the polls of all. Default 4.
        idle_exchanges: usize = 4, within 1.., "must be at least 1";
        /// How long small writes wait for others to share a batch, at most, and only while calls with payload are in
        /// flight. Default 40 ms; a twentieth of the round trip counts where that is less.
        coalesce: Duration = Duration::from_millis(40);
        /// Timeouts within `strike_window` that take a relay out. Default 3, as deployed.
        strikes: u32 = 3, within 1.., "must be at least 1";
        /// See `strikes`. Default 30 s.
        strike_window: Duration = Duration::from_secs(30);
        /// First backoff of a relay that timed out; doubled each time after. Default 15 s.
        relay_backoff: Duration = Duration::from_secs(15);
        /// Longest backoff of a relay. Default 120 s.
        relay_backoff_max: Duration = Duration::from_secs(120);
        /// Backoff of a relay that refuses a call (403, 429, quota) without a `Retry-After`. Default 600 s.
        refused_backoff: Duration = Duration::from_secs(600), within MORE_THAN_ZERO, "must be more than 0";
    }
}

impl ClientOptions {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first option that a client cannot work with.
    pub fn validate(mut self) -> Result<ClientConfig, ConfigError> {
        check(!self.relays.is_empty(), "relays", "at least one relay is needed")?;
        check(self.relays.len() <= 1024, "relays", "at most 1024 relays")?;
        self.relays.iter().try_for_each(RelayOptions::check)?;
        self.check_bounds()?;
        check_secret(self.secret.as_ref(), self.relays.iter().map(|relay| &relay.key))?;
        self.min_level = Some(lowest_level(self.min_level, self.secret.is_some(), self.max_level)?);
        self.tuning.check()?;
        Ok(Valid(self))
    }

    /// Whether flows are sealed or refused: level 2 is the lowest.
    pub(crate) fn is_sealed_only(&self) -> bool {
        self.lowest_level() == Level::Streams
    }

    /// The lowest level to use.
    pub(crate) fn lowest_level(&self) -> Level {
        self.min_level.unwrap_or(Level::Legacy)
    }

    /// What seals the packets of level 2: the secret, or else the empty one, which protects from nothing.
    pub(crate) fn seal_secret(&self) -> Secret {
        self.secret.clone().unwrap_or_else(Secret::unset)
    }

    /// Replies that wait per flow for an earlier one.
    pub(crate) fn reorder_replies(&self) -> usize {
        self.tuning.reorder_replies.max(self.max_depth)
    }

    /// How long a batch may take: at least 60 s when it carries `seq` (protocol.md 2).
    pub(crate) fn batch_timeout(&self, with_seq: bool) -> Duration {
        const SEQ_FLOOR: Duration = Duration::from_secs(60);
        if with_seq { self.request_timeout.max(SEQ_FLOOR) } else { self.request_timeout }
    }

    /// How long a reply to an op with `seq` may take before its session ends.
    pub fn reply_watchdog(&self) -> Duration {
        self.exchange_watchdog(true)
    }

    /// How long an exchange may take before it counts as lost although the driver has not reported it: twice its
    /// timeout and 15 s (protocol.md 2).
    pub(crate) fn exchange_watchdog(&self, with_seq: bool) -> Duration {
        self.batch_timeout(with_seq).saturating_mul(2).saturating_add(Duration::from_secs(15))
    }
}

impl ClientTuning {
    fn check(&self) -> Result<(), ConfigError> {
        self.check_bounds()?;
        check(
            self.max_batch_payload >= self.max_op_payload,
            "max_batch_payload",
            "must be at least max_op_payload",
        )?;
        check(
            !self.relay_backoff.is_zero() && self.relay_backoff <= self.relay_backoff_max,
            "relay_backoff",
            "must be more than 0 and at most relay_backoff_max",
        )?;
        self.streams.check()
    }
}

/// Client options whose every value is valid.
pub type ClientConfig = Valid<ClientOptions>;
