//! A failing run made small: fewer decisions, smaller ones, a shorter story, and the same property violated.
//!
//! The answer 0 is benign everywhere, so a pick that is taken away is a decision that went well, and every
//! subset of the picks is a run. What the smaller run no longer asks falls away by itself.
//!
//! ```text
//!   decisions ── none is left to take away ──▶ events ── nothing is shorter ──▶ (done)
//! ```
//!
//! At first only decisions count: most of a run goes with them. Then events do, and a decision may come back, or the
//! scenario change, where the story becomes shorter by it.

mod decisions;
mod narrow;
mod places;
mod story;

use crate::bundle::Bundle;
use crate::chooser::Pick;
use crate::host::ClientHost;
use crate::property::Property;
use crate::run::{Decisions, Limits, Recording, Run};
use crate::scenario::Scenario;
use crate::site::Site;
use crate::world::Outcome;

/// The sites that make up the workload and the surroundings, the most telling first.
const WORKLOAD: [Site; 15] = [
    Site::Clients,
    Site::Flows,
    Site::Relays,
    Site::Script,
    Site::Size,
    Site::Pace,
    Site::Bound,
    Site::Level,
    Site::Latency,
    Site::Split,
    Site::Connect,
    Site::HeavyTail,
    Site::FaultOdds,
    Site::Tie,
    Site::Ruin,
];

/// How far the work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Runs that were tried.
    pub runs: u64,
    /// Picks that are left.
    pub picks: usize,
    /// Events that are left.
    pub events: u64,
    /// Events of all runs that were tried.
    pub work: u64,
}

/// A run made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What the small run is like: the scenario may have changed.
    pub scenario: Scenario,
    /// The small run.
    pub recording: Recording,
    /// How far the work came.
    pub progress: Progress,
    /// Whether nothing smaller was found in the end; else the work was cut short.
    pub complete: bool,
}

impl Shrunk {
    /// As a bundle.
    pub fn bundle(&self, seed: Option<u64>, limits: Limits) -> Bundle {
        Bundle::new(&Run::new(&self.scenario).within(limits), seed, &self.recording)
    }
}

/// Makes a failing run small, as long as `go_on` says so. None where the picks violate nothing.
pub fn shrink(bundle: &Bundle, go_on: impl FnMut(Progress) -> bool) -> Option<Shrunk> {
    shrink_in(&Run::new(&bundle.scenario).within(bundle.limits), &bundle.picks, go_on)
}

/// The same with the hosts of `run`.
pub fn shrink_in<H: ClientHost>(
    run: &Run<'_, H>,
    picks: &[Pick],
    go_on: impl FnMut(Progress) -> bool,
) -> Option<Shrunk> {
    shrink_by(run, picks, |run, picks| run.pick(picks), go_on)
}

/// The same with a `trial` that makes the run of some picks, and says how it ended and what was picked: where a
/// violation counts on some condition.
pub fn shrink_by<H: ClientHost>(
    run: &Run<'_, H>,
    picks: &[Pick],
    mut trial: impl FnMut(&Run<'_, H>, &[Pick]) -> (Outcome, Vec<Pick>),
    go_on: impl FnMut(Progress) -> bool,
) -> Option<Shrunk> {
    let (outcome, picks) = trial(run, picks);
    let property = outcome.violation.as_ref()?.property;
    let mut shrinker = Shrinker {
        run: run.of(run.scenario()),
        trial,
        scenario: run.scenario().clone(),
        property,
        picks,
        events: outcome.events,
        most: u64::MAX,
        runs: 1,
        work: outcome.events,
        go_on,
        spent: false,
    };
    shrinker.limit();
    shrinker.begin();
    while shrinker.fewer_decisions() {}
    while shrinker.fewer_events() {}
    Some(shrinker.finish(run))
}

struct Shrinker<'a, H, T, G> {
    run: Run<'a, H>,
    trial: T,
    scenario: Scenario,
    property: Property,
    picks: Vec<Pick>,
    events: u64,
    /// What has more events is not accepted.
    most: u64,
    runs: u64,
    work: u64,
    go_on: G,
    /// No more runs are allowed.
    spent: bool,
}

