//! Measurements in virtual time: goodput, waits, calls, stalls, and ends of flows.
//!
//! ```text
//!   definition (TOML) ─▶ Plan: points, each with its Conditions and its Workload
//!                          │  runner: every point under every seed
//!                          ▼
//!   World under a Probe ─▶ Measurement ─▶ Aggregate of a point ─▶ Figures: table, JSON, pictures
//! ```
//!
//! The same plan has the same figures on every machine and on any number of threads.
//!
//! ```
//! use seqlane_sim::plan::{BUILT_IN, Choice, Plan, markdown};
//!
//! let choice = Choice { only: vec!["echo".to_owned()], seeds: Some(1) };
//! let plan = Plan::parse(BUILT_IN, &choice)?;
//! let results = plan.run(1, || {})?;
//! assert!(markdown(&plan, &results).contains("echo alone"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aggregate;
mod conditions;
mod definition;
mod figure;
mod json;
mod limit;
mod measure;
mod network;
mod parameter;
mod point;
mod probe;
mod report;
mod requirement;
mod resolve;
mod round_trip;
mod runner;
mod samples;
mod size;
mod table;
mod workload;

pub use aggregate::Aggregate;
pub use conditions::Conditions;
pub use definition::{Case, Line, Percentiles, Plan, Plot, Series, Sweep, Waits};
pub use figure::Figure;
pub use json::json;
pub use limit::limit;
pub use measure::{Measurement, Transfer};
pub use network::NetworkOnly;
pub use parameter::Parameter;
pub use point::Point;
pub use probe::Probe;
pub use report::html;
pub use requirement::{Measure, Requirement};
pub use resolve::{BadPlan, Choice};
pub use round_trip::{BadRoundTrip, RoundTrip};
pub use runner::{BadRun, Results, measure};
pub use samples::Samples;
pub use size::{BadSize, Size};
pub use table::{markdown, table};
pub use workload::{Role, Until, Workload};

/// The plan that is built in.
pub const BUILT_IN: &str = include_str!("levels.toml");

/// What level 2 must show, with what it shows.
pub const LEVEL2: &str = include_str!("level2.toml");
