//! Who decides a measured run: a seed for what the network does, and the benign way everywhere else.

use crate::chooser::{Chooser, Seeded};
use crate::odds::Odds;
use crate::rng::{below, keyed};
use crate::site::Site;

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
        let nth = SPARED + below(keyed(seed, Site::LoseReply as u64, 0), AMONG);
        Self { lose_one: Some(nth), ..Self::new(seed) }
    }

    fn lose_reply(&mut self, key: u64, n: u32) -> u32 {
        const SILENTLY: u32 = 1;
        match &mut self.lose_one {
            None => self.seeded.pick(Site::LoseReply, key, n).min(SILENTLY),
            Some(left) => {
                let this = *left == 0;
                *left = left.wrapping_sub(1);
                u32::from(this)
            }
        }
    }
}

impl Chooser for NetworkOnly {
    fn pick(&mut self, site: Site, key: u64, n: u32) -> u32 {
        match site {
            Site::LoseReply => self.lose_reply(key, n),
            Site::LoseRequest => self.seeded.pick(site, key, n).min(1),
            Site::Latency | Site::Split | Site::Duplicate | Site::DuplicateDelay => {
                self.seeded.pick(site, key, n)
            }
            _ => 0,
        }
    }

    fn weigh(&mut self, site: Site, odds: Odds) {
        self.seeded.weigh(site, odds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_answer_is_lost_and_not_one_of_the_first() {
        for seed in 0..50 {
            let mut chooser = NetworkOnly::losing_one(seed);
            let lost: Vec<u64> = (0..1000).filter(|key| chooser.pick(Site::LoseReply, *key, 3) > 0).collect();
            assert_eq!(lost.len(), 1);
            assert!((10..20).contains(&lost[0]));
        }
    }

    #[test]
    fn a_loss_is_silent_and_nothing_but_the_network_is_drawn() {
        let mut chooser = NetworkOnly::new(3);
        chooser.weigh(Site::LoseRequest, Odds::of(1, 2));
        let picks: Vec<u32> = (0..100).map(|key| chooser.pick(Site::LoseRequest, key, 3)).collect();
        assert!(picks.contains(&1) && !picks.contains(&2));
        assert!((0..100).all(|key| chooser.pick(Site::Connect, key, 80) == 0));
    }
}
