//! Hashes at intervals of a run, to find the first event at which another run differs.

use serde::{Deserialize, Serialize};

use crate::hex::Hex;

/// The widest distance between two kept hashes, in events, and how many are kept before it widens.
const MOST: u64 = 1024;

/// The hash after every event of a short run, and after every 1024th of a long one.
#[serde_with::serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// Events between two hashes.
    stride: u64,
    /// The hashes, of event `stride` first.
    #[serde_as(as = "Vec<Hex>")]
    hashes: Vec<u64>,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { stride: 1, hashes: Vec::new() }
    }
}

impl Checkpoints {
    /// Takes in the hash after an event; events come one after the other, from 1.
    pub fn note(&mut self, event: u64, hash: u64) {
        if !event.is_multiple_of(self.stride) {
            return;
        }
        self.hashes.push(hash);
        if self.hashes.len() as u64 == MOST && self.stride < MOST {
            self.stride *= 2;
            self.hashes = self.hashes.iter().skip(1).step_by(2).copied().collect();
        }
    }

    /// The events among which the first lies after which the two runs differ, from and to; none where they
    /// agree as far as both go.
    pub fn differ(&self, other: &Self) -> Option<(u64, u64)> {
        let stride = self.stride.max(other.stride);
        let mine = self.hashes.iter().skip((stride / self.stride) as usize - 1);
        let mine = mine.step_by((stride / self.stride) as usize);
        let theirs = other.hashes.iter().skip((stride / other.stride) as usize - 1);
        let theirs = theirs.step_by((stride / other.stride) as usize);
        let place = mine.zip(theirs).position(|(mine, theirs)| mine != theirs)? as u64;
        Some((place * stride + 1, (place + 1) * stride))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(events: u64, wrong_from: u64) -> Checkpoints {
        let mut checkpoints = Checkpoints::default();
        for event in 1..=events {
            checkpoints.note(event, if event < wrong_from { event } else { !event });
        }
        checkpoints
    }

    #[test]
    fn a_short_run_names_the_event() {
        assert_eq!(run(500, u64::MAX).differ(&run(500, 321)), Some((321, 321)));
        assert_eq!(run(500, u64::MAX).differ(&run(400, u64::MAX)), None);
    }

    #[test]
    fn a_long_run_names_the_stretch() {
        let (long, short) = (run(5_000_000, u64::MAX), run(3100, 2500));
        assert_eq!(long.stride, MOST);
        assert_eq!(long.differ(&short), Some((2049, 3072)));
        assert_eq!(run(4000, u64::MAX).differ(&short), Some((2497, 2500)));
    }
}
