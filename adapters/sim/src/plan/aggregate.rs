//! Measurements of all runs of one point, combined.

use std::time::Duration;

use crate::plan::measure::Measurement;
use crate::plan::samples::Samples;

/// The runs of a point, put together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aggregate {
    /// Runs.
    pub runs: usize,
    /// Flows that were judged, and those of them that got everything in order.
    pub flows: (u64, u64),
    /// Bytes a second from the open to the last byte, of each bulk flow that finished.
    pub goodput: Samples<u64>,
    /// Calls for each byte, in parts of a call (`CALL_PARTS`), of each bulk flow that finished.
    pub calls_per_byte: Samples<u64>,
    /// The longest that nothing came, of each run.
    pub stalls: Samples<Duration>,
    /// Each echo.
    pub echoes: Samples<Duration>,
    /// Each word to an idle flow.
    pub pushes: Samples<Duration>,
    /// Each lost flow: from its last byte to its visible end.
    pub noticed: Samples<Duration>,
    /// Bytes a second between a quarter and nine tenths of each bulk flow.
    pub steady: Samples<u64>,
    /// Calls for each of those bytes, in parts of a call.
    pub steady_calls: Samples<u64>,
    /// Each echo that an answer was lost of.
    pub hit: Samples<Duration>,
    /// Each flow that a restart of the node ended.
    pub gone: Samples<Duration>,
    /// Calls, and the time over which they were counted.
    pub calls: (u64, Duration),
}

/// So many parts are one call.
pub(super) const CALL_PARTS: u64 = 1_000_000_000_000;

impl Aggregate {
    /// Puts runs together.
    pub fn new(runs: &[Measurement]) -> Self {
        let all = |select: fn(&Measurement) -> &Vec<Duration>| {
            runs.iter().flat_map(|run| select(run).iter().copied()).collect()
        };
        let bulk = || runs.iter().filter_map(|run| Some((run.bulk?, run.calls)));
        let steady = || runs.iter().filter_map(|run| run.steady);
        Self {
            runs: runs.len(),
            flows: runs.iter().fold((0, 0), |(flows, finished), run| {
                (flows + u64::from(run.flows), finished + u64::from(run.finished))
            }),
            goodput: bulk().map(|((bytes, took), _)| per_second(bytes, took)).collect(),
            calls_per_byte: bulk().map(|((bytes, _), calls)| calls * CALL_PARTS / bytes.max(1)).collect(),
            stalls: runs.iter().map(|run| run.stall).collect(),
            echoes: all(|run| &run.echoes),
            pushes: all(|run| &run.pushes),
            noticed: all(|run| &run.noticed),
            steady: steady().map(|(bytes, took, _)| per_second(bytes, took)).collect(),
            steady_calls: steady().map(|(bytes, _, calls)| calls * CALL_PARTS / bytes.max(1)).collect(),
            hit: all(|run| &run.hit),
            gone: all(|run| &run.gone),
            calls: runs
                .iter()
                .fold((0, Duration::ZERO), |(calls, time), run| (calls + run.calls, time + run.counted)),
        }
    }
}

fn per_second(bytes: u64, took: Duration) -> u64 {
    let nanos = took.as_nanos().max(1);
    u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}
