//! Breadth-first search through all reachable states, so that the first counterexample is a shortest one.
//!
//! Where more states wait than memory should hold, the newest go first until fewer wait.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::explore::healing::{Healing, Sick};
use crate::explore::model::{Broken, Model, Prints, guarded};
use crate::property::Property;

/// What limits a search, and what it checks beside safety.
#[derive(Clone, Copy, Debug)]
pub struct SearchLimits {
    /// The most states that are looked at.
    pub states: usize,
    /// The most states that wait to be looked at before the newest go first. Each takes some 20 KB.
    pub waiting: usize,
    /// The most steps of a healed run; none: healing is not checked.
    pub heal: Option<u32>,
    /// Whether it is checked that a done state can be reached from every state.
    pub reach: bool,
}

/// What a search has found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchProgress {
    /// Distinct states.
    pub states: usize,
    /// States whose every step was tried.
    #[serde(skip)]
    pub expanded: usize,
    /// Steps that were tried.
    pub transitions: u64,
    /// States in which everything is done.
    pub done: usize,
    /// Steps on the longest way by which a state was found: the shortest one to the state that is furthest away, if no
    /// more states waited than memory should hold.
    pub depth: u32,
    /// The most states that waited to be looked at, at a time.
    pub frontier: usize,
    /// Whether there was more than the limit allowed.
    pub truncated: bool,
    /// The most steps that a healed run took; none: not checked.
    pub worst_heal: Option<u32>,
    /// States from which no done state can be reached; none: not checked.
    pub dead: Option<usize>,
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchResult<S> {
    /// The numbers.
    pub progress: SearchProgress,
    /// What does not hold, and the shortest way there.
    pub failure: Option<Refutation<S>>,
}

/// A property that does not hold, and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refutation<S> {
    /// What does not hold.
    pub broken: Broken,
    /// The steps from the start.
    pub steps: Vec<S>,
    /// The fair steps that follow and lead nowhere, for a healed run; empty otherwise.
    pub then: Vec<S>,
}

/// How a state was reached first.
#[derive(Clone, Copy, Debug)]
struct Reached<S> {
    parent: u32,
    step: Option<S>,
}

/// A search in progress.
struct Search<'a, M: Model> {
    model: &'a M,
    limits: SearchLimits,
    seen: Prints<u32>,
    links: Vec<Reached<M::Step>>,
    /// Every transition, from and to, for the way back from done states.
    edges: Vec<(u32, u32)>,
    done: Vec<u32>,
    waiting: VecDeque<(u32, u32, M::State)>,
    healing: Healing<'a, M>,
    found: SearchProgress,
}

/// Looks at every state of `model` and tells `watch` now and then how far it is.
pub fn search<M: Model>(
    model: &M,
    limits: SearchLimits,
    watch: &mut dyn FnMut(SearchProgress),
) -> SearchResult<M::Step> {
    let mut search = Search {
        model,
        limits,
        seen: Prints::default(),
        links: Vec::new(),
        edges: Vec::new(),
        done: Vec::new(),
        waiting: VecDeque::new(),
        healing: Healing::new(model, limits.heal.unwrap_or(0)),
        found: SearchProgress::default(),
    };
    let failure = search.run(watch).err().map(|(broken, at)| search.refutation(broken, at));
    SearchResult { progress: search.found, failure }
}

/// Where a property was found broken: at a state, or by a step from it.
type At<S> = (u32, Option<S>, Vec<S>);

