//! A failing run made small: fewer decisions, smaller ones, a shorter story, and the same property violated.
//!
//! The answer 0 is benign everywhere, so a pick that is taken away is a decision that went well, and every
//! subset of the picks is a run. What the smaller run no longer asks falls away by itself.

use std::time::Duration;

use crate::bundle::Bundle;
use crate::chooser::{Chooser, Pick, Recorded};
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::property::Property;
use crate::run::{Decisions, Limits, Recording, Run};
use crate::scenario::{Scenario, Span};
use crate::site::Site;
use crate::trace::NoTrace;
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
}

/// A run made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What the small run is like: the scenario may have become narrower.
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
    let (outcome, picks) = run.pick(picks);
    let property = outcome.violation.as_ref()?.property;
    let mut shrinker = Shrinker {
        run: run.of(run.scenario()),
        scenario: run.scenario().clone(),
        property,
        picks,
        events: outcome.events,
        runs: 1,
        go_on,
        spent: false,
    };
    shrinker.limit();
    while shrinker.round() {}
    Some(shrinker.finish(run))
}

/// Earlier places that are tried for one pick.
const MOST_MOVES: usize = 24;
/// Picks of a run up to which dropping one and moving another is tried: the work grows with their square.
const MOST_TRANSPLANTS: usize = 12;

/// Hears for whom a site is asked.
struct Listener {
    chooser: Recorded,
    site: Site,
    keys: Vec<u64>,
}

impl Chooser for Listener {
    fn pick(&mut self, site: Site, key: u64, n: u32) -> u32 {
        if site == self.site {
            self.keys.push(key);
        }
        self.chooser.pick(site, key, n)
    }
}

struct Shrinker<'a, H, G> {
    run: Run<'a, H>,
    scenario: Scenario,
    property: Property,
    picks: Vec<Pick>,
    events: u64,
    runs: u64,
    go_on: G,
    /// No more runs are allowed.
    spent: bool,
}

