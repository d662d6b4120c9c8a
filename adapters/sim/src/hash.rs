//! The rolling hash of a run, over every event and every byte.

use std::hash::Hasher;

/// A 64-bit hash that is fast on long bodies. It tells runs apart; it withstands no adversary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunHash(u64);

impl RunHash {
    /// Takes a number in.
    pub const fn absorb(&mut self, word: u64) {
        // The constant keeps a state of 0 from staying there.
        let state = self.0 ^ word ^ 0xa076_1d64_78bd_642f;
        let wide = state as u128 * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (wide as u64) ^ ((wide >> 64) as u64).rotate_left(29);
    }

    /// The hash so far.
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl Hasher for RunHash {
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
}