impl<M: Model> Search<'_, M> {
    fn run(&mut self, watch: &mut dyn FnMut(SearchProgress)) -> Result<(), (Broken, At<M::Step>)> {
        /// The interval of progress reports.
        const EVERY: usize = 4096;
        let root = self.model.root().map_err(|broken| (broken, (0, None, Vec::new())))?;
        let print = self.model.print(&root);
        self.admit(print, Reached { parent: 0, step: None }, 0, root);
        while let Some((id, depth, state)) = self.next() {
            self.found.depth = self.found.depth.max(depth);
            if self.limits.heal.is_some() {
                self.heal(id, &state)?;
            }
            if self.model.is_done(&state) {
                self.done.push(id);
                self.found.done += 1;
            } else {
                self.expand(id, depth, state)?;
            }
            self.found.expanded += 1;
            if self.found.expanded.is_multiple_of(EVERY) {
                watch(self.found);
            }
        }
        if self.limits.reach { self.reach() } else { Ok(()) }
    }

    fn next(&mut self) -> Option<(u32, u32, M::State)> {
        if self.waiting.len() > self.limits.waiting {
            self.waiting.pop_back()
        } else {
            self.waiting.pop_front()
        }
    }

    fn admit(&mut self, print: u128, link: Reached<M::Step>, depth: u32, state: M::State) -> u32 {
        let id = self.links.len() as u32;
        self.seen.insert(print, id);
        self.links.push(link);
        self.found.states = self.links.len();
        self.waiting.push_back((id, depth, state));
        self.found.frontier = self.found.frontier.max(self.waiting.len());
        id
    }

    fn expand(&mut self, id: u32, depth: u32, state: M::State) -> Result<(), (Broken, At<M::Step>)> {
        let steps = self.model.steps(&state);
        if steps.is_empty() {
            let broken = Broken::new(Property::L3, "nothing can happen any more, and not everything is done");
            return Err((broken, (id, None, Vec::new())));
        }
        for step in steps {
            let mut next = state.clone();
            self.found.transitions += 1;
            guarded(|| self.model.take(&mut next, step))
                .map_err(|broken| (broken, (id, Some(step), Vec::new())))?;
            let print = self.model.print(&next);
            let to = match self.seen.get(&print) {
                Some(known) => *known,
                None if self.links.len() >= self.limits.states => {
                    self.found.truncated = true;
                    continue;
                }
                None => self.admit(print, Reached { parent: id, step: Some(step) }, depth + 1, next),
            };
            if self.limits.reach {
                self.edges.push((id, to));
            }
        }
        Ok(())
    }

    fn heal(&mut self, id: u32, state: &M::State) -> Result<(), (Broken, At<M::Step>)> {
        match self.healing.steps(state) {
            Ok(steps) => {
                self.found.worst_heal = self.found.worst_heal.max(Some(steps));
                Ok(())
            }
            Err(Sick { broken, steps }) => Err((broken, (id, None, steps))),
        }
    }

    /// Backwards from the done states: whatever is not met can never be done.
    fn reach(&mut self) -> Result<(), (Broken, At<M::Step>)> {
        if self.found.truncated {
            return Ok(());
        }
        let alive = backwards(self.links.len(), &self.edges, &self.done);
        let dead = alive.iter().filter(|alive| !**alive).count();
        self.found.dead = Some(dead);
        let Some(first) = alive.iter().position(|alive| !alive) else { return Ok(()) };
        let what = format!("from here, and from {} other states, nothing leads to the end", dead - 1);
        Err((Broken::new(Property::L1, what), (first as u32, None, Vec::new())))
    }

    fn refutation(&self, broken: Broken, (at, step, then): At<M::Step>) -> Refutation<M::Step> {
        let mut steps: Vec<M::Step> = step.into_iter().collect();
        let mut id = at;
        while let Some(Reached { parent, step: Some(step) }) = self.links.get(id as usize).copied() {
            steps.push(step);
            id = parent;
        }
        steps.reverse();
        Refutation { broken, steps, then }
    }
}

/// Which of `count` states have a way along `edges` to one of `ends`.
fn backwards(count: usize, edges: &[(u32, u32)], ends: &[u32]) -> Vec<bool> {
    // The edges by where they lead to: counted, then sorted into place.
    let mut starts = vec![0_u32; count + 1];
    for (_, to) in edges {
        starts[*to as usize + 1] += 1;
    }
    for place in 0..count {
        starts[place + 1] += starts[place];
    }
    let mut filled = starts.clone();
    let mut sources = vec![0_u32; edges.len()];
    for (from, to) in edges {
        sources[filled[*to as usize] as usize] = *from;
        filled[*to as usize] += 1;
    }
    let mut alive = vec![false; count];
    let mut waiting = ends.to_vec();
    while let Some(id) = waiting.pop() {
        if !std::mem::replace(&mut alive[id as usize], true) {
            let from = starts[id as usize] as usize..starts[id as usize + 1] as usize;
            waiting.extend(&sources[from]);
        }
    }
    alive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_an_end_is_alive_and_a_circle_beside_it_is_not() {
        let edges = [(0, 1), (1, 2), (0, 3), (3, 4), (4, 3), (1, 0)];
        assert_eq!(backwards(5, &edges, &[2]), [true, true, true, false, false]);
    }
}
