//! Scenarios: profiles, files, and the setup of one run.

mod bounds;
mod file;
mod human;
mod profile;
pub(crate) mod setup;
mod wait;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use bounds::Bounds;
pub use file::BadScenario;
pub use profile::{Profile, UnknownProfile};
pub use setup::{FlowSetup, ForeignClientSetup, Outage, RelaySetup, Setup};
pub use wait::Wait;

use crate::latency::Latency;
use crate::script::Kind;
use crate::{Fault, Probability};

/// From the fewest to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct Span {
    /// The fewest.
    pub least: u32,
    /// The most.
    pub most: u32,
}

impl Span {
    /// From `least` to `most`; `most` is at least `least`.
    pub const fn new(least: u32, most: u32) -> Self {
        Self { least, most: if most < least { least } else { most } }
    }
}

impl From<(u32, u32)> for Span {
    fn from((least, most): (u32, u32)) -> Self {
        Self::new(least, most)
    }
}

impl From<Span> for (u32, u32) {
    fn from(span: Span) -> Self {
        (span.least, span.most)
    }
}

/// Everything that shapes runs; a seed then decisions one of them.
///
/// A scenario file is TOML with these names; what it leaves out is as in its profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// The profile that it started from.
    pub profile: Profile,
    /// The highest level that clients may use; none: the seed decisions.
    pub level: Option<u8>,
    /// The highest level of the node; none: that of the clients, or what the seed decisions where it decisions that too.
    pub node_level: Option<u8>,
    /// The highest level of the node that some relays lead to instead (F12); none: the seed decisions.
    pub other_level: Option<u8>,
    /// Seconds after which a node forgets a client of level 2 that is silent; none: as the machines have it.
    pub client_idle: Option<u32>,
    /// How many clients.
    pub clients: Span,
    /// How many relays each client has.
    pub relays: Span,
    /// How many flows each client opens.
    pub flows: Span,
    /// The conversations to choose from.
    pub scripts: Vec<Kind>,
    /// Whether callers from elsewhere visit the node.
    #[serde(alias = "visitors")]
    pub foreign_clients: bool,
    /// Bytes of a conversation, at most.
    pub bytes: u64,
    /// Flows begin within this time.
    #[serde(with = "human")]
    pub openings: Duration,
    /// How long faults happen; after it one relay is healed, and everything must come to its end.
    #[serde(with = "human", alias = "storm")]
    pub fault_phase: Duration,
    /// Round trips.
    pub latency: Latency,
    /// Bytes a second of the link that all calls of a client share, each way; none: no limit.
    pub link: Option<u64>,
    /// Bytes a second that one call gets at most.
    pub per_call: Option<u64>,
    /// Calls that a relay takes at a time.
    pub concurrency: u32,
    /// Calls that a relay takes a day.
    pub daily_calls: Option<u64>,
    /// Data ops in flight per session, at most; none: as the machines have it.
    pub depth: Option<usize>,
    /// Payload bytes of one op, at most; none: as the machines have it.
    pub op_payload: Option<usize>,
    /// Bytes that an upstream may leave untaken before ops wait; none: as the machines have it.
    pub write_queue: Option<usize>,
    /// Waits of the machines, in seconds; those that are not here are as the machines have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waits: BTreeMap<Wait, u32>,
    /// Whether the seed decisions odd bounds for the machines: the least, one more, and large ones.
    pub odd_bounds: bool,
    /// Whether the seed decisions which of the faults happen at all; else all of them do, as often as `net` says.
    pub swarm: bool,
    /// Whether events of the same time come in any order; else in the order in which they were scheduled.
    pub ties: bool,
    /// The fault kinds, and how often each happens at most where it can.
    pub net: BTreeMap<Fault, Probability>,
}
