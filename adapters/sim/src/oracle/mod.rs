//! The oracle: an observer that is told what happens in a run, and reports the first violation of a property.
//!
//! ```text
//!   World ── on_sent, on_arrived, on_answered, on_delivered, on_flow_ended, on_restart, … ──▶ Oracle ──▶ Violation
//! ```
//!
//! It keeps records of its own, and shares nothing with the world but the [`Ends`], which it only reads.

/// Reports a violation of a property; the text says what was seen.
macro_rules! violated {
    ($oracle:expr, $property:ident, $($seen:tt)+) => {
        $oracle.violated(crate::property::Property::$property, format!($($seen)+))
    };
}
pub(crate) use violated;

/// Requires that something holds. Otherwise the property is violated, and the text says what was seen.
macro_rules! require {
    ($oracle:expr, $holds:expr, $property:ident, $($seen:tt)+) => {
        if !$holds {
            crate::oracle::violated!($oracle, $property, $($seen)+);
        }
    };
}
pub(crate) use require;

mod answers;
mod attribution;
mod bounds;
mod calls;
mod connections;
mod ends;
mod ops;
mod packets;
mod progress;
mod records;
mod rest;

use std::collections::BTreeMap;
use std::sync::Arc;

use seqlane::wire::Sid;
use seqlane::{ExchangeId, Instant, Level, RequestId};

use crate::clock::HostClock;
use crate::ends::Ends;
use crate::scenario::Setup;
use crate::{Coverage, CoveragePoint, Fault, Property, Time, Violation};

pub(crate) use records::{ClientAtRest, NodeAtRest, Request, SentOp, is_packet};
use records::{
    ClientRecord, FlowRecord, NodeRecord, PacketRecords, RelayRecord, SentCall, SessionRecord,
    UpstreamRecord, flows,
};

/// An observer of one run.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    setup: Arc<Setup>,
    now: Time,
    event: u64,
    violation: Option<Violation>,
    coverage: Coverage,
    /// Of the clients, and then of the nodes.
    clocks: Vec<HostClock>,
    clients: Vec<ClientRecord>,
    nodes: Vec<NodeRecord>,
    /// By relay: whether calls pass.
    passes: Vec<bool>,
    flows: Vec<FlowRecord>,
    upstreams: Vec<UpstreamRecord>,
    /// Calls that their clients wait for.
    calls: BTreeMap<(usize, ExchangeId), SentCall>,
    sessions: BTreeMap<Sid, SessionRecord>,
    /// By client and relay.
    relays: BTreeMap<(usize, u32), RelayRecord>,
    /// Whether a node has refused something because of a limit.
    limited: bool,
    packets: PacketRecords,
    /// When every flow has ended: until when everything must come to rest.
    rest: Option<Time>,
}

impl Oracle {
    /// An oracle for a run whose hosts have these clocks: the clients, and then the nodes.
    pub(crate) fn new(setup: &Arc<Setup>, clocks: Vec<HostClock>) -> Self {
        let client =
            |clock: &HostClock| ClientRecord { began: clock.read(Time::ZERO), idle_calls: (0, Time::ZERO) };
        let (clients, nodes) = clocks.split_at(setup.clients);
        Self {
            now: Time::ZERO,
            event: 0,
            violation: None,
            coverage: Coverage::default(),
            clients: clients.iter().map(client).collect(),
            nodes: vec![NodeRecord::default(); nodes.len()],
            passes: vec![true; setup.relays.len()],
            flows: vec![FlowRecord::default(); setup.flows.len() + setup.foreign_clients.len()],
            upstreams: Vec::new(),
            calls: BTreeMap::new(),
            sessions: BTreeMap::new(),
            relays: BTreeMap::new(),
            limited: false,
            packets: PacketRecords::default(),
            rest: None,
            setup: Arc::clone(setup),
            clocks,
        }
    }

