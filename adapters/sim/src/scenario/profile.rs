//! Built-in scenarios.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::latency::Latency;
use crate::scenario::{Scenario, Span};
use crate::script::Kind;
use crate::{Fault, Probability};

/// A ready-made scenario.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantArray,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = UnknownProfile, parse_err_fn = UnknownProfile::new)]
pub enum Profile {
    /// Nothing goes wrong.
    Calm,
    /// Each run has its own few kinds of faults, its own size and its own bounds. For finding bugs.
    #[default]
    Swarm,
    /// As swarm, with conversations that fill windows, buffers and bodies.
    Bulk,
    /// Every kind of fault in every run, often.
    Hostile,
    /// Small daily budgets and relays that refuse.
    Quota,
    /// The measured hosted relay: its round trips, 30 concurrent calls, 1.4 MB/s a call, a shared link of
    /// 10 MB/s, 20 000 calls a day. For figures.
    Hosted,
}

/// No profile has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no profile is called `{0}`: profiles are calm, swarm, bulk, hostile, quota and hosted")]
pub struct UnknownProfile(String);

impl UnknownProfile {
    fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl Profile {
    /// Every profile.
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    /// Its scenario.
    pub fn scenario(self) -> Scenario {
        let calm = Scenario {
            profile: self,
            level: None,
            node_level: None,
            other_level: None,
            client_idle: None,
            clients: Span::new(1, 2),
            relays: Span::new(1, 3),
            flows: Span::new(1, 4),
            scripts: Kind::ALL.to_vec(),
            foreign_clients: false,
            bytes: 4_000,
            openings: Duration::from_secs(5),
            fault_phase: Duration::from_secs(40),
            latency: Latency::Near,
            link: None,
            per_call: None,
            concurrency: 30,
            daily_calls: None,
            depth: None,
            op_payload: None,
            write_queue: None,
            waits: BTreeMap::new(),
            odd_bounds: false,
            swarm: false,
            ties: false,
            net: BTreeMap::new(),
        };
        match self {
            Self::Calm => calm,
            Self::Swarm => Scenario {
                relays: Span::new(1, 4),
                foreign_clients: true,
                odd_bounds: true,
                swarm: true,
                ties: true,
                net: Fault::ALL.iter().map(|fault| (*fault, Probability::of(1, 5))).collect(),
                ..calm
            },
            Self::Bulk => {
                Scenario { profile: self, flows: Span::new(1, 3), bytes: 600_000, ..Self::Swarm.scenario() }
            }
            Self::Hostile => Scenario {
                clients: Span::new(1, 3),
                relays: Span::new(2, 4),
                flows: Span::new(4, 12),
                foreign_clients: true,
                odd_bounds: true,
                ties: true,
                fault_phase: Duration::from_secs(120),
                net: Fault::ALL.iter().map(|fault| (*fault, Probability::of(1, 20))).collect(),
                ..calm
            },
            Self::Quota => Scenario {
                daily_calls: Some(60),
                net: [(Fault::Refuse, Probability::of(1, 10))].into(),
                ..calm
            },
            Self::Hosted => Scenario {
                clients: Span::new(1, 1),
                relays: Span::new(4, 4),
                latency: Latency::Hosted,
                link: Some(10_000_000),
                per_call: Some(1_400_000),
                daily_calls: Some(20_000),
                bytes: 1 << 20,
                ..calm
            },
        }
    }
}
