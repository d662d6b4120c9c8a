//! Decisions from a seed.

use crate::chooser::Chooser;
use crate::odds::Odds;
use crate::rng::{below, keyed};
use crate::site::Site;

/// Answers hash(seed, site, key): every place has its own, so a fault that is taken away shifts no other.
#[derive(Clone, Debug)]
pub struct Seeded {
    seed: u64,
    /// By site; none where every answer is as likely as any other.
    odds: Vec<Option<Odds>>,
}

impl Seeded {
    /// A chooser whose sites are all even.
    pub fn new(seed: u64) -> Self {
        Self { seed, odds: vec![None; Site::ALL.len()] }
    }
}

impl Chooser for Seeded {
    fn pick(&mut self, site: Site, key: u64, n: u32) -> u32 {
        let random = keyed(self.seed, site as u64, key);
        match self.odds[site as usize] {
            None => below(random, n),
            Some(odds) if odds.hit(random) && n > 1 => 1 + below(random << 32, n - 1),
            Some(_) => 0,
        }
    }

    fn weigh(&mut self, site: Site, odds: Odds) {
        self.odds[site as usize] = Some(odds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_same_answer_whatever_was_asked_before() {
        let (mut one, mut other) = (Seeded::new(7), Seeded::new(7));
        for key in 0..100 {
            other.pick(Site::LoseReply, key, 9);
        }
        for key in 0..100 {
            assert_eq!(one.pick(Site::Latency, key, 1000), other.pick(Site::Latency, key, 1000));
        }
    }

    #[test]
    fn a_weighted_site_answers_as_often_as_it_shall() {
        let mut chooser = Seeded::new(3);
        chooser.weigh(Site::LoseReply, Odds::of(1, 10));
        let hits = (0..10_000).filter(|key| chooser.pick(Site::LoseReply, *key, 3) > 0).count();
        assert!((800..1200).contains(&hits), "{hits} of 10000");
        let twos = (0..10_000).filter(|key| chooser.pick(Site::LoseReply, *key, 3) == 2).count();
        assert!((350..650).contains(&twos), "{twos} of 10000");
    }
}
