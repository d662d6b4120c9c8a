//! Clocks of hosts, each with its own origin, which drift, stall and leap.

use std::time::Duration;

use seqlane::Instant;

use crate::time::Time;

const PPM: i128 = 1_000_000;

/// A monotonic host clock as a function of virtual time.
#[derive(Clone, Debug)]
pub struct HostClock {
    /// Where the present stretch of even running began.
    since: Time,
    /// The reading at that time, in nanoseconds.
    shown: u64,
    rate: Rate,
}

/// ```text
///   Running ── stall ──▶ Stalled ── resume ──▶ Running
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    /// Off by this many parts in a million.
    Running { ppm: i32 },
    /// The clock stands, as on a suspended host whose clock does not count sleep.
    Stalled { ppm: i32 },
}

impl HostClock {
    /// A clock that shows `origin` at the start of the run, off by `ppm` parts in a million.
    pub fn new(origin: Duration, ppm: i32) -> Self {
        Self { since: Time::ZERO, shown: crate::time::nanos(origin), rate: Rate::Running { ppm } }
    }

    fn nanos(&self, at: Time) -> u64 {
        match self.rate {
            Rate::Stalled { .. } => self.shown,
            Rate::Running { ppm } => {
                let passed = i128::from(at.as_nanos().saturating_sub(self.since.as_nanos()));
                let ran = passed * (PPM + i128::from(ppm)) / PPM;
                u64::try_from(i128::from(self.shown) + ran).unwrap_or(u64::MAX)
            }
        }
    }

    /// The reading at `at`.
    pub fn read(&self, at: Time) -> Instant {
        Instant::from_micros(self.nanos(at) / 1000)
    }

    /// When it last began to run as it does now.
    pub const fn since(&self) -> Time {
        self.since
    }

    /// The first time at or after `now` at which the clock shows `wanted`; none while it stands.
    pub fn when(&self, now: Time, wanted: Instant) -> Option<Time> {
        if self.read(now) >= wanted {
            return Some(now);
        }
        let Rate::Running { ppm } = self.rate else { return None };
        let target = i128::from(wanted.as_micros()) * 1000;
        let missing = target - i128::from(self.shown);
        let speed = PPM + i128::from(ppm);
        let passed = (missing * PPM + speed - 1) / speed;
        let at = i128::from(self.since.as_nanos()) + passed;
        Some(Time::from_nanos(u64::try_from(at).unwrap_or(u64::MAX)).max(now))
    }

    /// From `at` on, the clock shows `by` more.
    pub fn leap(&mut self, at: Time, by: Duration) {
        self.shown = self.nanos(at).saturating_add(crate::time::nanos(by));
        self.since = at;
    }

    /// From `at` on, the clock stands.
    pub fn stall(&mut self, at: Time) {
        self.leap(at, Duration::ZERO);
        if let Rate::Running { ppm } = self.rate {
            self.rate = Rate::Stalled { ppm };
        }
    }

    /// From `at` on, the clock runs again.
    pub fn resume(&mut self, at: Time) {
        self.leap(at, Duration::ZERO);
        if let Rate::Stalled { ppm } = self.rate {
            self.rate = Rate::Running { ppm };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Time = Time::from_nanos(1_000_000_000);

    #[test]
    fn a_clock_has_its_own_origin_and_drifts() {
        let clock = HostClock::new(Duration::from_secs(100), 500);
        assert_eq!(clock.read(Time::ZERO), Instant::from_micros(100_000_000));
        assert_eq!(clock.read(SECOND), Instant::from_micros(101_000_500));
    }

    #[test]
    fn a_wanted_instant_is_shown_at_the_time_foretold_and_not_before() {
        for ppm in [-500, 0, 333] {
            let clock = HostClock::new(Duration::from_secs(7), ppm);
            let wanted = Instant::from_micros(9_123_457);
            let at = clock.when(Time::ZERO, wanted).expect("it runs");
            assert!(clock.read(at) >= wanted);
            assert!(clock.read(Time::from_nanos(at.as_nanos() - 1000)) < wanted);
        }
    }

    #[test]
    fn a_stalled_clock_shows_nothing_new_until_it_runs_again() {
        let mut clock = HostClock::new(Duration::ZERO, 0);
        clock.stall(SECOND);
        let later = SECOND.after(Duration::from_secs(5));
        assert_eq!(clock.read(later), clock.read(SECOND));
        assert_eq!(clock.when(later, Instant::from_micros(2_000_000)), None);
        clock.resume(later);
        assert_eq!(
            clock.when(later, Instant::from_micros(2_000_000)),
            Some(later.after(Duration::from_secs(1)))
        );
    }

    #[test]
    fn a_leap_is_seen_at_once() {
        let mut clock = HostClock::new(Duration::ZERO, 0);
        clock.leap(SECOND, Duration::from_secs(8 * 3600));
        assert_eq!(clock.read(SECOND), Instant::from_micros((8 * 3600 + 1) * 1_000_000));
    }
}
