//! One measured run.

use std::time::Duration;

/// What a run showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// Flows that are judged.
    pub flows: u32,
    /// Those of them that got everything, in order.
    pub finished: u32,
    /// The bulk flow, from its open to the last byte; none unless it finished.
    pub bulk: Option<Transfer>,
    /// The longest that nothing came, of the bulk flow or of any.
    pub stall: Duration,
    /// From the write to the whole echo, of each echo.
    pub echoes: Vec<Duration>,
    /// From the upstream's word to its delivery, of each word to an idle flow.
    pub pushes: Vec<Duration>,
    /// From the last byte to the visible end, of each flow that was lost.
    pub noticed: Vec<Duration>,
    /// The bulk flow between a quarter and nine tenths of it.
    pub steady: Option<Transfer>,
    /// Of each echo that waited when an answer was lost, or came next: from the write to the whole echo.
    pub hit: Vec<Duration>,
    /// From a restart of the node to the end of each flow that it had.
    pub gone: Vec<Duration>,
    /// Calls.
    pub calls: u64,
    /// The time over which they were counted.
    pub counted: Duration,
}

/// Bytes of a flow, or of a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// How many.
    pub bytes: u64,
    /// In which time.
    pub took: Duration,
    /// With how many calls.
    pub calls: u64,
}

/// So many parts are one call.
pub(super) const CALL_PARTS: u64 = 1_000_000_000_000;

impl Transfer {
    pub(super) fn bytes_per_second(self) -> u64 {
        let nanos = self.took.as_nanos().max(1);
        u64::try_from(u128::from(self.bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
    }

    /// Calls for each byte, in parts of a call.
    pub(super) fn call_parts_per_byte(self) -> u64 {
        self.calls * CALL_PARTS / self.bytes.max(1)
    }
}
