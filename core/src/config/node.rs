//! Options of the node (protocol.md 2).

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::user::{DEFAULT_USER, UserError, UserOptions, check_users};
use super::{
    ConfigError, KIB, MIB, MORE_THAN_ZERO, NodeStreamOptions, Valid, check, check_secret, lowest_level,
};
use crate::level::Level;
use crate::secret::Secret;
use crate::wire::{BadOp, Op};

options! {
    /// Options of a node.
    NodeOptions(
        /// The key that requests must carry.
        #[serde(skip, default = "Secret::unset")]
        key: Secret
    ) {
        /// The highest level to offer. Default: 2, streams.
        max_level: Level = Level::Streams;
        /// Answer a wrong key with JSON instead of a decoy page. Default false.
        diagnostic: bool = false;
        /// Largest request body in bytes. Default 16 MiB.
        max_body: usize = 16 * MIB, within 64 * KIB..=256 * MIB, "must be 64 KiB to 256 MiB";
        /// Sessions at a time, connects in progress included. Default 4096.
        max_sessions: usize = 4096, within 1..=1_000_000, "must be 1 to 1000000";
        /// Requests held at a time; beyond it, a request is answered with an error. Default 1024.
        max_requests: usize = 1024, within 1..=1_000_000, "must be 1 to 1000000";
        /// LONGPOLL_DEADLINE: how long a batch of polls is held. Default 15 s.
        longpoll: Duration = Duration::from_secs(15), within MORE_THAN_ZERO, "must be more than 0";
        /// How long an upstream may take nothing before it is reset. Default 30 s.
        write_deadline: Duration = Duration::from_secs(30), within MORE_THAN_ZERO, "must be more than 0";
        /// Downlink bytes kept per session; reading pauses there. Default 16 MiB.
        session_buffer: usize = 16 * MIB, within 64 * KIB.., "must be at least 64 KiB";
        /// Downlink bytes kept over all sessions beyond the first 64 KiB of each. Default 512 MiB.
        total_buffer: usize = 512 * MIB;
        /// TCP sessions idle for this long are closed. Default 300 s.
        tcp_idle: Duration = Duration::from_secs(300), within MORE_THAN_ZERO, "must be more than 0";
        /// UDP sessions idle for this long are closed. Default 120 s.
        udp_idle: Duration = Duration::from_secs(120), within MORE_THAN_ZERO, "must be more than 0";
        /// How long a connect may take. Default 10 s.
        connect_deadline: Duration = Duration::from_secs(10), within MORE_THAN_ZERO, "must be more than 0";
        /// Users with secrets of their own. Default: none.
        #[serde(skip)]
        users: Vec<UserOptions> = Vec::new();
        /// What few people set.
        tuning: NodeTuning = NodeTuning::new();
    }
    optional {
        /// What seals the packets of level 2; the clients must have the same, and no relay should know it. It is that of
        /// the user `default`. Default: none; then packets are sealed from nobody.
        #[serde(skip)]
        secret: Secret,
        /// The lowest level to take: ops of lower ones are answered with an error. Default: 2 with a secret or users, so
        /// that who has the key alone can do nothing; 0 without. Ops of levels 0 and 1 are the user `default`.
        min_level: Level,
    }
}

