//! Cache of unreachable targets, to which opens fail at once (protocol.md 2.5 "Opening").

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::error::ConnectFailure;
use crate::target::Target;
use crate::time::{Deadline, Instant};

/// Remembers failures per host and port, for a while and up to a number.
#[derive(Clone, Debug, Hash)]
pub(super) struct UnreachableCache {
    entries: BTreeMap<Target, Entry>,
    capacity: usize,
    ttl: Duration,
}

#[derive(Clone, Debug, Hash)]
struct Entry {
    failure: ConnectFailure,
    until: Deadline,
}

impl UnreachableCache {
    pub(super) const fn new(capacity: usize, ttl: Duration) -> Self {
        Self { entries: BTreeMap::new(), capacity, ttl }
    }

    /// Remembers `failure` if it would be the same a moment later.
    pub(super) fn record(&mut self, now: Instant, target: &Target, failure: ConnectFailure) {
        if !failure.is_unreachable() {
            return;
        }
        let target = target.normalised();
        if !self.entries.contains_key(&target) && self.entries.len() >= self.capacity {
            self.make_room(now);
        }
        self.entries.insert(target, Entry { failure, until: Deadline(now.saturating_add(self.ttl)) });
    }

    /// How `target` failed, if that was not long ago.
    pub(super) fn lookup(&self, now: Instant, target: &Target) -> Option<ConnectFailure> {
        // An empty cache is the common case, and normalising allocates.
        if self.entries.is_empty() {
            return None;
        }
        self.entries
            .get(&target.normalised())
            .filter(|entry| !entry.until.has_passed(now))
            .map(|entry| entry.failure)
    }

    /// Forgets what has expired, or else what would expire first.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| !entry.until.has_passed(now));
        if self.entries.len() >= self.capacity {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| key.clone());
            if let Some(first) = first {
                self.entries.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn target(host: &str, port: u16) -> Target {
        Target::new(host, port).unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.saturating_add(Duration::from_secs(seconds))
    }

    #[test]
    fn a_failure_is_remembered_per_host_and_port_until_it_expires() {
        let mut cache = UnreachableCache::new(256, TTL);
        cache.record(at(0), &target("Dead.example.", 80), ConnectFailure::HostUnreachable);
        assert_eq!(cache.lookup(at(29), &target("dead.example", 80)), Some(ConnectFailure::HostUnreachable));
        assert_eq!(cache.lookup(at(29), &target("dead.example", 443)), None);
        assert_eq!(cache.lookup(at(30), &target("dead.example", 80)), None);
    }

    #[test]
    fn failures_that_may_pass_are_not_remembered() {
        let mut cache = UnreachableCache::new(256, TTL);
        for failure in [ConnectFailure::Refused, ConnectFailure::TimedOut, ConnectFailure::Other] {
            cache.record(at(0), &target("h", 80), failure);
        }
        assert_eq!(cache.lookup(at(0), &target("h", 80)), None);
    }

    #[test]
    fn the_capacity_is_hard() {
        let mut cache = UnreachableCache::new(256, TTL);
        for n in 0..1000_u16 {
            cache.record(at(u64::from(n) / 100), &target("h", n + 1), ConnectFailure::HostUnreachable);
            assert!(cache.entries.len() <= 256);
        }
        assert!(cache.lookup(at(9), &target("h", 1000)).is_some());
    }
}
