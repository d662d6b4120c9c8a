//! Recorded decisions, and choosers that write and read them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::chooser::Chooser;
use crate::{DecisionPoint, Probability};

/// A decision that was not the benign one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(DecisionPoint, u64, u32)", into = "(DecisionPoint, u64, u32)")]
pub struct Decision {
    /// Where it was made.
    pub point: DecisionPoint,
    /// For whom.
    pub key: u64,
    /// What it was; never 0.
    pub value: u32,
}

impl From<(DecisionPoint, u64, u32)> for Decision {
    fn from((point, key, value): (DecisionPoint, u64, u32)) -> Self {
        Self { point, key, value }
    }
}

impl From<Decision> for (DecisionPoint, u64, u32) {
    fn from(decision: Decision) -> Self {
        (decision.point, decision.key, decision.value)
    }
}

/// Answers from a list of decisions, found by place and not by order; 0 wherever the list is silent.
#[derive(Clone, Debug, Default)]
pub struct Recorded(BTreeMap<(DecisionPoint, u64), u32>);

impl Recorded {
    /// Answers with these decisions.
    pub fn new(decisions: impl IntoIterator<Item = Decision>) -> Self {
        Self(decisions.into_iter().map(|decision| ((decision.point, decision.key), decision.value)).collect())
    }
}

impl Chooser for Recorded {
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32 {
        self.0.get(&(point, key)).copied().unwrap_or(0).min(n.saturating_sub(1))
    }
}

/// Records the decisions of another chooser.
#[derive(Clone, Debug)]
pub struct Recorder<C> {
    chooser: C,
    decisions: Vec<Decision>,
}

impl<C> Recorder<C> {
    /// Listens to `chooser`.
    pub const fn new(chooser: C) -> Self {
        Self { chooser, decisions: Vec::new() }
    }

    /// The decisions so far that were not the benign one, in the order of asking.
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }
}

impl<C: Chooser> Chooser for Recorder<C> {
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32 {
        let value = self.chooser.decide(point, key, n);
        if value != 0 {
            self.decisions.push(Decision { point, key, value });
        }
        value
    }

    fn weigh(&mut self, point: DecisionPoint, probability: Probability) {
        self.chooser.weigh(point, probability);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chooser::Seeded;

    #[test]
    fn what_was_recorded_is_decided_again() {
        let mut recorder = Recorder::new(Seeded::new(11));
        let first: Vec<u32> = (0..200).map(|key| recorder.decide(DecisionPoint::Latency, key, 4)).collect();
        let mut recorded = Recorded::new(recorder.decisions().iter().copied());
        let again: Vec<u32> = (0..200).map(|key| recorded.decide(DecisionPoint::Latency, key, 4)).collect();
        assert_eq!(first, again);
    }

    #[test]
    fn silence_is_benign_and_a_pick_too_high_is_the_highest() {
        let mut recorded = Recorded::new([Decision { point: DecisionPoint::Garbage, key: 4, value: 9 }]);
        assert_eq!(recorded.decide(DecisionPoint::Garbage, 5, 10), 0);
        assert_eq!(recorded.decide(DecisionPoint::Garbage, 4, 3), 2);
    }
}
