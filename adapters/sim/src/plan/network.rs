//! A chooser for measured runs: a seed decides the network, everything else is benign.

use crate::rng::{below, keyed};
use crate::{Chooser, DecisionPoint, Probability, Seeded};

/// Draws round trips, losses and duplicates; what is lost is lost silently.
#[derive(Clone, Debug)]
pub struct NetworkOnly {
    seeded: Seeded,
    /// How many answers are still to come before the one that is lost, where only one is.
    lose_one: Option<u32>,
}

impl NetworkOnly {
    /// Losses as often as the setup says.
    pub fn new(seed: u64) -> Self {
        Self { seeded: Seeded::new(seed), lose_one: None }
    }

    /// One of the early answers is lost.
    pub fn losing_one(seed: u64) -> Self {
        /// The first answers are those to opens and to what only asks how quick a relay is.
        const SPARED: u32 = 10;
        /// Among how many of the next it is.
        const AMONG: u32 = 10;
        let nth = SPARED + below(keyed(seed, DecisionPoint::LoseReply as u64, 0), AMONG);
        Self { lose_one: Some(nth), ..Self::new(seed) }
    }

    fn lose_reply(&mut self, key: u64, n: u32) -> u32 {
        const SILENTLY: u32 = 1;
        match &mut self.lose_one {
            None => self.seeded.decide(DecisionPoint::LoseReply, key, n).min(SILENTLY),
            Some(left) => {
                let this = *left == 0;
                *left = left.wrapping_sub(1);
                u32::from(this)
            }
        }
    }
}

impl Chooser for NetworkOnly {
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32 {
        match point {
            DecisionPoint::LoseReply => self.lose_reply(key, n),
            DecisionPoint::LoseRequest => self.seeded.decide(point, key, n).min(1),
            DecisionPoint::Latency
            | DecisionPoint::Split
            | DecisionPoint::Duplicate
            | DecisionPoint::DuplicateDelay => self.seeded.decide(point, key, n),
            _ => 0,
        }
    }

    fn weigh(&mut self, point: DecisionPoint, probability: Probability) {
        self.seeded.weigh(point, probability);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_answer_is_lost_and_not_one_of_the_first() {
        for seed in 0..50 {
            let mut chooser = NetworkOnly::losing_one(seed);
            let lost: Vec<u64> =
                (0..1000).filter(|key| chooser.decide(DecisionPoint::LoseReply, *key, 3) > 0).collect();
            assert_eq!(lost.len(), 1);
            assert!((10..20).contains(&lost[0]));
        }
    }

    #[test]
    fn a_loss_is_silent_and_nothing_but_the_network_is_drawn() {
        let mut chooser = NetworkOnly::new(3);
        chooser.weigh(DecisionPoint::LoseRequest, Probability::of(1, 2));
        let decisions: Vec<u32> =
            (0..100).map(|key| chooser.decide(DecisionPoint::LoseRequest, key, 3)).collect();
        assert!(decisions.contains(&1) && !decisions.contains(&2));
        assert!((0..100).all(|key| chooser.decide(DecisionPoint::Connect, key, 80) == 0));
    }
}
