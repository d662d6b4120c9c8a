//! Every path through the first decisions of the whole simulator, with an odometer in place of the seed.
//!
//! The search of states is far faster and goes to the end. This one needs neither copies nor fingerprints, and so
//! works for any host, with several clients, relays and levels of the real scenario.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::explore::report::Counterexample;
use crate::scenario::Span;
use crate::script::Kind;
use crate::trace::NoTrace;
use crate::world::World;
use crate::{Chooser, DecisionPoint, Exhaustive, Probability, Profile, Scenario};

/// Which decisions are tried in every way.
#[derive(Clone, Debug)]
pub struct Paths {
    /// What runs are like. Only kinds of faults that it allows can happen.
    pub scenario: Scenario,
    /// Whose decisions are tried. All others are benign.
    pub points: Vec<DecisionPoint>,
    /// How many decisions of a run are tried; those after them are benign.
    pub depth: usize,
    /// The most runs.
    pub max_runs: u64,
    /// The most events of a run.
    pub max_events: u64,
}

impl Default for Paths {
    fn default() -> Self {
        use crate::fault::Fault::{Crash, Duplicate, Late, LoseReply, LoseRequest};
        let scenario = Scenario {
            clients: Span::new(1, 1),
            relays: Span::new(1, 1),
            flows: Span::new(1, 1),
            scripts: vec![Kind::Echo],
            level: Some(1),
            net: [LoseRequest, LoseReply, Duplicate, Late, Crash]
                .into_iter()
                .map(|fault| (fault, Probability::of(1, 2)))
                .collect(),
            ..Profile::Calm.scenario()
        };
        Self {
            scenario,
            points: vec![
                DecisionPoint::LoseRequest,
                DecisionPoint::LoseReply,
                DecisionPoint::Duplicate,
                DecisionPoint::Late,
                DecisionPoint::Crash,
            ],
            depth: 12,
            max_runs: 1_000_000,
            max_events: 1_000_000,
        }
    }
}

/// What every way came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PathsReport {
    /// Runs, each unlike every other.
    pub runs: u64,
    /// Whether there were more than allowed.
    pub truncated: bool,
    /// Events of all runs.
    pub events: u64,
    /// Flows that came to their orderly end.
    pub finished: u64,
    /// Flows that were lost, visibly.
    pub lost: u64,
    /// How long it took.
    pub seconds: f64,
    /// What does not hold, and the decisions of that run that were not benign.
    pub counterexample: Option<Counterexample>,
}

/// Remembers what was asked last, beside the odometer.
struct Noted {
    odometer: Exhaustive,
    decisions: Vec<String>,
}

impl Chooser for Noted {
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32 {
        let decision = self.odometer.decide(point, key, n);
        if decision != 0 {
            self.decisions.push(format!("{} answers {decision} of {n}", point.name()));
        }
        decision
    }
}

impl Paths {
    /// Runs every way, up to the first violation.
    pub fn run(&self, watch: &mut dyn FnMut(u64)) -> PathsReport {
        /// The interval of progress reports.
        const EVERY: u64 = 256;
        let began = Instant::now();
        let mut report = PathsReport::default();
        let mut odometer = Exhaustive::new(&self.points, self.depth);
        loop {
            let mut noted = Noted { odometer, decisions: Vec::new() };
            let outcome = World::with(&self.scenario, &mut noted, NoTrace).run(self.max_events);
            report.runs += 1;
            report.events += outcome.events;
            report.finished += outcome.tally.finished;
            report.lost += outcome.tally.lost;
            if let Some(violation) = outcome.violation {
                let (property, what) = (violation.property, violation.to_string());
                let (steps, then) = (noted.decisions, Vec::new());
                report.counterexample = Some(Counterexample { property, what, steps, then });
                break;
            }
            odometer = noted.odometer;
            if !odometer.next_run() {
                break;
            }
            if report.runs >= self.max_runs {
                report.truncated = true;
                break;
            }
            if report.runs.is_multiple_of(EVERY) {
                watch(report.runs);
            }
        }
        report.seconds = began.elapsed().as_secs_f64();
        report
    }
}

impl fmt::Display for PathsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, events, finished, lost, seconds, .. } = self;
        let end = if self.truncated { "more than allowed" } else { "every way" };
        writeln!(
            f,
            "{runs} runs ({end}), {events} events, {finished} flows finished, {lost} lost, {seconds:.1} s"
        )?;
        match &self.counterexample {
            Some(found) => write!(f, "{found}"),
            None => f.write_str("every property holds in every run"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_through_the_first_decisions_is_run_once_and_holds() {
        let paths = Paths { depth: 6, ..Paths::default() };
        let report = paths.run(&mut |_| {});
        assert_eq!(report.counterexample, None);
        assert!(!report.truncated);
        // Each decision has at least two ways.
        assert!(report.runs >= 1 << 6, "{report}");
        assert_eq!(report.finished + report.lost, report.runs);
        assert!(report.finished > 0 && report.lost > 0, "{report}");
    }

    #[test]
    fn without_sites_there_is_one_run_and_nothing_goes_wrong_in_it() {
        let report = Paths { points: Vec::new(), ..Paths::default() }.run(&mut |_| {});
        assert_eq!((report.runs, report.finished, report.lost), (1, 1, 0));
    }
}
