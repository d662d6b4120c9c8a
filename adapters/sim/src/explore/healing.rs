//! Healed runs: from any state, without further faults and with fair steps, everything comes to its end.

use crate::explore::model::{Broken, Model, Prints, guarded};
use crate::property::Property;

/// Runs healed worlds. What it has seen it does not run again: a healed run has one way to go.
pub(super) struct Healing<'a, M: Model> {
    model: &'a M,
    /// The most steps to the end.
    most: u32,
    /// How many steps each state on the way was from the end.
    known: Prints<u32>,
}

/// A state that does not heal.
pub(super) struct Sick<S> {
    pub(super) broken: Broken,
    /// The fair steps that were tried.
    pub(super) steps: Vec<S>,
}

impl<'a, M: Model> Healing<'a, M> {
    pub(super) fn new(model: &'a M, most: u32) -> Self {
        Self { model, most, known: Prints::default() }
    }

    /// How many steps it takes from `state` until everything is done.
    pub(super) fn steps(&mut self, state: &M::State) -> Result<u32, Sick<M::Step>> {
        let mut state = state.clone();
        self.model.heal(&mut state);
        let mut way = Vec::new();
        let mut steps = Vec::new();
        let rest = loop {
            let print = self.model.print(&state);
            if let Some(known) = self.known.get(&print) {
                break *known;
            }
            way.push(print);
            if self.model.is_done(&state) {
                break 0;
            }
            let next = self.model.fair(&state).filter(|_| steps.len() < self.most as usize);
            let Some(step) = next else {
                let what = format!("healed here, it is not done after {} fair steps", steps.len());
                return Err(Sick { broken: Broken::new(Property::L1, what), steps });
            };
            steps.push(step);
            if let Err(broken) = guarded(|| self.model.take(&mut state, step)) {
                return Err(Sick { broken, steps });
            }
        };
        // The last print is that of the end itself, or of the state before the one that was known.
        let last = rest + steps.len() as u32;
        for (done, print) in (0..).zip(way) {
            self.known.insert(print, last - done);
        }
        Ok(last)
    }
}
