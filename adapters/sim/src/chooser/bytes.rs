//! A chooser that reads decisions from bytes, for fuzzers and property tests.

use crate::chooser::Chooser;
use crate::decision_point::DecisionPoint;

/// Takes one byte a decision, two where there are more than 256 ways, and answers 0 when they have run out:
/// a short input is a run that heals.
#[derive(Clone, Debug)]
pub struct FromBytes<'a>(&'a [u8]);

impl<'a> FromBytes<'a> {
    /// Decides with these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether the bytes have run out.
    pub const fn is_spent(&self) -> bool {
        self.0.is_empty()
    }

    fn next(&mut self) -> u32 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        u32::from(*first)
    }
}

impl Chooser for FromBytes<'_> {
    fn decide(&mut self, _point: DecisionPoint, _key: u64, n: u32) -> u32 {
        if n <= 1 {
            return 0;
        }
        let value = if n > 256 { (self.next() << 8) | self.next() } else { self.next() };
        value % n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_ran_out_are_benign() {
        let mut chooser = FromBytes::new(&[5, 1, 2]);
        assert_eq!(chooser.decide(DecisionPoint::Garbage, 0, 4), 1);
        assert_eq!(chooser.decide(DecisionPoint::Latency, 0, 65_536), 0x0102);
        assert_eq!(chooser.decide(DecisionPoint::Garbage, 1, 4), 0);
    }
}
