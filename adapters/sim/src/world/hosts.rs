//! Hosts of the machines, and foreign clients: state without behaviour.

use std::collections::BTreeMap;
use std::time::Duration;

use seqlane::{
    ClientConfig, ExchangeId, FlowId, Instant, Node, NodeConfig, NodeOptions, RequestId, UpstreamId, Wake,
};

use crate::clock::HostClock;
use crate::rng::Xoshiro256pp;
use crate::scenario::{ForeignClientSetup, Setup};
use crate::{ClientHost, Time};

/// A client in its host.
#[derive(Clone, Debug)]
pub(super) struct ClientSide<H> {
    pub(super) host: H,
    pub(super) clock: HostClock,
    pub(super) config: ClientConfig,
    /// Its flows, in the order of their ids.
    pub(super) flows: Vec<usize>,
    /// Exchanges that have not ended: when each is given up, and whether it is a packet of level 2.
    pub(super) exchanges: BTreeMap<ExchangeId, (Instant, bool)>,
    pub(super) wake: Option<Wake>,
    pub(super) generation: u64,
}

impl<H: ClientHost> ClientSide<H> {
    pub(super) fn new(
        setup: &Setup,
        index: usize,
        host: &impl Fn(ClientConfig, [u8; 32], Instant) -> H,
    ) -> Self {
        let config = setup.client.clone().validate().expect("a setup's options are valid");
        let clock = HostClock::new(Duration::from_secs(1000 + 77 * index as u64), 0);
        let seed = Xoshiro256pp::new(0xc1_1e57 + index as u64).seed();
        let host = host(config.clone(), seed, clock.read(Time::ZERO));
        Self { host, clock, config, flows: Vec::new(), exchanges: BTreeMap::new(), wake: None, generation: 0 }
    }

    pub(super) fn flow(&self, id: FlowId) -> Option<usize> {
        self.flows.get(usize::try_from(id.number()).ok()?).copied()
    }
}

/// A node in its host.
#[derive(Clone, Debug)]
pub(super) struct NodeSide {
    pub(super) machine: Node,
    pub(super) clock: HostClock,
    pub(super) config: NodeConfig,
    pub(super) seed: u64,
    /// How often it has restarted.
    pub(super) life: u64,
    pub(super) requests: u64,
    /// Requests that were accepted and are not answered, and who waits for each.
    pub(super) held: BTreeMap<RequestId, Caller>,
    pub(super) upstreams: BTreeMap<UpstreamId, usize>,
    pub(super) wake: Option<Wake>,
    pub(super) generation: u64,
    /// The host crashes after the present actions.
    pub(super) breaking: bool,
}

/// Who waits for an answer of a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caller {
    /// A client, by way of a relay.
    Flight(usize),
    /// A foreign client, which calls the node directly.
    ForeignClient(usize),
}

impl NodeSide {
    pub(super) fn new(setup: &Setup, index: u64) -> Self {
        Self::with(setup.node.clone(), index)
    }

    /// The node that some relays lead to instead, without any session of the first.
    pub(super) fn other(setup: &Setup) -> Self {
        Self::with(setup.node.clone().max_level(setup.other_level), 1)
    }

    fn with(options: NodeOptions, index: u64) -> Self {
        let config = options.validate().expect("a setup's options are valid");
        let clock = HostClock::new(Duration::from_secs(5_000_000 + index), 0);
        let seed = 0x0de + 1000 * index;
        Self {
            machine: machine(&config, seed, clock.read(Time::ZERO)),
            clock,
            config,
            seed,
            life: 0,
            requests: 0,
            held: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            wake: None,
            generation: 0,
            breaking: false,
        }
    }
}

pub(super) fn machine(config: &NodeConfig, seed: u64, now: Instant) -> Node {
    Node::unsealed(config.clone(), Xoshiro256pp::new(seed).seed(), now)
}

/// A caller from elsewhere.
#[derive(Clone, Debug)]
pub(super) struct ForeignClient {
    /// The flow that represents its traffic.
    pub(super) flow: usize,
    /// Whether its close stands before its data.
    pub(super) closes_first: bool,
    pub(super) stage: Stage,
}

/// ```text
///   Coming ── connect ──▶ Opening ── sid ──▶ Speaking ── answered ──▶ Gone
///                            └── refused, or the node broke down ───▶ Gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Coming,
    Opening,
    Speaking,
    Gone,
}

impl ForeignClient {
    pub(super) const fn new((setup, flow): (&ForeignClientSetup, usize)) -> Self {
        Self { flow, closes_first: setup.closes_first, stage: Stage::Coming }
    }
}
