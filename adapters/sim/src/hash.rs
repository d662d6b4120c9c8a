//! Rolling hashes: of a run, over every event and every byte, and of states, for the explorer.

use std::hash::Hasher;

/// A 64-bit hash that is fast on long bodies. It tells runs apart; it withstands no adversary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollingHash<const MULTIPLIER: u64>(u64);

/// The hash of a run.
pub type RunHash = RollingHash<0x9e37_79b9_7f4a_7c15>;

impl<const MULTIPLIER: u64> RollingHash<MULTIPLIER> {
    /// Takes a number in.
    pub const fn absorb(&mut self, word: u64) {
        // The constant keeps a state of 0 from staying there.
        let state = self.0 ^ word ^ 0xa076_1d64_78bd_642f;
        let wide = state as u128 * MULTIPLIER as u128;
        self.0 = (wide as u64) ^ ((wide >> 64) as u64).rotate_left(29);
    }

    /// The hash so far.
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl<const MULTIPLIER: u64> Hasher for RollingHash<MULTIPLIER> {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.absorb(u64::from_le_bytes(word.try_into().expect("chunks of eight bytes")));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.absorb(u64::from_le_bytes(last));
        self.absorb(bytes.len() as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.absorb(word);
    }
}

/// Two hashes with different multipliers, each fed with everything. Among 10^7 states two have the same pair by accident
/// with probability of about 10^-25.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hash128 {
    left: RunHash,
    right: RollingHash<0xd6e8_feb8_6659_fd93>,
}

impl Hash128 {
    /// Both hashes.
    pub(crate) const fn value(self) -> u128 {
        (self.left.value() as u128) << 64 | self.right.value() as u128
    }
}

impl Hasher for Hash128 {
    fn finish(&self) -> u64 {
        self.left.value()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.left.write(bytes);
        self.right.write(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.left.absorb(number);
        self.right.absorb(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}

/// For a map whose keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(bytes: &[u8]) -> u64 {
        let mut hash = RunHash::default();
        hash.write(bytes);
        hash.value()
    }

    #[test]
    fn every_byte_and_the_length_count() {
        let texts: [&[u8]; 6] = [b"", b"\0", b"abcdefgh", b"abcdefgi", b"abcdefgh\0", b"bacdefgh"];
        for (place, text) in texts.iter().enumerate() {
            for other in &texts[place + 1..] {
                assert_ne!(hash(text), hash(other));
            }
        }
    }

    #[test]
    fn the_order_of_words_counts() {
        let (mut one, mut other) = (RunHash::default(), RunHash::default());
        one.absorb(1);
        one.absorb(2);
        other.absorb(2);
        other.absorb(1);
        assert_ne!(one, other);
    }

    fn hash128(words: &[u64]) -> u128 {
        let mut hash = Hash128::default();
        words.iter().for_each(|word| hash.write_u64(*word));
        hash.value()
    }

    #[test]
    fn order_and_number_of_words_count_in_both_halves() {
        let all = [
            hash128(&[]),
            hash128(&[0]),
            hash128(&[0, 0]),
            hash128(&[1, 2]),
            hash128(&[2, 1]),
            hash128(&[1, 2, 0]),
        ];
        for (place, one) in all.iter().enumerate() {
            for other in &all[place + 1..] {
                assert_ne!(*one as u64, *other as u64);
                assert_ne!((one >> 64) as u64, (other >> 64) as u64);
            }
        }
    }
}
