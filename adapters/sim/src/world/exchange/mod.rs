//! The way of a request and its answer.

mod down;
mod link;
mod up;

use std::time::Duration;

use bytes::Bytes;
use seqlane::{BodyForm, ExchangeFailure, ExchangeId, Instant, RelayId};

use crate::chooser::key;
use crate::latency::QUANTILES;
use crate::oracle::is_packet;
use crate::trace::{Actor, ExchangeName, Sink, Summary, What};
use crate::world::World;
use crate::world::event::{Event, RelayState};
use crate::world::flight::{Answer, Flight};
use crate::{Chooser, ClientHost, DecisionPoint, Fault, Probability};

/// A round trip of this length is part of a heavy tail (F15).
const TAIL: Duration = Duration::from_secs(5);

/// The page of a hosted script that crashed.
const PAGE: &str =
    "<!DOCTYPE html><html><body>The script completed but did not return anything.</body></html>";

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    fn flight_name(&self, flight: usize) -> ExchangeName {
        let flight = &self.network.flights[flight];
        Self::name(flight.client, flight.exchange)
    }

    /// A client sends a request.
    pub(super) fn send(
        &mut self,
        client: usize,
        exchange: ExchangeId,
        relay: RelayId,
        (form, body): (BodyForm, Bytes),
        deadline: Instant,
    ) {
        let name = Self::name(client, exchange);
        let summary = if S::SUMMARIES { Summary::of_request(form, &body) } else { Summary::default() };
        self.tell(
            Actor::Client(client as u32),
            What::Send { exchange: name, relay: relay.index(), bytes: body.len() as u64, summary },
        );
        self.tally.calls += 1;
        let sent = (form, &body);
        let request = self.oracle.on_sent(&self.ends, (client, exchange), relay, sent, deadline);
        self.clients[client].exchanges.insert(exchange, (deadline, is_packet(&request)));
        self.at(self.when(client, deadline), Event::GiveUp(client, exchange));
        let key = key((client as u64) << 48 | exchange.number(), 0);
        let (up, down) = self.draw_way(relay.index() as usize, key);
        self.oracle.on_way(&request, up + down);
        let flight = self.network.flights.insert(Flight {
            client,
            exchange,
            relay: relay.index() as usize,
            node: 0,
            key,
            copy: 0,
            form,
            body,
            request,
            up,
            down,
            answer: None,
            heard: true,
            lost: false,
            seated: false,
        });
        self.load_link(flight, false);
    }

    /// The two ways of an exchange.
    fn draw_way(&mut self, relay: usize, key: u64) -> (Duration, Duration) {
        let mut round_trip =
            self.setup.latency.at(self.chooser.decide(DecisionPoint::Latency, key, QUANTILES));
        if self.network.relays[relay].state == RelayState::Slow {
            round_trip *= 20;
        }
        if self.setup.probability(Fault::HeavyTail) != Probability::NEVER && round_trip >= TAIL {
            self.count_fault(Fault::HeavyTail);
        }
        // 35 to 65 % of the round trip is the way up.
        let share = 35 + self.chooser.decide(DecisionPoint::Split, key, 31);
        let up = round_trip * share / 100;
        (up, round_trip - up)
    }

    /// A call comes back from its relay without having been at the node.
    fn turn_back(&mut self, flight: usize, fault: Fault, how: &'static str, answer: Answer) {
        self.strike(flight, fault, how);
        self.leave_seat(flight);
        if answer.loses() {
            self.oracle.excuse(&self.network.flights[flight].request);
        }
        self.network.flights[flight].answer = Some(answer);
        self.set_out(flight);
    }

    /// A connection breaks: the client learns at once that the outcome is unknown.
    fn break_off(&mut self, flight: usize, fault: Fault, how: &'static str) {
        self.turn_back(flight, fault, how, Answer::Failed(ExchangeFailure::Unknown));
    }

    /// A call is lost silently.
    fn vanish(&mut self, flight: usize, fault: Fault, how: &'static str) {
        self.strike(flight, fault, how);
        self.leave_seat(flight);
        let lost = self.network.flights.remove(flight);
        self.oracle.excuse(&lost.request);
    }

    pub(super) fn strike(&mut self, flight: usize, fault: Fault, how: &'static str) {
        self.count_fault(fault);
        let (exchange, relay) = (self.flight_name(flight), self.network.flights[flight].relay);
        self.oracle.on_strike(fault, &self.network.flights[flight].request);
        self.tell(Actor::Relay(relay as u32), What::Strike { fault, exchange, how });
    }
}
