//! A 128-bit hash for fingerprints: two 64-bit hashes with different multipliers.

use std::hash::Hasher;

/// Two hashes, each fed with everything. Among 10^7 states two have the same pair by accident with probability of
/// about 10^-25.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash128 {
    left: u64,
    right: u64,
}

impl Default for Hash128 {
    fn default() -> Self {
        Self { left: 0x243f_6a88_85a3_08d3, right: 0x1319_8a2e_0370_7344 }
    }
}

const fn fold(state: u64, multiplier: u64) -> u64 {
    let wide = state as u128 * multiplier as u128;
    (wide as u64) ^ ((wide >> 64) as u64)
}

impl Hash128 {
    const fn absorb(&mut self, word: u64) {
        // The rotation keeps the order of words, the constants keep a state of 0 from staying there.
        self.left = fold(self.left.rotate_left(23) ^ word ^ 0xa076_1d64_78bd_642f, 0x9e37_79b9_7f4a_7c15);
        self.right = fold(self.right.rotate_left(41) ^ word ^ 0xe703_7ed1_a0b4_28db, 0xd6e8_feb8_6659_fd93);
    }

    /// Both hashes.
    pub(crate) const fn value(self) -> u128 {
        (self.left as u128) << 64 | self.right as u128
    }
}

impl Hasher for Hash128 {
    fn finish(&self) -> u64 {
        self.left
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.absorb(u64::from_le_bytes(word.try_into().expect("chunks of eight bytes")));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.absorb(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    fn write_u8(&mut self, number: u8) {
        self.absorb(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.absorb(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.absorb(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.absorb(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.absorb(number as u64);
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

    fn hash(words: &[u64]) -> u128 {
        let mut hash = Hash128::default();
        words.iter().for_each(|word| hash.write_u64(*word));
        hash.value()
    }

    #[test]
    fn order_and_number_of_words_count_in_both_halves() {
        let all = [hash(&[]), hash(&[0]), hash(&[0, 0]), hash(&[1, 2]), hash(&[2, 1]), hash(&[1, 2, 0])];
        for (place, one) in all.iter().enumerate() {
            for other in &all[place + 1..] {
                assert_ne!(*one as u64, *other as u64);
                assert_ne!((one >> 64) as u64, (other >> 64) as u64);
            }
        }
    }
}
