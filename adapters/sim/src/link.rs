//! A link whose bandwidth is shared evenly by all calls.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::time::Time;

/// Nanoseconds of a second, the unit of the link's own progress.
const SECOND: u128 = 1_000_000_000;

/// One direction of a shared link: processor sharing, with a limit for each call.
///
/// Progress is kept in virtual bytes that every call has got so far, so that a transfer is one entry with the
/// progress at which it will be complete, and no event touches all of them.
#[derive(Clone, Debug)]
pub struct SharedLink {
    bytes_per_second: u64,
    per_call: u64,
    /// Bytes that a call which was there from the start has got, times [`SECOND`].
    progress: u128,
    updated: Time,
    active: BTreeSet<(u128, u64)>,
}

impl SharedLink {
    /// A link of `bytes_per_second`, of which a single call gets at most `per_call`.
    pub fn new(bytes_per_second: u64, per_call: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            per_call: per_call.clamp(1, bytes_per_second.max(1)),
            progress: 0,
            updated: Time::ZERO,
            active: BTreeSet::new(),
        }
    }

    /// What each call gets now, in bytes a second.
    fn share(&self) -> u64 {
        let calls = (self.active.len() as u64).max(1);
        (self.bytes_per_second / calls).clamp(1, self.per_call)
    }

    fn advance(&mut self, now: Time) {
        let passed = u128::from(now.as_nanos().saturating_sub(self.updated.as_nanos()));
        self.progress += passed * u128::from(self.share());
        self.updated = self.updated.max(now);
    }

    /// Transfer `id` begins.
    pub fn begin(&mut self, now: Time, id: u64, bytes: usize) {
        self.advance(now);
        self.active.insert((self.progress + bytes as u128 * SECOND, id));
    }

    /// When the next transfer will be complete, if nothing else begins before.
    pub fn next(&self) -> Option<Time> {
        let (complete, _) = self.active.first()?;
        let missing = complete.saturating_sub(self.progress);
        let wait = missing.div_ceil(u128::from(self.share()));
        Some(self.updated.after(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))))
    }

    /// Takes a transfer that is complete by `now`.
    pub fn take(&mut self, now: Time) -> Option<u64> {
        self.advance(now);
        let (complete, id) = self.active.first().copied()?;
        if complete > self.progress {
            return None;
        }
        self.active.pop_first();
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(link: &mut SharedLink) -> Vec<(u64, u64)> {
        let mut done = Vec::new();
        while let Some(at) = link.next() {
            while let Some(id) = link.take(at) {
                done.push((id, at.as_nanos() / 1_000_000));
            }
        }
        done
    }

    #[test]
    fn calls_share_the_link_evenly() {
        let mut link = SharedLink::new(1000, 1000);
        link.begin(Time::ZERO, 1, 500);
        link.begin(Time::ZERO, 2, 1000);
        assert_eq!(run(&mut link), [(1, 1000), (2, 1500)]);
    }

    #[test]
    fn a_call_gets_no_more_than_its_limit() {
        let mut link = SharedLink::new(1000, 250);
        link.begin(Time::ZERO, 1, 500);
        assert_eq!(run(&mut link), [(1, 2000)]);
    }

    #[test]
    fn a_late_comer_slows_the_first() {
        let mut link = SharedLink::new(1000, 1000);
        link.begin(Time::ZERO, 1, 1000);
        link.begin(Time::from_nanos(500_000_000), 2, 100);
        assert_eq!(run(&mut link), [(2, 700), (1, 1100)]);
    }
}
