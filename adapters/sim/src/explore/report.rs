//! Results of an exploration, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::explore::scope::Scope;
use crate::explore::search::{Refutation, SearchProgress, SearchResult};
use crate::property::Property;

/// What was found in every scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One for each scope that was explored, up to the first failure.
    pub scopes: Vec<ScopeReport>,
}

/// What was found in one scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScopeReport {
    /// The scope.
    pub scope: Scope,
    /// The numbers.
    #[serde(flatten)]
    pub progress: SearchProgress,
    /// How long it took.
    pub seconds: f64,
    /// What does not hold.
    pub counterexample: Option<Counterexample>,
}

/// The shortest way to a state in which something does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterexample {
    /// The property.
    pub property: Property,
    /// What was seen.
    pub what: String,
    /// What happened, in order.
    pub steps: Vec<String>,
    /// What a healed world then did, without coming to the end.
    pub then: Vec<String>,
}

impl Counterexample {
    fn new<S: fmt::Display>(failure: Refutation<S>) -> Self {
        let told = |steps: Vec<S>| steps.iter().map(ToString::to_string).collect();
        Self {
            property: failure.broken.property,
            what: failure.broken.what,
            steps: told(failure.steps),
            then: told(failure.then),
        }
    }
}

impl ScopeReport {
    pub(super) fn new<S: fmt::Display>(scope: Scope, found: SearchResult<S>, took: Duration) -> Self {
        Self {
            scope,
            progress: found.progress,
            seconds: took.as_secs_f64(),
            counterexample: found.failure.map(Counterexample::new),
        }
    }
}

impl Report {
    /// The first thing that does not hold.
    pub fn counterexample(&self) -> Option<&Counterexample> {
        self.scopes.iter().find_map(|scope| scope.counterexample.as_ref())
    }

    /// Whether a scope was larger than allowed.
    pub fn is_truncated(&self) -> bool {
        self.scopes.iter().any(|scope| scope.progress.truncated)
    }

    fn extent(&self) -> String {
        let states: usize = self.scopes.iter().map(|scope| scope.progress.states).sum();
        let seconds: f64 = self.scopes.iter().map(|scope| scope.seconds).sum();
        let cut = if self.is_truncated() { ", of which there are more" } else { "" };
        format!("{states} states of {} scopes{cut}; {seconds:.1} s", self.scopes.len())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for scope in &self.scopes {
            writeln!(f, "{scope}")?;
        }
        match self.counterexample() {
            Some(found) => write!(f, "{found}"),
            None => write!(f, "every property holds in {}", self.extent()),
        }
    }
}

impl fmt::Display for ScopeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, seconds, .. } = self;
        let SearchProgress { states, transitions, done, depth, truncated, worst_heal, dead, .. } =
            self.progress;
        writeln!(f, "scope {scope}")?;
        let end = if truncated { "more than allowed" } else { "to the end" };
        write!(
            f,
            "  {states} states ({end}), {transitions} transitions, {done} done, depth {depth}, {seconds:.1} s"
        )?;
        if let Some(dead) = dead {
            write!(f, "\n  reach: {dead} states without a way to the end")?;
        }
        if let Some(worst) = worst_heal {
            write!(f, "\n  heal: done after at most {worst} steps")?;
        }
        Ok(())
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { property, what, steps, then } = self;
        writeln!(f, "{} does not hold: {what}", property.id())?;
        writeln!(f, "  ({})", property.text())?;
        for (number, step) in (1..).zip(steps) {
            writeln!(f, "{number:>4}  {step}")?;
        }
        /// So many fair steps are shown: what goes round in a circle shows it sooner.
        const SHOWN: usize = 20;
        if !then.is_empty() {
            writeln!(f, "  then, without faults:")?;
        }
        for (number, step) in (steps.len() + 1..).zip(then.iter().take(SHOWN)) {
            writeln!(f, "{number:>4}  {step}")?;
        }
        if then.len() > SHOWN {
            writeln!(f, "      and so on, {} steps more", then.len() - SHOWN)?;
        }
        Ok(())
    }
}
