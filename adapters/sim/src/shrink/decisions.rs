//! Fewer decisions: they are removed, lowered and moved to earlier places.

use crate::shrink::{Shrinker, WORKLOAD};
use crate::{ClientHost, Decision, DecisionPoint, Fault};

impl<H: ClientHost> Shrinker<'_, H> {
    /// Removes the decisions that `unwanted` selects.
    fn without(&mut self, unwanted: impl Fn(&Decision) -> bool) {
        let left: Vec<Decision> =
            self.decisions.iter().filter(|decision| !unwanted(decision)).copied().collect();
        if left.len() < self.decisions.len() {
            self.try_decisions(&left);
        }
    }

    pub(super) fn cut_workload(&mut self) {
        self.without(|decision| WORKLOAD.contains(&decision.point));
        for point in WORKLOAD {
            self.without(|decision| decision.point == point);
        }
    }

    /// Drops whole kinds of faults, first by their switch and then by their point.
    pub(super) fn drop_faults(&mut self) {
        for fault in Fault::ALL {
            let switch = fault.index() as u64;
            self.without(|decision| decision.point == DecisionPoint::FaultOn && decision.key == switch);
        }
        for point in DecisionPoint::ALL {
            self.without(|decision| decision.point == *point);
        }
    }

    /// Drops decisions in ever smaller chunks (ddmin).
    pub(super) fn drop_any(&mut self) {
        let mut chunk = self.decisions.len().div_ceil(2);
        while chunk > 0 && !self.spent {
            let mut from = 0;
            while from < self.decisions.len() && !self.spent {
                let to = (from + chunk).min(self.decisions.len());
                let left = [&self.decisions[..from], &self.decisions[to..]].concat();
                if !self.try_decisions(&left) {
                    from = to;
                }
            }
            chunk /= 2;
        }
    }

    /// Lowers every value as far as possible, by halving the distance to 0.
    pub(super) fn lessen(&mut self) {
        let mut place = 0;
        while place < self.decisions.len() && !self.spent {
            let (mut passes, mut fails) = (0, self.decisions[place].value);
            while fails - passes > 1 && place < self.decisions.len() && !self.spent {
                let middle = passes + (fails - passes) / 2;
                let mut decisions = self.decisions.clone();
                decisions[place].value = middle;
                if self.try_decisions(&decisions) {
                    fails = middle;
                } else {
                    passes = middle;
                }
            }
            place += 1;
        }
    }
}
