//! Waits of the machines that a scenario can set.

use std::time::Duration;

use seqlane::{ClientOptions, NodeOptions};
use serde::{Deserialize, Serialize};

/// A wait of the machines that a scenario can set, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// How long a node holds what brings nothing, at every level. Below level 2 at most 25 s, so that it fits into the
    /// timeout of a call beside the wait for an earlier op, and at level 2 at most 50 s.
    Hold,
    /// How long bytes wait for more of them before an answer carries them; the longest settle ends it all the same.
    Settle,
    /// How long a relay that timed out is left alone, at most, and at least 5 s: otherwise failed calls dominate the cost of
    /// idle flows.
    Backoff,
    /// How long a relay that refuses is left alone, at least 200 s: the bound on progress follows from it, and must be
    /// longer than the ten minutes after which a relay is asked again where it leads.
    Refusal,
    /// How long a half-closed session may be quiet.
    HalfClose,
    /// How long an upstream may take nothing, at least 5 s, so that one that reads slowly is not given up.
    Write,
}

impl Wait {
    /// Every wait.
    pub const ALL: [Self; 6] =
        [Self::Refusal, Self::Backoff, Self::HalfClose, Self::Hold, Self::Settle, Self::Write];

    /// Sets the wait in the options of both machines, as far as they can work with it.
    pub(super) fn set(self, seconds: u32, client: &mut ClientOptions, node: &mut NodeOptions) {
        const SECOND: Duration = Duration::from_secs(1);
        let wait = Duration::from_secs(u64::from(seconds)).max(SECOND);
        match self {
            Self::Hold => {
                node.longpoll = wait.min(25 * SECOND);
                client.tuning.streams.idle_hold = wait.min(50 * SECOND);
                node.tuning.streams.max_hold = wait.min(50 * SECOND);
            }
            Self::Settle => node.tuning.settle_step = wait,
            Self::Backoff => {
                client.tuning.relay_backoff_max = wait.max(5 * SECOND);
                client.tuning.relay_backoff =
                    client.tuning.relay_backoff.min(client.tuning.relay_backoff_max);
            }
            Self::Refusal => client.tuning.refused_backoff = wait.max(200 * SECOND),
            Self::HalfClose => client.half_close_quiet = wait,
            Self::Write => node.write_deadline = wait.max(5 * SECOND),
        }
    }
}
