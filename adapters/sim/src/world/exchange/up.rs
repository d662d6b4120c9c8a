//! The way up: from the relay, which queues, refuses or loses a request, to the node.

use std::time::Duration;

use bytes::Bytes;
use seqlane::{ExchangeFailure, wire};

use crate::oracle::SentOp;
use crate::trace::{Actor, Sink, What};
use crate::world::event::{Event, RelayState};
use crate::world::exchange::PAGE;
use crate::world::flight::{Answer, Flight};
use crate::world::hosts::Caller;
use crate::world::{Phase, World};
use crate::{Chooser, ClientHost, DecisionPoint, Fault};

/// Retry-After values of refusals (F8), including absurd ones.
const REFUSALS: [Option<Duration>; 5] = [
    None,
    Some(Duration::ZERO),
    Some(Duration::from_secs(1)),
    Some(Duration::from_secs(30)),
    Some(Duration::from_secs(86_400 * 365)),
];

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// A request comes to its relay.
    pub(in crate::world) fn on_relay(&mut self, flight: usize) {
        let relay = self.network.flights[flight].relay;
        match self.network.relays[relay].state {
            RelayState::Unreachable => {
                let answer = Answer::Failed(ExchangeFailure::NotSent);
                self.turn_back(flight, Fault::Partition, "cannot be sent", answer);
            }
            RelayState::Pages => {
                let answer = Answer::Reply(Bytes::from_static(PAGE.as_bytes()));
                self.turn_back(flight, Fault::Garbage, "gets a page", answer);
            }
            RelayState::Refuses => self.refuse(flight, None, "is refused"),
            RelayState::CutUp => self.vanish(flight, Fault::Partition, "vanishes on the way up"),
            RelayState::Well | RelayState::Paused | RelayState::CutDown | RelayState::Slow => {
                self.admit(flight)
            }
        }
    }

    /// A relay takes a call, queues it, or refuses it.
    fn admit(&mut self, flight: usize) {
        let Flight { relay, key, body, .. } = &self.network.flights[flight];
        let (relay, key, len) = (*relay, *key, body.len());
        let refusal = self.strikes(Fault::Refuse, DecisionPoint::Refuse, key, REFUSALS.len() as u32);
        let state = &mut self.network.relays[relay];
        let spent = state.setup.daily_calls.is_some_and(|most| state.taken >= most);
        if refusal > 0 || spent {
            let retry_after = refusal.checked_sub(1).and_then(|place| REFUSALS[place as usize]);
            return self.refuse(flight, retry_after, "is refused");
        }
        if state.setup.body_cap.is_some_and(|cap| len > cap) && self.phase == Phase::Faults {
            let answer = Answer::Failed(ExchangeFailure::TooLarge);
            return self.turn_back(flight, Fault::BodyCap, "is too large", answer);
        }
        if state.has_room() {
            self.seat(flight);
        } else if state.setup.queues || state.state == RelayState::Paused {
            state.queue.push_back(flight);
            let fault = if state.state == RelayState::Paused { Fault::Pause } else { Fault::Queueing };
            self.count_fault(fault);
            self.oracle.excuse(&self.network.flights[flight].request);
        } else {
            self.refuse(flight, None, "is one too many");
        }
    }

    fn refuse(&mut self, flight: usize, retry_after: Option<Duration>, how: &'static str) {
        let why = ExchangeFailure::Refused { retry_after };
        self.turn_back(flight, Fault::Refuse, how, Answer::Failed(why));
    }

    /// A relay works on a call: it goes on to the node.
    fn seat(&mut self, flight: usize) {
        let relay = self.network.flights[flight].relay;
        self.network.relays[relay].busy += 1;
        self.network.relays[relay].taken += 1;
        self.network.flights[flight].seated = true;
        let (key, up) = (self.network.flights[flight].key, self.network.flights[flight].up);
        match self.strikes(Fault::LoseRequest, DecisionPoint::LoseRequest, key, 2) {
            0 => {}
            1 => return self.vanish(flight, Fault::LoseRequest, "is lost before the node"),
            _ => return self.break_off(flight, Fault::LoseRequest, "breaks off before the node"),
        }
        let detour = match self.strikes(Fault::Reorder, DecisionPoint::Reorder, key, 100) {
            0 => Duration::ZERO,
            way => {
                self.strike(flight, Fault::Reorder, "takes a detour");
                Duration::from_millis(20 * u64::from(way))
            }
        };
        self.double(flight);
        self.at(self.now.after(up + detour), Event::AtNode(flight));
    }

    /// F3: a second copy sets out.
    fn double(&mut self, flight: usize) {
        let (key, up) = (self.network.flights[flight].key, self.network.flights[flight].up);
        let way = self.strikes(Fault::Duplicate, DecisionPoint::Duplicate, key, 3);
        if way == 0 {
            return;
        }
        const DELAYS: [u64; 6] = [0, 1, 20, 300, 5_000, 60_000];
        let delay = self.chooser.decide(DecisionPoint::DuplicateDelay, key, DELAYS.len() as u32);
        self.strike(flight, Fault::Duplicate, "is doubled");
        let mut second = self.network.flights[flight].clone();
        // The client hears the first copy, the second, or whichever answers first.
        (self.network.flights[flight].heard, second.heard) = match way {
            1 => (true, false),
            2 => (false, true),
            _ => (true, true),
        };
        second.copy = 1;
        second.seated = false;
        let second = self.network.flights.insert(second);
        let at = self.now.after(up + Duration::from_millis(DELAYS[delay as usize % DELAYS.len()]));
        self.at(at, Event::AtNode(second));
    }

    /// A request comes to its node.
    pub(in crate::world) fn on_node(&mut self, flight: usize) {
        let name = self.flight_name(flight);
        let Flight { client, relay, key, copy, form, body, request, .. } =
            self.network.flights[flight].clone();
        let node = self.network.relays[relay].node;
        self.network.flights[flight].node = node;
        self.tell(Actor::Node(node as u32), What::Arrive { exchange: name, copy, bytes: body.len() as u64 });
        if node > 0 {
            self.count_fault(Fault::Mixed);
            self.oracle.on_misled(&self.ends, client);
            if self.setup.other_is_old && request.iter().any(SentOp::is_first_bytes) {
                return self.answered(flight, 200, not_understood(request.len()));
            }
        }
        let cut = self.strikes(Fault::Truncate, DecisionPoint::Truncate, key, 2);
        let body = if cut == 1 {
            self.strike(flight, Fault::Truncate, "is cut on the way up");
            self.cut(key, &body)
        } else {
            self.oracle.on_arrived(node, &request);
            self.corrupt_request(flight, &body)
        };
        self.network.flights[flight].body = Bytes::new();
        self.node_request(node, Caller::Flight(flight), form, body);
        self.oracle.on_handled(&self.ends, node, &request);
    }

    /// A call gives its place at the relay to the next.
    pub(super) fn leave_seat(&mut self, flight: usize) {
        if std::mem::take(&mut self.network.flights[flight].seated) {
            let relay = self.network.flights[flight].relay;
            self.network.relays[relay].busy -= 1;
            self.admit_queued(relay);
        }
    }

    pub(in crate::world) fn admit_queued(&mut self, relay: usize) {
        while self.network.relays[relay].has_room() {
            let Some(flight) = self.network.relays[relay].queue.pop_front() else { return };
            self.seat(flight);
        }
    }
}

/// The answer of a node that does not know `connect_data`.
fn not_understood(ops: usize) -> Bytes {
    let reply = wire::ReplyParts {
        error: Some("unknown op: connect_data"),
        code: Some(wire::Code::UnsupportedOp),
        ..wire::ReplyParts::default()
    };
    wire::encode_answer(&vec![reply; ops])
}
