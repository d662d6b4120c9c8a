//! Nodes in their hosts: events in, actions out, restarts.

use std::hash::Hasher;

use seqlane::{
    BodyForm, ClientEnd, Endpoint, FlowKind, NodeAction, NodeEvent, NodeNotice, RequestId, Secret,
    SessionEnd, UpstreamId,
};

use crate::ends::UpstreamState;
use crate::oracle::{require, violated};
use crate::scenario::setup::KEY;
use crate::trace::{Actor, Sink, What};
use crate::world::World;
use crate::world::hosts::Caller;
use crate::{Chooser, ClientHost, CoveragePoint, DecisionPoint, Fault};

const MOST_ACTIONS: u32 = 100_000;

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    pub(super) fn node_handle(&mut self, node: usize, event: NodeEvent) {
        let now = self.shown(self.node_host(node));
        if let Err(misuse) = self.nodes[node].machine.handle(now, event) {
            violated!(self.oracle, S5, "node{node} refuses a legal event: {misuse}");
        }
    }

    /// A request comes to a node.
    pub(super) fn node_request(&mut self, node: usize, caller: Caller, form: BodyForm, body: bytes::Bytes) {
        let side = &mut self.nodes[node];
        let request = RequestId::new(side.requests);
        side.requests += 1;
        side.held.insert(request, caller);
        self.oracle.on_held(node, request);
        let endpoint = match form {
            BodyForm::Json => Endpoint::Batch,
            BodyForm::Packet => Endpoint::Streams { key: Secret::new(KEY) },
        };
        self.node_handle(node, NodeEvent::Request { request, endpoint, body });
        self.drain_node(node);
    }

    /// Polls a node until it is idle, and carries out its actions.
    pub(super) fn drain_node(&mut self, node: usize) {
        for _ in 0..MOST_ACTIONS {
            match self.nodes[node].machine.poll() {
                NodeAction::Idle { wake } => {
                    let idle = matches!(self.nodes[node].machine.poll(), NodeAction::Idle { wake: again } if again == wake);
                    require!(self.oracle, idle, S8, "node{node} is idle, and then is not");
                    if std::mem::take(&mut self.nodes[node].breaking) {
                        self.count_fault(Fault::Crash);
                        return self.restart_node(node, Fault::Crash);
                    }
                    return self.arm(self.node_host(node), wake);
                }
                action => self.on_node_action(node, action),
            }
        }
        violated!(self.oracle, S9, "node{node} wants {MOST_ACTIONS} things done and is not idle");
    }

    fn on_node_action(&mut self, node: usize, action: NodeAction) {
        match action {
            NodeAction::Respond { request, response } => {
                let (status, body) = (response.status, response.body.into_bytes());
                self.hash.absorb(request.number() << 16 | u64::from(status));
                self.hash.write(&body);
                self.oracle.on_released(node, request);
                match self.nodes[node].held.remove(&request) {
                    Some(Caller::Flight(flight)) => self.answered(flight, status, body),
                    Some(Caller::ForeignClient(client)) => self.on_foreign_client_answer(client, &body),
                    None => {
                        violated!(self.oracle, S13, "node{node} answers request {request} twice");
                    }
                }
            }
            NodeAction::OpenUpstream { upstream, target, kind, .. } => {
                self.hash.absorb(upstream.number());
                let flow = self.ends.flow_named(target.host());
                match flow.filter(|flow| self.ends.flows[*flow].script.transport() == kind) {
                    Some(flow) => self.open_upstream(node, upstream, flow),
                    None => {
                        violated!(self.oracle, S1, "node{node} opens {target:?}, which no flow wants");
                    }
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
                    self.oracle.on_uplink_finished(&self.ends, upstream);
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

    /// The upstream of an action; none may be about an upstream that has ended (S4).
    fn upstream_of(&mut self, node: usize, id: UpstreamId, action: &str) -> Option<usize> {
        let Some(upstream) = self.nodes[node].upstreams.get(&id).copied() else {
            violated!(self.oracle, S4, "{action} for upstream {id}, which was never opened");
            return None;
        };
        match self.ends.upstreams[upstream].state {
            UpstreamState::Opening | UpstreamState::Open => return Some(upstream),
            UpstreamState::Broken { event } if event == self.events => {}
            UpstreamState::Broken { .. } | UpstreamState::Gone => {
                violated!(self.oracle, S4, "{action} for upstream {id} after its end");
            }
        }
        None
    }

    /// F10: the host breaks down between this write and the reply.
    fn maybe_break(&mut self, node: usize, upstream: usize) {
        let key = self.ends.upstreams[upstream].received ^ (upstream as u64) << 40;
        if self.ends.flows[self.ends.upstreams[upstream].flow].script.transport() == FlowKind::Tcp
            && self.strikes(Fault::Crash, DecisionPoint::Crash, key, 1) > 0
        {
            self.nodes[node].breaking = true;
        }
    }

    fn on_node_notice(&mut self, node: usize, notice: NodeNotice) {
        match notice {
            NodeNotice::SessionEnded { upstream, why } => self.on_session_ended(node, upstream, why),
            NodeNotice::DatagramsDropped { .. } => self.coverage.set(CoveragePoint::DatagramDropped),
            NodeNotice::BadPacket { request } => self.on_bad_packet(node, request),
            NodeNotice::ClientEnded { why: ClientEnd::Failed(fault), .. } => {
                violated!(self.oracle, S10, "node{node} fails a client: {fault}");
            }
            NodeNotice::ClientEnded { client, why: ClientEnd::Idle | ClientEnd::Replaced } => {
                self.oracle.on_forgotten(&self.ends, client);
            }
            NodeNotice::LimitReached { .. } => self.oracle.on_limit(),
            _ => {}
        }
    }

    fn on_bad_packet(&mut self, node: usize, request: RequestId) {
        let flight = match self.nodes[node].held.get(&request) {
            Some(Caller::Flight(flight)) => Some(&self.network.flights[*flight]),
            Some(Caller::ForeignClient(_)) | None => None,
        };
        let request = flight.map(|flight| crate::oracle::Request::clone(&flight.request));
        self.oracle.on_bad_packet(node, request.as_deref());
    }

    fn on_session_ended(&mut self, node: usize, id: UpstreamId, why: SessionEnd) {
        let Some(upstream) = self.nodes[node].upstreams.get(&id).copied() else { return };
        let flow = self.ends.upstreams[upstream].flow as u32;
        self.tell(Actor::Node(node as u32), What::SessionEnded { flow, why });
        self.oracle.on_session_ended(&self.ends, node, upstream, why);
    }

    /// A node restarts: sessions, upstreams and held requests are lost.
    pub(super) fn restart_node(&mut self, node: usize, fault: Fault) {
        self.tell(Actor::Node(node as u32), What::Environment { fault, how: "the node restarts" });
        let host = self.node_host(node);
        let now = self.shown(host);
        self.arm(host, None);
        let (held, upstreams) = self.nodes[node].restart(now);
        for upstream in upstreams.values() {
            self.ends.upstreams[*upstream].state = UpstreamState::Gone;
        }
        let flows = upstreams.values().map(|upstream| self.ends.upstreams[*upstream].flow);
        self.oracle.on_restart(node, flows);
        for caller in held.into_values() {
            match caller {
                Caller::Flight(flight) => self.broke_off(flight),
                Caller::ForeignClient(client) => self.leave(client),
            }
        }
        self.drain_node(node);
        self.rearm(host);
    }
}
