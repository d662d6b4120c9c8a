//! Hosts of the machines, and foreign clients: state without behaviour.

use std::collections::BTreeMap;

use seqlane::{ExchangeId, FlowId, Instant, Node, NodeConfig, RequestId, UpstreamId};

use crate::ClientHost;
use crate::rng::Xoshiro256pp;
use crate::scenario::{ForeignClientSetup, Setup};

/// A client in its host.
#[derive(Clone, Debug)]
pub(super) struct ClientSide<H> {
    pub(super) host: H,
    /// Its flows, in the order of their ids.
    pub(super) flows: Vec<usize>,
    /// Exchanges that have not ended: when each is given up, and whether it is a packet of level 2.
    pub(super) exchanges: BTreeMap<ExchangeId, (Instant, bool)>,
}

impl<H: ClientHost> ClientSide<H> {
    pub(super) const fn new(host: H) -> Self {
        Self { host, flows: Vec::new(), exchanges: BTreeMap::new() }
    }

    pub(super) fn flow(&self, id: FlowId) -> Option<usize> {
        self.flows.get(usize::try_from(id.number()).ok()?).copied()
    }
}

/// A node in its host.
#[derive(Clone, Debug)]
pub(super) struct NodeSide {
    pub(super) machine: Node,
    config: NodeConfig,
    seed: u64,
    /// How often it has restarted.
    life: u64,
    pub(super) requests: u64,
    /// Requests that were accepted and are not answered, and who waits for each.
    pub(super) held: BTreeMap<RequestId, Caller>,
    pub(super) upstreams: BTreeMap<UpstreamId, usize>,
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
    pub(super) fn new(setup: &Setup, index: usize, now: Instant) -> Self {
        let options = setup.node.clone().max_level(setup.node_level(index));
        let config = options.validate().expect("a setup's options are valid");
        let seed = 0x0de + 1000 * index as u64;
        Self {
            machine: machine(&config, seed, now),
            config,
            seed,
            life: 0,
            requests: 0,
            held: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            breaking: false,
        }
    }

    /// Starts a new machine. Answers which requests and upstreams are lost with the old one.
    pub(super) fn restart(
        &mut self,
        now: Instant,
    ) -> (BTreeMap<RequestId, Caller>, BTreeMap<UpstreamId, usize>) {
        self.life += 1;
        self.machine = machine(&self.config, self.seed + self.life, now);
        self.requests = 0;
        (std::mem::take(&mut self.held), std::mem::take(&mut self.upstreams))
    }
}

fn machine(config: &NodeConfig, seed: u64, now: Instant) -> Node {
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
