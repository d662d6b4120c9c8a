//! Faults of the relay.

use std::time::Duration;

/// The faults of a relay, and their seed.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) seed: u64,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) lose_request: f64,
    pub(super) lose_reply: f64,
    pub(super) duplicate: f64,
    pub(super) truncate: f64,
    pub(super) html: f64,
    pub(super) statuses: Vec<(u16, f64)>,
    pub(super) max_concurrent: Option<usize>,
    pub(super) bandwidth: Option<u64>,
    pub(super) strip_seq: bool,
    pub(super) redirect: bool,
}
