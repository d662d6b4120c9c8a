//! The simulator's own random numbers: the same on every machine and in every version.
//!
//! Generators of general libraries may change their output between versions, and a seed that no longer
//! reproduces its run is worth nothing. So the generators are here, with test vectors, under a version name
//! that every trace carries.

/// The version of the scheme that turns a seed into decisions. It changes when any decision would.
pub const SCHEME: &str = "x1";

/// SplitMix64: expands a seed, and mixes well enough to be a hash of small keys.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator that starts at `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finish(self.0)
    }
}

/// The output function of SplitMix64: a bijection in which every input bit moves every output bit.
const fn finish(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The number that belongs to a place in a run: the seed, where the decision is made, and for whom.
///
/// Each place has its own, so a decision that is added or taken away moves no other.
pub const fn keyed(seed: u64, point: u64, key: u64) -> u64 {
    // One after the other, so that no two of the three can take each other's place.
    let seeded = finish(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
    let placed = finish(seeded ^ point.wrapping_mul(0xd6e8_feb8_6659_fd93));
    finish(placed.wrapping_add(key.wrapping_mul(0xa076_1d64_78bd_642f)))
}

/// A number below `n` from 64 random bits, by multiplication. The bias is below n / 2^64.
pub const fn below(random: u64, n: u32) -> u32 {
    ((random as u128 * n as u128) >> 64) as u32
}

/// xoshiro256++: many numbers from one seed, for machine seeds and byte patterns.
#[derive(Clone, Debug)]
pub struct Xoshiro256pp([u64; 4]);

impl Xoshiro256pp {
    /// A generator whose state is four numbers of [`SplitMix64`].
    pub const fn new(seed: u64) -> Self {
        let mut mix = SplitMix64::new(seed);
        Self([mix.next(), mix.next(), mix.next(), mix.next()])
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        let (b, a) = (b ^ c, a ^ d);
        self.0 = [a, b, c ^ (self.0[1] << 17), d.rotate_left(45)];
        result
    }

    /// 32 random bytes, as the machines take for a seed.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_its_published_numbers() {
        let mut mix = SplitMix64::new(1_234_567);
        let got = [mix.next(), mix.next(), mix.next()];
        assert_eq!(got, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn xoshiro256pp_gives_its_published_numbers() {
        let mut rng = Xoshiro256pp([1, 2, 3, 4]);
        let got = [rng.next(), rng.next(), rng.next(), rng.next(), rng.next()];
        assert_eq!(
            got,
            [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386, 9_228_616_714_210_784_205]
        );
    }

    #[test]
    fn keyed_numbers_never_change() {
        let got = [keyed(0, 0, 0), keyed(1, 0, 0), keyed(0, 1, 0), keyed(0, 0, 1)];
        assert_eq!(got, KEYED, "changing these breaks every seed: raise SCHEME");
    }

    const KEYED: [u64; 4] = [
        3_746_585_686_858_627_171,
        736_442_933_886_495_122,
        10_490_306_505_073_779_482,
        5_482_741_253_832_077_536,
    ];

    #[test]
    fn below_covers_its_range_and_nothing_else() {
        assert_eq!((below(0, 7), below(u64::MAX, 7), below(u64::MAX, 1)), (0, 6, 0));
    }
}
