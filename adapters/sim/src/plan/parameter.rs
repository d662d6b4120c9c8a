//! Parameters that a sweep varies.

use serde::{Deserialize, Serialize};

use crate::plan::conditions::Conditions;

/// A condition that a sweep varies, by its name in plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[allow(missing_docs, reason = "each is the condition of its name")]
pub enum Parameter {
    Level,
    RoundTrip,
    Loss,
    Duplicates,
    Relays,
    Concurrency,
    Link,
    PerCall,
    Depth,
    ResponseCap,
}

const MEGA: f64 = 1_000_000.0;
const MIB: f64 = 1_048_576.0;

impl Parameter {
    /// What its axis says.
    pub const fn axis(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::RoundTrip => "round trip, s",
            Self::Loss => "requests lost, and replies lost, % each",
            Self::Duplicates => "requests doubled, %",
            Self::Relays => "relays",
            Self::Concurrency => "calls that a relay takes at a time",
            Self::Link => "link, MB/s",
            Self::PerCall => "one call, MB/s",
            Self::Depth => "ops in flight per session",
            Self::ResponseCap => "a session's bytes per response at most, MiB",
        }
    }

    /// Its place on the axis, and what a line of a plot is called that stands for this value.
    pub fn read(self, of: &Conditions) -> (f64, String) {
        let (loss, duplicates) = (100.0 * of.loss.share(), 100.0 * of.duplicates.share());
        match self {
            Self::Level => (of.level.into(), format!("level {}", of.level)),
            Self::RoundTrip => {
                (of.round_trip.median().as_secs_f64(), format!("{} round trip", of.round_trip))
            }
            Self::Loss => (loss, format!("{loss} % lost")),
            Self::Duplicates => (duplicates, format!("{duplicates} % doubled")),
            Self::Relays => (of.relays.into(), format!("{} relays", of.relays)),
            Self::Concurrency => (of.concurrency.into(), format!("{} calls a relay", of.concurrency)),
            Self::Link => (of.link.as_f64() / MEGA, format!("link {}/s", of.link)),
            Self::PerCall => (of.per_call.as_f64() / MEGA, format!("{}/s a call", of.per_call)),
            Self::Depth => (of.depth as f64, format!("depth {}", of.depth)),
            Self::ResponseCap => (of.response_cap.as_f64() / MIB, format!("{} a response", of.response_cap)),
        }
    }

    /// Whether its axis grows by factors.
    pub const fn is_logarithmic(self) -> bool {
        matches!(self, Self::RoundTrip | Self::Link | Self::PerCall | Self::ResponseCap)
    }
}
