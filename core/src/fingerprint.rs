//! Fingerprints of machine states, for searching the state space of the real machines.
//!
//! Two states that behave alike from now on have the same fingerprint, whatever the time is and whatever
//! numbers their ids happen to have: times count from now, ids by their rank, and statistics not at all.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::seq::Seq;
use crate::time::{Deadline, Instant, micros};

/// Feeds a state to a hasher, relative to `now`.
pub(crate) struct Fingerprint<'a> {
    hasher: &'a mut dyn Hasher,
    now: Instant,
}

impl<'a> Fingerprint<'a> {
    pub(crate) fn new(now: Instant, hasher: &'a mut dyn Hasher) -> Self {
        Self { hasher, now }
    }

    /// A value: [`Instant`] and [`Deadline`] in it count from now, its ids do not.
    pub(crate) fn value(&mut self, value: impl Hash) {
        value.hash(self);
    }

    /// A time: how far ahead it is, or else how long ago it was.
    pub(crate) fn time(&mut self, at: Instant) {
        self.value(at);
    }

    /// Times, and how many there are.
    pub(crate) fn times(&mut self, times: impl IntoIterator<Item = Instant>) {
        for at in times {
            self.value(true);
            self.time(at);
        }
        self.value(false);
    }

    /// A deadline of which it only matters how far ahead it is: one that has passed is one that has passed.
    pub(crate) fn deadline(&mut self, at: Instant) {
        self.value(Deadline(at));
    }

    /// A time of which it only matters whether it is more than `limit` ago, and if not, how far that is ahead.
    pub(crate) fn since(&mut self, at: Instant, limit: Duration) {
        self.deadline(at.saturating_add(limit).saturating_add(Duration::from_micros(1)));
    }

    /// A sequence number of which it only matters how far it is from `expected`: the session counts on and on.
    pub(crate) fn seq(&mut self, seq: Seq, expected: Seq) {
        self.value(seq.number().wrapping_sub(expected.number()));
    }

    /// A sequence, with its length, so that neighbours cannot run into each other.
    pub(crate) fn each<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut feed: impl FnMut(&mut Self, T),
    ) {
        self.value(items.len());
        for item in items {
            feed(self, item);
        }
    }
}

/// Instants and deadlines write the two widths that nothing else has.
impl Hasher for Fingerprint<'_> {
    fn finish(&self) -> u64 {
        self.hasher.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    fn write_u128(&mut self, at: u128) {
        let at = Instant::from_micros(u64::try_from(at).unwrap_or(u64::MAX));
        self.hasher.write_u64(micros(at.saturating_since(self.now)));
        self.hasher.write_u64(micros(self.now.saturating_since(at)));
    }

    fn write_i128(&mut self, at: i128) {
        let at = Instant::from_micros(u64::try_from(at).unwrap_or(u64::MAX));
        self.hasher.write_u64(micros(at.saturating_since(self.now)));
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
