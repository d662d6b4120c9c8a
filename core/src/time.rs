//! Instants of the machines, which the driver passes in.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::relative;

/// A point in time, in microseconds from an origin that the driver chooses.
///
/// The machines only compare instants and add durations to them, so the origin is free: the start of
/// the process, boot, or zero in a simulation. Arithmetic saturates; there are no operators, because
/// `a - b` on instants is where clocks that jump turn into panics.
///
/// ```
/// use core::time::Duration;
/// use seqlane::Instant;
///
/// let start = Instant::from_micros(5);
/// let later = start.saturating_add(Duration::from_millis(1));
/// assert_eq!(later.as_micros(), 1_005);
/// assert_eq!(start.saturating_since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

/// Written as a `u128`, which nothing else is, so that a fingerprint can count it from now.
impl Hash for Instant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        relative::hash(relative::INSTANT, self.0, state);
    }
}

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds from the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This instant moved forward by `by`, at most to the end of time.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// An instant of which only what is left until then matters: all that have passed are alike.
///
/// It is hashed as an `i128`, which nothing else is, so that a fingerprint can count it from now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(pub(crate) Instant);

impl Deadline {
    pub(crate) fn has_passed(self, now: Instant) -> bool {
        self.0 <= now
    }

    /// The first instant that is more than `wait` after `at`.
    pub(crate) fn after(at: Instant, wait: Duration) -> Self {
        Self(at.saturating_add(wait).saturating_add(Duration::from_micros(1)))
    }
}

impl Hash for Deadline {
    fn hash<H: Hasher>(&self, state: &mut H) {
        relative::hash(relative::DEADLINE, self.0.0, state);
    }
}

/// `numerator` / `denominator` of a duration, in whole microseconds, saturating; nothing for a denominator of 0.
pub(crate) fn share(duration: Duration, numerator: u32, denominator: u32) -> Duration {
    let micros = micros(duration).saturating_mul(u64::from(numerator));
    Duration::from_micros(micros.checked_div(u64::from(denominator)).unwrap_or_default())
}

/// Whole microseconds of a duration, saturating.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_saturates_at_the_end_of_time() {
        let end = Instant::from_micros(u64::MAX);
        assert_eq!(end.saturating_add(Duration::from_secs(1)), end);
        assert_eq!(Instant::ZERO.saturating_add(Duration::MAX), end);
    }

    #[test]
    fn shares_of_a_duration_are_whole_microseconds() {
        let second = Duration::from_secs(1);
        assert_eq!(share(second, 17, 10), Duration::from_millis(1_700));
        assert_eq!(share(second, 1, 3), Duration::from_micros(333_333));
        assert_eq!(share(second, 1, 0), Duration::ZERO);
    }

    #[test]
    fn an_earlier_instant_is_zero_after_a_later_one() {
        assert_eq!(Instant::ZERO.saturating_since(Instant::from_micros(9)), Duration::ZERO);
    }
}
