//! Fewer decisions: picks are taken away, brought down and moved to the front.

use crate::chooser::Pick;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::run::Run;
use crate::shrink::{Progress, Shrinker, WORKLOAD};
use crate::site::Site;
use crate::world::Outcome;

impl<H, T, G> Shrinker<'_, H, T, G>
where
    H: ClientHost,
    T: FnMut(&Run<'_, H>, &[Pick]) -> (Outcome, Vec<Pick>),
    G: FnMut(Progress) -> bool,
{
    /// Takes away what `unwanted` names.
    fn without(&mut self, unwanted: impl Fn(&Pick) -> bool) {
        let left: Vec<Pick> = self.picks.iter().filter(|pick| !unwanted(pick)).copied().collect();
        if left.len() < self.picks.len() {
            self.try_picks(&left);
        }
    }

    pub(super) fn cut_workload(&mut self) {
        self.without(|pick| WORKLOAD.contains(&pick.site));
        for site in WORKLOAD {
            self.without(|pick| pick.site == site);
        }
    }

    /// Drops whole kinds of faults, first by their switch and then by their site.
    pub(super) fn drop_faults(&mut self) {
        for fault in Fault::ALL {
            let switch = fault.index() as u64;
            self.without(|pick| pick.site == Site::FaultOn && pick.key == switch);
        }
        for site in Site::ALL {
            self.without(|pick| pick.site == *site);
        }
    }

    /// Drops picks in ever smaller chunks (ddmin).
    pub(super) fn drop_any(&mut self) {
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

    /// Brings every value down as far as it goes, by halving the distance to 0.
    pub(super) fn lessen(&mut self) {
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
}
