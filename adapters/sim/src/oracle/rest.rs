//! Rest at the end of a run (R5, S12, S13, L3, D5).

use std::fmt::Debug;
use std::time::Duration;

use seqlane::{ClientStats, EndReason, Level, TimerKind};

use crate::ends::{Ends, Flow};
use crate::oracle::Oracle;
use crate::oracle::records::{ClientAtRest, NodeAtRest};
use crate::scenario::setup::KEY;
use crate::{CoveragePoint, Time};

/// How long the world may take to come to rest after the last flow has ended: the longest watchdog, the idle
/// limits, and a node's last timers.
const REST: Duration = Duration::from_secs(1500);
/// In this last part of it no more calls are made.
const PEACE: Duration = Duration::from_secs(300);
/// A relay that was out for long is asked where it leads, and once more if the answer was none.
const MOST_LATE_CALLS: u32 = 2;

impl Oracle {
    /// Every flow has ended. Answers until when everything must come to rest.
    pub(crate) fn on_all_ended(&mut self) -> Time {
        // A session's end may have to be told three times.
        let rest = self.now.after(REST + self.setup.client.request_timeout * 3);
        self.rest = Some(rest);
        rest
    }

    /// The run is over.
    pub(crate) fn on_rest<'a>(
        &mut self,
        ends: &Ends,
        clients: impl Iterator<Item = ClientAtRest<'a>>,
        nodes: impl Iterator<Item = NodeAtRest<'a>>,
    ) {
        if self.rest.is_none() || self.violation.is_some() {
            return;
        }
        let thrifty = self.setup.is_calm() && !self.bounds_refuse();
        for (client, at_rest) in clients.enumerate() {
            self.check_client_rest(client, &at_rest);
            if thrifty {
                self.check_thrift(client, at_rest.stats);
            }
            self.cover_stats(at_rest.stats);
        }
        for (node, at_rest) in nodes.enumerate() {
            self.check_node_rest(ends, node, &at_rest);
        }
        if thrifty {
            self.check_closes(ends);
        }
        let finished = |flow: &Flow| flow.over.is_some_and(|(why, _)| why.is_orderly());
        let own = &ends.flows[..self.setup.flows.len()];
        if own.iter().all(finished) {
            self.coverage.set(CoveragePoint::AllDone);
        }
    }

    /// R5: long after every flow has ended, calls are made only to a relay that was never asked where it leads.
    pub(super) fn check_peace(&mut self, client: usize, relay: u32) {
        if self.rest.is_none_or(|until| self.now.after(PEACE) < until) {
            return;
        }
        let record = self.relays.entry((client, relay)).or_default();
        record.late_calls += 1;
        let few = record.late_calls <= MOST_LATE_CALLS;
        require!(
            self,
            few,
            R5,
            "client{client} still makes calls through relay {relay} when every flow is long over"
        );
    }

    fn check_client_rest(&mut self, client: usize, at_rest: &ClientAtRest<'_>) {
        let now = self.client_now(client);
        // What is said once in a long while may be said at the very end.
        let out = self.calls_of(client).filter(|call| call.deadline <= now).count();
        let speaks = self.calls_of(client).any(|call| call.deadline > now);
        let harmless = |timer| match timer {
            TimerKind::RelayRetry | TimerKind::BudgetReset => true,
            TimerKind::ReplyWatchdog => speaks,
            _ => false,
        };
        let held = at_rest.held;
        require!(self, held == 0, R5, "client{client} holds {held} B at rest");
        if let Some(wake) = at_rest.wake.filter(|wake| !harmless(wake.timer)) {
            violated!(self, R5, "client{client} still waits for {:?} at rest", wake.timer);
        }
        require!(self, out == 0, S13, "client{client} has {out} exchanges out at rest");
        self.check_secrets(at_rest.machine, "client", client);
    }

    fn check_node_rest(&mut self, ends: &Ends, node: usize, at_rest: &NodeAtRest<'_>) {
        let (held, requests) = (at_rest.held, self.nodes[node].held.len());
        let open = ends.upstreams.iter().filter(|up| up.node == node && !up.state.is_over()).count();
        self.check_secrets(at_rest.machine, "node", node);
        require!(self, held == 0 && open == 0, R5, "node{node} holds {held} B and {open} upstreams at rest");
        require!(self, requests == 0, S13, "node{node} has not answered {requests} requests");
        if node == 0 && at_rest.reordered > 0 {
            self.coverage.set(CoveragePoint::OpWaited);
        }
    }

    /// S12: bytes are printed as `b"..."` wherever they are.
    fn check_secrets(&mut self, machine: &dyn Debug, name: &str, index: usize) {
        let shown = format!("{machine:?}");
        require!(self, !shown.contains(KEY), S12, "the debug print of {name}{index} shows the key");
        require!(self, !shown.contains("b\""), S12, "the debug print of {name}{index} shows payload");
    }

    /// L3: when nothing goes wrong, the node soon learns of a flow that its application has reset.
    fn check_closes(&mut self, ends: &Ends) {
        const SOON: Duration = Duration::from_secs(60);
        for (upstream, end) in ends.upstreams.iter().enumerate() {
            let flow = end.flow;
            if let (Some((EndReason::Local, ended)), Some(over)) =
                (ends.flows[flow].over, self.upstreams[upstream].session_over)
            {
                let late = over.since(ended);
                require!(self, late <= SOON, L3, "the session of flow {flow} ends {late:?} after its reset");
            }
        }
    }

    /// D5: without faults no call is wasted.
    fn check_thrift(&mut self, client: usize, stats: &ClientStats) {
        let failed = stats.failed;
        // That a node takes no packets as they are is learned by trying.
        let tried =
            self.setup.relays.iter().any(|relay| relay.binary) && self.setup.node.max_level < Level::Streams;
        // A refusal because of a node's bounds wastes a call, too.
        let holds = failed + stats.ops_resent == 0 || tried || self.limited;
        require!(self, holds, D5, "nothing went wrong, and client{client} has {failed} failed calls");
    }

    fn cover_stats(&mut self, stats: &ClientStats) {
        for (happened, point) in [
            (stats.reordered > 0, CoveragePoint::ReplyWaited),
            (stats.ops_resent > 0, CoveragePoint::OpsResent),
            (stats.unreachable_hits > 0, CoveragePoint::UnreachableHit),
            (stats.datagrams_dropped > 0, CoveragePoint::DatagramDropped),
        ] {
            if happened {
                self.coverage.set(point);
            }
        }
    }
}
