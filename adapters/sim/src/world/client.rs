//! Clients in their hosts: events in, actions out.

use seqlane::{ClientAction, ClientEvent, ClientNotice, ExchangeId, FlowId, Level, LocalEvent};

use crate::oracle::{require, violated};
use crate::trace::{Actor, ExchangeName, Sink, What};
use crate::world::World;
use crate::{Chooser, ClientHost, CoveragePoint};

/// More actions than this in one drain are a machine that does not come to rest.
const MOST_ACTIONS: u32 = 100_000;

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// Hands an event to a client; the actions are taken by the next drain.
    pub(super) fn client_handle(&mut self, client: usize, event: ClientEvent) {
        let now = self.shown(client);
        if let Err(misuse) = self.clients[client].host.handle(now, event) {
            violated!(self.oracle, S5, "client{client} refuses a legal event: {misuse}");
        }
    }

    pub(super) fn client_event(&mut self, flow: usize, event: LocalEvent) {
        if let Some(id) = self.ends.flows[flow].id {
            self.client_handle(self.ends.flows[flow].client, ClientEvent::Local { flow: id, event });
        }
    }

    /// Polls a client until it is idle, and carries out its actions.
    pub(super) fn drain_client(&mut self, client: usize) {
        for _ in 0..MOST_ACTIONS {
            match self.clients[client].host.poll() {
                ClientAction::Idle { wake } => {
                    let idle = matches!(self.clients[client].host.poll(), ClientAction::Idle { wake: again } if again == wake);
                    require!(self.oracle, idle, S8, "client{client} is idle, and then is not");
                    self.arm(client, wake);
                    return self.oracle.on_client_idle(&self.ends, client, wake.is_some());
                }
                action => self.on_client_action(client, action),
            }
        }
        violated!(self.oracle, S9, "client{client} wants {MOST_ACTIONS} things done and is not idle");
    }

    fn on_client_action(&mut self, client: usize, action: ClientAction) {
        match action {
            ClientAction::Send { exchange, relay, body, form, deadline, .. } => {
                let body = body.into_bytes();
                self.hash.absorb(exchange.number() << 8 | u64::from(relay.index()));
                std::hash::Hasher::write(&mut self.hash, &body);
                self.send(client, exchange, relay, (form, body), deadline);
            }
            ClientAction::Deliver { flow: id, bytes } => {
                self.hash.absorb(id.number() << 32 | bytes.len() as u64);
                if let Some(flow) = self.flow_of(client, id, "Deliver") {
                    self.on_deliver(flow, bytes);
                }
            }
            ClientAction::Credit { flow: id, bytes } => {
                self.hash.absorb(id.number() << 32 | bytes as u64);
                if let Some(flow) = self.flow_of(client, id, "Credit") {
                    self.ends.flows[flow].app.credit += bytes;
                    self.pump_local(flow);
                }
            }
            ClientAction::Opened { flow: id } => {
                if let Some(flow) = self.flow_of(client, id, "Opened") {
                    self.tell(Actor::Client(client as u32), What::Opened { flow: flow as u32 });
                    self.ends.flows[flow].app.opened = true;
                    self.pump_local(flow);
                }
            }
            ClientAction::Fin { flow: id } => {
                if let Some(flow) = self.flow_of(client, id, "Fin") {
                    self.tell(Actor::Client(client as u32), What::Fin { flow: flow as u32 });
                    self.ends.flows[flow].app.fin = true;
                    self.pump_local(flow);
                }
            }
            ClientAction::Ended { flow: id, why } => {
                self.hash.absorb(id.number());
                if let Some(flow) = self.flow_of(client, id, "Ended") {
                    self.tell(Actor::Client(client as u32), What::Ended { flow: flow as u32, why });
                    self.on_flow_ended(flow, why);
                }
            }
            ClientAction::Event(notice) => self.on_client_notice(client, notice),
            ClientAction::Closed | ClientAction::Idle { .. } => {}
        }
    }

    /// The flow of an action; none may be about a flow that has ended (S4).
    fn flow_of(&mut self, client: usize, id: FlowId, action: &str) -> Option<usize> {
        let flow = self.clients[client].flow(id);
        let ended = flow.is_some_and(|flow| self.ends.flows[flow].app.ended.is_some());
        require!(self.oracle, flow.is_some(), S4, "{action} for flow {id}, which was never opened");
        require!(self.oracle, !ended, S4, "{action} for flow {id} of client{client} after its end");
        flow.filter(|_| !ended)
    }

    fn on_client_notice(&mut self, client: usize, notice: ClientNotice) {
        self.coverage.set(match notice {
            ClientNotice::Connected { flow, level } => return self.on_connected(client, flow, level),
            ClientNotice::RelayDown { relay, until } => {
                return self.oracle.on_relay_down(client, relay, until);
            }
            ClientNotice::StreamsReady { .. } => CoveragePoint::StreamsReady,
            ClientNotice::StreamsUnsupported { .. } => CoveragePoint::StreamsUnsupported,
            ClientNotice::RelayUp { .. } => CoveragePoint::RelayUp,
            ClientNotice::BudgetSpent { .. } => CoveragePoint::BudgetSpent,
            ClientNotice::BodyLimitLowered { .. } => CoveragePoint::BodyLimitLowered,
            ClientNotice::ConnectDataUnsupported { .. } => CoveragePoint::ConnectDataUnknown,
            ClientNotice::SeqUnsupported { .. } => CoveragePoint::SeqUnsupported,
            ClientNotice::Unauthorized { .. } => CoveragePoint::Unauthorized,
            _ => return,
        });
    }

    fn on_connected(&mut self, client: usize, id: FlowId, level: Level) {
        self.coverage.set(match level {
            Level::Legacy => CoveragePoint::LegacyFlow,
            Level::Sequenced => CoveragePoint::SequencedFlow,
            Level::Streams => CoveragePoint::StreamFlow,
        });
        if let Some(flow) = self.clients[client].flow(id) {
            self.ends.flows[flow].is_stream = level == Level::Streams;
            self.oracle.on_connected(flow, level);
        }
    }

    /// Ends an exchange at its client.
    pub(super) fn end_exchange(&mut self, client: usize, exchange: ExchangeId, event: ClientEvent) {
        if self.clients[client].exchanges.remove(&exchange).is_some() {
            self.oracle.on_call_ended(client, exchange, &event);
            self.client_handle(client, event);
            self.drain_client(client);
        }
    }

    pub(super) fn name(client: usize, exchange: ExchangeId) -> ExchangeName {
        ExchangeName { client: client as u32, number: exchange.number() }
    }
}
