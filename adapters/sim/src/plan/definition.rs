//! Plan files.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::plan::figure::Figure;
use crate::plan::parameter::Parameter;
use crate::plan::requirement::Requirement;
use crate::plan::workload::Workload;

/// A plan file. Conditions are tables of [`Conditions`](crate::plan::Conditions) by name; what is nearer to a
/// run takes the place of what is further away: the plan's, the case's or sweep's own, the series', the x
/// value's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
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
    pub cases: Vec<CaseDefinition>,
    /// Pictures of one thing varied.
    #[serde(default, rename = "sweep")]
    pub sweeps: Vec<SweepDefinition>,
    /// Pictures of percentiles.
    #[serde(default, rename = "percentiles")]
    pub percentiles: Vec<PercentilesDefinition>,
}

/// A group of rows of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CaseDefinition {
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
}

/// One condition varied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SweepDefinition {
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
    pub series: Option<SeriesDefinition>,
    /// A picture each.
    #[serde(rename = "plot")]
    pub plots: Vec<PlotDefinition>,
    /// Runs of each point, if not as many as elsewhere.
    pub seeds: Option<u32>,
    /// Its own conditions.
    #[serde(default)]
    pub conditions: Table,
}

/// The lines of a sweep's pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SeriesDefinition {
    /// What differs from line to line.
    pub vary: Parameter,
    /// Its values, as conditions write them.
    pub values: Vec<Value>,
}

/// A picture of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlotDefinition {
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
pub struct PercentilesDefinition {
    /// Its heading.
    pub title: String,
    /// The cases, by name.
    pub cases: Vec<String>,
    /// What of them.
    pub of: Waits,
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
