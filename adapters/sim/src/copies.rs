//! Copies (D2): a world that is copied in the middle of a run goes on like the original.

use crate::chooser::Seeded;
use crate::property::{Property, Violation};
use crate::scenario::Scenario;
use crate::trace::NoTrace;
use crate::world::{Outcome, World};

/// Runs to the event `at`, copies everything, and lets both go on to the end, or to `most` events.
///
/// # Errors
/// The original's outcome with a violation of [`Property::D2`], when the two differ.
pub fn check(scenario: &Scenario, seed: u64, at: u64, most: u64) -> Result<Outcome, Box<Outcome>> {
    let mut original = World::with(scenario, Seeded::new(seed), NoTrace);
    original.run(at);
    let mut copy = original.clone();
    let (first, second) = (original.run(most), copy.run(most));
    if first == second {
        return Ok(first);
    }
    let what = format!("a copy made at event {at} ends with another hash than its original");
    let violation = Violation { property: Property::D2, at: first.time, event: first.events, what };
    Err(Box::new(Outcome { violation: Some(violation), ..first }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Profile;

    #[test]
    fn a_copy_goes_on_like_its_original() {
        let scenario = Profile::Swarm.scenario();
        for seed in 0..30 {
            assert!(check(&scenario, seed, 40, 100_000).is_ok(), "seed {seed}");
        }
    }
}
