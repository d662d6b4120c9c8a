//! The size of bulk packets in one direction (protocol.md 3.2, controllers).
//!
//! A packet carries as many bytes as arrive in about the time that a small one takes. A full packet that arrives quickly
//! makes the next ones larger by a quarter, a slow one smaller by a quarter; of the many in flight with one size only the
//! first changes it. Silence halves the size.

use core::time::Duration;

use crate::time::share;

/// The packet size of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PacketSize {
    bytes: u64,
    least: u64,
    most: u64,
}

impl PacketSize {
    /// Begins with `first` bytes, within bounds.
    pub(super) fn new(first: u64, least: u64, most: u64) -> Self {
        let most = most.max(least);
        Self { bytes: first.clamp(least, most), least, most }
    }

    /// Bytes of the next packet.
    pub(super) const fn bytes(self) -> u64 {
        self.bytes
    }

    /// A packet of at most `limit` bytes, which was `full` or not, took `round_trip`; `p50` is the median of small ones, or
    /// less where the path is full.
    pub(super) fn on_round_trip(&mut self, limit: u64, full: bool, round_trip: Duration, p50: Duration) {
        const SLOW: Duration = Duration::from_secs(1);
        // 1.7 and 3.4 round trips.
        if round_trip > share(p50, 17, 5).saturating_add(SLOW) && limit <= self.bytes {
            self.bytes = (self.bytes / 4).saturating_mul(3).max(self.least);
        } else if full && round_trip < share(p50, 17, 10) && limit >= self.bytes {
            self.bytes = (self.bytes / 4).saturating_mul(5).min(self.most);
        }
    }

    /// Nothing is answered.
    pub(super) fn on_silence(&mut self) {
        self.bytes = (self.bytes / 2).max(self.least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P50: Duration = Duration::from_secs(1);

    #[test]
    fn full_packets_that_come_quickly_make_the_next_ones_larger() {
        let mut size = PacketSize::new(400, 100, 1_000);
        size.on_round_trip(400, false, P50, P50);
        assert_eq!(size.bytes(), 400);
        for _ in 0..3 {
            size.on_round_trip(400, true, P50, P50);
            assert_eq!(size.bytes(), 500, "once for all that were in flight");
        }
        for _ in 0..10 {
            size.on_round_trip(1_000, true, P50, P50);
        }
        assert_eq!(size.bytes(), 1_000);
    }

    #[test]
    fn slow_packets_and_silence_make_them_smaller() {
        let mut size = PacketSize::new(400, 100, 1_000);
        size.on_round_trip(400, true, 2 * P50, P50);
        assert_eq!(size.bytes(), 400);
        for _ in 0..3 {
            size.on_round_trip(400, true, 5 * P50, P50);
            assert_eq!(size.bytes(), 300, "once for all that were in flight");
        }
        for _ in 0..4 {
            size.on_silence();
        }
        assert_eq!(size.bytes(), 100);
    }
}
