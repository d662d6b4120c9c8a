//! The oracle: it sees everything, and knows what must hold.

mod attribution;
mod calls;
pub(super) mod ledger;
mod ops;
mod packets;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::reset::ResetCode;
use seqlane::wire::{self, Limits, Op};
use seqlane::{BodyForm, ClientOptions, EndReason, ExchangeId, Level, RelayId, RelayOptions, TimerKind};

use crate::chooser::Chooser;
use crate::coverage::CoveragePoint;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::latency::QUANTILES;
use crate::pattern::{Direction, Pattern};
use crate::property::{Property, Violation};
use crate::scenario::{KEY, Setup};
use crate::script::Side;
use crate::time::Time;
use crate::trace::{Actor, Sink, What};
use crate::world::oracle::ledger::Note;
use crate::world::{Phase, World};

/// Every so many events the bytes that machines hold are counted, which visits every flow.
const COUNT_EVERY: u64 = 16;
/// Until then they are counted after every event: a run that was made small ends where something goes wrong.
const COUNT_ALL: u64 = 64;
/// How long the world may take to come to rest after the last flow has ended: the longest watchdog, the idle
/// limits, and a node's last timers.
const REST: Duration = Duration::from_secs(1500);
/// When so little of that is left, nothing is said any more.
const PEACE: Duration = Duration::from_secs(300);
/// A relay that was out for long is asked where it leads, and once more if the answer was none.
const MOST_LATE_CALLS: u32 = 2;
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

    /// S2: an open makes one upstream connection, unless the network doubled its request; at level 2 even then.
    pub(super) fn check_opens(&mut self, flow: usize) {
        let opened = self.flows[flow].upstreams.len();
        if opened > 1 && !self.may_be_doubled(flow) {
            self.violated(Property::S2, format!("flow {flow} has {opened} upstreams"));
        }
        if self.flows[flow].stream.is_none() && !self.flows[flow].visiting {
            self.violated(Property::S2, format!("flow {flow} has an upstream, and was not opened"));
        }
    }

    /// S10 and R2: a request that a client sends. Tells what it is about.
    pub(super) fn check_send(
        &mut self,
        client: usize,
        exchange: ExchangeId,
        relay: RelayId,
        form: BodyForm,
        body: &Bytes,
    ) -> Arc<[Note]> {
        let side = &self.clients[client];
        let limits = Limits { max_body: 256 << 20, max_ops: side.config.options().tuning.max_batch_ops };
        let Some(options) = side.config.options().relays.get(relay.index() as usize) else {
            self.violated(
                Property::S10,
                format!("client{client} sends through relay {relay}, which is none"),
            );
            return Arc::new([]);
        };
        let now = side.clock.read(self.now);
        let out =
            side.exchanges.values().filter(|(used, deadline)| *used == relay && *deadline > now).count();
        let (most, len) = (options.max_concurrent, body.len());
        let wrong = if side.exchanges.contains_key(&exchange) {
            Some((Property::S13, format!("client{client} sends exchange {exchange} twice")))
        } else if out >= most {
            Some((Property::R2, format!("client{client} has {out} calls out through relay {relay}")))
        } else if len > options.max_body {
            Some((Property::S10, format!("client{client} sends {len} B through relay {relay}")))
        } else {
            None
        };
        self.check_peace(client, relay);
        if let Some((property, what)) = wrong {
            self.violated(property, what);
        }
        let ops = match form {
            BodyForm::Packet => vec![Op::Streams { packet: body.clone() }],
            BodyForm::Json => self.read_ops(client, limits, body),
        };
        let packets = ops.iter().filter(|op| matches!(op, Op::Streams { .. })).count();
        if ops.is_empty() || packets > 0 && ops.len() > 1 {
            let len = ops.len();
            self.violated(
                Property::S10,
                format!("client{client} sends a batch of {len} ops, {packets} packets"),
            );
        }
        if form == BodyForm::Json {
            self.check_encoding(client, options_of(self.clients[client].config.options(), relay), &ops, body);
        } else {
            self.coverage.set(CoveragePoint::RawPacket);
        }
        let notes = self.notes_of(client, &ops);
        self.note_call(client, relay);
        self.check_polls(&notes);
        self.note_send(client, exchange, form, &notes);
        notes
    }

    fn read_ops(&mut self, client: usize, limits: Limits, body: &Bytes) -> Vec<Op> {
        match wire::decode_request(body, limits) {
            Ok(request) => request.decode_ops().into_iter().filter_map(Result::ok).collect(),
            Err(error) => {
                self.violated(Property::S10, format!("client{client} sends a bad batch: {error}"));
                Vec::new()
            }
        }
    }

    /// S10: what was decoded encodes to the same bytes again.
    fn check_encoding(&mut self, client: usize, options: Option<RelayOptions>, ops: &[Op], body: &Bytes) {
        /// A larger one is not written again: its payload makes nothing new.
        const SMALL: usize = 4 * KIB;
        let Some(options) = options.filter(|_| body.len() <= SMALL) else { return };
        if wire::encode_request(options.form, &options.key, ops.iter()) != *body {
            self.violated(Property::S10, format!("client{client} sends what nobody would write"));
        }
    }

    /// Whether what a flow sent below level 2 may have come twice.
    pub(super) fn may_be_doubled(&self, flow: usize) -> bool {
        self.was_doubled() && (self.ledger.flows[flow].session || !self.is_stream(flow))
    }

    /// Whether some request came twice.
    pub(super) const fn was_doubled(&self) -> bool {
        self.tally.faults[Fault::Duplicate.index()] > 0
    }

    /// S1 at the end: an orderly end has delivered everything.
    pub(super) fn check_end(&mut self, flow: usize, why: EndReason) {
        if self.flows[flow].local.ended.is_some() {
            return self.violated(Property::S4, format!("flow {flow} ends twice"));
        }
        let end = &self.flows[flow];
        if why == EndReason::Finished && !end.is_udp() && (!end.orphaned || self.is_stream(flow)) {
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
            return self
                .violated(Property::D5, format!("nothing went wrong, and flow {flow} is over: {why}"));
        }
        if self.is_stream(flow) {
            return self.check_stream_end(flow, why);
        }
        self.check_renewal(flow, why);
        self.check_attribution(flow, why);
    }

    /// Whether a flow may end like this when nothing goes wrong.
    fn expected(&self, flow: usize, why: EndReason) -> bool {
        let script = &self.flows[flow].script;
        let by = |side| script.reset.is_some_and(|(by, _)| by == side);
        match why {
            EndReason::Finished => true,
            EndReason::Local => by(Side::Local) || script.gives_up.is_some() || self.flows[flow].is_udp(),
            EndReason::NodeError | EndReason::Reset(ResetCode::Aborted) if by(Side::Upstream) => true,
            _ => self.bounds_refuse(),
        }
    }

    /// Whether the bounds of this run are so tight that flows are refused and waits cut short.
    fn bounds_refuse(&self) -> bool {
        let Setup { client, node, .. } = &self.setup;
        client.half_close_quiet < Duration::from_secs(30)
            || node.tuning.seq_queue_ops < client.max_depth
            || node.tuning.seq_queue_bytes / client.max_depth < client.tuning.max_op_payload
            || client.request_timeout < self.setup.latency.at(QUANTILES - 1) + node.longpoll
            || node.max_sessions < self.flows.len()
            || client.relays.iter().any(|relay| relay.max_concurrent < 4)
            || node.max_requests < self.flows.len() * client.max_depth
            || (node.tuning.streams.max_streams as usize) < self.flows.len()
            || node.tuning.streams.max_clients < self.clients.len()
            || node.tuning.streams.uplink_memory < node.tuning.streams.uplink_total.saturating_mul(4)
    }

    /// R1, every so often: what machines hold stays within their bounds.
    pub(super) fn check_bounds(&mut self) {
        if self.events > COUNT_ALL && !self.events.is_multiple_of(COUNT_EVERY) {
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
        self.check_credit();
        self.check_holds();
    }

    /// S5, every so often: what a client has let an application write stays within its window.
    fn check_credit(&mut self) {
        for flow in 0..self.flows.len() {
            let state = &self.flows[flow];
            if state.is_udp() || state.local.ended.is_some() || self.ledger.flows[flow].excused {
                continue;
            }
            let taken = state.upstreams.iter().map(|up| self.upstreams[*up].received).max().unwrap_or(0);
            let kept = state.local.sent.saturating_sub(taken) as usize;
            let (open, window) = (state.local.credit + kept, uplink_window(&self.setup.client));
            if open > window {
                self.violated(
                    Property::S5,
                    format!("flow {flow} may have {open} B out, and its window is {window} B"),
                );
            }
        }
    }

    /// S13, every so often: no request is held longer than anything that a node waits for.
    fn check_holds(&mut self) {
        /// The longest waits of a node in a row: for a predecessor, for the upstream, for bytes, and the settle.
        const LONGEST: Duration = Duration::from_secs(180);
        for node in 0..self.nodes.len() {
            let longest = self.nodes[node].held.values().map(|held| self.now.since(held.since)).max();
            if let Some(held) = longest.filter(|held| *held > LONGEST) {
                self.violated(Property::S13, format!("node{node} has held a request for {held:?}"));
            }
        }
    }

    /// What a client may hold: no more than its bounds, and no more than there is.
    fn client_bound(&self, client: usize) -> usize {
        let (options, node) = (self.clients[client].config.options(), self.nodes[0].config.options());
        let drains =
            options.max_depth.saturating_mul(node.tuning.max_drain.min(node.session_buffer + 64 * KIB));
        let flow = 2 * 64 * KIB + options.tuning.max_op_payload + options.downlink_window + drains;
        let bound = options.uplink_total.saturating_add(flow.saturating_mul(self.flows.len()));
        let bound = bound.saturating_add(size(options.tuning.streams.downlink_total));
        let there = self.flows.iter().filter(|flow| flow.client == client && flow.local.ended.is_none());
        let there = there.map(|flow| {
            let down = flow.upstreams.iter().map(|up| self.upstreams[*up].sent()).sum::<u64>();
            let up = if flow.is_udp() { flow.script.total_up() } else { flow.local.sent };
            // What its application has not read is kept with the client too.
            up + down.saturating_sub(flow.local.received) + flow.local.unread as u64
        });
        bound.min(there.sum::<u64>() as usize)
    }

    /// What a node may hold, likewise.
    fn node_bound(&self, node: usize) -> usize {
        let options = self.nodes[node].config.options();
        let op = self.setup.client.tuning.max_op_payload.min(options.max_body);
        let session = 2 * 64 * KIB + options.tuning.write_queue + options.tuning.seq_queue_bytes + 3 * op;
        // A doubled open makes a second session.
        let bound = options.total_buffer.saturating_add(session.saturating_mul(2 * self.flows.len()));
        let streams =
            size(options.tuning.streams.uplink_total.saturating_add(options.tuning.streams.downlink_total));
        let bound = bound.saturating_add(streams.saturating_mul(self.clients.len()));
        let on_the_way = self.flows.iter().map(|flow| {
            let up = if flow.is_udp() { flow.script.total_up() } else { flow.local.sent };
            let taken = flow.upstreams.iter().map(|up| self.upstreams[*up].received).max().unwrap_or(0);
            up.saturating_sub(taken)
        });
        let behind = self.upstreams.iter().map(|up| up.behind() + up.sent());
        if self.was_doubled() {
            return bound;
        }
        bound.min((on_the_way.sum::<u64>() + behind.sum::<u64>()) as usize)
    }

    /// L1 to L5 and S6: after the heal every flow that is not over moves again and again.
    pub(super) fn check_progress(&mut self, core: usize, healed: Time) {
        let bound = self.patience();
        for flow in 0..self.flows.len() {
            let state = &self.flows[flow];
            if state.stream.is_none() || state.local.ended.is_some() {
                continue;
            }
            let (client, moved) = (state.client, state.moved.max(healed));
            if self.budget_pause(client, core).is_some() || self.is_left_alone(client, core) {
                continue;
            }
            let renewed = self.ledger.relays.get(&(client, core as u32)).and_then(|book| book.renewed);
            if self.now.since(moved.max(renewed.unwrap_or(Time::ZERO))) > bound {
                return self.stuck(flow, bound, renewed.is_some_and(|at| at >= healed));
            }
        }
    }

    /// When a flow that stands still now, or that opens now, will have stood still for too long.
    pub(super) fn next_alarm(&self, healed: Time) -> Time {
        let live = self.flows.iter().filter(|flow| flow.stream.is_some() && flow.local.ended.is_none());
        let moved = live.map(|flow| flow.moved.max(healed)).min().unwrap_or(self.now);
        moved.after(self.patience() + Duration::from_nanos(1))
    }

    /// Which property a flow violates that does not move.
    fn stuck(&mut self, flow: usize, bound: Duration, renewed: bool) {
        let state = &self.flows[flow];
        let property = if state.restarted {
            Property::S6
        } else if renewed {
            Property::L5
        } else if self.ledger.flows[flow].out == 0 && !self.is_stream(flow) {
            Property::L4
        } else if self.network.relays.len() > 1 {
            Property::L2
        } else {
            Property::L1
        };
        let what = format!("flow {flow} ({:?}) has not moved for {bound:?}", state.script.kind);
        self.violated(property, what);
    }

    /// How long a flow may stand still after the heal, from the configuration: one reply may have to be found
    /// overdue, its relay left alone, and another tried, each for as long as is configured.
    fn patience(&self) -> Duration {
        let config = self.clients[0].config.options();
        let latency = self.setup.latency.at(QUANTILES - 1);
        config.reply_watchdog() * 2
            + config.tuning.relay_backoff_max * 2
            + config.tuning.refused_backoff * 2
            + config.half_close_quiet
            + latency * 20
    }

    /// When every flow has ended, the world must come to rest.
    pub(super) fn rest_if_done(&mut self) {
        let started = |flow: &super::flow::Flow| flow.stream.is_some() || flow.local.ended.is_some();
        if matches!(self.phase, Phase::Calm { .. })
            && self.flows.iter().all(|flow| started(flow) && flow.local.ended.is_some())
        {
            // A session's end may have to be told three times.
            let rest = REST + self.setup.client.request_timeout * 3;
            self.phase = Phase::Quiet { until: self.now.after(rest) };
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
            self.check_secrets(&format!("{:?}", self.nodes[node].machine), "node", node);
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
        if self.setup.is_calm() && !self.bounds_refuse() {
            self.check_closes();
            self.check_thrift();
        }
        self.cover_rest();
    }

    /// R5: long after every flow has ended, there is nothing to say, but to a relay that was never asked where it leads.
    fn check_peace(&mut self, client: usize, relay: RelayId) {
        let Phase::Quiet { until } = self.phase else { return };
        if self.now.after(PEACE) < until {
            return;
        }
        let book = self.ledger.relays.entry((client, relay.index())).or_default();
        book.late_calls += 1;
        if book.late_calls > MOST_LATE_CALLS {
            let what = format!(
                "client{client} still makes calls through relay {relay} when every flow is long over"
            );
            self.violated(Property::R5, what);
        }
    }

    fn check_client_rest(&mut self, client: usize) {
        let side = &self.clients[client];
        let held = side.host.client().buffered_bytes();
        let now = side.clock.read(self.now);
        // What is said once in a long while may be said at the very end.
        let out = side.exchanges.values().filter(|(_, deadline)| *deadline <= now).count();
        let speaks = side.exchanges.len() > out;
        let harmless = |timer| match timer {
            TimerKind::RelayRetry | TimerKind::BudgetReset => true,
            TimerKind::ReplyWatchdog => speaks,
            _ => false,
        };
        let wake = side.wake.filter(|wake| !harmless(wake.timer));
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
        self.check_secrets(&shown, "client", client);
    }

    /// S12: bytes are printed as `b"..."` wherever they are.
    fn check_secrets(&mut self, shown: &str, machine: &str, index: usize) {
        let what = if shown.contains(KEY) {
            "the key"
        } else if shown.contains("b\"") {
            "payload"
        } else {
            return;
        };
        self.violated(Property::S12, format!("the debug print of {machine}{index} shows {what}"));
    }

    /// L3: when nothing goes wrong, the node soon learns of a flow that its application has reset.
    fn check_closes(&mut self) {
        const SOON: Duration = Duration::from_secs(60);
        for upstream in &self.upstreams {
            let (Some((EndReason::Local, ended)), Some(over)) =
                (self.flows[upstream.flow].over, upstream.session_over)
            else {
                continue;
            };
            if over.since(ended) > SOON {
                let (flow, late) = (upstream.flow, over.since(ended));
                return self.violated(
                    Property::L3,
                    format!("the session of flow {flow} ends {late:?} after its reset"),
                );
            }
        }
    }

    /// D5: when nothing goes wrong, no call is in vain.
    fn check_thrift(&mut self) {
        for client in 0..self.clients.len() {
            let stats = self.clients[client].host.stats();
            let (failed, resent) = (stats.failed, stats.ops_resent);
            // That a node takes no packets as they are is learned by trying.
            let tried = self.setup.relays.iter().any(|relay| relay.binary)
                && self.setup.node.max_level < Level::Streams;
            // What a node refuses for its bounds is in vain, too.
            if failed + resent > 0 && !tried && !self.ledger.limited {
                let what = format!("nothing went wrong, and client{client} has {failed} failed calls");
                self.violated(Property::D5, what);
            }
        }
    }

    fn open_upstreams(&self, node: usize) -> usize {
        self.upstreams.iter().filter(|up| up.node == node && !up.state.is_over()).count()
    }

    fn cover_rest(&mut self) {
        if self.tally.lost == 0 && self.tally.finished == self.setup.flows.len() as u64 {
            self.coverage.set(CoveragePoint::AllDone);
        }
        for client in 0..self.clients.len() {
            let stats = self.clients[client].host.stats().clone();
            let seen = [
                (stats.reordered > 0, CoveragePoint::ReplyWaited),
                (stats.ops_resent > 0, CoveragePoint::OpsResent),
                (stats.unreachable_hits > 0, CoveragePoint::UnreachableHit),
                (stats.datagrams_dropped > 0, CoveragePoint::DatagramDropped),
            ];
            seen.iter().filter(|(happened, _)| *happened).for_each(|(_, point)| self.coverage.set(*point));
        }
        if self.nodes[0].machine.stats().reordered > 0 {
            self.coverage.set(CoveragePoint::OpWaited);
        }
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn options_of(config: &ClientOptions, relay: RelayId) -> Option<RelayOptions> {
    config.relays.get(relay.index() as usize).cloned()
}

/// Uplink bytes that a client may keep of one flow, at whatever level it turns out to be.
fn uplink_window(options: &ClientOptions) -> usize {
    match options.max_level {
        Level::Streams => options.uplink_window.max(options.tuning.streams.uplink_window),
        Level::Legacy | Level::Sequenced => options.uplink_window,
    }
}
