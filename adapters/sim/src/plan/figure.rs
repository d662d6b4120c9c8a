//! Figures that a plan can show.

use std::slice::from_ref;

use serde::{Deserialize, Serialize};

use crate::plan::aggregate::Aggregate;
use crate::plan::limit::limit;
use crate::plan::measure::{CALL_PARTS, Measurement, Transfer};

/// What is known of a figure.
struct Facts {
    text: &'static str,
    unit: &'static str,
    /// Digits after the point in tables.
    digits: usize,
    value: fn(&Aggregate) -> Option<f64>,
    reading: &'static str,
}

macro_rules! figures {
    ($($name:ident = $text:literal, $unit:literal, $digits:literal, $value:expr, $reading:literal;)*) => {
        /// A figure of a point, over all its runs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Figure {
            $(#[doc = $text] $name,)*
        }

        impl Figure {
            const fn facts(self) -> Facts {
                let (text, unit, digits, value, reading): (_, _, _, fn(&_) -> _, _) = match self {
                    $(Self::$name => ($text, $unit, $digits, $value, $reading),)*
                };
                Facts { text, unit, digits, value, reading }
            }
        }
    };
}

figures! {
    Goodput = "goodput", "MB/s", 2, |of| goodput(of, |run| run.bulk),
        "Higher is better: payload by the time from the open to the last byte, the median of the runs that finished.";
    OfLimit = "goodput by the limit", "%", 0, of_limit,
        "Higher is better: 100 % would be the limit, which no transfer reaches that has to begin.";
    Completion = "flows that finish", "%", 0, completion,
        "Higher is better: the share of flows that got every byte; the others ended visibly.";
    CallsPerMb = "calls per MB", "", 2, |of| calls_per_mb(of, |run| run.bulk),
        "Lower is cheaper: relays count calls, and bytes that travel in fewer calls cost less.";
    CallsPerEcho = "calls per echo", "", 2, |of| ratio(calls(of), of.sum(|run| run.echoes.len()) as f64),
        "Lower is cheaper: relays count calls.";
    CallsPerDay = "calls a day", "", 0, |of| ratio(calls(of) * DAY, of.sum(|run| run.counted).as_secs_f64()),
        "Lower is cheaper: hosted relays allow about 20 000 calls a day each.";
    EchoP50 = "echo time, median", "s", 2, |of| of.durations(|run| &run.echoes).seconds(500),
        "Lower is better: from the write to the whole echo; one round trip is the least there can be.";
    EchoP95 = "echo time, p95", "s", 2, |of| of.durations(|run| &run.echoes).seconds(950),
        "Lower is better: one echo of twenty takes longer.";
    EchoP99 = "echo time, p99", "s", 2, |of| of.durations(|run| &run.echoes).seconds(990),
        "Lower is better: one echo of a hundred takes longer.";
    PushP50 = "push time, median", "s", 2, |of| of.durations(|run| &run.pushes).seconds(500),
        "Lower is better: from the upstream's word to its delivery; half a round trip is the least there can be.";
    PushP99 = "push time, p99", "s", 2, |of| of.durations(|run| &run.pushes).seconds(990),
        "Lower is better: one word of a hundred takes longer.";
    StallP50 = "longest stall, median", "s", 2, |of| of.durations(|run| from_ref(&run.stall)).seconds(500),
        "Lower is better: the longest time in a transfer during which nothing came.";
    StallMost = "longest stall, worst run", "s", 2, |of| of.durations(|run| from_ref(&run.stall)).seconds(1000),
        "Lower is better: the longest time during which nothing came, in any run.";
    StallP99 = "longest stall, p99", "s", 2, |of| of.durations(|run| from_ref(&run.stall)).seconds(990),
        "Lower is better: in one run of a hundred nothing came for longer.";
    Steady = "steady goodput", "MB/s", 2, |of| goodput(of, |run| run.steady),
        "Higher is better: payload between a quarter and nine tenths of a transfer, by its time.";
    SteadyCallsPerMb = "steady calls per MB", "", 2, |of| calls_per_mb(of, |run| run.steady),
        "Lower is cheaper: calls between a quarter and nine tenths of a transfer.";
    HitP50 = "echo whose answer is lost, median", "s", 2, |of| of.durations(|run| &run.hit).seconds(500),
        "Lower is better: from the write to the whole echo, of the echo that waited when an answer was lost.";
    HitP99 = "echo whose answer is lost, p99", "s", 2, |of| of.durations(|run| &run.hit).seconds(990),
        "Lower is better: one such echo of a hundred takes longer.";
    GoneP50 = "flow ends after a restart, median", "s", 2, |of| of.durations(|run| &run.gone).seconds(500),
        "Lower is better: from the restart of the node to the visible end of each flow that it had.";
    GoneP99 = "flow ends after a restart, p99", "s", 2, |of| of.durations(|run| &run.gone).seconds(990),
        "Lower is better: one such flow of a hundred ends later.";
    NoticedP50 = "lost flow ends after, median", "s", 1, |of| of.durations(|run| &run.noticed).seconds(500),
        "Lower is better: how long an application waits for nothing until it learns that its flow is lost.";
    NoticedMost = "lost flow ends after, worst", "s", 1, |of| of.durations(|run| &run.noticed).seconds(1000),
        "Lower is better: the longest that an application waited for nothing.";
}

const MEGA: f64 = 1_000_000.0;
const DAY: f64 = 86_400.0;

fn goodput(of: &Aggregate, part: fn(&Measurement) -> Option<Transfer>) -> Option<f64> {
    Some(of.median(|run| Some(part(run)?.bytes_per_second()))? / MEGA)
}

fn of_limit(of: &Aggregate) -> Option<f64> {
    let goodput = of.median(|run| Some(run.bulk?.bytes_per_second()))?;
    Some(100.0 * goodput / limit(&of.point.conditions, of.point.workload)?)
}

fn completion(of: &Aggregate) -> Option<f64> {
    ratio(100.0 * of.sum(|run| f64::from(run.finished)), of.sum(|run| f64::from(run.flows)))
}

fn calls_per_mb(of: &Aggregate, part: fn(&Measurement) -> Option<Transfer>) -> Option<f64> {
    Some(of.median(|run| Some(part(run)?.call_parts_per_byte()))? * MEGA / CALL_PARTS as f64)
}

fn calls(of: &Aggregate) -> f64 {
    of.sum(|run| run.calls) as f64
}

fn ratio(value: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| value / of)
}

impl Figure {
    /// The figure of a point; none where its runs do not show it.
    pub fn of(self, aggregate: &Aggregate) -> Option<f64> {
        (self.facts().value)(aggregate)
    }

    /// What it is, in a few words.
    pub const fn text(self) -> &'static str {
        self.facts().text
    }

    /// Its unit; empty where there is none.
    pub const fn unit(self) -> &'static str {
        self.facts().unit
    }

    /// How to read its picture, in one sentence.
    pub const fn reading(self) -> &'static str {
        self.facts().reading
    }

    /// Whether more of it is better.
    pub const fn is_gain(self) -> bool {
        matches!(self, Self::Goodput | Self::OfLimit | Self::Completion | Self::Steady)
    }

    /// A value of it, as tables show it.
    pub fn show(self, value: f64) -> String {
        let unit = self.unit();
        let gap = if unit.is_empty() { "" } else { " " };
        format!("{}{gap}{unit}", grouped(&format!("{value:.*}", self.facts().digits)))
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
