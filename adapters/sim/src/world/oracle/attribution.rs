//! A flow is lost only for a reason (L6): what may lose it is written down when it happens.

use std::time::Duration;

use seqlane::wire::reset::ResetCode;
use seqlane::{EndReason, ExchangeFailure, FlowKind};

use crate::chooser::Chooser;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::property::Property;
use crate::script::{Opening, Side};
use crate::trace::Sink;
use crate::world::World;
use crate::world::flow::Flow;
use crate::world::oracle::ledger::{Note, RelayBook};

/// A round trip of this length may outlast a wait of the machines.
const SLOW: Duration = Duration::from_secs(3);
/// A relay that could be used is used within this time.
pub(super) const WHILE: Duration = Duration::from_secs(10);

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// Something happened to these ops that may lose their flows.
    pub(in crate::world) fn excuse(&mut self, notes: &[Note]) {
        for flow in notes.iter().filter_map(|note| note.flow) {
            self.ledger.flows[flow].excused = true;
        }
    }

    /// Something happened to a client's host.
    pub(in crate::world) fn excuse_client(&mut self, client: usize) {
        for flow in 0..self.flows.len() {
            let own = self.flows[flow].client == client;
            self.ledger.flows[flow].excused |= own;
            self.ledger.flows[flow].upset |= own;
        }
    }

    /// Something happened to a node.
    pub(in crate::world) fn excuse_all(&mut self) {
        for book in &mut self.ledger.flows {
            book.excused = true;
            book.upset = true;
        }
    }

    /// A call takes this long on its way.
    pub(in crate::world) fn note_way(&mut self, notes: &[Note], way: Duration) {
        if way >= SLOW {
            self.excuse(notes);
        }
    }

    /// A fault strikes a call. Those after which its ops go again lose nothing, but may leave them without a relay.
    pub(in crate::world) fn note_strike(&mut self, fault: Fault, notes: &[Note]) {
        match fault {
            Fault::Reorder => {}
            Fault::Refuse | Fault::Partition | Fault::BodyCap => {
                for flow in notes.iter().filter_map(|note| note.flow) {
                    self.ledger.flows[flow].turned_away = true;
                }
            }
            _ => self.excuse(notes),
        }
    }

    /// L6 at the end of a flow.
    pub(in crate::world) fn check_attribution(&mut self, flow: usize, why: EndReason) {
        // Which of several flows with one target an open is for, the network does not say.
        let target = self.flows[flow].target;
        let mut group = (0..self.flows.len()).filter(|other| self.flows[*other].target == target);
        let excused = group.any(|other| self.ledger.flows[other].excused);
        if why.is_orderly() || excused || self.is_expected_loss(flow, why) {
            return;
        }
        let kind = self.flows[flow].script.kind;
        self.violated(Property::L6, format!("flow {flow} ({kind:?}) is lost for no reason: {why}"));
    }

    /// L5: a flow for which no relay is found has none whose budget started anew a while ago.
    pub(in crate::world) fn check_renewal(&mut self, flow: usize, why: EndReason) {
        let client = self.flows[flow].client;
        // A relay that leads to a node of level 0 is no way for a session of level 1.
        let mixed = self.tally.faults[Fault::Mixed.index()] > 0
            && self.ledger.sessions.values().any(|session| session.flow == flow && session.offered);
        if why != EndReason::NoRelay || mixed {
            return;
        }
        for relay in 0..self.network.relays.len() as u32 {
            self.renew(client, relay);
        }
        let now = self.client_now(client);
        let unused = |book: &RelayBook| {
            book.spent == 0
                && book.setbacks == 0
                && book.alone_until.is_none_or(|until| until <= now)
                && book.renewed.is_some_and(|at| self.now.since(at) > WHILE)
        };
        let relay = self.ledger.relays.iter().find(|((of, _), book)| *of == client && unused(book));
        if let Some((_, relay)) = relay.map(|(key, _)| *key) {
            let what = format!(
                "flow {flow} is lost, and nobody has tried relay{relay} since its budget started anew"
            );
            self.violated(Property::L5, what);
        }
        if let Some(relay) = self.free_relay(flow) {
            let what = format!("flow {flow} never found a relay, and relay{relay} is free");
            self.violated(Property::L6, what);
        }
    }

    /// A relay that could have taken the open of a flow for a while: it has nothing to do, and is not left alone.
    fn free_relay(&self, flow: usize) -> Option<u32> {
        let client = self.flows[flow].client;
        if self.ledger.sessions.values().any(|session| session.flow == flow) {
            return None;
        }
        let now = self.client_now(client);
        let busy =
            |relay: u32| self.clients[client].exchanges.values().any(|(used, _)| used.index() == relay);
        let free = |relay: &u32| {
            let Some(book) = self.ledger.relays.get(&(client, *relay)) else { return true };
            let limit = self.daily_calls(client, *relay);
            book.setbacks == 0
                && book.alone_until.is_none_or(|until| until <= now)
                && limit.is_none_or(|limit| book.spent < limit)
                && self.now.since(book.ended) > WHILE
                && book.renewed.is_none_or(|at| self.now.since(at) > WHILE)
        };
        (0..self.network.relays.len() as u32).find(|relay| !busy(*relay) && free(relay))
    }

    fn is_expected_loss(&self, flow: usize, why: EndReason) -> bool {
        let Self { setup, .. } = self;
        let (state, book) = (&self.flows[flow], &self.ledger.flows[flow]);
        let script = &state.script;
        let udp = script.transport() == FlowKind::Udp;
        match why {
            EndReason::Finished | EndReason::ClientClosed => true,
            EndReason::Local => {
                let resets = script.reset.is_some_and(|(side, _)| side == Side::Local);
                udp || resets || script.gives_up.is_some()
            }
            EndReason::ConnectFailed(_) => {
                self.ledger.limited || (script.opening != Opening::Accept && self.has_failed_lately(flow))
            }
            EndReason::NodeError => {
                script.reset.is_some_and(|(side, _)| side == Side::Upstream) || self.ledger.limited
            }
            EndReason::HalfCloseQuiet => {
                let quiet = self.now.since(book.downlink.max(state.finished));
                quiet + Duration::from_millis(1) + quiet / 1000 >= setup.client.half_close_quiet
            }
            EndReason::Idle => true,
            EndReason::Reset(ResetCode::Gone) => self.is_lane_lost(flow) || self.is_turned_away(state.client),
            // A relay may be out because of what happened to others, or full of calls that are held or lost.
            EndReason::NoRelay => {
                !setup.is_calm() || setup.client.relays.iter().any(|relay| relay.max_concurrent <= 2)
            }
            // A relay that leads to a node of level 0 for a while leaves its sessions of level 1 no way.
            EndReason::SequenceBroken => self.tally.faults[Fault::Mixed.index()] > 0,
            EndReason::ExchangeLost(ExchangeFailure::TooLarge) => {
                book.turned_away || (!book.session && self.tally.faults[Fault::BodyCap.index()] > 0)
            }
            EndReason::ExchangeLost(_) => {
                // An HTTP layer that gives up before the node must answer loses what is held.
                let hold = setup.node.longpoll.max(setup.node.connect_deadline);
                // A narrow link may take longer over a body than a call may last.
                setup.link.is_some()
                    || setup.client.request_timeout < hold + Duration::from_secs(10)
                    || self.ledger.limited
            }
            _ => false,
        }
    }

    /// Whether this flow's open failed, or another one with its target within the time for which that counts.
    fn has_failed_lately(&self, flow: usize) -> bool {
        let Flow { client, target, .. } = self.flows[flow];
        let remembered = self.setup.client.tuning.unreachable_ttl + Duration::from_millis(100);
        let failed = |(index, other): (usize, &Flow)| {
            let asked = self.ledger.flows[index].opening;
            let over = matches!(other.over, Some((EndReason::ConnectFailed(_), at))
                if self.now.since(at) <= remembered);
            other.client == client && other.target == target && asked && over
        };
        self.ledger.flows[flow].opening || self.flows.iter().enumerate().any(failed)
    }
}
