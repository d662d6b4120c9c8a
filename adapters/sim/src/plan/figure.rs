//! Figures that a plan can show.

use serde::{Deserialize, Serialize};

use crate::plan::aggregate::{Aggregate, CALL_PARTS};
use crate::plan::conditions::Conditions;
use crate::plan::limit::limit;
use crate::plan::workload::Workload;

macro_rules! figures {
    ($($name:ident = $text:literal, $unit:literal, $digits:literal, $read:literal;)*) => {
        /// A figure of a point, over all its runs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Figure {
            $(#[doc = $text] $name,)*
        }

        impl Figure {
            /// What it is, in a few words.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its unit; empty where there is none.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$name => $unit,)* }
            }

            /// Digits after the point in tables.
            const fn digits(self) -> usize {
                match self { $(Self::$name => $digits,)* }
            }

            /// How to read its picture, in one sentence.
            pub const fn reading(self) -> &'static str {
                match self { $(Self::$name => $read,)* }
            }
        }
    };
}

figures! {
    Goodput = "goodput", "MB/s", 2,
        "Higher is better: payload by the time from the open to the last byte, the median of the runs that finished.";
    OfLimit = "goodput by the limit", "%", 0,
        "Higher is better: 100 % would be the limit, which no transfer reaches that has to begin.";
    Completion = "flows that finish", "%", 0,
        "Higher is better: the share of flows that got every byte; the others ended visibly.";
    CallsPerMb = "calls per MB", "", 2,
        "Lower is cheaper: relays count calls, and bytes that travel in fewer calls cost less.";
    CallsPerEcho = "calls per echo", "", 2,
        "Lower is cheaper: relays count calls.";
    CallsPerDay = "calls a day", "", 0,
        "Lower is cheaper: hosted relays allow about 20 000 calls a day each.";
    EchoP50 = "echo time, median", "s", 2,
        "Lower is better: from the write to the whole echo; one round trip is the least there can be.";
    EchoP95 = "echo time, p95", "s", 2,
        "Lower is better: one echo of twenty takes longer.";
    EchoP99 = "echo time, p99", "s", 2,
        "Lower is better: one echo of a hundred takes longer.";
    PushP50 = "push time, median", "s", 2,
        "Lower is better: from the upstream's word to its delivery; half a round trip is the least there can be.";
    PushP99 = "push time, p99", "s", 2,
        "Lower is better: one word of a hundred takes longer.";
    StallP50 = "longest stall, median", "s", 2,
        "Lower is better: the longest time in a transfer during which nothing came.";
    StallMost = "longest stall, worst run", "s", 2,
        "Lower is better: the longest time during which nothing came, in any run.";
    StallP99 = "longest stall, p99", "s", 2,
        "Lower is better: in one run of a hundred nothing came for longer.";
    Steady = "steady goodput", "MB/s", 2,
        "Higher is better: payload between a quarter and nine tenths of a transfer, by its time.";
    SteadyCallsPerMb = "steady calls per MB", "", 2,
        "Lower is cheaper: calls between a quarter and nine tenths of a transfer.";
    HitP50 = "echo whose answer is lost, median", "s", 2,
        "Lower is better: from the write to the whole echo, of the echo that waited when an answer was lost.";
    HitP99 = "echo whose answer is lost, p99", "s", 2,
        "Lower is better: one such echo of a hundred takes longer.";
    GoneP50 = "flow ends after a restart, median", "s", 2,
        "Lower is better: from the restart of the node to the visible end of each flow that it had.";
    GoneP99 = "flow ends after a restart, p99", "s", 2,
        "Lower is better: one such flow of a hundred ends later.";
    NoticedP50 = "lost flow ends after, median", "s", 1,
        "Lower is better: how long an application waits for nothing until it learns that its flow is lost.";
    NoticedMost = "lost flow ends after, worst", "s", 1,
        "Lower is better: the longest that an application waited for nothing.";
}

const MEGA: f64 = 1_000_000.0;
const DAY: f64 = 86_400.0;

impl Figure {
    /// The figure of a point; none where its runs do not show it.
    pub fn of(self, aggregate: &Aggregate, conditions: &Conditions, workload: Workload) -> Option<f64> {
        let goodput = || aggregate.goodput.median().map(|bytes| bytes as f64);
        let calls = aggregate.calls.0 as f64;
        match self {
            Self::Goodput => goodput().map(|bytes| bytes / MEGA),
            Self::OfLimit => Some(100.0 * goodput()? / limit(conditions, workload)?),
            Self::Completion => {
                let (flows, finished) = aggregate.flows;
                (flows > 0).then(|| 100.0 * finished as f64 / flows as f64)
            }
            Self::CallsPerMb => {
                aggregate.calls_per_byte.median().map(|parts| parts as f64 * MEGA / CALL_PARTS as f64)
            }
            Self::CallsPerEcho => {
                let echoes = aggregate.echoes.len();
                (echoes > 0).then(|| calls / echoes as f64)
            }
            Self::CallsPerDay => {
                let seconds = aggregate.calls.1.as_secs_f64();
                (seconds > 0.0).then(|| calls * DAY / seconds)
            }
            Self::EchoP50 => aggregate.echoes.seconds(500),
            Self::EchoP95 => aggregate.echoes.seconds(950),
            Self::EchoP99 => aggregate.echoes.seconds(990),
            Self::PushP50 => aggregate.pushes.seconds(500),
            Self::PushP99 => aggregate.pushes.seconds(990),
            Self::StallP50 => aggregate.stalls.seconds(500),
            Self::StallMost => aggregate.stalls.seconds(1000),
            Self::StallP99 => aggregate.stalls.seconds(990),
            Self::Steady => aggregate.steady.median().map(|bytes| bytes as f64 / MEGA),
            Self::SteadyCallsPerMb => {
                aggregate.steady_calls.median().map(|parts| parts as f64 * MEGA / CALL_PARTS as f64)
            }
            Self::HitP50 => aggregate.hit.seconds(500),
            Self::HitP99 => aggregate.hit.seconds(990),
            Self::GoneP50 => aggregate.gone.seconds(500),
            Self::GoneP99 => aggregate.gone.seconds(990),
            Self::NoticedP50 => aggregate.noticed.seconds(500),
            Self::NoticedMost => aggregate.noticed.seconds(1000),
        }
    }

    /// Whether more of it is better.
    pub const fn is_gain(self) -> bool {
        matches!(self, Self::Goodput | Self::OfLimit | Self::Completion | Self::Steady)
    }

    /// A value of it, as tables show it.
    pub fn show(self, value: f64) -> String {
        let unit = self.unit();
        let gap = if unit.is_empty() { "" } else { " " };
        format!("{}{gap}{unit}", grouped(&format!("{value:.*}", self.digits())))
    }
}

/// Digits in groups of three, where there are more than four before the point.
pub(super) fn grouped(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    if whole.len() <= 4 {
        return number.to_owned();
    }
    let mut shown = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            shown.push(' ');
        }
        shown.push(digit);
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_with_their_units() {
        assert_eq!(Figure::Goodput.show(1.2345), "1.23 MB/s");
        assert_eq!(Figure::CallsPerDay.show(281_204.4), "281 204");
        assert_eq!(Figure::CallsPerDay.show(9_999.0), "9999");
        assert_eq!(Figure::Completion.show(66.6), "67 %");
    }
}
