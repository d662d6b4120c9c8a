//! How many bytes one packet carries: as many as come through in about the time that a small one takes.
//!
//! A packet that was full and came quickly makes the next ones larger by a quarter, a slow one smaller by a quarter; but
//! of the many that are under way with one size only the first changes it. Silence halves them.

use core::time::Duration;

use crate::time::share;

/// The controller of one direction.
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

    /// A packet that had room for `asked` bytes, and was `full` or not, took `trip`, where `usual` is the median of small
    /// ones, or less where the path is full.
    pub(super) fn on_trip(&mut self, asked: u64, full: bool, trip: Duration, usual: Duration) {
        const SLOW: Duration = Duration::from_secs(1);
        // 1.7 and 3.4 round trips.
        if trip > share(usual, 17, 5).saturating_add(SLOW) && asked <= self.bytes {
            self.bytes = (self.bytes / 4).saturating_mul(3).max(self.least);
        } else if full && trip < share(usual, 17, 10) && asked >= self.bytes {
            self.bytes = (self.bytes / 4).saturating_mul(5).min(self.most);
        }
    }

    /// Nothing is answered any more.
    pub(super) fn on_silence(&mut self) {
        self.bytes = (self.bytes / 2).max(self.least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(1);

    #[test]
    fn full_packets_that_come_quickly_make_the_next_ones_larger() {
        let mut amount = PacketSize::new(400, 100, 1_000);
        amount.on_trip(400, false, USUAL, USUAL);
        assert_eq!(amount.bytes(), 400);
        for _ in 0..3 {
            amount.on_trip(400, true, USUAL, USUAL);
            assert_eq!(amount.bytes(), 500, "once for all that were under way");
        }
        for _ in 0..10 {
            amount.on_trip(1_000, true, USUAL, USUAL);
        }
        assert_eq!(amount.bytes(), 1_000);
    }

    #[test]
    fn slow_packets_and_silence_make_them_smaller() {
        let mut amount = PacketSize::new(400, 100, 1_000);
        amount.on_trip(400, true, 2 * USUAL, USUAL);
        assert_eq!(amount.bytes(), 400);
        for _ in 0..3 {
            amount.on_trip(400, true, 5 * USUAL, USUAL);
            assert_eq!(amount.bytes(), 300, "once for all that were under way");
        }
        for _ in 0..4 {
            amount.on_silence();
        }
        assert_eq!(amount.bytes(), 100);
    }
}
