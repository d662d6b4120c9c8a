//! Decision points that a run reaches, and decisions moved between them.

use crate::chooser::key;
use crate::shrink::{Shrinker, WORKLOAD};
use crate::trace::NoTrace;
use crate::{Chooser, ClientHost, Decision, DecisionPoint, Limits, Recorded, Scenario};

/// Earlier places that are tried for one decision.
const MOST_MOVES: usize = 24;
/// List of a run up to which dropping one and moving another is tried: the work grows with their square.
const MOST_TRANSPLANTS: usize = 12;

/// A question of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) point: DecisionPoint,
    pub(super) key: u64,
    /// How many answers there are.
    pub(super) ways: u32,
}

/// Hears what is asked.
struct Listener {
    chooser: Recorded,
    places: Vec<Place>,
}

impl Chooser for Listener {
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32 {
        self.places.push(Place { point, key, ways: n });
        self.chooser.decide(point, key, n)
    }
}

impl<H: ClientHost> Shrinker<'_, H> {
    /// Moves every decision to the first place of its point at which it does the same: a fault strikes the first
    /// exchange rather than the tenth, and the first client rather than the second.
    pub(super) fn advance(&mut self) {
        let mut place = 0;
        while place < self.decisions.len() && !self.spent {
            let Decision { point, key, .. } = self.decisions[place];
            let asked = self.asked(point, &self.scenario, &self.decisions);
            let earlier = asked.iter().take_while(|asked| **asked != key).take(MOST_MOVES);
            for key in earlier {
                let mut decisions = self.decisions.clone();
                decisions[place].key = *key;
                if self.try_decisions(&decisions) {
                    break;
                }
            }
            place += 1;
        }
    }

    /// Gives everything of a flow, a client or a relay to an earlier one.
    pub(super) fn renumber(&mut self) {
        const MOST: u64 = 8;
        for old in 1..MOST {
            for new in 0..old {
                let decisions = renumbered(&self.decisions, old, new);
                if decisions != self.decisions && self.try_decisions(&decisions) {
                    break;
                }
            }
        }
    }

    /// Drops a decision and moves another at the same time: with a flow less, the exchange that matters has another
    /// number.
    pub(super) fn transplant(&mut self) {
        let mut place = 0;
        while place < self.decisions.len() && !self.spent {
            let mut left = self.decisions.clone();
            left.remove(place);
            if !self.accept_moved(&self.scenario.clone(), &left) {
                place += 1;
            }
        }
    }

    /// Whether the same property is violated when one of these decisions is moved.
    pub(super) fn accept_moved(&mut self, scenario: &Scenario, decisions: &[Decision]) -> bool {
        decisions.len() <= MOST_TRANSPLANTS
            && (0..decisions.len()).any(|moved| self.move_one(scenario, decisions, moved))
    }

    /// Tries one of these decisions at every place at which it could be.
    fn move_one(&mut self, scenario: &Scenario, decisions: &[Decision], moved: usize) -> bool {
        let mut rest = decisions.to_vec();
        let decision = rest.remove(moved);
        if WORKLOAD.contains(&decision.point) || self.spent {
            return false;
        }
        let places = self.asked(decision.point, scenario, &rest);
        places.iter().take(MOST_MOVES).any(|key| {
            let mut decisions = rest.clone();
            decisions.push(Decision { key: *key, ..decision });
            self.accept(scenario, &decisions)
        })
    }

    /// The keys that a run asks for at this point, in order.
    fn asked(&self, point: DecisionPoint, scenario: &Scenario, decisions: &[Decision]) -> Vec<u64> {
        self.places(scenario, decisions)
            .iter()
            .filter(|place| place.point == point)
            .map(|place| place.key)
            .collect()
    }

    /// The decision points that a run reaches, in order.
    pub(super) fn places(&self, scenario: &Scenario, decisions: &[Decision]) -> Vec<Place> {
        let mut listener = Listener { chooser: Recorded::new(decisions.iter().copied()), places: Vec::new() };
        let limits = self.run.limits();
        let within = Limits { events: limits.events.min(self.most), ..limits };
        self.run.of(scenario).within(within).decided(&mut listener, NoTrace);
        listener.places
    }
}

/// The decisions with everything that `old` has given to `new`, which loses what it had. Decision points that count something else
/// keep their keys.
fn renumbered(decisions: &[Decision], old: u64, new: u64) -> Vec<Decision> {
    const FIRST: u64 = 3;
    let counted = |decision: &Decision| {
        !matches!(
            decision.point,
            DecisionPoint::Bound
                | DecisionPoint::FaultOn
                | DecisionPoint::FaultProbability
                | DecisionPoint::Level
                | DecisionPoint::Tie
        )
    };
    let moved = |decision: &Decision| {
        let nth = (0..FIRST).find(|nth| decision.key == key(old, *nth));
        let key = nth.map_or(new, |nth| key(new, nth));
        (counted(decision) && (nth.is_some() || decision.key == old)).then_some(Decision { key, ..*decision })
    };
    let lost = |decision: &Decision| {
        counted(decision) && (decision.key == new || (0..FIRST).any(|nth| decision.key == key(new, nth)))
    };
    let given: Vec<Decision> = decisions.iter().filter_map(moved).collect();
    if given.is_empty() {
        return decisions.to_vec();
    }
    let kept = decisions.iter().filter(|decision| moved(decision).is_none() && !lost(decision)).copied();
    kept.chain(given).collect()
}
