//! Conditions of the trials: the relays, and the transfers through them.

use std::time::Duration;

use seqlane::Level;

/// The relays of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// One relay without latency.
    Direct,
    /// One relay with the latency of a good hosted one.
    Slow,
    /// Two relays in turn, one much slower: later calls arrive earlier.
    Reordering,
    /// One relay that loses requests and replies.
    Losing,
}

impl Condition {
    pub(super) const ALL: [Self; 4] = [Self::Direct, Self::Slow, Self::Reordering, Self::Losing];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "no delay",
            Self::Slow => "300 ms ± 100 ms",
            Self::Reordering => "reordering, 20 ms and 150 ms",
            Self::Losing => "50 ms, losing 3 % each way",
        }
    }

    /// Delay and jitter of each relay.
    pub(super) const fn relays(self) -> &'static [(Duration, Duration)] {
        const DIRECT: &[(Duration, Duration)] = &[(Duration::ZERO, Duration::ZERO)];
        const SLOW: &[(Duration, Duration)] = &[(Duration::from_millis(300), Duration::from_millis(100))];
        const REORDERING: &[(Duration, Duration)] =
            &[(Duration::from_millis(20), Duration::ZERO), (Duration::from_millis(150), Duration::ZERO)];
        const LOSING: &[(Duration, Duration)] = &[(Duration::from_millis(50), Duration::ZERO)];
        match self {
            Self::Direct => DIRECT,
            Self::Slow => SLOW,
            Self::Reordering => REORDERING,
            Self::Losing => LOSING,
        }
    }

    /// Probability that a request is lost, and that a reply is.
    pub(super) const fn loss(self) -> f64 {
        match self {
            Self::Losing => 0.03,
            Self::Direct | Self::Slow | Self::Reordering => 0.0,
        }
    }

    /// The transfers through these relays.
    pub(super) const fn directions(self) -> &'static [Direction] {
        match self {
            Self::Losing => &[Direction::ManyFlows],
            Self::Direct | Self::Slow | Self::Reordering => {
                &[Direction::Download, Direction::Upload, Direction::Ping]
            }
        }
    }

    /// Whether flows may be reset: at levels 0 and 1, every lost call resets the flows in it.
    pub(super) fn may_reset(self, level: Level) -> bool {
        self.loss() > 0.0 && level < Level::Streams
    }

    /// The mean latency of a call, if there is any.
    pub(super) fn round_trip(self) -> Option<Duration> {
        let relays = self.relays();
        let total: Duration = relays.iter().map(|(delay, _)| *delay).sum();
        let count = u32::try_from(relays.len()).unwrap_or(u32::MAX);
        (!total.is_zero()).then(|| total / count)
    }
}

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Download,
    Upload,
    Ping,
    /// Many flows at once, both ways.
    ManyFlows,
}

impl Direction {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Ping => "ping",
            Self::ManyFlows => "20 echoes",
        }
    }
}
