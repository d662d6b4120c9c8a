//! Copies of worlds (D2): a copy made in the middle of a run continues like the original.

use crate::trace::NoTrace;
use crate::world::World;
use crate::{Outcome, Property, Run, Seeded, Violation};

/// The event after which a run is copied.
const MIDDLE: u64 = 30;

/// Makes the run of a seed with a copy. Where the two end differently, the outcome is the original's with a violation of
/// [`Property::D2`].
pub fn check(run: &Run<'_>, seed: u64) -> Outcome {
    let mut original = World::with(run.scenario(), Seeded::new(seed), NoTrace);
    original.run(MIDDLE);
    let mut copy = original.clone();
    let most = run.limits().events;
    let (first, second) = (original.run(most), copy.run(most));
    if first == second {
        return first;
    }
    let what = format!("a copy made at event {MIDDLE} ends with another hash than its original");
    let violation = Violation { property: Property::D2, at: first.time, event: first.events, what };
    Outcome { violation: Some(violation), ..first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Profile;

    #[test]
    fn a_copy_goes_on_like_its_original() {
        let scenario = Profile::Swarm.scenario();
        for seed in 0..30 {
            assert_eq!(check(&Run::new(&scenario), seed).violation, None, "seed {seed}");
        }
    }
}
