//! Plans, as their files say and with the points that they measure.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::plan::figure::Figure;
use crate::plan::parameter::Parameter;
use crate::plan::point::Point;
use crate::plan::requirement::Requirement;
use crate::plan::workload::Workload;

/// A plan that can be run, once [`Plan::parse`] has given it its points.
///
/// Conditions are tables of [`Conditions`](crate::plan::Conditions) by name; what is nearer to a run takes the place of
/// what is further away: the plan's, the case's or sweep's own, the series', the x value's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// The heading of the report.
    pub title: String,
    /// What the figures are about, in a few sentences.
    pub about: String,
    /// Levels: the columns of the table, and the series of sweeps that name none.
    pub levels: Vec<u8>,
    /// Runs of each point, unless it says otherwise.
    pub seeds: u32,
    /// Conditions of every run.
    #[serde(default)]
    pub conditions: Table,
    /// Rows of the table.
    #[serde(default, rename = "case")]
    pub cases: Vec<Case>,
    /// Pictures of one thing varied.
    #[serde(default, rename = "sweep")]
    pub sweeps: Vec<Sweep>,
    /// Pictures of percentiles.
    #[serde(default)]
    pub percentiles: Vec<Percentiles>,
    /// Everything that is measured, each once.
    #[serde(skip)]
    pub points: Vec<Point>,
}

/// A group of rows of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// For `--only`, and for `percentiles`.
    pub name: String,
    /// What the table calls it.
    pub label: String,
    /// What is done.
    pub workload: Workload,
    /// What is shown of it.
    #[serde(default)]
    pub figures: Vec<Figure>,
    /// What is required of it.
    #[serde(default, rename = "require")]
    pub requirements: Vec<Requirement>,
    /// Runs, if not as many as elsewhere.
    pub seeds: Option<u32>,
    /// Its own conditions.
    #[serde(default)]
    pub conditions: Table,
    /// By level of the plan: the place of its point.
    #[serde(skip)]
    pub points: Vec<usize>,
}

/// One condition varied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sweep {
    /// For `--only`.
    pub name: String,
    /// The heading of its pictures.
    pub title: String,
    /// What is done.
    pub workload: Workload,
    /// What the x axis is.
    pub vary: Parameter,
    /// Its values, as conditions write them.
    pub values: Vec<Value>,
    /// What the lines are; without it the levels of the plan.
    pub series: Option<Series>,
    /// A picture each.
    #[serde(rename = "plot")]
    pub plots: Vec<Plot>,
    /// Runs of each point, if not as many as elsewhere.
    pub seeds: Option<u32>,
    /// Its own conditions.
    #[serde(default)]
    pub conditions: Table,
    /// A line of its pictures for each of its series.
    #[serde(skip)]
    pub lines: Vec<Line>,
}

/// A line of a sweep's pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is called.
    pub label: String,
    /// Places on the x axis, and of the points.
    pub points: Vec<(f64, usize)>,
}

/// The lines of a sweep's pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Series {
    /// What differs from line to line.
    pub vary: Parameter,
    /// Its values, as conditions write them.
    pub values: Vec<Value>,
}

/// A picture of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plot {
    /// What it shows; the first as full lines, the second as broken ones. They have one unit.
    pub figures: Vec<Figure>,
    /// Whether the y axis grows by factors.
    #[serde(default)]
    pub logarithmic: bool,
    /// Whether the theoretical limit is shown too.
    #[serde(default)]
    pub limit: bool,
}

/// A picture of all percentiles of some cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Percentiles {
    /// Its heading.
    pub title: String,
    /// The cases, by name.
    pub cases: Vec<String>,
    /// What of them.
    pub of: Waits,
    /// The lines of each case: what each is called, and the place of its point, by level of the plan.
    #[serde(skip)]
    pub lines: Vec<Vec<(String, usize)>>,
}

/// Something that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waits {
    /// Echoes.
    Echoes,
    /// Words of upstreams to idle flows.
    Pushes,
}
