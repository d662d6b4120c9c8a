//! Requirements of a plan: a figure, its measure, the least that is required, and a goal.

use serde::{Deserialize, Serialize};

use crate::latency::QUANTILES;
use crate::plan::conditions::Conditions;
use crate::plan::figure::{Figure, grouped};

/// Something that a case must reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Requirement {
    /// What is measured.
    pub figure: Figure,
    /// What the table calls it, if not by the name of the figure.
    pub label: Option<String>,
    /// By what it is measured.
    #[serde(default)]
    pub by: Measure,
    /// The case whose same figure it is compared with.
    pub of: Option<String>,
    /// What must be reached.
    pub must: f64,
    /// What is hoped for.
    pub goal: Option<f64>,
    /// By level of the plan: the place of the point that it is compared with; empty where nothing is compared.
    #[serde(skip)]
    pub others: Vec<usize>,
}

/// By what a figure is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// As it is.
    #[default]
    Plain,
    /// In median round trips.
    RoundTrips,
    /// In round trips of which one in twenty is longer.
    LongRoundTrips,
    /// In percent of the link.
    Link,
    /// In calls that follow each other with a hold of 25 s and a median round trip.
    Holds,
    /// In percent of the other case.
    Percent,
    /// In multiples of the other case.
    Times,
}

const MEGA: f64 = 1_000_000.0;
const HOLD: f64 = 25.0;
const DAY: f64 = 86_400.0;

impl Measure {
    /// A value in this measure; `other` is that of the case that it is compared with.
    pub(super) fn take(self, value: f64, conditions: &Conditions, other: Option<f64>) -> Option<f64> {
        let median = || conditions.round_trip.median().as_secs_f64();
        Some(match self {
            Self::Plain => value,
            Self::RoundTrips => value / median(),
            Self::LongRoundTrips => value / conditions.round_trip.0.at(QUANTILES / 100 * 95).as_secs_f64(),
            Self::Link => 100.0 * value * MEGA / conditions.link.as_f64(),
            Self::Holds => value / (DAY / (HOLD + median())),
            Self::Percent => 100.0 * value / other?,
            Self::Times => value / other?,
        })
    }

    /// A value in this measure, as tables show it.
    pub(super) fn show(self, figure: Figure, value: f64) -> String {
        match self {
            Self::Plain => figure.show(value),
            Self::RoundTrips => format!("{value:.2} rt"),
            Self::LongRoundTrips => format!("{value:.2} × p95"),
            Self::Link => format!("{value:.0} % of the link"),
            Self::Holds => format!("{} × 86 400 / (hold + rt)", grouped(&format!("{value:.2}"))),
            Self::Percent => format!("{value:.0} %"),
            Self::Times => format!("{value:.2} ×"),
        }
    }
}

impl Requirement {
    /// How far a value in its measure goes: nowhere, as far as it must, or to the goal.
    pub(super) fn reached(&self, value: f64) -> &'static str {
        let enough = |wanted: f64| if self.figure.is_gain() { value >= wanted } else { value <= wanted };
        if !enough(self.must) {
            "missed"
        } else if self.goal.is_some_and(enough) {
            "goal"
        } else {
            "must"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(figure: Figure) -> Requirement {
        Requirement {
            figure,
            label: None,
            by: Measure::Plain,
            of: None,
            must: 4.0,
            goal: Some(5.0),
            others: Vec::new(),
        }
    }

    #[test]
    fn more_goodput_and_less_waiting_reach_further() {
        let goodput = requirement(Figure::Goodput);
        assert_eq!([3.9, 4.0, 5.0].map(|value| goodput.reached(value)), ["missed", "must", "goal"]);
        let wait = Requirement { goal: Some(3.0), ..requirement(Figure::EchoP99) };
        assert_eq!([4.1, 4.0, 3.0].map(|value| wait.reached(value)), ["missed", "must", "goal"]);
    }

    #[test]
    fn values_are_measured_by_the_path_or_by_another_case() {
        let conditions = Conditions { round_trip: "2s".parse().unwrap(), ..Conditions::default() };
        let take = |measure: Measure, value, other| measure.take(value, &conditions, other).unwrap();
        assert_eq!(take(Measure::RoundTrips, 3.0, None), 1.5);
        assert_eq!(take(Measure::LongRoundTrips, 3.0, None), 1.5);
        assert_eq!(take(Measure::Link, 9.0, None), 90.0);
        assert_eq!(take(Measure::Percent, 3.0, Some(4.0)), 75.0);
        assert_eq!(Measure::Times.take(3.0, &conditions, None), None);
    }
}
