//! Points of a plan: runs that differ in nothing but their seeds.

use crate::plan::conditions::Conditions;
use crate::plan::workload::Workload;

/// Runs that differ in nothing but their seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// What they take place under.
    pub conditions: Conditions,
    /// What is done.
    pub workload: Workload,
    /// How many there are, with the seeds from 0 on.
    pub seeds: u32,
}
