//! A chooser that derives decisions from a seed.

use crate::chooser::Chooser;
use crate::rng::{below, keyed};
use crate::{DecisionPoint, Probability};

/// Answers hash(seed, point, key): every place has its own, so a fault that is taken away shifts no other.
#[derive(Clone, Debug)]
pub struct Seeded {
    seed: u64,
    /// By point; none where every answer is as likely as any other.
    probability: Vec<Option<Probability>>,
}

impl Seeded {
    /// A chooser without weights.
    pub fn new(seed: u64) -> Self {
        Self { seed, probability: vec![None; DecisionPoint::ALL.len()] }
    }
}

impl Chooser for Seeded {
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32 {
        let random = keyed(self.seed, point as u64, key);
        match self.probability[point as usize] {
            None => below(random, n),
            Some(probability) if probability.hit(random) && n > 1 => 1 + below(random << 32, n - 1),
            Some(_) => 0,
        }
    }

    fn weigh(&mut self, point: DecisionPoint, probability: Probability) {
        self.probability[point as usize] = Some(probability);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_same_answer_whatever_was_asked_before() {
        let (mut one, mut other) = (Seeded::new(7), Seeded::new(7));
        for key in 0..100 {
            other.decide(DecisionPoint::LoseReply, key, 9);
        }
        for key in 0..100 {
            assert_eq!(
                one.decide(DecisionPoint::Latency, key, 1000),
                other.decide(DecisionPoint::Latency, key, 1000)
            );
        }
    }

    #[test]
    fn a_weighted_site_answers_as_often_as_it_shall() {
        let mut chooser = Seeded::new(3);
        chooser.weigh(DecisionPoint::LoseReply, Probability::of(1, 10));
        let hits = (0..10_000).filter(|key| chooser.decide(DecisionPoint::LoseReply, *key, 3) > 0).count();
        assert!((800..1200).contains(&hits), "{hits} of 10000");
        let twos = (0..10_000).filter(|key| chooser.decide(DecisionPoint::LoseReply, *key, 3) == 2).count();
        assert!((350..650).contains(&twos), "{twos} of 10000");
    }
}
