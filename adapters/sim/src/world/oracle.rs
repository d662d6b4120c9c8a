//! The oracle: it sees everything, and knows what must hold.

use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::{self, Limits};
use seqlane::{EndReason, ExchangeId, RelayId, TimerKind};

use crate::chooser::Chooser;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::latency::QUANTILES;
use crate::mark::Mark;
use crate::pattern::{Direction, Pattern};
use crate::property::{Property, Violation};
use crate::scenario::{KEY, Setup};
use crate::script::Side;
use crate::time::Time;
use crate::trace::{Actor, Sink, What};
use crate::world::{Phase, World};

/// Every so many events the bytes that machines hold are counted, which visits every flow.
const COUNT_EVERY: u64 = 32;
/// How long the world may take to come to rest after the last flow has ended: the longest watchdog, the idle
/// limits, and a node's last timers.
const REST: Duration = Duration::from_secs(1500);
const KIB: usize = 1024;

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// The first violation ends the run.
    pub(super) fn violated(&mut self, property: Property, what: String) {
        if self.violation.is_none() {
            self.tell(Actor::World, What::Violated { property });
            self.violation = Some(Violation { property, at: self.now, event: self.events, what });
        }
    }

    /// S1 downwards: what an application gets is what its upstream sent, from the first byte on.
    pub(super) fn check_downlink(&mut self, flow: usize, bytes: &Bytes) {
        let received = self.flows[flow].local.received;
        if let Err(mismatch) = Pattern::new(flow as u64, Direction::Down).verify(received, bytes) {
            return self.violated(Property::S1, format!("downlink of flow {flow}: {mismatch}"));
        }
        let sent = self.flows[flow].upstreams.iter().map(|up| self.upstreams[*up].sent()).max().unwrap_or(0);
        if received + bytes.len() as u64 > sent {
            self.violated(Property::S1, format!("flow {flow} gets more than its upstream sent"));
        }
    }

    /// S1 and S2 upwards.
    pub(super) fn check_uplink(&mut self, upstream: usize, bytes: &Bytes) {
        let (flow, received) = (self.upstreams[upstream].flow, self.upstreams[upstream].received);
        if let Err(mismatch) = Pattern::new(flow as u64, Direction::Up).verify(received, bytes) {
            let again = mismatch.belongs.is_some_and(|place| place < mismatch.offset);
            let property = if again { Property::S2 } else { Property::S1 };
            return self.violated(property, format!("uplink of flow {flow}: {mismatch}"));
        }
        if received + bytes.len() as u64 > self.flows[flow].local.sent {
            self.violated(Property::S1, format!("the upstream of flow {flow} gets more than was sent"));
        }
    }

    /// S2: an open makes one upstream connection, unless the network doubled its request.
    pub(super) fn check_opens(&mut self, flow: usize) {
        if self.flows[flow].upstreams.len() > 1 && self.tally.faults[Fault::Duplicate.index()] == 0 {
            self.violated(
                Property::S2,
                format!("flow {flow} has {} upstreams", self.flows[flow].upstreams.len()),
            );
        }
        if self.flows[flow].stream.is_none() {
            self.violated(Property::S2, format!("flow {flow} has an upstream, and was not opened"));
        }
    }

    /// S10, R2 and R3: a request that a client sends.
    pub(super) fn check_send(&mut self, client: usize, exchange: ExchangeId, relay: RelayId, body: &Bytes) {
        const SMALL: usize = 4 * KIB;
        let side = &self.clients[client];
        let limits = Limits { max_body: 256 << 20, max_ops: side.config.max_batch_ops };
        let Some(options) = side.config.relays.get(relay.place() as usize) else {
            return self.violated(
                Property::S10,
                format!("client{client} sends through relay {relay}, which is none"),
            );
        };
        if side.exchanges.contains_key(&exchange) {
            return self.violated(Property::S13, format!("client{client} sends exchange {exchange} twice"));
        }
        let now = side.clock.read(self.now);
        let out =
            side.exchanges.values().filter(|(used, deadline)| *used == relay && *deadline > now).count();
        if out >= options.max_concurrent {
            return self
                .violated(Property::R2, format!("client{client} has {out} calls out through relay {relay}"));
        }
        if body.len() > options.max_body {
            let len = body.len();
            return self
                .violated(Property::S10, format!("client{client} sends {len} B through relay {relay}"));
        }
        if body.len() <= SMALL {
            match wire::decode_request(body, limits) {
                Ok(request) if request.is_empty() => {
                    self.violated(Property::S10, format!("client{client} sends a batch without ops"));
                }
                Ok(request) => {
                    if request.decode_ops().iter().any(Result::is_err) {
                        self.violated(Property::S10, format!("client{client} sends an op that is none"));
                    }
                }
                Err(error) => {
                    self.violated(Property::S10, format!("client{client} sends a bad batch: {error}"))
                }
            }
        }
    }

    /// S1 at the end: an orderly end has delivered everything.
    pub(super) fn check_end(&mut self, flow: usize, why: EndReason) {
        if self.flows[flow].local.ended.is_some() {
            return self.violated(Property::S4, format!("flow {flow} ends twice"));
        }
        let end = &self.flows[flow];
        if why == EndReason::Finished && !end.is_udp() && !end.orphaned {
            let received = end.local.received;
            let whole = end.upstreams.iter().any(|up| {
                let up = &self.upstreams[*up];
                up.sent_all(&end.script) && up.sent() == received
            });
            if !whole {
                self.violated(
                    Property::S1,
                    format!("flow {flow} looks finished after {received} B, and is not"),
                );
            }
        }
        if self.setup.is_calm() && !self.expected(flow, why) {
            self.violated(Property::D5, format!("nothing went wrong, and flow {flow} is over: {why}"));
        }
    }

    /// Whether a flow may end like this when nothing goes wrong.
    fn expected(&self, flow: usize, why: EndReason) -> bool {
        let script = &self.flows[flow].script;
        let by = |side| script.reset.is_some_and(|(by, _)| by == side);
        match why {
            EndReason::Finished => true,
            EndReason::Local => by(Side::Local) || self.flows[flow].is_udp(),
            EndReason::NodeError if by(Side::Upstream) => true,
            _ => self.bounds_refuse(),
        }
    }

    /// Whether the bounds of this run are so tight that flows are refused and waits cut short.
    fn bounds_refuse(&self) -> bool {
        let Setup { client, node, .. } = &self.setup;
        client.half_close_quiet < Duration::from_secs(30)
            || node.seq_queue_ops < client.max_depth
            || node.seq_queue_bytes / client.max_depth < client.max_op_payload
            || client.request_timeout < self.setup.latency.at(QUANTILES - 1) + node.longpoll
            || node.max_sessions < self.flows.len()
            || node.max_requests < self.flows.len() * client.max_depth
    }

    /// R1, every so often: what machines hold stays within their bounds.
    pub(super) fn check_bounds(&mut self) {
        if !self.events.is_multiple_of(COUNT_EVERY) {
            return;
        }
        for client in 0..self.clients.len() {
            let side = &self.clients[client];
            let (held, most) = (side.host.client().buffered_bytes(), self.client_bound(client));
            if held > most {
                self.violated(Property::R1, format!("client{client} holds {held} B of {most}"));
            }
        }
        for node in 0..self.nodes.len() {
            let (held, most) = (self.nodes[node].machine.buffered_bytes(), self.node_bound(node));
            if held > most {
                self.violated(Property::R1, format!("node{node} holds {held} B of {most}"));
            }
        }
    }

    fn client_bound(&self, client: usize) -> usize {
        let (options, node) = (&self.clients[client].config, &self.nodes[0].config);
        let drains = options.max_depth.saturating_mul(node.max_drain.min(node.session_buffer + 64 * KIB));
        let flow = 64 * KIB + options.max_op_payload + options.downlink_window + drains;
        options.uplink_total.saturating_add(flow.saturating_mul(self.flows.len()))
    }

    fn node_bound(&self, node: usize) -> usize {
        let options = &self.nodes[node].config;
        let op = self.setup.client.max_op_payload.min(options.max_body);
        let session = 64 * KIB + options.write_queue + options.seq_queue_bytes + 3 * op;
        // A doubled open makes a second session.
        options.total_buffer.saturating_add(session.saturating_mul(2 * self.flows.len()))
    }

    /// L1 to L4: after the heal every flow that is not over moves again and again.
    pub(super) fn check_progress(&mut self, healed: Time) {
        let bound = self.patience();
        let stuck = self.flows.iter().position(|flow| {
            flow.stream.is_some()
                && flow.local.ended.is_none()
                && self.now.since(flow.moved.max(healed)) > bound
        });
        if let Some(flow) = stuck {
            let alone = self.network.relays.len() > 1;
            let property = if alone { Property::L2 } else { Property::L1 };
            let what =
                format!("flow {flow} ({:?}) has not moved for {bound:?}", self.flows[flow].script.kind);
            self.violated(property, what);
        }
    }

    /// How long a flow may stand still after the heal, from the configuration: one reply may have to be found
    /// overdue, its relay left alone, and another tried, each for as long as is configured.
    fn patience(&self) -> Duration {
        let config = &self.clients[0].config;
        let latency = self.setup.latency.at(QUANTILES - 1);
        config.reply_watchdog() * 2
            + config.relay_backoff_max * 2
            + config.refused_backoff * 2
            + config.half_close_quiet
            + latency * 20
    }

    /// When every flow has ended, the world must come to rest.
    pub(super) fn rest_if_done(&mut self) {
        let started = |flow: &super::flow::Flow| flow.stream.is_some() || flow.local.ended.is_some();
        if matches!(self.phase, Phase::Calm { .. })
            && self.flows.iter().all(|flow| started(flow) && flow.local.ended.is_some())
        {
            self.phase = Phase::Quiet { until: self.now.after(REST) };
        }
    }

    /// R5, S12 and S13, at the end of a run.
    pub(super) fn check_rest(&mut self) {
        if !matches!(self.phase, Phase::Quiet { .. }) || self.violation.is_some() {
            return;
        }
        for client in 0..self.clients.len() {
            self.check_client_rest(client);
        }
        for node in 0..self.nodes.len() {
            let side = &self.nodes[node];
            let held = side.machine.buffered_bytes();
            let (open, requests) = (self.open_upstreams(node), side.held.len());
            if held > 0 || open > 0 {
                self.violated(
                    Property::R5,
                    format!("node{node} holds {held} B and {open} upstreams at rest"),
                );
            }
            if requests > 0 {
                self.violated(Property::S13, format!("node{node} has not answered {requests} requests"));
            }
        }
        self.mark_rest();
    }

    fn check_client_rest(&mut self, client: usize) {
        let side = &self.clients[client];
        let held = side.host.client().buffered_bytes();
        let out = side.exchanges.len();
        let wake =
            side.wake.filter(|wake| !matches!(wake.timer, TimerKind::RelayRetry | TimerKind::BudgetReset));
        let shown = format!("{:?}", side.host.client());
        if held > 0 {
            self.violated(Property::R5, format!("client{client} holds {held} B at rest"));
        }
        if let Some(wake) = wake {
            self.violated(Property::R5, format!("client{client} still waits for {:?} at rest", wake.timer));
        }
        if out > 0 {
            self.violated(Property::S13, format!("client{client} has {out} exchanges out at rest"));
        }
        if shown.contains(KEY) {
            self.violated(Property::S12, format!("the debug print of client{client} shows its key"));
        }
    }

    fn open_upstreams(&self, node: usize) -> usize {
        self.upstreams.iter().filter(|up| up.node == node && !up.line.is_over()).count()
    }

    fn mark_rest(&mut self) {
        if self.tally.lost == 0 && self.tally.finished == self.flows.len() as u64 {
            self.marks.set(Mark::AllDone);
        }
        for client in 0..self.clients.len() {
            let stats = self.clients[client].host.stats().clone();
            let seen = [
                (stats.reordered > 0, Mark::ReplyWaited),
                (stats.ops_resent > 0, Mark::OpsResent),
                (stats.first_bytes_hit > 0, Mark::FirstBytesRode),
                (stats.unreachable_hits > 0, Mark::UnreachableHit),
                (stats.datagrams_dropped > 0, Mark::DatagramDropped),
            ];
            seen.iter().filter(|(happened, _)| *happened).for_each(|(_, mark)| self.marks.set(*mark));
        }
        if self.nodes[0].machine.stats().reordered > 0 {
            self.marks.set(Mark::OpWaited);
        }
    }
}
