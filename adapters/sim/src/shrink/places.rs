//! The places at which a run asks: a pick may do the same at another of them.

use crate::chooser::{Chooser, Pick, Recorded, key};
use crate::host::ClientHost;
use crate::run::{Limits, Run};
use crate::scenario::Scenario;
use crate::shrink::{Progress, Shrinker, WORKLOAD};
use crate::site::Site;
use crate::trace::NoTrace;
use crate::world::Outcome;

/// Earlier places that are tried for one pick.
const MOST_MOVES: usize = 24;
/// Picks of a run up to which dropping one and moving another is tried: the work grows with their square.
const MOST_TRANSPLANTS: usize = 12;

/// A question of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) site: Site,
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
    fn pick(&mut self, site: Site, key: u64, n: u32) -> u32 {
        self.places.push(Place { site, key, ways: n });
        self.chooser.pick(site, key, n)
    }
}

impl<H, T, G> Shrinker<'_, H, T, G>
where
    H: ClientHost,
    T: FnMut(&Run<'_, H>, &[Pick]) -> (Outcome, Vec<Pick>),
    G: FnMut(Progress) -> bool,
{
    /// Moves every pick to the first place of its site at which it does the same: a fault strikes the first
    /// exchange rather than the tenth, and the first client rather than the second.
    pub(super) fn advance(&mut self) {
        let mut place = 0;
        while place < self.picks.len() && !self.spent {
            let Pick { site, key, .. } = self.picks[place];
            let asked = self.asked(site, &self.scenario, &self.picks);
            let earlier = asked.iter().take_while(|asked| **asked != key).take(MOST_MOVES);
            for key in earlier {
                let mut picks = self.picks.clone();
                picks[place].key = *key;
                if self.try_picks(&picks) {
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
                let picks = renumbered(&self.picks, old, new);
                if picks != self.picks && self.try_picks(&picks) {
                    break;
                }
            }
        }
    }

    /// Drops a pick and moves another at the same time: with a flow less, the exchange that matters has another
    /// number.
    pub(super) fn transplant(&mut self) {
        let mut place = 0;
        while place < self.picks.len() && !self.spent {
            let mut left = self.picks.clone();
            left.remove(place);
            if !self.accept_moved(&self.scenario.clone(), &left) {
                place += 1;
            }
        }
    }

    /// Whether the same property is violated when one of these picks is moved.
    pub(super) fn accept_moved(&mut self, scenario: &Scenario, picks: &[Pick]) -> bool {
        picks.len() <= MOST_TRANSPLANTS && (0..picks.len()).any(|moved| self.move_one(scenario, picks, moved))
    }

    /// Tries one of these picks at every place at which it could be.
    fn move_one(&mut self, scenario: &Scenario, picks: &[Pick], moved: usize) -> bool {
        let mut rest = picks.to_vec();
        let pick = rest.remove(moved);
        if WORKLOAD.contains(&pick.site) || self.spent {
            return false;
        }
        let places = self.asked(pick.site, scenario, &rest);
        places.iter().take(MOST_MOVES).any(|key| {
            let mut picks = rest.clone();
            picks.push(Pick { key: *key, ..pick });
            self.accept(scenario, &picks)
        })
    }

    /// For whom a run asks at this site, in the order of asking.
    fn asked(&self, site: Site, scenario: &Scenario, picks: &[Pick]) -> Vec<u64> {
        self.places(scenario, picks)
            .iter()
            .filter(|place| place.site == site)
            .map(|place| place.key)
            .collect()
    }

    /// What a run asks, in the order of asking.
    pub(super) fn places(&self, scenario: &Scenario, picks: &[Pick]) -> Vec<Place> {
        let mut listener = Listener { chooser: Recorded::new(picks.iter().copied()), places: Vec::new() };
        let limits = self.run.limits();
        let within = Limits { events: limits.events.min(self.most), ..limits };
        self.run.of(scenario).within(within).decided(&mut listener, NoTrace);
        listener.places
    }
}

/// The picks with everything that `old` has given to `new`, which loses what it had. Sites that count something else
/// keep their keys.
fn renumbered(picks: &[Pick], old: u64, new: u64) -> Vec<Pick> {
    const FIRST: u64 = 3;
    let counted = |pick: &Pick| {
        !matches!(pick.site, Site::Bound | Site::FaultOn | Site::FaultOdds | Site::Level | Site::Tie)
    };
    let moved = |pick: &Pick| {
        let nth = (0..FIRST).find(|nth| pick.key == key(old, *nth));
        let key = nth.map_or(new, |nth| key(new, nth));
        (counted(pick) && (nth.is_some() || pick.key == old)).then_some(Pick { key, ..*pick })
    };
    let lost =
        |pick: &Pick| counted(pick) && (pick.key == new || (0..FIRST).any(|nth| pick.key == key(new, nth)));
    let given: Vec<Pick> = picks.iter().filter_map(moved).collect();
    if given.is_empty() {
        return picks.to_vec();
    }
    let kept = picks.iter().filter(|pick| moved(pick).is_none() && !lost(pick)).copied();
    kept.chain(given).collect()
}