options! {
    /// Options of a node that few people set.
    NodeTuning {
        /// The bounds and waits of level 2.
        streams: NodeStreamOptions = NodeStreamOptions::new();
        /// Ops per batch; more make the batch bad. Default 256, five times what deployed clients send.
        max_batch_ops: usize = 256, within 1..=10_000, "must be 1 to 10000";
        /// ACTIVE_DRAIN_DEADLINE: how long a payload waits for its own session. Default 350 ms.
        active_drain: Duration = Duration::from_millis(350), within MORE_THAN_ZERO, "must be more than 0";
        /// Step of the settle. Default 10 ms.
        settle_step: Duration = Duration::from_millis(10), within MORE_THAN_ZERO, "must be more than 0";
        /// Longest settle. Default 1 s.
        settle_max: Duration = Duration::from_secs(1), within MORE_THAN_ZERO, "must be more than 0";
        /// How long a single op (`POST /tunnel`) waits for bytes. Default 5 s.
        single_wait: Duration = Duration::from_secs(5), within MORE_THAN_ZERO, "must be more than 0";
        /// A single op ends this long after its last byte. Default 100 ms.
        single_settle: Duration = Duration::from_millis(100), within MORE_THAN_ZERO, "must be more than 0";
        /// Downlink bytes per session and drain. Default 16 MiB.
        max_drain: usize = 16 * MIB, within 1.., "must be at least 1 byte";
        /// Downlink bytes per batch. Default 32 MiB.
        max_batch_drain: usize = 32 * MIB;
        /// SEQ_WAIT_TIMEOUT: how long an op waits for an earlier one that has not come. Default 30 s.
        seq_wait: Duration = Duration::from_secs(30), within MORE_THAN_ZERO, "must be more than 0";
        /// Ops that wait per session for an earlier one. Default 64.
        seq_queue_ops: usize = 64, within 1.., "must be at least 1";
        /// Payload bytes that those ops pin. Default 16 MiB.
        seq_queue_bytes: usize = 16 * MIB;
        /// Unwritten uplink bytes per session above which its next op waits. Default 512 KiB; one op more than this
        /// may wait to be written.
        write_queue: usize = 512 * KIB, within 1.., "must be at least 1 byte";
        /// Downlink datagrams kept per UDP session; beyond it the oldest are dropped. Default 256.
        udp_queue: usize = 256, within 1.., "must be at least 1";
    }
}

impl NodeOptions {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first option that a node cannot work with.
    pub fn validate(mut self) -> Result<NodeConfig, ConfigError> {
        check(!self.key.is_empty(), "key", "must not be empty: an empty key lets anybody in")?;
        self.check_bounds()?;
        check_secret(self.secret.as_ref(), core::iter::once(&self.key))?;
        let bad_user = |error: UserError| ConfigError { option: "users", reason: error.reason };
        self.check_users(&self.users).map_err(bad_user)?;
        let has_secret = self.secret.is_some() || !self.users.is_empty();
        self.min_level = Some(lowest_level(self.min_level, has_secret, self.max_level)?);
        self.tuning.check()?;
        Ok(Valid(self))
    }

    /// Whether a node of these options can have these [`users`](field@Self::users), from the start or by
    /// [`NodeEvent::Users`](crate::NodeEvent::Users).
    ///
    /// # Errors
    /// [`UserError`] names the first user that it cannot have, and never a secret.
    pub fn check_users(&self, users: &[UserOptions]) -> Result<(), UserError> {
        check_users(users, &self.key, self.secret.as_ref())
    }

    /// Refuses an op of a lower level than the node takes. Levels 0 and 1 are the user `default`, if there is one.
    pub(crate) fn check_level(&self, op: Op, has_default: bool) -> Result<Op, BadOp> {
        let lowest = if has_default { self.min_level.unwrap_or(Level::Legacy) } else { Level::Streams };
        let taken = match lowest {
            Level::Legacy => true,
            Level::Sequenced => !matches!(op, Op::Data { seq: None, .. }),
            Level::Streams => matches!(op, Op::Streams { .. }),
        };
        if taken { Ok(op) } else { Err(BadOp::Level(lowest)) }
    }

    /// Everybody who may connect.
    pub(crate) fn everybody(&self) -> Vec<UserOptions> {
        let users = self.named_users();
        if users.is_empty() { vec![UserOptions::new(DEFAULT_USER, Secret::unset())] } else { users }
    }

    /// Everybody who has a secret.
    pub(crate) fn named_users(&self) -> Vec<UserOptions> {
        let default = self.secret.clone().map(|secret| UserOptions::new(DEFAULT_USER, secret));
        default.into_iter().chain(self.users.iter().cloned()).collect()
    }
}

impl NodeTuning {
    fn check(&self) -> Result<(), ConfigError> {
        self.check_bounds()?;
        check(self.max_batch_drain >= self.max_drain, "max_batch_drain", "must be at least max_drain")?;
        self.streams.check()
    }
}

/// Node options whose every value is valid.
pub type NodeConfig = Valid<NodeOptions>;
