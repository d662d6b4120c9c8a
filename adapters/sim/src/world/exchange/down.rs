//! The way down: from the answer of a node to the client.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seqlane::{ClientEvent, ExchangeFailure, ExchangeId, NodeEvent};

use crate::latency::QUANTILES;
use crate::oracle::violated;
use crate::trace::{Actor, Sink, Summary, What};
use crate::world::World;
use crate::world::adversary::Delivered;
use crate::world::event::RelayState;
use crate::world::exchange::PAGE;
use crate::world::flight::{Answer, Flight};
use crate::world::hosts::Caller;
use crate::{Chooser, ClientHost, CoveragePoint, DecisionPoint, Fault};

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// A node has answered a request.
    pub(in crate::world) fn answered(&mut self, flight: usize, status: u16, body: Bytes) {
        let name = self.flight_name(flight);
        let Flight { node, copy, form, .. } = self.network.flights[flight];
        self.oracle.on_answered(&self.ends, node, form, &self.network.flights[flight].request, &body);
        let summary = if S::SUMMARIES { Summary::of_answer(form, &body) } else { Summary::default() };
        self.tell(
            Actor::Node(node as u32),
            What::Respond { exchange: name, copy, bytes: body.len() as u64, summary },
        );
        let answer = match status {
            200 => Answer::Reply(body),
            413 => Answer::Failed(ExchangeFailure::TooLarge),
            _ => Answer::Failed(ExchangeFailure::Garbage),
        };
        self.go_down(flight, answer);
    }

    /// The node broke down with a request in its hands.
    pub(in crate::world) fn broke_off(&mut self, flight: usize) {
        self.oracle.excuse(&self.network.flights[flight].request);
        self.go_down(flight, Answer::Failed(ExchangeFailure::Garbage));
    }

    /// A relay's calls to nodes break off: each node learns that the callers are gone.
    pub(in crate::world) fn hang_up(&mut self, relay: usize) {
        for node in 0..self.nodes.len() {
            let held = self.nodes[node].held.iter().filter_map(|(request, caller)| match *caller {
                Caller::Flight(flight) => Some((*request, flight)),
                Caller::ForeignClient(_) => None,
            });
            let gone: Vec<_> =
                held.filter(|(_, flight)| self.network.flights[*flight].relay == relay).collect();
            for (request, flight) in gone {
                self.nodes[node].held.remove(&request);
                self.node_handle(node, NodeEvent::RequestGone { request });
                self.oracle.on_released(node, request);
                self.oracle.on_refused(&self.network.flights[flight].request);
                self.vanish(flight, Fault::Partition, "is cut off while the node holds it");
            }
            self.drain_node(node);
        }
    }

    /// An answer leaves the node; its faults on the way are decided here.
    fn go_down(&mut self, flight: usize, answer: Answer) {
        self.leave_seat(flight);
        let Flight { relay, key, copy, heard, .. } = self.network.flights[flight];
        self.network.flights[flight].answer = Some(answer);
        if !heard {
            self.network.flights.remove(flight);
            return;
        }
        let key = key.wrapping_add(u64::from(copy));
        if self.network.relays[relay].state == RelayState::CutDown {
            return self.vanish(flight, Fault::Partition, "vanishes on the way down");
        }
        let spared = match &self.network.flights[flight].answer {
            Some(Answer::Reply(reply)) => reply.len() < self.setup.spared,
            Some(Answer::Failed(_)) | None => false,
        };
        match if spared { 0 } else { self.strikes(Fault::LoseReply, DecisionPoint::LoseReply, key, 2) } {
            0 => {}
            1 if self.network.links[self.network.flights[flight].client].is_some() => {
                self.strike(flight, Fault::LoseReply, "loses its reply on its last mile");
                self.network.flights[flight].lost = true;
                return self.set_out(flight);
            }
            1 => return self.vanish(flight, Fault::LoseReply, "loses its reply"),
            _ => return self.break_off(flight, Fault::LoseReply, "breaks off before the reply"),
        }
        self.spoil_answer(flight, key);
        if self.strikes(Fault::Late, DecisionPoint::Late, key, 1) > 0 {
            self.strike(flight, Fault::Late, "answers late");
            self.network.flights[flight].down += Duration::from_secs(70);
        }
        self.set_out(flight);
    }

    /// F6 and F7: a damaged reply, or something else in its place.
    fn spoil_answer(&mut self, flight: usize, key: u64) {
        let Some(Answer::Reply(reply)) = self.network.flights[flight].answer.clone() else { return };
        self.corrupt_answer(flight, key, &reply);
        if self.strikes(Fault::Truncate, DecisionPoint::Truncate, key, 2) == 2 {
            self.strike(flight, Fault::Truncate, "is cut on the way down");
            let cut = self.cut(key, &reply);
            self.network.flights[flight].answer = Some(Answer::Reply(cut));
        }
        let way = self.strikes(Fault::Garbage, DecisionPoint::Garbage, key, 8);
        if way == 0 {
            return;
        }
        self.strike(flight, Fault::Garbage, "comes back as something else");
        let text = |text: &'static str| Answer::Reply(Bytes::from_static(text.as_bytes()));
        self.network.flights[flight].answer = Some(match way {
            1 => text(PAGE),
            2 => text(""),
            3 => text(r#"{"e":"tunnel batch HTTP 500"}"#),
            4 => text(r#"{"r":[]}"#),
            5 => Answer::Failed(ExchangeFailure::Garbage),
            7 => text(r#"{"e":"tunnel batch HTTP 404"}"#),
            6 => Answer::Reply(Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])),
            _ => {
                let mut covered = BytesMut::from(&[0xef, 0xbb, 0xbf][..]);
                covered.extend_from_slice(&reply[..reply.len() / 2]);
                Answer::Reply(covered.freeze())
            }
        });
    }

    pub(super) fn cut(&mut self, key: u64, body: &Bytes) -> Bytes {
        let at = self.chooser.decide(DecisionPoint::TruncateAt, key, QUANTILES) as usize;
        body.slice(..body.len() * at / QUANTILES as usize)
    }

    /// An answer comes to its client.
    pub(in crate::world) fn on_answer(&mut self, flight: usize) {
        let name = self.flight_name(flight);
        let Flight { client, exchange, key, form, lost, request, answer, .. } =
            self.network.flights.remove(flight);
        if lost {
            return self.oracle.excuse(&request);
        }
        let actor = Actor::Client(client as u32);
        if !self.clients[client].exchanges.contains_key(&exchange) {
            self.coverage.set(CoveragePoint::LateReply);
            return self.tell(actor, What::LateReply { exchange: name });
        }
        match answer {
            Some(Answer::Reply(body)) => {
                let Delivered { exchange, body } = self.swap(client, (exchange, key, form), &request, body);
                let exchange_name = Self::name(client, exchange);
                self.tell(actor, What::Reply { exchange: exchange_name, bytes: body.len() as u64 });
                self.end_exchange(client, exchange, ClientEvent::Reply { exchange, body });
            }
            Some(Answer::Failed(why)) => {
                self.tell(actor, What::Fail { exchange: name, why });
                self.end_exchange(client, exchange, ClientEvent::ExchangeFailed { exchange, why });
            }
            None => {
                violated!(self.oracle, S13, "{name} comes back without an answer");
            }
        }
    }

    /// The client's HTTP layer has waited long enough.
    pub(in crate::world) fn on_give_up(&mut self, client: usize, exchange: ExchangeId) {
        let Some((deadline, _)) = self.clients[client].exchanges.get(&exchange).copied() else { return };
        if deadline <= self.shown(client) {
            let why = ExchangeFailure::Unknown;
            self.tell(
                Actor::Client(client as u32),
                What::Fail { exchange: Self::name(client, exchange), why },
            );
            self.end_exchange(client, exchange, ClientEvent::ExchangeFailed { exchange, why });
        }
    }
}
