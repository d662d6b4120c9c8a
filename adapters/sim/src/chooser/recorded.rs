//! Decisions written down, and read back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::chooser::Chooser;
use crate::odds::Odds;
use crate::site::Site;

/// A decision that was not the benign one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(Site, u64, u32)", into = "(Site, u64, u32)")]
pub struct Pick {
    /// Where it was made.
    pub site: Site,
    /// For whom.
    pub key: u64,
    /// What it was; never 0.
    pub value: u32,
}

impl From<(Site, u64, u32)> for Pick {
    fn from((site, key, value): (Site, u64, u32)) -> Self {
        Self { site, key, value }
    }
}

impl From<Pick> for (Site, u64, u32) {
    fn from(pick: Pick) -> Self {
        (pick.site, pick.key, pick.value)
    }
}

/// Answers from a list of picks, found by place and not by order; 0 wherever the list is silent.
#[derive(Clone, Debug, Default)]
pub struct Recorded(BTreeMap<(Site, u64), u32>);

impl Recorded {
    /// Answers with these picks.
    pub fn new(picks: impl IntoIterator<Item = Pick>) -> Self {
        Self(picks.into_iter().map(|pick| ((pick.site, pick.key), pick.value)).collect())
    }
}

impl Chooser for Recorded {
    fn pick(&mut self, site: Site, key: u64, n: u32) -> u32 {
        self.0.get(&(site, key)).copied().unwrap_or(0).min(n.saturating_sub(1))
    }
}

/// Writes down what another chooser decides.
#[derive(Clone, Debug)]
pub struct Recorder<C> {
    chooser: C,
    picks: Vec<Pick>,
}

impl<C> Recorder<C> {
    /// Listens to `chooser`.
    pub const fn new(chooser: C) -> Self {
        Self { chooser, picks: Vec::new() }
    }

    /// The decisions so far that were not the benign one, in the order of asking.
    pub fn picks(&self) -> &[Pick] {
        &self.picks
    }
}

impl<C: Chooser> Chooser for Recorder<C> {
    fn pick(&mut self, site: Site, key: u64, n: u32) -> u32 {
        let value = self.chooser.pick(site, key, n);
        if value != 0 {
            self.picks.push(Pick { site, key, value });
        }
        value
    }

    fn weigh(&mut self, site: Site, odds: Odds) {
        self.chooser.weigh(site, odds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chooser::Seeded;

    #[test]
    fn what_was_recorded_is_decided_again() {
        let mut recorder = Recorder::new(Seeded::new(11));
        let first: Vec<u32> = (0..200).map(|key| recorder.pick(Site::Latency, key, 4)).collect();
        let mut recorded = Recorded::new(recorder.picks().iter().copied());
        let again: Vec<u32> = (0..200).map(|key| recorded.pick(Site::Latency, key, 4)).collect();
        assert_eq!(first, again);
    }

    #[test]
    fn silence_is_benign_and_a_pick_too_high_is_the_highest() {
        let mut recorded = Recorded::new([Pick { site: Site::Garbage, key: 4, value: 9 }]);
        assert_eq!(recorded.pick(Site::Garbage, 5, 10), 0);
        assert_eq!(recorded.pick(Site::Garbage, 4, 3), 2);
    }
}
