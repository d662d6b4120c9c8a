//! Repeatable random faults: they depend only on the seed, the number of the call and the name of the fault.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// Random numbers of one relay. Each fault has its own number for each call, so adding or removing a fault does not
/// change the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct FaultRng {
    seed: u64,
}

impl FaultRng {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Whether a fault of this probability happens to a call.
    pub(super) fn happens(self, call: u64, fault: &str, probability: f64) -> bool {
        probability > 0.0 && self.fraction(call, fault) < probability
    }

    /// A duration up to `spread` shorter or longer than `middle`, evenly distributed.
    pub(super) fn around(self, call: u64, fault: &str, middle: Duration, spread: Duration) -> Duration {
        if spread.is_zero() {
            return middle;
        }
        (middle + spread.mul_f64(2.0 * self.fraction(call, fault))).saturating_sub(spread)
    }

    /// An index below `len`; 0 if `len` is 0.
    pub(super) fn index(self, call: u64, fault: &str, len: usize) -> usize {
        let index = self.number(call, fault).checked_rem(len as u64).unwrap_or(0);
        usize::try_from(index).unwrap_or(0)
    }

    /// An unguessable name.
    pub(super) fn name(self, call: u64, fault: &str) -> String {
        format!("{:016x}{:016x}", self.number(call, fault), self.number(!call, fault))
    }

    /// From 0 up to 1, without 1.
    fn fraction(self, call: u64, fault: &str) -> f64 {
        // 53 bits are what a float holds exactly.
        const RANGE: f64 = (1_u64 << 53) as f64;
        (self.number(call, fault) >> 11) as f64 / RANGE
    }

    fn number(self, call: u64, fault: &str) -> u64 {
        let digest = Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(call.to_be_bytes())
            .chain_update(fault)
            .finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_values_the_same() {
        let values =
            |seed| (0..64).map(|call| FaultRng::new(seed).happens(call, "html", 0.5)).collect::<Vec<_>>();
        assert_eq!(values(1), values(1));
        assert_ne!(values(1), values(2));
    }

    #[test]
    fn faults_are_independent() {
        let rng = FaultRng::new(7);
        let of = |fault| (0..64).map(|call| rng.happens(call, fault, 0.5)).collect::<Vec<_>>();
        assert_ne!(of("html"), of("truncate"));
    }

    #[test]
    fn certain_things_happen_and_impossible_ones_do_not() {
        let rng = FaultRng::new(3);
        assert!((0..1000).all(|call| rng.happens(call, "x", 1.0)));
        assert!(!(0..1000).any(|call| rng.happens(call, "x", 0.0)));
        let half = (0..1000).filter(|call| rng.happens(*call, "x", 0.5)).count();
        assert!((400..600).contains(&half), "{half}");
    }

    #[test]
    fn delays_stay_within_their_spread() {
        let (middle, spread) = (Duration::from_millis(300), Duration::from_millis(100));
        let delays: Vec<_> =
            (0..200).map(|call| FaultRng::new(5).around(call, "d", middle, spread)).collect();
        assert!(delays.iter().all(|delay| (middle - spread..middle + spread).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < middle) && delays.iter().any(|delay| *delay > middle));
        assert_eq!(FaultRng::new(5).around(0, "d", Duration::ZERO, Duration::ZERO), Duration::ZERO);
    }
}
