//! The way of a request and its answer, and what happens to them.

mod down;
mod link;
mod up;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::{BodyForm, ExchangeFailure, ExchangeId, Instant, RelayId};

use crate::chooser::{Chooser, key};
use crate::decision_point::DecisionPoint;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::latency::QUANTILES;
use crate::probability::Probability;
use crate::trace::{Actor, ExchangeName, Sink, Summary, What};
use crate::world::World;
use crate::world::event::{Event, RelayState};
use crate::world::oracle::ledger::Note;

/// One copy of a request, on its way up or down.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    client: usize,
    exchange: ExchangeId,
    relay: usize,
    /// The node that it was led to: the relay may lead elsewhere by the time of the answer.
    node: usize,
    key: u64,
    copy: u8,
    form: BodyForm,
    body: Bytes,
    /// What it is about.
    notes: Arc<[Note]>,
    up: Duration,
    down: Duration,
    /// What comes back; nothing while it is on its way up.
    answer: Option<Answer>,
    /// Whether the relay gives this copy's answer to the client.
    heard: bool,
    /// Whether its answer fills the client's link, and never comes.
    lost: bool,
    /// Whether it holds a place at its relay.
    seated: bool,
}

/// The number of a copy that is an old request, which came once more.
const STRAY: u8 = 2;

/// What comes back of a call.
#[derive(Clone, Debug)]
enum Answer {
    Reply(Bytes),
    Failed(ExchangeFailure),
}

/// A round trip of this length is part of a heavy tail (F15).
const TAIL: Duration = Duration::from_secs(5);

/// What a hosted script shows that fell over.
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
        let notes = self.check_send(client, exchange, relay, form, &body);
        self.clients[client].exchanges.insert(exchange, (relay, deadline));
        self.at(self.when(client, deadline), Event::GiveUp(client, exchange));
        let key = key((client as u64) << 48 | exchange.number(), 0);
        let (up, down) = self.draw_way(relay.index() as usize, key);
        self.note_way(&notes, up + down);
        let flight = self.network.flights.insert(Flight {
            client,
            exchange,
            relay: relay.index() as usize,
            node: 0,
            key,
            copy: 0,
            form,
            body,
            notes,
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
            let notes = Arc::clone(&self.network.flights[flight].notes);
            self.excuse(&notes);
        }
        self.network.flights[flight].answer = Some(answer);
        self.set_out(flight);
    }

    /// A connection breaks off: the client learns at once that it knows nothing.
    fn break_off(&mut self, flight: usize, fault: Fault, how: &'static str) {
        self.turn_back(flight, fault, how, Answer::Failed(ExchangeFailure::Unknown));
    }

    /// A call is lost, and nobody says so.
    fn vanish(&mut self, flight: usize, fault: Fault, how: &'static str) {
        self.strike(flight, fault, how);
        self.leave_seat(flight);
        let lost = self.network.flights.remove(flight);
        self.excuse(&lost.notes);
    }

    pub(super) fn strike(&mut self, flight: usize, fault: Fault, how: &'static str) {
        self.count_fault(fault);
        let (exchange, relay) = (self.flight_name(flight), self.network.flights[flight].relay);
        let notes = Arc::clone(&self.network.flights[flight].notes);
        self.note_strike(fault, &notes);
        self.tell(Actor::Relay(relay as u32), What::Strike { fault, exchange, how });
    }
}

impl Flight {
    /// A copy of an old request, of which nobody hears.
    pub(super) fn stray(&self, form: BodyForm, body: Bytes, notes: Arc<[Note]>) -> Self {
        Self { form, body, notes, copy: STRAY, answer: None, heard: false, seated: false, ..self.clone() }
    }

    /// Whether it is a copy of an old request.
    pub(super) const fn is_stray(&self) -> bool {
        self.copy == STRAY
    }

    /// Whose it is, the key of its decisions, and what its body is.
    pub(super) const fn about(&self) -> (usize, u64, BodyForm) {
        (self.client, self.key, self.form)
    }

    pub(super) fn notes(&self) -> &Arc<[Note]> {
        &self.notes
    }

    /// What comes back is this instead.
    pub(super) fn answer_with(&mut self, body: Bytes) {
        self.answer = Some(Answer::Reply(body));
    }
}

impl Answer {
    /// Whether the client cannot know that the node had nothing.
    const fn loses(&self) -> bool {
        !matches!(
            self,
            Self::Failed(
                ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge
            )
        )
    }
}
