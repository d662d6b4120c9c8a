//! Attribution of lost flows (L5, L6): what may lose a flow is recorded when it happens.

use std::time::Duration;

use seqlane::wire::end::EndCode;
use seqlane::wire::reset::ResetCode;
use seqlane::{EndReason, ExchangeFailure, Level};

use crate::Fault;
use crate::ends::{Ends, Flow};
use crate::oracle::records::{RelayRecord, flows};
use crate::oracle::{Oracle, SentOp};
use crate::script::{Opening, Side};

/// A round trip of this length may outlast a wait of the machines.
const SLOW: Duration = Duration::from_secs(3);
/// A relay that could be used is used within this time.
pub(super) const WHILE: Duration = Duration::from_secs(10);

impl Oracle {
    /// A call takes this long on its way.
    pub(crate) fn on_way(&mut self, request: &[SentOp], way: Duration) {
        if way >= SLOW {
            self.excuse(request);
        }
    }

    /// A fault strikes a call. Those after which its ops go again lose nothing, but may leave them without a relay.
    pub(crate) fn on_strike(&mut self, fault: Fault, request: &[SentOp]) {
        match fault {
            Fault::Reorder => {}
            Fault::Refuse | Fault::Partition | Fault::BodyCap => {
                flows(request).for_each(|flow| self.flows[flow].turned_away = true);
            }
            _ => self.excuse(request),
        }
    }

    /// L6 at the end of a flow.
    pub(super) fn check_attribution(&mut self, ends: &Ends, flow: usize, why: EndReason) {
        // Which of several flows with one target an open is for, the network does not say.
        let target = ends.flows[flow].target;
        let mut group = self.flows.iter().zip(&ends.flows).filter(|(_, other)| other.target == target);
        let excused = group.any(|(record, _)| record.excused);
        let holds = why.is_orderly() || excused || self.is_expected_loss(ends, flow, why);
        let kind = ends.flows[flow].script.kind;
        require!(self, holds, L6, "flow {flow} ({kind:?}) is lost for no reason: {why}");
    }

    /// L5: a flow for which no relay is found has none whose budget was renewed a while ago.
    pub(super) fn check_renewal(&mut self, flow: usize, client: usize, why: EndReason) {
        // A relay that leads to a node of level 0 is no way for a session of level 1.
        let mixed = self.has_struck(Fault::Mixed)
            && self.sessions.values().any(|session| session.flow == flow && session.offered);
        // Where flows are sealed or refused, they wait for an answer to a hello, not for a relay.
        if why != EndReason::NoRelay || mixed || self.is_sealed_only() {
            return;
        }
        for relay in 0..self.passes.len() as u32 {
            self.renew(client, relay);
        }
        let now = self.client_now(client);
        let unused = |record: &RelayRecord| {
            record.spent == 0
                && record.setbacks == 0
                && record.alone_until.is_none_or(|until| until <= now)
                && record.renewed.is_some_and(|at| self.now.since(at) > WHILE)
        };
        let unused = self.relays.iter().find(|((of, _), record)| *of == client && unused(record));
        if let Some((_, relay)) = unused.map(|(key, _)| *key) {
            violated!(
                self,
                L5,
                "flow {flow} is lost, and relay{relay} was not tried after its budget was renewed"
            );
        }
        if let Some(relay) = self.free_relay(flow, client) {
            violated!(self, L6, "flow {flow} never found a relay, and relay{relay} is free");
        }
    }

    /// A relay that could have taken the open of a flow for a while: it has nothing to do, and is not left alone.
    fn free_relay(&self, flow: usize, client: usize) -> Option<u32> {
        if self.sessions.values().any(|session| session.flow == flow) {
            return None;
        }
        let now = self.client_now(client);
        let busy = |relay: u32| self.calls_of(client).any(|call| call.relay == relay);
        let free = |relay: &u32| {
            let Some(record) = self.relays.get(&(client, *relay)) else { return true };
            let limit = self.daily_calls(*relay);
            record.setbacks == 0
                && record.alone_until.is_none_or(|until| until <= now)
                && limit.is_none_or(|limit| record.spent < limit)
                && self.now.since(record.ended) > WHILE
                && record.renewed.is_none_or(|at| self.now.since(at) > WHILE)
        };
        (0..self.passes.len() as u32).find(|relay| !busy(*relay) && free(relay))
    }

