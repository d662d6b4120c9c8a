//! Fingerprints of machine states, for searching the state space of the real machines.
//!
//! Two states that behave alike from now on have the same fingerprint, whatever the time is and whatever
//! numbers their ids happen to have: times count from now, ids by their rank, and statistics not at all.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::relative;
use crate::seq::Seq;
use crate::time::{Instant, micros};

/// Feeds a state to a hasher, relative to `now`.
pub(crate) struct Fingerprint<'a> {
    hasher: &'a mut dyn Hasher,
    now: Instant,
    /// The ids that have come, and the place of each among them.
    ids: BTreeMap<u128, usize>,
    /// The sessions that are known by their ids, the place of each, and the number that it expects, if it has numbers.
    sessions: BTreeMap<u128, (usize, Option<Seq>)>,
    /// What sequence numbers count from: the expectation of the session that came last, if it is known.
    base: Base,
}

/// What sequence numbers count from.
#[derive(Clone, Copy)]
enum Base {
    /// Their beginning, before any session has come.
    Zero,
    /// What a session expects.
    Expected(Seq),
    /// Nothing: they make no difference.
    Unknown,
}

impl<'a> Fingerprint<'a> {
    pub(crate) fn new(now: Instant, hasher: &'a mut dyn Hasher) -> Self {
        Self { hasher, now, ids: BTreeMap::new(), sessions: BTreeMap::new(), base: Base::Zero }
    }

    /// A session that is known by these ids. The sequence numbers that come after one of them count from `expected`.
    pub(crate) fn session(&mut self, ids: impl Hash, expected: Option<Seq>) {
        let mut names = Names(Vec::new());
        ids.hash(&mut names);
        let place = self.sessions.len();
        self.sessions.extend(names.0.into_iter().map(|name| (name, (place, expected))));
    }
}

/// Relative numbers are replaced.
impl Hasher for Fingerprint<'_> {
    fn finish(&self) -> u64 {
        self.hasher.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.hasher.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.hasher.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.hasher.write_u64(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.hasher.write_usize(number);
    }

    fn write_isize(&mut self, number: isize) {
        self.hasher.write_isize(number);
    }

    fn write_u128(&mut self, value: u128) {
        let number = u64::try_from(value & u128::from(u64::MAX)).unwrap_or(u64::MAX);
        let at = Instant::from_micros(number);
        match value & !u128::from(u64::MAX) {
            relative::INSTANT => {
                self.hasher.write_u64(micros(at.saturating_since(self.now)));
                self.hasher.write_u64(micros(self.now.saturating_since(at)));
            }
            relative::DEADLINE => self.hasher.write_u64(micros(at.saturating_since(self.now))),
            relative::SEQ => match self.base {
                Base::Zero => self.hasher.write_u64(number),
                Base::Expected(expected) => self.hasher.write_u64(number.wrapping_sub(expected.number())),
                Base::Unknown => {}
            },
            kind => self.write_id(value, kind),
        }
    }
}

impl Fingerprint<'_> {
    /// An id counts by its place among those that have come; one of a session says what the numbers after it count from.
    fn write_id(&mut self, id: u128, kind: u128) {
        let session = self.sessions.get(&id).copied();
        if let Some((_, expected)) = session {
            self.base = expected.map_or(Base::Unknown, Base::Expected);
        }
        match session {
            Some((place, _)) if kind == relative::SID => self.hasher.write_usize(place),
            None if kind == relative::SID => {
                self.base = Base::Unknown;
                self.hasher.write_usize(usize::MAX);
            }
            Some(_) | None => {
                let next = self.ids.len();
                self.hasher.write_usize(*self.ids.entry(id).or_insert(next));
            }
        }
    }
}

/// The ids in a value.
struct Names(Vec<u128>);

impl Hasher for Names {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u128(&mut self, name: u128) {
        self.0.push(name);
    }
}

/// FNV-1a, 64 bits: enough to tell states of a test apart.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(crate) struct Fnv(u64);

#[cfg(test)]
impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

#[cfg(test)]
impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
