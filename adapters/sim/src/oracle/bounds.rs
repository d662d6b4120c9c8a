//! Memory, credit and holds (R1, S5, S13): checked at intervals, since each check visits every flow.

use std::time::Duration;

use seqlane::{ClientOptions, Level};

use crate::ends::Ends;
use crate::fault::Fault;
use crate::latency::QUANTILES;
use crate::oracle::Oracle;
use crate::scenario::Setup;

/// The interval between checks, in events.
const CHECK_EVERY: u64 = 16;
/// Until then they are checked after every event: a shrunk run ends at its violation.
const CHECK_ALL: u64 = 64;
const KIB: usize = 1024;

impl Oracle {
    /// Whether bounds are to be checked after this event.
    pub(crate) const fn checks_bounds(&self) -> bool {
        self.event <= CHECK_ALL || self.event.is_multiple_of(CHECK_EVERY)
    }

    /// R1, S5, S13: takes the bytes that the machines hold now.
    pub(crate) fn on_memory(
        &mut self,
        ends: &Ends,
        clients: impl Iterator<Item = usize>,
        nodes: impl Iterator<Item = usize>,
    ) {
        for (client, held) in clients.enumerate() {
            let most = self.client_bound(ends, client);
            require!(self, held <= most, R1, "client{client} holds {held} B of {most}");
        }
        for (node, held) in nodes.enumerate() {
            let most = self.node_bound(ends);
            require!(self, held <= most, R1, "node{node} holds {held} B of {most}");
        }
        self.check_credit(ends);
        self.check_holds();
    }

    /// S5: what a client has let an application write stays within its window.
    fn check_credit(&mut self, ends: &Ends) {
        let window = uplink_window(&self.setup.client);
        for (index, flow) in ends.flows.iter().enumerate() {
            if flow.is_udp() || flow.app.ended.is_some() || self.flows[index].excused {
                continue;
            }
            let kept = flow.app.sent.saturating_sub(ends.received_upstream(index)) as usize;
            let open = flow.app.credit + kept;
            require!(
                self,
                open <= window,
                S5,
                "flow {index} may have {open} B out, and its window is {window} B"
            );
        }
    }

    /// S13: no request is held longer than everything that a node waits for.
    fn check_holds(&mut self) {
        /// The longest waits of a node in a row: for a predecessor, for the upstream, for bytes, and the settle.
        const LONGEST: Duration = Duration::from_secs(180);
        for node in 0..self.nodes.len() {
            let oldest = self.nodes[node].held.values().min().copied().unwrap_or(self.now);
            let held = self.now.since(oldest);
            require!(self, held <= LONGEST, S13, "node{node} has held a request for {held:?}");
        }
    }

    /// What a client may hold: no more than its bounds, and no more than there is.
    fn client_bound(&self, ends: &Ends, client: usize) -> usize {
        let (options, node) = (&self.setup.client, &self.setup.node);
        let drains =
            options.max_depth.saturating_mul(node.tuning.max_drain.min(node.session_buffer + 64 * KIB));
        let flow = 2 * 64 * KIB + options.tuning.max_op_payload + options.downlink_window + drains;
        let bound = options.uplink_total.saturating_add(flow.saturating_mul(ends.flows.len()));
        let bound = bound.saturating_add(size(options.tuning.streams.downlink_total));
        let own = (0..ends.flows.len()).filter(|flow| ends.flows[*flow].client == client);
        let there = own.filter(|flow| ends.flows[*flow].app.ended.is_none()).map(|index| {
            let flow = &ends.flows[index];
            let down = ends.upstreams_of(index).map(|upstream| upstream.sent).sum::<u64>();
            // What its application has not read is kept with the client too.
            offered(ends, index) + down.saturating_sub(flow.app.received) + flow.app.unread as u64
        });
        bound.min(there.sum::<u64>() as usize)
    }

    /// What a node may hold, likewise.
    fn node_bound(&self, ends: &Ends) -> usize {
        let options = &self.setup.node;
        let op = self.setup.client.tuning.max_op_payload.min(options.max_body);
        let session = 2 * 64 * KIB + options.tuning.write_queue + options.tuning.seq_queue_bytes + 3 * op;
        // A doubled open makes a second session.
        let bound = options.total_buffer.saturating_add(session.saturating_mul(2 * ends.flows.len()));
        let streams =
            size(options.tuning.streams.uplink_total.saturating_add(options.tuning.streams.downlink_total));
        let bound = bound.saturating_add(streams.saturating_mul(self.clients.len()));
        if self.has_struck(Fault::Duplicate) {
            return bound;
        }
        let on_the_way = (0..ends.flows.len())
            .map(|flow| offered(ends, flow).saturating_sub(ends.received_upstream(flow)));
        let behind = ends.upstreams.iter().map(|upstream| upstream.unread as u64 + upstream.sent);
        bound.min((on_the_way.sum::<u64>() + behind.sum::<u64>()) as usize)
    }

    /// Whether the bounds of this run are so tight that flows are refused and waits cut short.
    pub(super) fn bounds_refuse(&self) -> bool {
        let Setup { client, node, .. } = &*self.setup;
        let flows = self.flows.len();
        client.half_close_quiet < Duration::from_secs(30)
            || node.tuning.seq_queue_ops < client.max_depth
            || node.tuning.seq_queue_bytes / client.max_depth < client.tuning.max_op_payload
            || client.request_timeout < self.setup.latency.at(QUANTILES - 1) + node.longpoll
            || node.max_sessions < flows
            || client.relays.iter().any(|relay| relay.max_concurrent < 4)
            || node.max_requests < flows * client.max_depth
            || (node.tuning.streams.max_streams as usize) < flows
            || node.tuning.streams.max_clients < self.clients.len()
            || node.tuning.streams.uplink_memory < node.tuning.streams.uplink_total.saturating_mul(4)
    }
}

/// Uplink bytes that a flow has sent, or may have.
fn offered(ends: &Ends, flow: usize) -> u64 {
    let flow = &ends.flows[flow];
    if flow.is_udp() { flow.script.total_up() } else { flow.app.sent }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Uplink bytes that a client may keep of one flow, at whatever level it turns out to be.
fn uplink_window(options: &ClientOptions) -> usize {
    match options.max_level {
        Level::Streams => options.uplink_window.max(options.tuning.streams.uplink_window),
        Level::Legacy | Level::Sequenced => options.uplink_window,
    }
}
