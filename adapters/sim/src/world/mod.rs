//! The simulated world: clients, relays, nodes and upstreams on one event heap, under faults.
//!
//! ```text
//!   flow (application) ─ local events ─▶ client ─ Send ─▶ network (relays, links) ─▶ node ─▶ upstream
//!          ▲                                │                                          │
//!          └──────────── actions ◀──────────┘            oracle: is told of every step
//! ```
//!
//! One event is taken at a time, time jumps to it, what it means is handed to a machine, and the machine is
//! polled until it is idle, each of its actions being carried out at once or put on the heap.

mod adversary;
mod client;
mod environment;
mod event;
mod exchange;
mod flight;
mod flow;
mod foreign_client;
mod host_timer;
mod hosts;
mod network;
mod node;
mod timer;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use seqlane::{Client, ClientConfig, Instant};

use crate::clock::HostClock;
use crate::ends::Ends;
use crate::hash::RunHash;
use crate::heap::EventHeap;
use crate::oracle::violated;
use crate::oracle::{ClientAtRest, NodeAtRest, Oracle};
use crate::rng::Xoshiro256pp;
use crate::scenario::Setup;
use crate::trace::{Actor, Entry, NoTrace, Sink, What};
use crate::{
    Chooser, ClientHost, Coverage, DecisionPoint, Fault, Property, Scenario, Seeded, Time, Violation,
};

use event::Event;
use host_timer::HostTimer;
use hosts::{ClientSide, ForeignClient, NodeSide};
use network::Network;

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was violated, if anything.
    pub violation: Option<Violation>,
    /// The hash of everything that was done.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// How long the run was in virtual time.
    pub time: Time,
    /// What happened.
    pub coverage: Coverage,
    /// The totals.
    pub tally: Tally,
}

/// A run in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Flows that came to their orderly end.
    pub finished: u64,
    /// Flows that were lost, visibly.
    pub lost: u64,
    /// Calls that were sent.
    pub calls: u64,
    /// Bytes that upstreams got.
    pub uplink: u64,
    /// Bytes that applications got.
    pub downlink: u64,
    /// How often each kind of fault struck.
    pub faults: [u64; Fault::ALL.len()],
}

/// A run in progress.
#[derive(Clone, Debug)]
pub struct World<H, C, S> {
    setup: Arc<Setup>,
    chooser: C,
    sink: S,
    now: Time,
    heap: EventHeap<(Event, Option<u64>)>,
    /// Of the clients, and then of the nodes.
    hosts: Vec<HostTimer>,
    clients: Vec<ClientSide<H>>,
    nodes: Vec<NodeSide>,
    network: Network,
    ends: Ends,
    foreign_clients: Vec<ForeignClient>,
    oracle: Oracle,
    phase: Phase,
    events: u64,
    /// Events at the present instant.
    instant: u64,
    entries: u64,
    /// The entry that the present event goes back to.
    cause: Option<u64>,
    hash: RunHash,
    coverage: Coverage,
    tally: Tally,
    /// Whether the violation was recorded, which is always the last entry.
    is_told: bool,
}

/// ```text
///   Faults ── Heal ──▶ Calm ── every flow has ended ──▶ Quiet ── nothing is left to happen ──▶ (the end)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Faults happen.
    Faults,
    /// One relay is well; the others stay as they are.
    Calm { core: usize, since: Time },
    /// Every flow has ended; everything must come to rest by then.
    Quiet { until: Time },
}

impl World<Client, Seeded, NoTrace> {
    /// The run of a seed.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        Self::with(scenario, Seeded::new(seed), NoTrace)
    }
}

