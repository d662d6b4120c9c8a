//! Choosers: one trait for every decision of a run, with four implementations.
//!
//! Everything that a run could do in more than one way is asked for at a [`DecisionPoint`]. The answer 0 is always the
//! benign one: no fault, the smallest workload, the shortest way. So the list of answers that are not 0 *is*
//! the run, a shorter list is a simpler run, and a list that ends early is a run that heals.
//!
//! | chooser | answers |
//! |---|---|
//! | [`Seeded`] | from a seed, each place on its own, weighted by point |
//! | [`Recorded`] | from a list of decisions; 0 wherever the list is silent |
//! | [`Exhaustive`] | every combination, one after the other |
//! | [`FromBytes`] | from bytes, as fuzzers have them; 0 when they run out |

mod bytes;
mod exhaustive;
mod recorded;
mod seeded;

pub use bytes::FromBytes;
pub use exhaustive::Exhaustive;
pub use recorded::{Decision, Recorded, Recorder};
pub use seeded::Seeded;

use crate::{DecisionPoint, Probability};

/// Carries every decision of a run.
pub trait Chooser {
    /// Decides one of `n` ways, below `n`; 0 is benign. `key` identifies the subject: each point and key is asked once.
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32;

    /// Sets the probability of answers other than 0 at this point. Only random choosers use it.
    fn weigh(&mut self, point: DecisionPoint, probability: Probability) {
        let _ = (point, probability);
    }
}

impl<C: Chooser + ?Sized> Chooser for &mut C {
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32 {
        (**self).decide(point, key, n)
    }

    fn weigh(&mut self, point: DecisionPoint, probability: Probability) {
        (**self).weigh(point, probability);
    }
}

/// The key of something that happens to `entity` for the `nth` time.
pub const fn key(entity: u64, nth: u64) -> u64 {
    entity.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ nth
}
