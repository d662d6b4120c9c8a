//! Checksum over a recording. It detects accidents, not adversaries.

/// A 64-bit hash over everything that was added so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checksum(u64);

impl Checksum {
    /// The hash of these bytes alone.
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut checksum = Self::default();
        checksum.add(bytes);
        checksum.0
    }

    /// Adds bytes and their number.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (place, byte) in last.iter_mut().zip(rest) {
            *place = *byte;
        }
        self.mix(u64::from_le_bytes(last));
        self.mix(bytes.len() as u64);
    }

    /// One step of the finalizer of splitmix64. It is a bijection.
    const fn mix(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.0 = mixed ^ (mixed >> 31);
    }

    /// The four bytes that follow an entry.
    pub(crate) const fn value(self) -> [u8; 4] {
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
                assert_ne!(Checksum::of(text), Checksum::of(other), "{text:?} {other:?}");
            }
        }
    }

    #[test]
    fn what_came_before_counts() {
        let (mut once, mut twice) = (Checksum::default(), Checksum::default());
        once.add(b"ab");
        twice.add(b"a");
        twice.add(b"b");
        assert_ne!(once.value(), twice.value());
    }
}
