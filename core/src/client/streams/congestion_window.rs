//! The congestion window: bytes that may be in flight in one direction (protocol.md 3.2, controllers).
//!
//! It is what the path delivers in a round trip, with room for more:
//! W = min(3/4 total, max(16 MiB, g x rate x 1.7 p50)). The rate is what came in the last 3.4 p50, a maximum that decays
//! by 2 % with each packet in bulk. g is 3 until the rate grows by less than a quarter in 2 p50, then 1.5.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::time::{Instant, micros, share};

/// Bytes that may always be in window.
const LEAST: u64 = 16 << 20;

/// Arrivals that are remembered at most.
const MOST_ARRIVALS: usize = 512;

/// Whether the rate still grows.
///
/// ```text
///   Growing ── less than a quarter more in 2 p50 ──▶ Steady
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    Growing { since: Instant, rate: u64 },
    Steady,
}

/// The congestion window of one direction.
#[derive(Clone, Debug, Hash)]
pub(super) struct CongestionWindow {
    arrivals: VecDeque<(Instant, u64)>,
    /// Bytes a second.
    rate: u64,
    growth: Growth,
    /// Halvings by silence.
    halved: u32,
}

impl CongestionWindow {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            arrivals: VecDeque::new(),
            rate: 0,
            growth: Growth::Growing { since: now, rate: 0 },
            halved: 0,
        }
    }

    /// A bulk packet of so many bytes arrived.
    pub(super) fn on_arrival(&mut self, bytes: u64, now: Instant, p50: Duration) {
        self.halved = 0;
        let span = share(p50, 17, 5).max(Duration::from_millis(1));
        self.arrivals.push_back((now, bytes));
        while self.arrivals.len() > MOST_ARRIVALS
            || self.arrivals.front().is_some_and(|(at, _)| now.saturating_since(*at) > span)
        {
            self.arrivals.pop_front();
        }
        let sum = self.arrivals.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add);
        let current = sum.saturating_mul(1_000_000).checked_div(micros(span)).unwrap_or_default();
        self.rate = current.max((self.rate / 50).saturating_mul(49));
        if let Growth::Growing { since, rate } = self.growth
            && now.saturating_since(since) >= p50.saturating_mul(2)
        {
            let grows = self.rate > rate.saturating_add(rate / 4);
            self.growth =
                if grows { Growth::Growing { since: now, rate: self.rate } } else { Growth::Steady };
        }
    }

    /// The round trip by which packets are sized: less than `p50` once the path is full, where larger packets bring no
    /// more, and only take longer to be missed and to be repaired.
    pub(super) fn sizing_rtt(&self, p50: Duration) -> Duration {
        match self.growth {
            Growth::Growing { .. } => p50,
            Growth::Steady => share(p50, 17, 25),
        }
    }

    /// Nothing is answered.
    pub(super) fn on_silence(&mut self) {
        self.halved = self.halved.saturating_add(1).min(6);
    }

    /// Bytes that may be in flight, of a total.
    pub(super) fn limit(&self, total: u64, p50: Duration) -> u64 {
        let trip = self.rate.saturating_mul(micros(p50)) / 1_000_000;
        // 1.7 p50 times 3, or times 1.5.
        let ahead = match self.growth {
            Growth::Growing { .. } => trip.saturating_mul(51) / 10,
            Growth::Steady => trip.saturating_mul(51) / 20,
        };
        let limit = ahead.max(LEAST).min((total / 4).saturating_mul(3));
        limit.checked_shr(self.halved).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P50: Duration = Duration::from_secs(1);
    const MIB: u64 = 1 << 20;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn little_is_always_allowed_and_never_more_than_three_quarters_of_the_total() {
        let mut window = CongestionWindow::new(at(0));
        assert_eq!(window.limit(128 * MIB, P50), 16 * MIB);
        assert_eq!(window.limit(4 * MIB, P50), 3 * MIB);
        for second in 0..100 {
            window.on_arrival(100 * MIB, at(second * 1_000), P50);
        }
        assert_eq!(window.limit(128 * MIB, P50), 96 * MIB);
    }

    #[test]
    fn the_limit_follows_the_rate_and_is_generous_while_that_grows() {
        let mut window = CongestionWindow::new(at(0));
        for tenth in 0..15 {
            window.on_arrival(MIB, at(tenth * 100), P50);
        }
        let growing = window.limit(1 << 40, P50);
        assert_eq!(window.sizing_rtt(P50), P50);
        for tenth in 15..200 {
            window.on_arrival(MIB, at(tenth * 100), P50);
        }
        let steady = window.limit(1 << 40, P50);
        assert_eq!(window.sizing_rtt(P50), Duration::from_millis(680));
        // 10 MiB/s for 1.7 s, and half as much again.
        assert!((24 * MIB..28 * MIB).contains(&steady), "{steady}");
        assert!(growing > 16 * MIB);
    }

    #[test]
    fn silence_halves_it() {
        let mut window = CongestionWindow::new(at(0));
        window.on_silence();
        window.on_silence();
        assert_eq!(window.limit(128 * MIB, P50), 4 * MIB);
        window.on_arrival(1, at(1), P50);
        assert_eq!(window.limit(128 * MIB, P50), 16 * MIB);
    }
}
