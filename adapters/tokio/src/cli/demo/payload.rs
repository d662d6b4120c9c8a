//! Pseudo-random bytes that are the same in every run.

use std::sync::Arc;

use sha2::{Digest, Sha256};

/// The bytes of all transfers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Payload(Arc<[u8]>);

impl Payload {
    pub(super) fn new(seed: u64, len: usize) -> Self {
        let mut state = seed;
        let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
        while bytes.len() < len {
            bytes.extend_from_slice(&split_mix(&mut state).to_le_bytes());
        }
        bytes.truncate(len);
        Self(bytes.into())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first `len` bytes, or all when there are fewer.
    pub(super) fn first(&self, len: usize) -> &[u8] {
        self.0.get(..len).unwrap_or(&self.0)
    }
}

/// The next number of Vigna's `SplitMix64`.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The SHA-256 of `bytes` in hexadecimal.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_whatever_the_length() {
        let long = Payload::new(7, 1001);
        assert_eq!(long.len(), 1001);
        assert_eq!(Payload::new(7, 10).first(10), long.first(10));
        assert_ne!(Payload::new(8, 10).first(10), long.first(10));
    }

    #[test]
    fn the_generator_is_split_mix() {
        let mut state = 1_234_567;
        assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
    }

    #[test]
    fn fingerprints_are_sha_256() {
        assert!(fingerprint(b"").starts_with("e3b0c44298fc1c14"));
    }
}
