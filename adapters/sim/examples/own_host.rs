//! Simulates a host of its own around the client: one that reports written bytes in bulk, to be woken less.
//!
//! `cargo run -p seqlane-sim --example own_host` runs it over three hundred seeds. Then it does the same with a
//! host that forgets its timer, and tells the shortest story of what that breaks.

use std::collections::BTreeMap;
use std::time::Duration;

use seqlane::{
    Client, ClientAction, ClientConfig, ClientEvent, FlowId, FlowKind, Instant, LocalEvent, Misuse,
    OpenError, Target, TimerKind, Wake,
};
use seqlane_sim::shrink::shrink_in;
use seqlane_sim::{
    ClientHost, DecisionSource, Fault, Figures, Probability, Profile, Run, Scenario, Seeds, Swarm,
};

/// Bytes of a flow that are reported at once.
const BULK: usize = 16 << 10;
/// How long fewer bytes may wait.
const PATIENCE: Duration = Duration::from_millis(20);

/// The host: everything but written bytes goes straight through.
#[derive(Clone)]
struct BulkHost {
    client: Client,
    /// Bytes that applications have taken and the client does not know of.
    owed: BTreeMap<FlowId, usize>,
    due: Option<Instant>,
    /// The bug that the simulator shall find.
    forgetful: bool,
}

impl BulkHost {
    fn new(config: ClientConfig, seed: [u8; 32], now: Instant) -> Self {
        Self {
            client: Client::unsealed(config, seed, now),
            owed: BTreeMap::new(),
            due: None,
            forgetful: false,
        }
    }

    fn report(&mut self, now: Instant) -> Result<(), Misuse> {
        self.due = None;
        std::mem::take(&mut self.owed).into_iter().try_for_each(|(flow, bytes)| {
            self.client.handle(now, ClientEvent::Local { flow, event: LocalEvent::Written(bytes) })
        })
    }
}

impl ClientHost for BulkHost {
    fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, OpenError> {
        self.client.open(now, target, kind)
    }

    fn handle(&mut self, now: Instant, event: ClientEvent) -> Result<(), Misuse> {
        match event {
            ClientEvent::Local { flow, event: LocalEvent::Written(bytes) } => {
                self.due.get_or_insert(now.saturating_add(PATIENCE));
                let owed = self.owed.entry(flow).or_default();
                *owed += bytes;
                if *owed >= BULK { self.report(now) } else { Ok(()) }
            }
            other => {
                if let ClientEvent::Local { flow, event: LocalEvent::Reset } = &other {
                    self.owed.remove(flow);
                }
                if self.due.is_some_and(|due| due <= now) && !self.forgetful {
                    self.report(now)?;
                }
                self.client.handle(now, other)
            }
        }
    }

    fn poll(&mut self) -> ClientAction {
        match self.client.poll() {
            ClientAction::Idle { wake } => {
                let due = self.due.filter(|_| !self.forgetful);
                let own = due.map(|at| Wake { at, timer: TimerKind::Coalesce });
                ClientAction::Idle { wake: own.into_iter().chain(wake).min_by_key(|wake| wake.at) }
            }
            ClientAction::Ended { flow, why } => {
                // Nothing may be reported of a flow that has ended; the simulator finds a host that does.
                self.owed.remove(&flow);
                ClientAction::Ended { flow, why }
            }
            other => other,
        }
    }

    fn client(&self) -> &Client {
        &self.client
    }
}

fn main() {
    // Windows at their edges, and calls that overtake each other.
    let net = [(Fault::Reorder, Probability::of(1, 20))].into();
    let scenario = Scenario { odd_bounds: true, level: Some(1), net, ..Profile::Calm.scenario() };
    let seeds = Seeds { first: 0, end: Some(300) };
    let swarm = |run| {
        Swarm { run, jobs: 2, check: Run::seeded, hashes: false }.run(seeds, |f: &Figures| f.failed() == 0)
    };
    let figures = swarm(Run::hosted(&scenario, BulkHost::new));
    assert_eq!(figures.failed(), 0, "{:?}", figures.failures);
    println!("the host: {} seeds, none failed", figures.seeds);

    let run = Run::hosted(&scenario, |config, seed, now| BulkHost {
        forgetful: true,
        ..BulkHost::new(config, seed, now)
    });
    let figures = swarm(run);
    let (seed, violation) = figures.first_failure().expect("the forgotten timer is found");
    println!("without its timer, seed {seed}: {violation}\n");
    let decisions = run.record(&DecisionSource::Seed(seed)).decisions;
    let small = shrink_in(&run, &decisions, |progress| progress.runs < 1000).expect("it fails again");
    for entry in &small.recording.entries {
        println!("{:>14} {:<10} {}", entry.at.to_string(), entry.actor.to_string(), entry.what);
    }
}

#[test]
fn the_host_passes_and_its_forgotten_timer_is_found() {
    main();
}
