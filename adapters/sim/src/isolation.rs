//! Paired runs (I1): the same run with a stalled flow and without, and the delays of the other flows.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use seqlane::Level;

use crate::scenario::Span;
use crate::script::Kind;
use crate::trace::{Entry, Observer, What};
use crate::{
    Chooser, DecisionPoint, Outcome, Probability, Profile, Property, Run, Scenario, Seeded, Time, Violation,
};

/// What the others may notice at most: one active drain, one settle, and another round trip.
const SHARE: Duration = Duration::from_millis(2500);
/// The flow that stalls.
const STALLED: u64 = 0;

/// A scenario for paired runs: nothing goes wrong, and flow 0 sends more than a stalled upstream takes.
pub fn scenario() -> Scenario {
    Scenario {
        level: Some(Level::Sequenced.number()),
        clients: Span::new(1, 1),
        relays: Span::new(1, 2),
        flows: Span::new(3, 4),
        scripts: vec![Kind::Upload, Kind::Echo, Kind::Requests],
        bytes: 30_000,
        op_payload: Some(700),
        write_queue: Some(1500),
        net: [(crate::Fault::Upstream, Probability::ALWAYS)].into(),
        ..Profile::Calm.scenario()
    }
}

/// Decides as a seed does, except that flow 0 is a long upload, and that only its upstream can misbehave, and only
/// by reading nothing.
struct Stalling {
    seed: Seeded,
    stalls: bool,
}

impl Chooser for Stalling {
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32 {
        /// The place of an upstream that reads nothing among its ways to misbehave.
        const READS_NOTHING: u32 = 6;
        match point {
            DecisionPoint::Upstream if self.stalls && key == STALLED => READS_NOTHING,
            DecisionPoint::Upstream => 0,
            DecisionPoint::Script if key == STALLED => 0,
            DecisionPoint::Script => 1 + self.seed.decide(point, key, n - 1),
            DecisionPoint::Size if key == STALLED => n - 1,
            _ => self.seed.decide(point, key, n),
        }
    }

    fn weigh(&mut self, point: DecisionPoint, probability: Probability) {
        self.seed.weigh(point, probability);
    }
}

/// Makes the runs of a seed. The outcome is that of the run with the stalled flow; it has a violation of [`Property::I1`]
/// where the 99th percentile of the other flows' delays is too much above that of the run without.
pub fn check(run: &Run<'_>, seed: u64) -> Outcome {
    let (calm, alone) = delays(run, seed, false);
    let (mut outcome, beside) = delays(run, seed, true);
    let (alone, beside) = (percentile(alone), percentile(beside));
    if outcome.violation.is_none() && calm.violation.is_none() && beside > alone + SHARE {
        let what = format!("beside a stalled flow others take {beside:?} instead of {alone:?}");
        let violation = Violation { property: Property::I1, at: outcome.time, event: outcome.events, what };
        outcome.violation = Some(violation);
    }
    outcome
}

/// How long each piece of uplink and downlink of the flows that do not stall was on its way.
fn delays(run: &Run<'_>, seed: u64, stalls: bool) -> (Outcome, Vec<Duration>) {
    let mut ways: BTreeMap<(u32, bool), VecDeque<(u64, Time)>> = BTreeMap::new();
    let mut delays = Vec::new();
    let mut observe = |entry: &Entry| match entry.what {
        What::Write { flow, bytes } => ways.entry((flow, true)).or_default().push_back((bytes, entry.at)),
        What::Downlink { flow, bytes } => ways.entry((flow, false)).or_default().push_back((bytes, entry.at)),
        What::Uplink { flow, bytes } | What::Deliver { flow, bytes } if u64::from(flow) != STALLED => {
            let up = matches!(entry.what, What::Uplink { .. });
            let way = ways.entry((flow, up)).or_default();
            let mut left = bytes;
            while left > 0
                && let Some((piece, since)) = way.front_mut()
            {
                let taken = left.min(*piece);
                *piece -= taken;
                left -= taken;
                if *piece == 0 {
                    delays.push(entry.at.since(*since));
                    way.pop_front();
                }
            }
        }
        _ => {}
    };
    let chooser = Stalling { seed: Seeded::new(seed), stalls };
    let outcome = run.decided(chooser, Observer(&mut observe));
    (outcome, delays)
}

fn percentile(mut delays: Vec<Duration>) -> Duration {
    delays.sort_unstable();
    delays.get(delays.len() * 99 / 100).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_that_stalls_delays_no_other() {
        let scenario = scenario();
        for seed in 0..20 {
            assert_eq!(check(&Run::new(&scenario), seed).violation, None, "seed {seed}");
        }
    }
}