    fn is_expected_loss(&self, ends: &Ends, flow: usize, why: EndReason) -> bool {
        let (setup, record, state) = (&self.setup, &self.flows[flow], &ends.flows[flow]);
        let script = &state.script;
        match why {
            EndReason::Finished | EndReason::ClientClosed | EndReason::Idle => true,
            EndReason::Local => script.is_ended_locally(),
            EndReason::ConnectFailed(_) => {
                let failed = script.opening != Opening::Accept && self.has_failed_lately(ends, flow);
                self.limited || failed
            }
            EndReason::NodeError => script.is_reset_by(Side::Upstream) || self.limited,
            EndReason::HalfCloseQuiet => {
                let quiet = self.now.since(record.downlink.max(state.finished));
                quiet + Duration::from_millis(1) + quiet / 1000 >= setup.client.half_close_quiet
            }
            EndReason::Reset(ResetCode::Gone) => {
                self.is_connection_lost(state.client) || self.is_turned_away(state.client)
            }
            EndReason::NodeEnded(EndCode::Quota) => self.limited,
            EndReason::NodeSilent => self.may_be_silent(flow, state.client),
            // A relay may be out because of what happened to others, or full of calls that are held or lost.
            EndReason::NoRelay => {
                // Who is refused a connection waits for one where flows are sealed or refused.
                let unconnected = self.is_sealed_only() && (self.limited || self.bounds_refuse());
                unconnected
                    || !setup.is_calm()
                    || setup.client.relays.iter().any(|relay| relay.max_concurrent <= 2)
            }
            EndReason::LevelTooLow => self.is_level_2_missing() || self.has_struck(Fault::Mixed),
            // A relay that leads to a node of level 0 for a while leaves its sessions of level 1 no way.
            EndReason::SequenceBroken => self.has_struck(Fault::Mixed),
            EndReason::ExchangeLost(ExchangeFailure::TooLarge) => {
                record.turned_away || (!record.session && self.has_struck(Fault::BodyCap))
            }
            EndReason::ExchangeLost(_) => {
                // An HTTP layer that gives up before the node must answer loses what is held.
                let hold = setup.node.longpoll.max(setup.node.connect_deadline);
                // A narrow link may take longer over a body than a call may last.
                setup.link.is_some()
                    || setup.client.request_timeout < hold + Duration::from_secs(10)
                    || self.limited
            }
            _ => false,
        }
    }

    /// Whether a client of level 2 may find no node for it: the node has none, grants too little, or a relay is too narrow.
    pub(super) fn is_level_2_missing(&self) -> bool {
        let node = &self.setup.node;
        let narrow =
            self.has_struck(Fault::BodyCap) || self.setup.relays.iter().any(|relay| relay.body_cap.is_some());
        self.is_sealed_only()
            && (node.max_level < Level::Streams
                || narrow
                || self.limited
                || self.has_struck(Fault::Restart)
                || self.has_struck(Fault::Crash))
    }

    /// Whether this flow's open failed, or another one with its target within the time for which that counts.
    fn has_failed_lately(&self, ends: &Ends, flow: usize) -> bool {
        let Flow { client, target, .. } = ends.flows[flow];
        let remembered = self.setup.client.tuning.unreachable_ttl + Duration::from_millis(100);
        let failed = |(index, other): (usize, &Flow)| {
            let over = matches!(other.over, Some((EndReason::ConnectFailed(_), at))
                if self.now.since(at) <= remembered);
            other.client == client && other.target == target && self.flows[index].opening && over
        };
        self.flows[flow].opening || ends.flows.iter().enumerate().any(failed)
    }
}
