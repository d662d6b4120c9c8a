//! The node's side: the machine, its clock, its restarts, and what it wants done.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::time::Duration;

use seqlane::{
    BodyForm, ClientEnd, Endpoint, FlowKind, Instant, Node, NodeAction, NodeConfig, NodeEvent, NodeNotice,
    NodeOptions, RequestId, Secret, SessionEnd, UpstreamId, Wake,
};

use crate::chooser::Chooser;
use crate::clock::HostClock;
use crate::coverage::CoveragePoint;
use crate::decision_point::DecisionPoint;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::property::Property;
use crate::rng::Xoshiro256pp;
use crate::scenario::{KEY, Setup};
use crate::time::Time;
use crate::trace::{Actor, Sink, What};
use crate::world::World;
use crate::world::event::Event;
use crate::world::upstream::UpstreamState;

const MOST_ACTIONS: u32 = 100_000;

/// A node in its host.
#[derive(Clone, Debug)]
pub(super) struct NodeSide {
    pub(super) machine: Node,
    pub(super) clock: HostClock,
    pub(super) config: NodeConfig,
    seed: u64,
    /// How often it has restarted.
    pub(super) life: u64,
    requests: u64,
    /// Requests that were accepted and are not answered, and the flights that brought them.
    pub(super) held: BTreeMap<RequestId, Held>,
    pub(super) upstreams: BTreeMap<UpstreamId, usize>,
    pub(super) wake: Option<Wake>,
    generation: u64,
    /// The host breaks down as soon as it has done what it is doing.
    breaking: bool,
}

/// A request that a node holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The flight that brought it; or none, when it is a foreign client's.
    pub(super) caller: Caller,
    /// When it came.
    pub(super) since: Time,
}

/// Who waits for an answer of a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caller {
    /// A client, by way of a relay.
    Flight(usize),
    /// A foreign client, that speaks to the node itself.
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