impl<H, T, G> Shrinker<'_, H, T, G>
where
    H: ClientHost,
    T: FnMut(&Run<'_, H>, &[Pick]) -> (Outcome, Vec<Pick>),
    G: FnMut(Progress) -> bool,
{
    /// What becomes much longer than the first run shall not take the time of the others.
    fn limit(&mut self) {
        let limits = self.run.limits();
        let events = limits.events.min(4 * self.events + 1000);
        self.run = self.run.within(Limits { events, ..limits });
    }

    /// Takes away what goes together, and makes what is long short: every later run is quicker then.
    fn begin(&mut self) {
        self.cut_workload();
        self.drop_faults();
        self.change_scenario();
    }

    /// Takes decisions away, once each. Whether anything became smaller.
    fn fewer_decisions(&mut self) -> bool {
        let before = (self.picks.clone(), self.scenario.clone());
        self.cut_workload();
        self.drop_faults();
        self.drop_any();
        self.narrow();
        self.lessen();
        self.advance();
        self.renumber();
        self.transplant();
        self.shorten();
        !self.spent && before != (self.picks.clone(), self.scenario.clone())
    }

    /// Makes the story shorter, and takes away what that made needless. Whether it became shorter.
    fn fewer_events(&mut self) -> bool {
        let before = self.events;
        self.most = before;
        self.change_scenario();
        self.change_picks();
        self.most = self.events;
        while self.fewer_decisions() {
            self.most = self.events;
        }
        !self.spent && self.events < before
    }

    /// Whether these picks, in this scenario, violate the same property. If so they are the best so far.
    fn accept(&mut self, scenario: &Scenario, picks: &[Pick]) -> bool {
        self.accept_within(scenario, picks, self.most)
    }

    /// The same, and only with fewer events than the best so far.
    fn accept_shorter(&mut self, scenario: &Scenario, picks: &[Pick]) -> bool {
        self.accept_within(scenario, picks, self.events.saturating_sub(1))
    }

    fn accept_within(&mut self, scenario: &Scenario, picks: &[Pick], most: u64) -> bool {
        if self.spent {
            return false;
        }
        self.runs += 1;
        let limits = self.run.limits();
        // What is violated when a run is over is so after its last event.
        let within = Limits { events: limits.events.min(most.saturating_add(1)), ..limits };
        let (outcome, asked) = (self.trial)(&self.run.of(scenario).within(within), picks);
        self.work += outcome.events;
        let accepted = self.violates(&outcome) && outcome.events <= most;
        if accepted {
            self.picks = asked;
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

    fn try_picks(&mut self, picks: &[Pick]) -> bool {
        let scenario = self.scenario.clone();
        self.accept(&scenario, picks)
    }

    fn try_scenario(&mut self, scenario: Scenario) {
        if scenario != self.scenario {
            let picks = self.picks.clone();
            self.accept(&scenario, &picks);
        }
    }

    fn progress(&self) -> Progress {
        Progress { runs: self.runs, picks: self.picks.len(), events: self.events, work: self.work }
    }

    fn finish(self, run: &Run<'_, H>) -> Shrunk {
        let recording = run.of(&self.scenario).record(&Decisions::Picks(self.picks.clone()));
        let (progress, complete) = (self.progress(), !self.spent);
        Shrunk { scenario: self.scenario, recording, progress, complete }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seqlane::{
        Client, ClientAction, ClientEvent, ExchangeFailure, FlowId, FlowKind, Instant, Misuse, Target,
    };

    use super::*;
    use crate::scenario::{Profile, Wait};
    use crate::script::Kind;

    /// A host that panics on a reply to a call that was sent again: stands for any bug that needs a fault.
    #[derive(Clone)]
    struct Fragile(Client);

    impl ClientHost for Fragile {
        fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, Misuse> {
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

    fn failing(run: &Run<'_, Fragile>) -> Vec<Pick> {
        let seed = (0..100).find(|seed| {
            let violation = run.seeded(*seed).violation;
            violation.is_some_and(|violation| violation.property == Property::S11)
        });
        run.record(&Decisions::Seed(seed.expect("some exchange is lost in a hundred runs"))).picks
    }

    #[test]
    fn one_lost_exchange_is_all_that_is_left_of_a_swarm() {
        // At level 2 many calls pass before one that was lost is given up.
        let scenario = Scenario { level: Some(1), ..Profile::Swarm.scenario() };
        let run = Run::hosted(&scenario, |config, seed, now| Fragile(Client::unsealed(config, seed, now)));
        let picks = failing(&run);
        let shrunk = shrink_in(&run, &picks, |progress| progress.runs < 3000).expect("it fails");
        assert!(shrunk.complete);
        assert!(shrunk.recording.picks.len() <= 2, "{:?}", shrunk.recording.picks);
        let told: Vec<String> = shrunk
            .recording
            .entries
            .iter()
            .map(|entry| format!("{} {} {}", entry.at, entry.actor, entry.what))
            .collect();
        assert!(told.len() <= 30, "{:?}\n{}", shrunk.recording.picks, told.join("\n"));
        let violation = shrunk.recording.outcome.violation.expect("it still fails");
        assert_eq!(violation.property, Property::S11);
        assert!(violation.what.starts_with("an exchange was lost"), "{}", violation.what);
    }

    /// A host that panics on an answer that comes after five minutes: stands for any bug that shows late.
    #[derive(Clone)]
    struct Late(Client, Instant);

    impl ClientHost for Late {
        fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, Misuse> {
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
    fn a_story_becomes_shorter_where_no_decision_is_left_to_take_away() {
        let scenario = Scenario {
            level: Some(2),
            scripts: vec![Kind::Idle],
            storm: Duration::from_secs(400),
            waits: [(Wait::Hold, 4)].into(),
            ..Profile::Calm.scenario()
        };
        let run = Run::hosted(&scenario, |config, seed, now| Late(Client::unsealed(config, seed, now), now));
        let events = run.pick(&[]).0.events;
        let shrunk = shrink_in(&run, &[], |progress| progress.runs < 3000).expect("it fails");
        assert!(shrunk.complete && shrunk.scenario.waits != scenario.waits, "{:?}", shrunk.scenario);
        assert!(shrunk.progress.events * 3 < events, "{events} events, then {}", shrunk.progress.events);
    }

    #[test]
    fn a_violation_counts_only_where_the_trial_says_so() {
        let scenario = Scenario { level: Some(1), ..Profile::Swarm.scenario() };
        let run = Run::hosted(&scenario, |config, seed, now| Fragile(Client::unsealed(config, seed, now)));
        let trial = |run: &Run<'_, Fragile>, picks: &[Pick]| {
            let (mut outcome, asked) = run.pick(picks);
            outcome.violation = outcome.violation.filter(|_| outcome.tally.finished > 0);
            (outcome, asked)
        };
        let seeds = (0..400).map(|seed| run.record(&Decisions::Seed(seed)).picks);
        let shrunk =
            seeds.filter_map(|picks| shrink_by(&run, &picks, trial, |progress| progress.runs < 300)).next();
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
