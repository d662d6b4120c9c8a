//! Numbers that count only beside others, and how hashers see them.
//!
//! The state of a machine is full of them: an instant counts by how far away it is, an id by what else has it, a
//! sequence number by its distance from the one that is expected. They are hashed as `u128`, which nothing else in a
//! state is: the number, and above it what it is. So a fingerprint can tell them, and every other hasher sees them as
//! they are.

use core::hash::Hasher;

/// How far it is from now, before or after.
pub(crate) const INSTANT: u128 = 0;
/// How far it is ahead: one that has passed has passed.
pub(crate) const DEADLINE: u128 = 1 << 64;
/// How far it is from the number that its session expects.
pub(crate) const SEQ: u128 = 2 << 64;
/// Whether it is a session that is known, and which.
pub(crate) const SID: u128 = 3 << 64;
/// Which other things have the same name.
pub(crate) const FLOW: u128 = 4 << 64;
pub(crate) const EXCHANGE: u128 = 5 << 64;
pub(crate) const REQUEST: u128 = 6 << 64;
pub(crate) const UPSTREAM: u128 = 7 << 64;
pub(crate) const CONNECTION: u128 = 8 << 64;
pub(crate) const CLIENT: u128 = 9 << 64;
pub(crate) const NODE: u128 = 10 << 64;

/// Hashes a number of this kind.
pub(crate) fn hash(kind: u128, number: u64, state: &mut impl Hasher) {
    state.write_u128(kind | u128::from(number));
}

/// Hashes a name of many bytes. Names are random, so that half of their bits tell them apart.
pub(crate) fn hash_name(kind: u128, name: &[u8], state: &mut impl Hasher) {
    let number = name.iter().fold(0_u64, |number, byte| number.rotate_left(7) ^ u64::from(*byte));
    hash(kind, number, state);
}