fn machine(config: &NodeConfig, seed: u64, now: Instant) -> Node {
    Node::unsealed(config.clone(), Xoshiro256pp::new(seed).seed(), now)
}

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    pub(super) fn node_now(&self, node: usize) -> Instant {
        self.nodes[node].clock.read(self.now)
    }

    pub(super) fn node_handle(&mut self, node: usize, event: NodeEvent) {
        let now = self.node_now(node);
        if let Err(misuse) = self.nodes[node].machine.handle(now, event) {
            self.violated(Property::S5, format!("node{node} refuses a legal event: {misuse}"));
        }
    }

    /// A request comes to a node.
    pub(super) fn node_request(&mut self, node: usize, caller: Caller, form: BodyForm, body: bytes::Bytes) {
        let since = self.now;
        let side = &mut self.nodes[node];
        let request = RequestId::new(side.requests);
        side.requests += 1;
        side.held.insert(request, Held { caller, since });
        let endpoint = match form {
            BodyForm::Json => Endpoint::Batch,
            BodyForm::Packet => Endpoint::Streams { key: Secret::new(KEY) },
        };
        self.node_handle(node, NodeEvent::Request { request, endpoint, body });
        self.drain_node(node);
    }

    pub(super) fn on_node_wake(&mut self, node: usize, generation: u64) {
        if self.nodes[node].generation != generation {
            return;
        }
        let Some(wake) = self.nodes[node].wake.take() else { return };
        self.tell(Actor::Node(node as u32), What::Timeout { timer: wake.timer });
        self.node_handle(node, NodeEvent::Timeout);
        self.drain_node(node);
        let (now, next) = (self.node_now(node), self.nodes[node].wake);
        if next.is_some_and(|next| next.at <= now) {
            self.violated(
                Property::S9,
                format!("node{node} wants to be woken at once after {:?}", wake.timer),
            );
        }
    }

    /// Polls a node until it is idle, and carries out what it wants.
    pub(super) fn drain_node(&mut self, node: usize) {
        for _ in 0..MOST_ACTIONS {
            match self.nodes[node].machine.poll() {
                NodeAction::Idle { wake } => {
                    if self.nodes[node].machine.poll() != (NodeAction::Idle { wake }) {
                        self.violated(Property::S8, format!("node{node} is idle, and then is not"));
                    }
                    if std::mem::take(&mut self.nodes[node].breaking) {
                        self.count_fault(Fault::Crash);
                        return self.restart_node(node, Fault::Crash);
                    }
                    return self.arm_node(node, wake);
                }
                action => self.on_node_action(node, action),
            }
        }
        self.violated(Property::S9, format!("node{node} wants {MOST_ACTIONS} things done and is not idle"));
    }

    fn arm_node(&mut self, node: usize, wake: Option<Wake>) {
        if self.nodes[node].wake != wake {
            self.nodes[node].wake = wake;
            self.rearm_node(node);
        }
    }

    pub(super) fn rearm_node(&mut self, node: usize) {
        let side = &mut self.nodes[node];
        side.generation += 1;
        let generation = side.generation;
        if let Some(at) = side.wake.and_then(|wake| side.clock.when(self.now, wake.at)) {
            self.at(at, Event::NodeWake(node, generation));
        }
    }

    fn on_node_action(&mut self, node: usize, action: NodeAction) {
        match action {
            NodeAction::Respond { request, response } => {
                let (status, body) = (response.status, response.body.into_bytes());
                self.hash.absorb(request.number() << 16 | u64::from(status));
                self.hash.write(&body);
                match self.nodes[node].held.remove(&request).map(|held| held.caller) {
                    Some(Caller::Flight(flight)) => self.answered(flight, status, body),
                    Some(Caller::ForeignClient(foreign_client)) => {
                        self.on_foreign_client_answer(foreign_client, &body)
                    }
                    None => {
                        self.violated(Property::S13, format!("node{node} answers request {request} twice"))
                    }
                }
            }
            NodeAction::OpenUpstream { upstream, target, kind, .. } => {
                self.hash.absorb(upstream.number());
                let flow = self.flow_named(target.host());
                match flow.filter(|flow| self.flows[*flow].script.transport() == kind) {
                    Some(flow) => self.open_upstream(node, upstream, flow),
                    None => self.violated(
                        Property::S1,
                        format!("node{node} opens {target:?}, which nobody asked for"),
                    ),
                }
            }
            NodeAction::WriteUpstream { upstream, bytes } => {
                self.hash.absorb(upstream.number() << 32 | bytes.len() as u64);
                if let Some(upstream) = self.upstream_of(node, upstream, "WriteUpstream") {
                    self.maybe_break(node, upstream);
                    self.on_uplink(upstream, bytes);
                }
            }
            NodeAction::Credit { upstream, bytes } => {
                self.hash.absorb(upstream.number() << 32 | bytes as u64);
                if let Some(upstream) = self.upstream_of(node, upstream, "Credit") {
                    self.on_upstream_credit(upstream, bytes);
                }
            }
            NodeAction::FinishUpstream { upstream } => {
                self.hash.absorb(upstream.number());
                if let Some(upstream) = self.upstream_of(node, upstream, "FinishUpstream") {
                    self.on_uplink_end(upstream);
                }
            }
            NodeAction::ShutUpstream { upstream, how } => {
                self.hash.absorb(upstream.number());
                if let Some(upstream) = self.upstream_of(node, upstream, "ShutUpstream") {
                    self.on_shut(upstream, how);
                }
            }
            NodeAction::Event(notice) => self.on_node_notice(node, notice),
            NodeAction::Idle { .. } => {}
        }
    }

    /// The upstream that a node speaks of; nothing may be wanted of one that has ended (S4).
    fn upstream_of(&mut self, node: usize, id: UpstreamId, action: &str) -> Option<usize> {
        let Some(upstream) = self.nodes[node].upstreams.get(&id).copied() else {
            self.violated(Property::S4, format!("{action} for upstream {id}, which was never opened"));
            return None;
        };
        match self.upstreams[upstream].state {
            UpstreamState::Opening | UpstreamState::Open => Some(upstream),
            UpstreamState::Broken { event } if event == self.events => None,
            UpstreamState::Broken { .. } | UpstreamState::Gone => {
                self.violated(Property::S4, format!("{action} for upstream {id} after its end"));
                None
            }
        }
    }

    /// F10: the host breaks down between this write and the reply.
    fn maybe_break(&mut self, node: usize, upstream: usize) {
        let key = self.upstreams[upstream].received ^ (upstream as u64) << 40;
        if self.flows[self.upstreams[upstream].flow].script.transport() == FlowKind::Tcp
            && self.strikes(Fault::Crash, DecisionPoint::Crash, key, 1) > 0
        {
            self.nodes[node].breaking = true;
        }
    }

    fn on_node_notice(&mut self, node: usize, notice: NodeNotice) {
        match notice {
            NodeNotice::SessionEnded { upstream, why } => self.on_session_ended(node, upstream, why),
            NodeNotice::DatagramsDropped { .. } => self.coverage.set(CoveragePoint::DatagramDropped),
            NodeNotice::BadPacket { .. } => self.check_bad_packet(node),
            NodeNotice::ClientEnded { why: ClientEnd::Failed(fault), .. } => {
                self.violated(Property::S10, format!("node{node} fails a client: {fault}"));
            }
            NodeNotice::ClientEnded { client, why: ClientEnd::Idle } => self.on_forgotten(client),
            NodeNotice::LimitReached { .. } => {
                self.coverage.set(CoveragePoint::NodeLimit);
                self.ledger.limited = true;
            }
            _ => {}
        }
    }

    fn on_session_ended(&mut self, node: usize, id: UpstreamId, why: SessionEnd) {
        let Some(upstream) = self.nodes[node].upstreams.get(&id).copied() else { return };
        let flow = self.upstreams[upstream].flow as u32;
        self.tell(Actor::Node(node as u32), What::SessionEnded { flow, why });
        if self.upstreams[upstream].session_over.replace(self.now).is_some() {
            self.violated(Property::S4, format!("the session of flow {flow} ends twice at node{node}"));
        }
        if matches!(why, SessionEnd::Idle | SessionEnd::WriteTimedOut | SessionEnd::Reset) {
            self.ledger.flows[flow as usize].excused = true;
        }
        let point = match why {
            SessionEnd::Finished => CoveragePoint::SessionFinished,
            SessionEnd::Closed => CoveragePoint::SessionClosed,
            SessionEnd::Idle => CoveragePoint::SessionIdle,
            SessionEnd::WriteTimedOut => CoveragePoint::SessionWriteTimeout,
            SessionEnd::Reset => CoveragePoint::SessionReset,
            SessionEnd::Abandoned => CoveragePoint::SessionAbandoned,
            SessionEnd::ClientLost => CoveragePoint::ClientForgotten,
            _ => return,
        };
        self.coverage.set(point);
    }

    /// A node starts anew: sessions, upstreams and held requests are gone.
    pub(super) fn restart_node(&mut self, node: usize, fault: Fault) {
        self.tell(Actor::Node(node as u32), What::Environment { fault, how: "the node restarts" });
        let now = self.node_now(node);
        let side = &mut self.nodes[node];
        side.life += 1;
        side.machine = machine(&side.config, side.seed + side.life, now);
        side.wake = None;
        side.requests = 0;
        let (held, upstreams) = (std::mem::take(&mut side.held), std::mem::take(&mut side.upstreams));
        for upstream in upstreams.into_values() {
            self.upstreams[upstream].state = UpstreamState::Gone;
            let flow = self.upstreams[upstream].flow;
            self.flows[flow].orphaned = true;
            self.flows[flow].restarted = true;
            self.ledger.flows[flow].excused = true;
        }
        for held in held.into_values() {
            match held.caller {
                Caller::Flight(flight) => self.broke_off(flight),
                Caller::ForeignClient(foreign_client) => self.leave(foreign_client),
            }
        }
        self.drain_node(node);
        self.rearm_node(node);
    }
}