    /// The first violation.
    pub(crate) const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What was seen to happen.
    pub(crate) const fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Reports a violation. Only the first one of a run counts.
    pub(crate) fn violated(&mut self, property: Property, what: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { property, at: self.now, event: self.event, what });
        }
    }

    /// An event of the run begins.
    pub(crate) const fn on_event(&mut self, now: Time, event: u64) {
        self.now = now;
        self.event = event;
    }

    /// A fault strikes.
    pub(crate) fn on_fault(&mut self, fault: Fault) {
        self.coverage.set(CoveragePoint::Fault(fault));
    }

    /// The clock of a host was changed.
    pub(crate) fn on_clock(&mut self, host: usize, clock: HostClock) {
        self.clocks[host] = clock;
    }

    /// F13 strikes a host: nothing is known of its waits.
    pub(crate) fn on_clock_fault(&mut self, ends: &Ends, host: usize) {
        let of_node = host == self.clients.len();
        for (record, flow) in self.flows.iter_mut().zip(&ends.flows) {
            let struck = of_node || flow.client == host;
            record.excused |= struck;
            record.upset |= struck;
        }
    }

    /// A relay's state changes: calls pass, or are lost, refused or slow.
    pub(crate) fn on_relay_state(&mut self, relay: usize, passes: bool) {
        self.passes[relay] = passes;
    }

    /// A node restarts; it had sessions of these flows.
    pub(crate) fn on_restart(&mut self, node: usize, flows: impl Iterator<Item = usize>) {
        self.nodes[node].life += 1;
        self.nodes[node].held.clear();
        for flow in flows {
            let record = &mut self.flows[flow];
            (record.orphaned, record.restarted, record.excused) = (true, true, true);
        }
    }

    /// A node refuses something because of a limit.
    pub(crate) fn on_limit(&mut self) {
        self.coverage.set(CoveragePoint::NodeLimit);
        self.limited = true;
    }

    /// A client's call is led to a node that does not know its sessions.
    pub(crate) fn on_misled(&mut self, ends: &Ends, client: usize) {
        for (record, _) in self.flows.iter_mut().zip(&ends.flows).filter(|(_, flow)| flow.client == client) {
            record.orphaned = true;
        }
    }

    /// A node holds a request from now on.
    pub(crate) fn on_held(&mut self, node: usize, request: RequestId) {
        self.nodes[node].held.insert(request, self.now);
    }

    /// A node holds a request no longer.
    pub(crate) fn on_released(&mut self, node: usize, request: RequestId) {
        self.nodes[node].held.remove(&request);
    }

    fn client_now(&self, client: usize) -> Instant {
        self.clocks[client].read(self.now)
    }

    /// Whether a kind of fault has struck.
    fn has_struck(&self, fault: Fault) -> bool {
        self.coverage.has(CoveragePoint::Fault(fault))
    }

    /// The calls that a client waits for.
    fn calls_of(&self, client: usize) -> impl Iterator<Item = &SentCall> {
        let own = (client, ExchangeId::new(0))..(client + 1, ExchangeId::new(0));
        self.calls.range(own).map(|(_, call)| call)
    }

    /// Whether a flow is a stream of level 2.
    fn is_stream(&self, flow: usize) -> bool {
        self.flows[flow].connection.is_some()
    }

    /// Whether the clients' flows are sealed or refused.
    fn is_sealed_only(&self) -> bool {
        self.setup.client.min_level == Some(Level::Streams)
    }

    /// Whether what a flow sent below level 2 may have come twice.
    fn may_be_doubled(&self, flow: usize) -> bool {
        self.has_struck(Fault::Duplicate) && (self.flows[flow].session || !self.is_stream(flow))
    }

    /// Which node has something, and in which of its lives.
    fn home(&self, node: usize) -> (usize, u64) {
        (node, self.nodes[node].life)
    }

    /// Something happened to these ops that may lose their flows.
    pub(crate) fn excuse(&mut self, request: &[SentOp]) {
        for flow in flows(request) {
            self.flows[flow].excused = true;
        }
    }
}