impl<H: ClientHost, G: FnMut(Progress) -> bool> Shrinker<'_, H, G> {
    /// What becomes much longer than the first run shall not take the time of the others.
    fn limit(&mut self) {
        let limits = self.run.limits();
        let events = limits.events.min(4 * self.events + 1000);
        self.run = self.run.within(Limits { events, ..limits });
    }

    /// Whether these picks, in this scenario, violate the same property. If so they are the best so far.
    fn accept(&mut self, scenario: &Scenario, picks: &[Pick]) -> bool {
        if self.spent {
            return false;
        }
        self.runs += 1;
        let (outcome, asked) = self.run.of(scenario).pick(picks);
        let accepted = self.violates(&outcome);
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

    fn progress(&self) -> Progress {
        Progress { runs: self.runs, picks: self.picks.len(), events: self.events }
    }

    /// Everything once. Whether anything became smaller.
    fn round(&mut self) -> bool {
        let before = (self.picks.clone(), self.scenario.clone());
        self.cut_workload();
        self.drop_faults();
        self.drop_any();
        self.narrow();
        self.lessen();
        self.advance();
        self.transplant();
        self.shorten();
        !self.spent && before != (self.picks.clone(), self.scenario.clone())
    }

    /// Takes away what `unwanted` names.
    fn without(&mut self, unwanted: impl Fn(&Pick) -> bool) {
        let left: Vec<Pick> = self.picks.iter().filter(|pick| !unwanted(pick)).copied().collect();
        if left.len() < self.picks.len() {
            self.try_picks(&left);
        }
    }

    fn cut_workload(&mut self) {
        self.without(|pick| WORKLOAD.contains(&pick.site));
        for site in WORKLOAD {
            self.without(|pick| pick.site == site);
        }
    }

    /// Drops whole kinds of faults, first by their switch and then by their site.
    fn drop_faults(&mut self) {
        for fault in Fault::ALL {
            let switch = fault.index() as u64;
            self.without(|pick| pick.site == Site::FaultOn && pick.key == switch);
        }
        for site in Site::ALL {
            self.without(|pick| pick.site == *site);
        }
    }

    /// Drops picks in ever smaller chunks (ddmin).
    fn drop_any(&mut self) {
        let mut chunk = self.picks.len().div_ceil(2);
        while chunk > 0 && !self.spent {
            let mut from = 0;
            while from < self.picks.len() && !self.spent {
                let to = (from + chunk).min(self.picks.len());
                let left = [&self.picks[..from], &self.picks[to..]].concat();
                if !self.try_picks(&left) {
                    from = to;
                }
            }
            chunk /= 2;
        }
    }

    /// Takes out of the scenario what the run makes no use of, so that it needs fewer picks to say the same.
    fn narrow(&mut self) {
        let has = |site: Site| self.picks.iter().any(|pick| pick.site == site);
        let narrow = Scenario {
            odd_bounds: self.scenario.odd_bounds && has(Site::Bound),
            ties: self.scenario.ties && has(Site::Tie),
            ..self.scenario.clone()
        };
        let kept = |fault: &Fault| {
            let switch = fault.index() as u64;
            !narrow.swarm || self.picks.iter().any(|pick| pick.site == Site::FaultOn && pick.key == switch)
        };
        let net = narrow.net.iter().filter(|(fault, _)| kept(fault)).map(|(fault, odds)| (*fault, *odds));
        let narrow = Scenario { swarm: false, net: net.collect(), ..narrow.clone() };
        self.try_scenario(narrow);
        self.narrow_spans();
        for fault in Fault::ALL {
            let mut fewer = self.scenario.clone();
            fewer.net.remove(fault);
            self.try_scenario(fewer);
        }
    }

    /// One client, one relay, one flow, where the scenario wants more.
    fn narrow_spans(&mut self) {
        const ONE: Span = Span::new(1, 1);
        let spans: [fn(&mut Scenario) -> &mut Span; 3] = [
            |scenario| &mut scenario.clients,
            |scenario| &mut scenario.flows,
            |scenario| &mut scenario.relays,
        ];
        for span in spans {
            let mut narrow = self.scenario.clone();
            *span(&mut narrow) = ONE;
            if narrow != self.scenario && !self.accept(&narrow, &self.picks.clone()) {
                self.accept_moved(&narrow, &self.picks.clone());
            }
        }
    }

    fn try_scenario(&mut self, scenario: Scenario) {
        if scenario != self.scenario {
            let picks = self.picks.clone();
            self.accept(&scenario, &picks);
        }
    }

    /// Brings every value down as far as it goes, by halving the distance to 0.
    fn lessen(&mut self) {
        let mut place = 0;
        while place < self.picks.len() && !self.spent {
            let (mut passes, mut fails) = (0, self.picks[place].value);
            while fails - passes > 1 && place < self.picks.len() && !self.spent {
                let middle = passes + (fails - passes) / 2;
                let mut picks = self.picks.clone();
                picks[place].value = middle;
                if self.try_picks(&picks) {
                    fails = middle;
                } else {
                    passes = middle;
                }
            }
            place += 1;
        }
    }

    /// Moves every pick to the first place of its site at which it does the same: a fault strikes the first
    /// exchange rather than the tenth, and the first client rather than the second.
    fn advance(&mut self) {
        let mut place = 0;
        while place < self.picks.len() && !self.spent {
            let Pick { site, key, .. } = self.picks[place];
            let asked = self.asked(site, &self.scenario, &self.picks);
            let earlier = asked.iter().take_while(|asked| **asked != key).take(MOST_MOVES);
            for key in earlier {
                let mut picks = self.picks.clone();
                picks[place].key = *key;
                if self.try_picks(&picks) {
                    break;
                }
            }
            place += 1;
        }
    }

    /// Drops a pick and moves another at the same time: with a flow less, the exchange that matters has another
    /// number.
    fn transplant(&mut self) {
        let mut place = 0;
        while place < self.picks.len() && !self.spent {
            let mut left = self.picks.clone();
            left.remove(place);
            if !self.accept_moved(&self.scenario.clone(), &left) {
                place += 1;
            }
        }
    }

    /// Whether the same property is violated when one of these picks is moved.
    fn accept_moved(&mut self, scenario: &Scenario, picks: &[Pick]) -> bool {
        picks.len() <= MOST_TRANSPLANTS && (0..picks.len()).any(|moved| self.move_one(scenario, picks, moved))
    }

    /// Tries one of these picks at every place at which it could be.
    fn move_one(&mut self, scenario: &Scenario, picks: &[Pick], moved: usize) -> bool {
        let mut rest = picks.to_vec();
        let pick = rest.remove(moved);
        if WORKLOAD.contains(&pick.site) || self.spent {
            return false;
        }
        let places = self.asked(pick.site, scenario, &rest);
        places.iter().take(MOST_MOVES).any(|key| {
            let mut picks = rest.clone();
            picks.push(Pick { key: *key, ..pick });
            self.accept(scenario, &picks)
        })
    }

    /// For whom a run asks at this site, in the order of asking.
    fn asked(&self, site: Site, scenario: &Scenario, picks: &[Pick]) -> Vec<u64> {
        let mut listener = Listener { chooser: Recorded::new(picks.iter().copied()), site, keys: Vec::new() };
        self.run.of(scenario).decided(&mut listener, NoTrace);
        listener.keys
    }

    /// Lets the faults end sooner, so that less time passes in which nothing happens.
    fn shorten(&mut self) {
        const SHORTEST: Duration = Duration::from_millis(100);
        while self.scenario.storm > SHORTEST && !self.spent {
            let storm = Duration::from_millis(self.scenario.storm.as_millis() as u64 / 2);
            let before = self.scenario.storm;
            self.try_scenario(Scenario { storm, ..self.scenario.clone() });
            if self.scenario.storm == before {
                break;
            }
        }
    }

    fn finish(self, run: &Run<'_, H>) -> Shrunk {
        let recording = run.of(&self.scenario).record(&Decisions::Picks(self.picks.clone()));
        let (progress, complete) = (self.progress(), !self.spent);
        Shrunk { scenario: self.scenario, recording, progress, complete }
    }
}

#[cfg(test)]
mod tests {
    use seqlane::{
        Client, ClientAction, ClientEvent, ExchangeFailure, FlowKind, Instant, Misuse, StreamId, Target,
    };

    use super::*;
    use crate::scenario::Profile;

    /// A host that panics on a reply to a call that was sent again: stands for any bug that needs a fault.
    #[derive(Clone)]
    struct Fragile(Client);

    impl ClientHost for Fragile {
        fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<StreamId, Misuse> {
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
