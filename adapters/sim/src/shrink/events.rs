//! Fewer events, by changes of the scenario or of single decisions.

use std::time::Duration;

use crate::latency::Latency;
use crate::scenario::{Span, Wait};
use crate::shrink::Shrinker;
use crate::shrink::places::Place;
use crate::{ClientHost, Decision, DecisionPoint, Scenario};

/// Places of a point that are tried.
const MOST_PLACES: usize = 12;
/// Answers of a question that are all tried.
const FEW_WAYS: u32 = 6;

impl<H: ClientHost> Shrinker<'_, H> {
    /// Tries other scenarios, one name of them after the other.
    pub(super) fn change_scenario(&mut self) {
        for change in edits(&self.scenario) {
            let mut scenario = self.scenario.clone();
            change(&mut scenario);
            if scenario != self.scenario && !self.spent {
                self.try_shorter(&scenario);
            }
        }
    }

    /// Whether the run has fewer events in this scenario: with the same decisions, without sizes, or with a decision moved.
    fn try_shorter(&mut self, scenario: &Scenario) -> bool {
        let decisions = self.decisions.clone();
        let sized =
            |decision: &&Decision| !matches!(decision.point, DecisionPoint::Size | DecisionPoint::Large);
        let plain: Vec<Decision> = decisions.iter().filter(sized).copied().collect();
        if self.accept_shorter(scenario, &decisions)
            || plain != decisions && self.accept_shorter(scenario, &plain)
        {
            return true;
        }
        let most = std::mem::replace(&mut self.most, self.events.saturating_sub(1));
        let moved = self.accept_moved(scenario, &decisions);
        self.most = most;
        moved
    }

    /// Tries other decisions, one point after the other: larger pieces are fewer, and an odd bound may end a loop.
    pub(super) fn change_decisions(&mut self) {
        let scenario = Scenario { odd_bounds: true, ..self.scenario.clone() };
        let mut asked = vec![0; DecisionPoint::ALL.len()];
        for place in self.places(&scenario, &self.decisions) {
            let count = &mut asked[place.point as usize];
            *count += 1;
            if *count <= MOST_PLACES || place.point == DecisionPoint::Bound {
                self.change_decision(&scenario, place);
            }
        }
    }

    fn change_decision(&mut self, scenario: &Scenario, Place { point, key, ways }: Place) {
        let at = |decision: &&Decision| (decision.point, decision.key) == (point, key);
        let now = self.decisions.iter().find(at).map_or(0, |decision| decision.value);
        let values = if ways <= FEW_WAYS {
            (0..ways).collect()
        } else {
            vec![ways - 1, ways / 2, ways / 4, ways / 16, 1]
        };
        for value in values.into_iter().filter(|value| *value != now) {
            let mut decisions: Vec<Decision> =
                self.decisions.iter().filter(|decision| !at(decision)).copied().collect();
            decisions.extend((value > 0).then_some(Decision { point, key, value }));
            self.accept_shorter(scenario, &decisions);
        }
    }
}

/// Sets a name of a scenario.
type ScenarioEdit = Box<dyn Fn(&mut Scenario)>;

/// The edits to try, the most effective first: waits, then participants, latency and scripts, times, how much is said in
/// how large pieces, and calls at a time and a day.
fn edits(scenario: &Scenario) -> Vec<ScenarioEdit> {
    const SECONDS: [u32; 4] = [1, 5, 20, 200];
    const BYTES: [usize; 3] = [1, 700, 1 << 16];
    let waits = Wait::ALL.into_iter().flat_map(|wait| SECONDS.map(|seconds| (wait, seconds)));
    let spans = [1, 2, 3].map(|count| Span::new(count, count));
    let latencies = [Latency::Instant, Latency::Steady, Latency::Fixed(300), Latency::Fixed(5_000)];
    let phases = [10, 100, 1_000, 5_000, 20_000, 60_000].map(Duration::from_millis);
    let openings = [0, 100, 1_000].map(Duration::from_millis);
    let days = scenario.daily_calls.into_iter().flat_map(|calls| [1, 2, 3, 4, 6, 8, 12, calls / 2]);
    [
        each(waits, |scenario, (wait, seconds)| *scenario.waits.entry(wait).or_default() = seconds),
        each([4, 20], |scenario, seconds| scenario.client_idle = Some(seconds)),
        each(0..=2, |scenario, level| scenario.level = Some(level)),
        each(scenario.scripts.clone(), |scenario, kind| scenario.scripts = vec![kind]),
        each(spans, |scenario, span| scenario.clients = span),
        each(spans, |scenario, span| scenario.relays = span),
        each(spans, |scenario, span| scenario.flows = span),
        each(latencies, |scenario, latency| scenario.latency = latency),
        each([false], |scenario, foreign_clients| scenario.foreign_clients = foreign_clients),
        each(phases, |scenario, fault_phase| scenario.fault_phase = fault_phase),
        each(openings, |scenario, openings| scenario.openings = openings),
        each([1, 100, 1_000, 4_000, 70_000, 300_000, 2_000_000], |scenario, bytes| scenario.bytes = bytes),
        each([1, 2, 3, 8], |scenario, depth| scenario.depth = Some(depth)),
        each(BYTES, |scenario, bytes| scenario.op_payload = Some(bytes)),
        each(BYTES, |scenario, bytes| scenario.write_queue = Some(bytes)),
        each([None], |scenario, link| (scenario.link, scenario.per_call) = (link, link)),
        each([1, 2, 3], |scenario, calls| scenario.concurrency = calls),
        each(days, |scenario, calls| scenario.daily_calls = Some(calls)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A change to each of these values.
fn each<V: Clone + 'static>(
    values: impl IntoIterator<Item = V>,
    set: fn(&mut Scenario, V),
) -> Vec<ScenarioEdit> {
    let change = |value: V| -> ScenarioEdit { Box::new(move |scenario| set(scenario, value.clone())) };
    values.into_iter().map(change).collect()
}
