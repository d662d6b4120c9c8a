//! Shrinking: a run with fewer decisions and events that violates the same property.
//!
//! The answer 0 is benign everywhere, so a decision that is taken away is a decision that went well, and every
//! subset of the decisions is a run. What the smaller run no longer asks falls away by itself.
//!
//! ```text
//!   decisions ── none is left to take away ──▶ events ── nothing is shorter ──▶ (done)
//! ```
//!
//! At first only decisions count: most of a run goes with them. Then events do, and a decision may come back, or the
//! scenario change, where that shortens the run.

mod decisions;
mod events;
mod narrow;
mod places;

use crate::bundle::Bundle;
use crate::{
    ClientHost, Decision, DecisionPoint, DecisionSource, Limits, Outcome, Property, Recording, Run, Scenario,
};

/// The points that make up the workload and the surroundings, the most telling first.
const WORKLOAD: [DecisionPoint; 15] = [
    DecisionPoint::Clients,
    DecisionPoint::Flows,
    DecisionPoint::Relays,
    DecisionPoint::Script,
    DecisionPoint::Size,
    DecisionPoint::Pace,
    DecisionPoint::Bound,
    DecisionPoint::Level,
    DecisionPoint::Latency,
    DecisionPoint::Split,
    DecisionPoint::Connect,
    DecisionPoint::HeavyTail,
    DecisionPoint::FaultProbability,
    DecisionPoint::Tie,
    DecisionPoint::Ruin,
];

/// How far the work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShrinkProgress {
    /// Runs that were tried.
    pub runs: u64,
    /// List that are left.
    pub decisions: usize,
    /// Events that are left.
    pub events: u64,
    /// Events of all runs that were tried.
    pub work: u64,
}

/// A shrunk run.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario of the shrunk run, which may differ from the original.
    pub scenario: Scenario,
    /// The small run.
    pub recording: Recording,
    /// How far the work came.
    pub progress: ShrinkProgress,
    /// Whether nothing smaller was found in the end; else the work was cut short.
    pub complete: bool,
}

impl Shrunk {
    /// As a bundle.
    pub fn bundle(&self, seed: Option<u64>, limits: Limits) -> Bundle {
        Bundle::new(&Run::new(&self.scenario).within(limits), seed, &self.recording)
    }
}

/// Shrinks a failing run while `go_on` returns true. None where the decisions violate nothing.
pub fn shrink(bundle: &Bundle, go_on: impl FnMut(ShrinkProgress) -> bool) -> Option<Shrunk> {
    shrink_in(&Run::new(&bundle.scenario).within(bundle.limits), &bundle.decisions, go_on)
}

/// The same with the hosts of `run`.
pub fn shrink_in<H: ClientHost>(
    run: &Run<'_, H>,
    decisions: &[Decision],
    go_on: impl FnMut(ShrinkProgress) -> bool,
) -> Option<Shrunk> {
    shrink_by(run, decisions, |run, decisions| run.replay(decisions), go_on)
}

/// The same with a `trial` that makes the run of some decisions, and answers its outcome and its decisions, for
/// violations that count only under a condition.
fn shrink_by<H: ClientHost>(
    run: &Run<'_, H>,
    decisions: &[Decision],
    mut trial: impl FnMut(&Run<'_, H>, &[Decision]) -> (Outcome, Vec<Decision>),
    mut go_on: impl FnMut(ShrinkProgress) -> bool,
) -> Option<Shrunk> {
    let (outcome, decisions) = trial(run, decisions);
    let property = outcome.violation.as_ref()?.property;
    let mut shrinker = Shrinker {
        run: run.of(run.scenario()),
        trial: &mut trial,
        scenario: run.scenario().clone(),
        property,
        decisions,
        events: outcome.events,
        most: u64::MAX,
        runs: 1,
        work: outcome.events,
        go_on: &mut go_on,
        spent: false,
    };
    shrinker.limit();
    shrinker.begin();
    while shrinker.fewer_decisions() {}
    while shrinker.fewer_events() {}
    Some(shrinker.finish(run))
}

/// Makes the run of some decisions: how it ended, and what was decided.
type Trial<'t, H> = dyn FnMut(&Run<'_, H>, &[Decision]) -> (Outcome, Vec<Decision>) + 't;

struct Shrinker<'a, H> {
    run: Run<'a, H>,
    trial: &'a mut Trial<'a, H>,
    scenario: Scenario,
    property: Property,
    decisions: Vec<Decision>,
    events: u64,
    /// Runs with more events are not accepted.
    most: u64,
    runs: u64,
    work: u64,
    go_on: &'a mut dyn FnMut(ShrinkProgress) -> bool,
    /// No more runs are allowed.
    spent: bool,
}