impl<C: Chooser, S: Sink> World<Client, C, S> {
    /// A run with the bare client, decided by `chooser`, recorded by `sink`.
    pub fn with(scenario: &Scenario, chooser: C, sink: S) -> Self {
        Self::with_hosts(scenario, chooser, sink, Client::unsealed)
    }
}

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// A run with an embedder's own hosts, which `host` makes, each with a [`Client::unsealed`] inside: the nodes of a
    /// run do not seal.
    pub fn with_hosts(
        scenario: &Scenario,
        mut chooser: C,
        sink: S,
        host: impl Fn(ClientConfig, [u8; 32], Instant) -> H,
    ) -> Self {
        let setup = Setup::new(scenario, &mut chooser);
        Self::from_setup(setup, chooser, sink, host)
    }

    /// A run of which everything that is known before it begins was resolved elsewhere.
    pub fn from_setup(
        setup: Setup,
        chooser: C,
        sink: S,
        host: impl Fn(ClientConfig, [u8; 32], Instant) -> H,
    ) -> Self {
        let setup = Arc::new(setup);
        let client_clock = |index| HostClock::new(Duration::from_secs(1000 + 77 * index as u64), 0);
        let node_clock = |index| HostClock::new(Duration::from_secs(5_000_000 + index as u64), 0);
        let clocks: Vec<_> = (0..setup.clients).map(client_clock).chain((0..2).map(node_clock)).collect();
        let mut starts = clocks.iter().map(|clock| clock.read(Time::ZERO));
        let config = setup.client.clone().validate().expect("a setup's options are valid");
        let client = |(index, start)| {
            let seed = Xoshiro256pp::new(0xc1_1e57 + index).seed();
            ClientSide::new(host(config.clone(), seed, start))
        };
        let clients: Vec<_> = (0..setup.clients as u64).zip(&mut starts).map(client).collect();
        let nodes: Vec<_> =
            (0..).zip(starts).map(|(index, start)| NodeSide::new(&setup, index, start)).collect();
        let oracle = Oracle::new(&setup, clocks.clone());
        let mut world = Self {
            now: Time::ZERO,
            heap: EventHeap::default(),
            hosts: clocks.into_iter().map(HostTimer::new).collect(),
            clients,
            nodes,
            network: Network::new(&setup),
            ends: Ends::new(&setup),
            foreign_clients: setup
                .foreign_clients
                .iter()
                .zip(setup.flows.len()..)
                .map(ForeignClient::new)
                .collect(),
            oracle,
            phase: Phase::Faults,
            events: 0,
            instant: 0,
            entries: 0,
            cause: None,
            hash: RunHash::default(),
            coverage: Coverage::default(),
            tally: Tally::default(),
            is_told: false,
            setup,
            chooser,
            sink,
        };
        world.weigh_faults();
        world.forecast();
        for foreign_client in 0..world.foreign_clients.len() {
            world.at(
                Time::ZERO.after(world.setup.foreign_clients[foreign_client].at),
                Event::Visit(foreign_client),
            );
        }
        for flow in 0..world.setup.flows.len() {
            world.at(Time::ZERO.after(world.setup.flows[flow].at), Event::Start(flow));
        }
        world.at(Time::ZERO.after(world.setup.fault_phase), Event::Heal);
        for client in 0..world.clients.len() {
            world.drain_client(client);
        }
        world.tell_violation();
        world
    }

    /// Takes the next event. False when the run is over.
    pub fn step(&mut self) -> bool {
        if self.oracle.violation().is_some() {
            return false;
        }
        let Some((at, (event, cause))) = self.next_event() else {
            self.check_rest();
            return false;
        };
        if let Phase::Quiet { until } = self.phase
            && at > until
        {
            self.check_rest();
            return false;
        }
        self.begin_event(at, cause);
        self.dispatch(event);
        self.check_memory();
        self.tell_violation();
        true
    }

    /// Runs to the end, or until `most` events have happened.
    pub fn run(&mut self, most: u64) -> Outcome {
        while self.events < most && self.step() {}
        self.outcome()
    }

    /// The outcome so far.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            violation: self.oracle.violation().cloned(),
            hash: self.hash.value(),
            events: self.events,
            time: self.now,
            coverage: self.coverage.joined(self.oracle.coverage()),
            tally: self.tally,
        }
    }

    /// The hash of everything that was done so far.
    pub const fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// How many events there were.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The totals so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Ends the run with a violation found outside: a panic, or an embedder's own check.
    pub fn violate(&mut self, property: Property, what: String) {
        self.oracle.violated(property, what);
        self.tell_violation();
    }

    /// Virtual time now.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// The resolved setup.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The sink.
    pub const fn sink(&self) -> &S {
        &self.sink
    }

    fn next_event(&mut self) -> Option<(Time, (Event, Option<u64>))> {
        /// Among how many tied events the order is open.
        const TIED: usize = 4;
        if self.setup.ties {
            let tied = self.heap.tied(TIED);
            if tied > 1 {
                let index = self.chooser.decide(DecisionPoint::Tie, self.events, tied as u32);
                return self.heap.pop_tied(index as usize);
            }
        }
        self.heap.pop()
    }

    fn begin_event(&mut self, at: Time, cause: Option<u64>) {
        /// More events than this at one instant are a loop without time.
        const MOST_AT_ONCE: u64 = 20_000;
        self.instant = if at == self.now { self.instant + 1 } else { 0 };
        if self.instant > MOST_AT_ONCE {
            violated!(self.oracle, S9, "more than {MOST_AT_ONCE} events at one instant");
        }
        self.now = self.now.max(at);
        self.events += 1;
        self.oracle.on_event(self.now, self.events);
        self.cause = cause;
        self.hash.absorb(at.as_nanos());
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Start(flow) => self.on_start(flow),
            Event::Think(flow) => self.on_think(flow),
            Event::GiveIn(flow) => self.on_give_in(flow),
            Event::LocalRead(flow) => self.on_local_read(flow),
            Event::Wake(host, generation) => self.on_wake(host, generation),
            Event::GiveUp(client, exchange) => self.on_give_up(client, exchange),
            Event::Link { client, down, generation } => self.on_link(client, down, generation),
            Event::AtRelay(flight) => self.on_relay(flight),
            Event::AtNode(flight) => self.on_node(flight),
            Event::AtLink(flight) => self.on_answer_link(flight),
            Event::AtClient(flight) => self.on_answer(flight),
            Event::Connect(upstream) => self.on_connect(upstream),
            Event::Speak(upstream, due) => self.on_speak(upstream, due),
            Event::UpstreamRead(upstream) => self.on_upstream_read(upstream),
            Event::Visit(foreign_client) => self.on_visit(foreign_client),
            Event::ForeignClientSpeaks(foreign_client, sid) => {
                self.on_foreign_client_speaks(foreign_client, sid)
            }
            Event::Environment(change) => self.on_environment_change(change),
            Event::Heal => self.on_heal(),
            Event::Watch => self.on_watch(),
        }
    }

    /// Puts an event on the heap.
    fn at(&mut self, at: Time, event: Event) {
        let cause = self.entries.checked_sub(1).filter(|_| S::ON).or(self.cause);
        self.heap.push(at, (event, cause));
    }

    /// Records an entry. A violation is the last one.
    fn tell(&mut self, actor: Actor, what: What) {
        if S::ON {
            self.tell_violation();
            if !self.is_told {
                self.record(actor, what);
            }
        }
    }

    /// Records the violation, once.
    fn tell_violation(&mut self) {
        if let Some(property) = self.oracle.violation().map(|violation| violation.property)
            && S::ON
            && !std::mem::replace(&mut self.is_told, true)
        {
            self.record(Actor::World, What::Violated { property });
        }
    }

    fn record(&mut self, actor: Actor, what: What) {
        let entry = Entry {
            index: self.entries,
            event: self.events,
            at: self.now,
            actor,
            what,
            cause: self.cause,
            hash: self.hash.value(),
        };
        self.sink.record(&entry);
        self.cause = Some(self.entries);
        self.entries += 1;
    }

    /// Shows the oracle, at intervals, how much the machines hold.
    fn check_memory(&mut self) {
        if self.oracle.checks_bounds() {
            let clients = self.clients.iter().map(|side| side.host.client().buffered_bytes());
            let nodes = self.nodes.iter().map(|side| side.machine.buffered_bytes());
            self.oracle.on_memory(&self.ends, clients, nodes);
        }
    }

    /// When every flow has ended, the world must come to rest.
    fn rest_if_done(&mut self) {
        if matches!(self.phase, Phase::Calm { .. })
            && self.ends.flows.iter().all(|flow| flow.app.ended.is_some())
        {
            self.phase = Phase::Quiet { until: self.oracle.on_all_ended() };
        }
    }

    /// Shows the oracle the machines at the end.
    fn check_rest(&mut self) {
        let clients = self.clients.iter().zip(&self.hosts).map(|(side, timer)| ClientAtRest {
            held: side.host.client().buffered_bytes(),
            wake: timer.wake(),
            stats: side.host.stats(),
            machine: side.host.client(),
        });
        let nodes = self.nodes.iter().map(|side| NodeAtRest {
            held: side.machine.buffered_bytes(),
            reordered: side.machine.stats().reordered,
            machine: &side.machine,
        });
        self.oracle.on_rest(&self.ends, clients, nodes);
        self.tell_violation();
    }

    /// Whether this kind of fault strikes here; if so, in which of `ways` (from 1).
    fn strikes(&mut self, fault: Fault, point: DecisionPoint, key: u64, ways: u32) -> u32 {
        if self.phase != Phase::Faults || self.setup.probability(fault).is_never() {
            return 0;
        }
        self.chooser.decide(point, key, ways + 1)
    }

    /// Counts a fault that struck.
    fn count_fault(&mut self, fault: Fault) {
        self.tally.faults[fault.index()] += 1;
        self.oracle.on_fault(fault);
    }

    /// Sets the probability of each fault's decision points.
    fn weigh_faults(&mut self) {
        let points = [
            (DecisionPoint::LoseRequest, Fault::LoseRequest),
            (DecisionPoint::LoseReply, Fault::LoseReply),
            (DecisionPoint::Duplicate, Fault::Duplicate),
            (DecisionPoint::Late, Fault::Late),
            (DecisionPoint::Reorder, Fault::Reorder),
            (DecisionPoint::Truncate, Fault::Truncate),
            (DecisionPoint::Garbage, Fault::Garbage),
            (DecisionPoint::Refuse, Fault::Refuse),
            (DecisionPoint::Crash, Fault::Crash),
            (DecisionPoint::Swap, Fault::Swap),
            (DecisionPoint::Corrupt, Fault::Corrupt),
        ];
        for (point, fault) in points {
            self.chooser.weigh(point, self.setup.probability(fault));
        }
    }
}
