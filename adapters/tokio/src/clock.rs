//! The one clock of an adapter: tokio's, as the machines count it.

use std::time::Duration;

use seqlane::Instant;

/// Maps tokio's clock to the machines' microseconds since the clock was made, so that paused time in tests
/// reaches the machines too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    /// The machines' reading of this moment.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO.saturating_add(self.origin.elapsed())
    }

    /// When tokio's clock will show `instant`; a time beyond its range is as good as a year away.
    pub(crate) fn to_tokio(self, instant: Instant) -> tokio::time::Instant {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let since_origin = instant.saturating_since(Instant::ZERO);
        self.origin.checked_add(since_origin).unwrap_or_else(|| tokio::time::Instant::now() + YEAR)
    }
}
