//! What tells that bytes are the ones that were written. It withstands accidents, not adversaries.

/// A hash of 64 bits over all that was taken in so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Check(u64);

impl Check {
    /// The hash of these bytes alone.
    pub(super) fn of(bytes: &[u8]) -> u64 {
        let mut check = Self::default();
        check.take_in(bytes);
        check.0
    }

    /// Takes in bytes, and how many they are.
    pub(super) fn take_in(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (place, byte) in last.iter_mut().zip(rest) {
            *place = *byte;
        }
        self.mix(u64::from_le_bytes(last));
        self.mix(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    /// Multiplication by an odd number loses nothing, and the shift brings what it moved up down again: the finalizer
    /// of splitmix64.
    const fn mix(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.0 = mixed ^ (mixed >> 31);
    }

    /// What stands behind an entry.
    pub(super) const fn value(self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_every_length_counts() {
        let texts: [&[u8]; 6] = [b"", b"\0", b"abcdefgh", b"abcdefgi", b"abcdefgh\0", b"bacdefgh"];
        for (place, text) in texts.iter().enumerate() {
            for other in &texts[place + 1..] {
                assert_ne!(Check::of(text), Check::of(other), "{text:?} {other:?}");
            }
        }
    }

    #[test]
    fn what_came_before_counts() {
        let (mut once, mut twice) = (Check::default(), Check::default());
        once.take_in(b"ab");
        twice.take_in(b"a");
        twice.take_in(b"b");
        assert_ne!(once.value(), twice.value());
    }
}