impl<H: ClientHost> Shrinker<'_, H> {
    /// Cuts off runs that are much longer than the first.
    fn limit(&mut self) {
        let limits = self.run.limits();
        let events = limits.events.min(4 * self.events + 1000);
        self.run = self.run.within(Limits { events, ..limits });
    }

    /// Removes whole groups and shortens the run first, so that every later trial is fast.
    fn begin(&mut self) {
        self.cut_workload();
        self.drop_faults();
        self.change_scenario();
    }

    /// Takes decisions away, once each. Whether anything became smaller.
    fn fewer_decisions(&mut self) -> bool {
        let before = (self.decisions.clone(), self.scenario.clone());
        self.cut_workload();
        self.drop_faults();
        self.drop_any();
        self.narrow();
        self.lessen();
        self.advance();
        self.renumber();
        self.transplant();
        self.shorten();
        !self.spent && before != (self.decisions.clone(), self.scenario.clone())
    }

    /// Shortens the run, and removes decisions that are needless then. Answers whether it became shorter.
    fn fewer_events(&mut self) -> bool {
        let before = self.events;
        self.most = before;
        self.change_scenario();
        self.change_decisions();
        self.most = self.events;
        while self.fewer_decisions() {
            self.most = self.events;
        }
        !self.spent && self.events < before
    }

    /// Whether these decisions, in this scenario, violate the same property. If so they are the best so far.
    fn accept(&mut self, scenario: &Scenario, decisions: &[Decision]) -> bool {
        self.accept_within(scenario, decisions, self.most)
    }

    /// The same, and only with fewer events than the best so far.
    fn accept_shorter(&mut self, scenario: &Scenario, decisions: &[Decision]) -> bool {
        self.accept_within(scenario, decisions, self.events.saturating_sub(1))
    }

    fn accept_within(&mut self, scenario: &Scenario, decisions: &[Decision], most: u64) -> bool {
        if self.spent {
            return false;
        }
        self.runs += 1;
        let limits = self.run.limits();
        // What is violated when a run is over is so after its last event.
        let within = Limits { events: limits.events.min(most.saturating_add(1)), ..limits };
        let (outcome, asked) = (self.trial)(&self.run.of(scenario).within(within), decisions);
        self.work += outcome.events;
        let accepted = self.violates(&outcome) && outcome.events <= most;
        if accepted {
            self.decisions = asked;
            self.events = outcome.events;
            if *scenario != self.scenario {
                self.scenario = scenario.clone();
            }
        }
        let progress = self.progress();
        self.spent = !(self.go_on)(progress);
        accepted
    }

    fn violates(&self, outcome: &Outcome) -> bool {
        outcome.violation.as_ref().is_some_and(|violation| violation.property == self.property)
    }

    fn try_decisions(&mut self, decisions: &[Decision]) -> bool {
        let scenario = self.scenario.clone();
        self.accept(&scenario, decisions)
    }

    fn try_scenario(&mut self, scenario: Scenario) {
        if scenario != self.scenario {
            let decisions = self.decisions.clone();
            self.accept(&scenario, &decisions);
        }
    }

    fn progress(&self) -> ShrinkProgress {
        ShrinkProgress {
            runs: self.runs,
            decisions: self.decisions.len(),
            events: self.events,
            work: self.work,
        }
    }

    fn finish(self, run: &Run<'_, H>) -> Shrunk {
        let recording = run.of(&self.scenario).record(&DecisionSource::List(self.decisions.clone()));
        let (progress, complete) = (self.progress(), !self.spent);
        Shrunk { scenario: self.scenario, recording, progress, complete }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seqlane::{
        Client, ClientAction, ClientEvent, ExchangeFailure, FlowId, FlowKind, Instant, Misuse, OpenError,
        Target,
    };

    use super::*;
    use crate::scenario::{Profile, Wait};
    use crate::script::Kind;

    /// A host that panics on a reply to a call that was sent again: stands for any bug that needs a fault.
    #[derive(Clone)]
    struct Fragile(Client);

    impl ClientHost for Fragile {
        fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, OpenError> {
            self.0.open(now, target, kind)
        }

        fn handle(&mut self, now: Instant, event: ClientEvent) -> Result<(), Misuse> {
            let lost = matches!(&event, ClientEvent::ExchangeFailed { why: ExchangeFailure::Unknown, .. });
            assert!(!lost, "an exchange was lost");
            self.0.handle(now, event)
        }

        fn poll(&mut self) -> ClientAction {
            self.0.poll()
        }

        fn client(&self) -> &Client {
            &self.0
        }
    }

    fn failing(run: &Run<'_, Fragile>) -> Vec<Decision> {
        let seed = (0..100).find(|seed| {
            let violation = run.seeded(*seed).violation;
            violation.is_some_and(|violation| violation.property == Property::S11)
        });
        run.record(&DecisionSource::Seed(seed.expect("some exchange is lost in a hundred runs"))).decisions
    }

    #[test]
    fn one_lost_exchange_is_all_that_is_left_of_a_swarm() {
        // At level 2 many calls pass before one that was lost is given up.
        let scenario = Scenario { level: Some(1), ..Profile::Swarm.scenario() };
        let run = Run::hosted(&scenario, |config, seed, now| Fragile(Client::unsealed(config, seed, now)));
        let decisions = failing(&run);
        let shrunk = shrink_in(&run, &decisions, |progress| progress.runs < 3000).expect("it fails");
        assert!(shrunk.complete);
        assert!(shrunk.recording.decisions.len() <= 2, "{:?}", shrunk.recording.decisions);
        let told: Vec<String> = shrunk
            .recording
            .entries
            .iter()
            .map(|entry| format!("{} {} {}", entry.at, entry.actor, entry.what))
            .collect();
        assert!(told.len() <= 30, "{:?}\n{}", shrunk.recording.decisions, told.join("\n"));
        let violation = shrunk.recording.outcome.violation.expect("it still fails");
        assert_eq!(violation.property, Property::S11);
        assert!(violation.what.starts_with("an exchange was lost"), "{}", violation.what);
    }

    /// A host that panics on an answer that comes after five minutes: stands for any bug that shows late.
    #[derive(Clone)]
    struct Late(Client, Instant);

    impl ClientHost for Late {
        fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, OpenError> {
            self.0.open(now, target, kind)
        }

        fn handle(&mut self, now: Instant, event: ClientEvent) -> Result<(), Misuse> {
            let late = now.saturating_since(self.1) > Duration::from_secs(300);
            assert!(!late || !matches!(event, ClientEvent::Reply { .. }), "an answer came late");
            self.0.handle(now, event)
        }

        fn poll(&mut self) -> ClientAction {
            self.0.poll()
        }

        fn client(&self) -> &Client {
            &self.0
        }
    }

    #[test]
    fn a_run_becomes_shorter_where_no_decision_is_left_to_take_away() {
        let scenario = Scenario {
            level: Some(2),
            scripts: vec![Kind::Idle],
            fault_phase: Duration::from_secs(400),
            waits: [(Wait::Hold, 4)].into(),
            ..Profile::Calm.scenario()
        };
        let run = Run::hosted(&scenario, |config, seed, now| Late(Client::unsealed(config, seed, now), now));
        let events = run.replay(&[]).0.events;
        let shrunk = shrink_in(&run, &[], |progress| progress.runs < 3000).expect("it fails");
        assert!(shrunk.complete && shrunk.scenario.waits != scenario.waits, "{:?}", shrunk.scenario);
        assert!(shrunk.progress.events * 3 < events, "{events} events, then {}", shrunk.progress.events);
    }

    #[test]
    fn a_violation_counts_only_where_the_trial_says_so() {
        let scenario = Scenario { level: Some(1), ..Profile::Swarm.scenario() };
        let run = Run::hosted(&scenario, |config, seed, now| Fragile(Client::unsealed(config, seed, now)));
        let trial = |run: &Run<'_, Fragile>, decisions: &[Decision]| {
            let (mut outcome, asked) = run.replay(decisions);
            outcome.violation = outcome.violation.filter(|_| outcome.tally.finished > 0);
            (outcome, asked)
        };
        let seeds = (0..400).map(|seed| run.record(&DecisionSource::Seed(seed)).decisions);
        let shrunk = seeds
            .filter_map(|decisions| shrink_by(&run, &decisions, trial, |progress| progress.runs < 300))
            .next();
        assert!(shrunk.expect("some exchange is lost after a flow").recording.outcome.tally.finished > 0);
    }

    #[test]
    fn a_run_that_passes_has_nothing_to_shrink() {
        let scenario = Profile::Calm.scenario();
        assert!(shrink_in(&Run::new(&scenario), &[], |_| true).is_none());
    }

    #[test]
    fn work_that_is_cut_short_still_fails_the_same_way() {
        let scenario = Profile::Swarm.scenario();
        let run = Run::hosted(&scenario, |config, seed, now| Fragile(Client::unsealed(config, seed, now)));
        let shrunk = shrink_in(&run, &failing(&run), |progress| progress.runs < 10).expect("it fails");
        assert!(!shrunk.complete);
        assert_eq!(
            shrunk.recording.outcome.violation.map(|violation| violation.property),
            Some(Property::S11)
        );
    }
}
