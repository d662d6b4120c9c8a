//! The system's monotonic clock, read as an [`Instant`] of the machines.

extern crate std;

use core::time::Duration;
use std::time;

use crate::time::Instant;

/// Counts from the moment when it was made, by [`std::time::Instant`]: setting the wall clock does not move it.
///
/// ```
/// use std::time::Duration;
///
/// use seqlane::{Clock, Wake};
///
/// /// How long a driver sleeps.
/// fn sleep_of(clock: &Clock, wake: Option<Wake>) -> Option<Duration> {
///     wake.map(|wake| clock.until(wake.at))
/// }
///
/// let clock = Clock::new();
/// assert!(clock.now() <= clock.now());
/// assert_eq!(clock.until(seqlane::Instant::ZERO), Duration::ZERO);
/// # assert_eq!(sleep_of(&clock, None), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: time::Instant,
}

impl Clock {
    /// A clock whose origin is now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two clocks differ, so neither is a default")]
    pub fn new() -> Self {
        Self { origin: time::Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        Instant::ZERO.saturating_add(self.origin.elapsed())
    }

    /// How long it is until `instant`; zero when it has passed.
    pub fn until(&self, instant: Instant) -> Duration {
        instant.saturating_since(self.now())
    }

    /// The system's reading at `instant`, unless that is beyond what the system can count.
    pub fn to_std(&self, instant: Instant) -> Option<time::Instant> {
        self.origin.checked_add(instant.saturating_since(Instant::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_as_far_from_the_origin_as_the_system_says() {
        let clock = Clock::new();
        let second = clock.to_std(Instant::from_micros(1_000_000)).unwrap();
        assert_eq!(second - clock.to_std(Instant::ZERO).unwrap(), Duration::from_secs(1));
        assert!(clock.until(Instant::from_micros(u64::MAX)) > Duration::from_secs(1));
    }
}
