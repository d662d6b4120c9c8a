//! Tokio's clock, in the unit of the machines.

use std::time::Duration;

use seqlane::Instant;

/// Maps tokio's clock to microseconds since the clock was made. Time that a test has paused is paused for the
/// machines too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    /// The current time of the machines.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO.saturating_add(self.origin.elapsed())
    }

    /// The reading of tokio's clock at `instant`; a year from now for a time beyond its range.
    pub(crate) fn to_tokio(self, instant: Instant) -> tokio::time::Instant {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let since_origin = instant.saturating_since(Instant::ZERO);
        self.origin.checked_add(since_origin).unwrap_or_else(|| tokio::time::Instant::now() + YEAR)
    }
}
