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

    /// Its place on the axis.
    pub fn read(self, conditions: &Conditions) -> f64 {
        match self {
            Self::Level => f64::from(conditions.level),
            Self::RoundTrip => conditions.round_trip.median().as_secs_f64(),
            Self::Loss => 100.0 * conditions.loss.share(),
            Self::Duplicates => 100.0 * conditions.duplicates.share(),
            Self::Relays => f64::from(conditions.relays),
            Self::Concurrency => f64::from(conditions.concurrency),
            Self::Link => conditions.link.as_f64() / MEGA,
            Self::PerCall => conditions.per_call.as_f64() / MEGA,
            Self::Depth => conditions.depth as f64,
            Self::ResponseCap => conditions.response_cap.as_f64() / MIB,
        }
    }

    /// What a line of a plot is called that stands for this value.
    pub fn tell(self, conditions: &Conditions) -> String {
        match self {
            Self::Level => format!("level {}", conditions.level),
            Self::RoundTrip => format!("{} round trip", conditions.round_trip),
            Self::Loss => format!("{} % lost", self.read(conditions)),
            Self::Duplicates => format!("{} % doubled", self.read(conditions)),
            Self::Relays => format!("{} relays", conditions.relays),
            Self::Concurrency => format!("{} calls a relay", conditions.concurrency),
            Self::Link => format!("link {}/s", conditions.link),
            Self::PerCall => format!("{}/s a call", conditions.per_call),
            Self::Depth => format!("depth {}", conditions.depth),
            Self::ResponseCap => format!("{} a response", conditions.response_cap),
        }
    }

    /// Whether its axis grows by factors.
    pub const fn is_logarithmic(self) -> bool {
        matches!(self, Self::RoundTrip | Self::Link | Self::PerCall | Self::ResponseCap)
    }
}
