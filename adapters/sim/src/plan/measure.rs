//! One measured run.

use std::time::Duration;

use seqlane::Client;

use crate::guard::guarded;
use crate::plan::conditions::Conditions;
use crate::plan::network::NetworkOnly;
use crate::plan::probe::{FlowProbe, Probe};
use crate::plan::workload::Workload;
use crate::world::World;
use crate::{Property, Time, Violation};

/// What a run showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// Flows that are judged.
    pub flows: u32,
    /// Those of them that got everything, in order.
    pub finished: u32,
    /// Bytes of the bulk flow, and how long it took from its open to the last byte; none unless it finished.
    pub bulk: Option<(u64, Duration)>,
    /// The longest that nothing came, of the bulk flow or of any.
    pub stall: Duration,
    /// From the write to the whole echo, of each echo.
    pub echoes: Vec<Duration>,
    /// From the upstream's word to its delivery, of each word to an idle flow.
    pub pushes: Vec<Duration>,
    /// From the last byte to the visible end, of each flow that was lost.
    pub noticed: Vec<Duration>,
    /// Of a bulk flow: bytes between a quarter and nine tenths of it, in which time, with how many calls.
    pub steady: Option<(u64, Duration, u64)>,
    /// Of each echo that waited when an answer was lost, or came next: from the write to the whole echo.
    pub hit: Vec<Duration>,
    /// From a restart of the node to the end of each flow that it had.
    pub gone: Vec<Duration>,
    /// Calls.
    pub calls: u64,
    /// The time over which they were counted.
    pub counted: Duration,
}

/// No run takes longer than this in virtual time; what has not finished by then has not finished.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

impl Measurement {
    /// Makes the run of a seed.
    ///
    /// # Errors
    /// A violation: figures of machines that do wrong are worth nothing.
    pub fn take(conditions: &Conditions, workload: Workload, seed: u64) -> Result<Self, Violation> {
        guarded(|| run(conditions, workload, seed))
            .unwrap_or_else(|what| Err(Violation { property: Property::S11, at: Time::ZERO, event: 0, what }))
    }

    fn of(probe: &Probe, now: Time) -> Self {
        let flows = probe.flows();
        let judged = |flow: &&FlowProbe| !flow.is_echo() || flows.len() == 1;
        let bulk = flows.iter().find(|flow| flow.is_bulk());
        let waits = |select: fn(&FlowProbe) -> bool| {
            flows.iter().filter(|flow| select(flow)).flat_map(|flow| flow.waits.iter().copied()).collect()
        };
        Self {
            flows: flows.iter().filter(judged).count() as u32,
            finished: flows.iter().filter(judged).filter(|flow| flow.finished()).count() as u32,
            bulk: bulk
                .filter(|flow| flow.finished())
                .and_then(|flow| flow.took().map(|took| (flow.bytes, took))),
            stall: match bulk {
                Some(flow) => flow.stall,
                None => flows.iter().map(|flow| flow.stall).max().unwrap_or_default(),
            },
            echoes: waits(FlowProbe::is_echo),
            pushes: waits(FlowProbe::is_pushed),
            steady: bulk.and_then(FlowProbe::steady),
            hit: flows
                .iter()
                .filter(|flow| flow.is_echo())
                .flat_map(|flow| flow.hit.iter().copied())
                .collect(),
            gone: probe.gone.clone(),
            noticed: flows.iter().filter_map(FlowProbe::noticed).collect(),
            calls: probe.calls(),
            counted: probe.counted(now),
        }
    }
}

fn run(conditions: &Conditions, workload: Workload, seed: u64) -> Result<Measurement, Violation> {
    let setup = conditions.setup(workload);
    let probe = Probe::new(workload, setup.flows.len());
    let chooser = if conditions.lose_one { NetworkOnly::losing_one(seed) } else { NetworkOnly::new(seed) };
    let mut world = World::from_setup(setup, chooser, probe, Client::unsealed);
    let end = Time::ZERO.after(LONGEST);
    while !world.sink().is_done(world.now()) && world.now() < end && world.step() {}
    match world.outcome().violation {
        Some(violation) => Err(violation),
        None => Ok(Measurement::of(world.sink(), world.now())),
    }
}
