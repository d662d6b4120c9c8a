//! The way of a request and its answer, and what happens to them.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seqlane::wire;
use seqlane::{BodyForm, ClientEvent, ExchangeFailure, ExchangeId, Instant, Level, NodeEvent, RelayId};

use crate::chooser::{Chooser, key};
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::latency::QUANTILES;
use crate::mark::Mark;
use crate::odds::Odds;
use crate::property::Property;
use crate::site::Site;
use crate::trace::{Actor, ExchangeName, Gist, Sink, What};
use crate::world::event::{Event, Line};
use crate::world::forgery::Delivered;
use crate::world::node::Caller;
use crate::world::oracle::ledger::Note;
use crate::world::{Phase, World};

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
        let gist = if S::GISTS { Gist::of_request(form, &body) } else { Gist::default() };
        self.tell(
            Actor::Client(client as u32),
            What::Send { exchange: name, relay: relay.place(), bytes: body.len() as u64, gist },
        );
        self.tally.calls += 1;
        let notes = self.check_send(client, exchange, relay, form, &body);
        self.clients[client].exchanges.insert(exchange, (relay, deadline));
        self.at(self.when(client, deadline), Event::GiveUp(client, exchange));
        let key = key((client as u64) << 48 | exchange.number(), 0);
        let (up, down) = self.draw_way(relay.place() as usize, key);
        self.note_way(&notes, up + down);
        let flight = self.network.flights.insert(Flight {
            client,
            exchange,
            relay: relay.place() as usize,
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
        let mut round_trip = self.setup.latency.at(self.chooser.pick(Site::Latency, key, QUANTILES));
        if self.network.relays[relay].line == Line::Slow {
            round_trip *= 20;
        }
        if self.setup.odds(Fault::HeavyTail) != Odds::NEVER && round_trip >= TAIL {
            self.count_fault(Fault::HeavyTail);
        }
        // 35 to 65 % of the round trip is the way up.
        let share = 35 + self.chooser.pick(Site::Split, key, 31);
        let up = round_trip * share / 100;
        (up, round_trip - up)
    }

    /// Puts a body on its client's link; without one it is through at once.
    fn load_link(&mut self, flight: usize, down: bool) {
        let Flight { client, body, answer, .. } = &self.network.flights[flight];
        let client = *client;
        let bytes = match answer {
            None => body.len(),
            Some(Answer::Reply(reply)) => reply.len(),
            Some(Answer::Failed(_)) => 0,
        };
        let Some(links) = &mut self.network.links[client] else { return self.through(flight, down) };
        links[usize::from(down)].shared.begin(self.now, flight as u64, bytes);
        self.arm_link(client, down);
    }

    fn arm_link(&mut self, client: usize, down: bool) {
        let Some(links) = &mut self.network.links[client] else { return };
        let link = &mut links[usize::from(down)];
        link.generation += 1;
        let generation = link.generation;
        if let Some(at) = link.shared.next() {
            self.at(at, Event::Link { client, down, generation });
        }
    }

    pub(super) fn on_link(&mut self, client: usize, down: bool, generation: u64) {
        let mut through = Vec::new();
        if let Some(links) = &mut self.network.links[client] {
            let link = &mut links[usize::from(down)];
            if link.generation != generation {
                return;
            }
            through.extend(std::iter::from_fn(|| link.shared.take(self.now)));
        }
        for flight in through {
            self.through(flight as usize, down);
        }
        self.arm_link(client, down);
    }

    /// A body has passed the client's link.
    fn through(&mut self, flight: usize, down: bool) {
        let event = if down { Event::AtClient(flight) } else { Event::AtRelay(flight) };
        self.at(self.now, event);
    }

    /// An answer sets out for its client's link.
    fn set_out(&mut self, flight: usize) {
        let at = self.now.after(self.network.flights[flight].down);
        self.at(at, Event::AtLink(flight));
    }

    /// An answer has come to its client's link: its first bytes are there.
    pub(super) fn on_answer_link(&mut self, flight: usize) {
        let Flight { client, exchange, key, lost, .. } = self.network.flights[flight];
        if self.network.links[client].is_some() {
            if !lost {
                self.tell_answering(flight);
            }
            return self.load_link(flight, true);
        }
        // Without a link a body is through at once, unless its relay takes a while between head and body.
        const PAUSES: [u64; 4] = [0, 0, 300, 8_000];
        let ways = if self.setup.is_calm() { 3 } else { 4 };
        let speaks = self.clients[client].config.max_level == Level::Streams
            && Note::are_packet(&self.network.flights[flight].notes)
            && self.clients[client].exchanges.contains_key(&exchange);
        let way = if speaks { self.chooser.pick(Site::Answering, key, 16) } else { 0 };
        let Some(pause) = PAUSES[..ways].get(way as usize).filter(|_| way > 0) else {
            return self.on_answer(flight);
        };
        self.tell_answering(flight);
        self.at(self.now.after(Duration::from_millis(*pause)), Event::AtClient(flight));
    }

    fn tell_answering(&mut self, flight: usize) {
        let Flight { client, exchange, .. } = self.network.flights[flight];
        let speaks = self.clients[client].config.max_level == Level::Streams;
        if speaks && self.clients[client].exchanges.contains_key(&exchange) {
            self.marks.set(Mark::Answering);
            if let Some(sent) = self.ledger.exchanges.get_mut(&(client, exchange)) {
                sent.answering = true;
            }
            self.client_handle(client, ClientEvent::Answering { exchange });
            self.drain_client(client);
        }
    }

    /// A request comes to its relay.
    pub(super) fn on_relay(&mut self, flight: usize) {
        let relay = self.network.flights[flight].relay;
        match self.network.relays[relay].line {
            Line::Unreachable => {
                let why = ExchangeFailure::NotSent;
                self.turn_back(flight, Fault::Partition, "cannot be sent", Answer::Failed(why));
            }
            Line::Pages => self.turn_back(
                flight,
                Fault::Garbage,
                "gets a page",
                Answer::Reply(Bytes::from_static(PAGE.as_bytes())),
            ),
            Line::Refuses => {
                let why = ExchangeFailure::Refused { retry_after: None };
                self.turn_back(flight, Fault::Refuse, "is refused", Answer::Failed(why));
            }
            Line::CutUp => self.vanish(flight, Fault::Partition, "vanishes on the way up"),
            Line::Well | Line::Paused | Line::CutDown | Line::Slow => self.admit(flight),
        }
    }

    /// A relay takes a call, queues it, or refuses it.
    fn admit(&mut self, flight: usize) {
        let Flight { relay, key, body, .. } = &self.network.flights[flight];
        let (relay, key, len) = (*relay, *key, body.len());
        let refusal = self.strikes(Fault::Refuse, Site::Refuse, key, REFUSALS.len() as u32);
        let state = &mut self.network.relays[relay];
        let spent = state.setup.daily_calls.is_some_and(|most| state.taken >= most);
        if refusal > 0 || spent {
            let retry_after = refusal.checked_sub(1).and_then(|place| REFUSALS[place as usize]);
            let why = ExchangeFailure::Refused { retry_after };
            return self.turn_back(flight, Fault::Refuse, "is refused", Answer::Failed(why));
        }
        if state.setup.body_cap.is_some_and(|cap| len > cap) && self.phase == Phase::Storm {
            return self.turn_back(
                flight,
                Fault::BodyCap,
                "is too large",
                Answer::Failed(ExchangeFailure::TooLarge),
            );
        }
        if state.has_room() {
            self.seat(flight);
        } else if state.setup.queues || state.line == Line::Paused {
            state.queue.push_back(flight);
            let fault = if state.line == Line::Paused { Fault::Pause } else { Fault::Queueing };
            self.count_fault(fault);
            let notes = Arc::clone(&self.network.flights[flight].notes);
            self.excuse(&notes);
        } else {
            let why = ExchangeFailure::Refused { retry_after: None };
            self.turn_back(flight, Fault::Refuse, "is one too many", Answer::Failed(why));
        }
    }

    /// A relay works on a call: it goes on to the node.
    fn seat(&mut self, flight: usize) {
        let relay = self.network.flights[flight].relay;
        self.network.relays[relay].busy += 1;
        self.network.relays[relay].taken += 1;
        self.network.flights[flight].seated = true;
        let (key, up) = (self.network.flights[flight].key, self.network.flights[flight].up);
        match self.strikes(Fault::LoseRequest, Site::LoseRequest, key, 2) {
            0 => {}
            1 => return self.vanish(flight, Fault::LoseRequest, "is lost before the node"),
            _ => return self.break_off(flight, Fault::LoseRequest, "breaks off before the node"),
        }
        let detour = match self.strikes(Fault::Reorder, Site::Reorder, key, 100) {
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
        let way = self.strikes(Fault::Duplicate, Site::Duplicate, key, 3);
        if way == 0 {
            return;
        }
        const DELAYS: [u64; 6] = [0, 1, 20, 300, 5_000, 60_000];
        let delay = self.chooser.pick(Site::DuplicateDelay, key, DELAYS.len() as u32);
        self.strike(flight, Fault::Duplicate, "is doubled");
        let mut twin = self.network.flights[flight].clone();
        // The client hears the first copy, the second, or whichever answers first.
        (self.network.flights[flight].heard, twin.heard) = match way {
            1 => (true, false),
            2 => (false, true),
            _ => (true, true),
        };
        twin.copy = 1;
        twin.seated = false;
        let twin = self.network.flights.insert(twin);
        let at = self.now.after(up + Duration::from_millis(DELAYS[delay as usize % DELAYS.len()]));
        self.at(at, Event::AtNode(twin));
    }

    /// A request comes to its node.
    pub(super) fn on_node(&mut self, flight: usize) {
        let name = self.flight_name(flight);
        let Flight { relay, key, copy, form, body, notes, .. } = self.network.flights[flight].clone();
        let node = self.network.relays[relay].node;
        self.network.flights[flight].node = node;
        self.tell(Actor::Node(node as u32), What::Arrive { exchange: name, copy, bytes: body.len() as u64 });
        if node > 0 {
            self.count_fault(Fault::Mixed);
            self.orphan_flows_of(flight);
            if self.setup.other_is_old && notes.iter().any(Note::is_first_bytes) {
                return self.answered(flight, 200, not_understood(notes.len()));
            }
        }
        let cut = self.strikes(Fault::Truncate, Site::Truncate, key, 2);
        let body = if cut == 1 {
            self.strike(flight, Fault::Truncate, "is cut on the way up");
            self.cut(key, &body)
        } else {
            self.note_arrival(node, &notes);
            self.corrupt_request(flight, &body)
        };
        self.network.flights[flight].body = Bytes::new();
        self.node_request(node, Caller::Flight(flight), form, body);
        self.check_turns(node, &notes);
    }

    /// A node has answered a request.
    pub(super) fn answered(&mut self, flight: usize, status: u16, body: Bytes) {
        let name = self.flight_name(flight);
        let Flight { node, copy, form, .. } = self.network.flights[flight];
        let notes = Arc::clone(&self.network.flights[flight].notes);
        self.note_answer(node, form, &notes, &body);
        let gist = if S::GISTS { Gist::of_answer(form, &body) } else { Gist::default() };
        self.tell(
            Actor::Node(node as u32),
            What::Respond { exchange: name, copy, bytes: body.len() as u64, gist },
        );
        let answer = match status {
            200 => Answer::Reply(body),
            413 => Answer::Failed(ExchangeFailure::TooLarge),
            _ => Answer::Failed(ExchangeFailure::Garbage),
        };
        self.go_down(flight, answer);
    }

    /// The node broke down with a request in its hands.
    pub(super) fn broke_off(&mut self, flight: usize) {
        let notes = Arc::clone(&self.network.flights[flight].notes);
        self.excuse(&notes);
        self.go_down(flight, Answer::Failed(ExchangeFailure::Garbage));
    }

    /// A relay's calls to nodes break off: whoever holds one learns that nobody waits for it any more.
    pub(super) fn hang_up(&mut self, relay: usize) {
        for node in 0..self.nodes.len() {
            let held = self.nodes[node].held.iter().filter_map(|(request, held)| match held.caller {
                Caller::Flight(flight) => Some((*request, flight)),
                Caller::Visitor(_) => None,
            });
            let gone: Vec<_> =
                held.filter(|(_, flight)| self.network.flights[*flight].relay == relay).collect();
            for (request, flight) in gone {
                self.nodes[node].held.remove(&request);
                self.node_handle(node, NodeEvent::RequestGone { request });
                let notes = Arc::clone(&self.network.flights[flight].notes);
                self.note_refusal(&notes);
                self.vanish(flight, Fault::Partition, "is cut off while the node holds it");
            }
            self.drain_node(node);
        }
    }

    /// An answer leaves the node; what happens to it on the way is decided here.
    fn go_down(&mut self, flight: usize, answer: Answer) {
        self.leave_seat(flight);
        let Flight { relay, key, copy, heard, .. } = self.network.flights[flight];
        self.network.flights[flight].answer = Some(answer);
        if !heard {
            self.network.flights.remove(flight);
            return;
        }
        let key = key.wrapping_add(u64::from(copy));
        if self.network.relays[relay].line == Line::CutDown {
            return self.vanish(flight, Fault::Partition, "vanishes on the way down");
        }
        let spared = match &self.network.flights[flight].answer {
            Some(Answer::Reply(reply)) => reply.len() < self.setup.spared,
            Some(Answer::Failed(_)) | None => false,
        };
        match if spared { 0 } else { self.strikes(Fault::LoseReply, Site::LoseReply, key, 2) } {
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
        if self.strikes(Fault::Late, Site::Late, key, 1) > 0 {
            self.strike(flight, Fault::Late, "answers late");
            self.network.flights[flight].down += Duration::from_secs(70);
        }
        self.set_out(flight);
    }

    /// F6 and F7: a reply that is no reply any more.
    fn spoil_answer(&mut self, flight: usize, key: u64) {
        let Some(Answer::Reply(reply)) = self.network.flights[flight].answer.clone() else { return };
        self.corrupt_answer(flight, key, &reply);
        if self.strikes(Fault::Truncate, Site::Truncate, key, 2) == 2 {
            self.strike(flight, Fault::Truncate, "is cut on the way down");
            let cut = self.cut(key, &reply);
            self.network.flights[flight].answer = Some(Answer::Reply(cut));
        }
        let way = self.strikes(Fault::Garbage, Site::Garbage, key, 8);
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
                let mut marked = BytesMut::from(&[0xef, 0xbb, 0xbf][..]);
                marked.extend_from_slice(&reply[..reply.len() / 2]);
                Answer::Reply(marked.freeze())
            }
        });
    }

    fn cut(&mut self, key: u64, body: &Bytes) -> Bytes {
        let at = self.chooser.pick(Site::TruncateAt, key, QUANTILES) as usize;
        body.slice(..body.len() * at / QUANTILES as usize)
    }

    /// An answer comes to its client.
    pub(super) fn on_answer(&mut self, flight: usize) {
        let name = self.flight_name(flight);
        let Flight { client, exchange, key, form, lost, notes, answer, .. } =
            self.network.flights.remove(flight);
        if lost {
            return self.excuse(&notes);
        }
        let actor = Actor::Client(client as u32);
        if !self.clients[client].exchanges.contains_key(&exchange) {
            self.marks.set(Mark::LateReply);
            return self.tell(actor, What::LateReply { exchange: name });
        }
        match answer {
            Some(Answer::Reply(body)) => {
                let Delivered { exchange, body } = self.swap(client, (exchange, key, form), &notes, body);
                let exchange_name = Self::name(client, exchange);
                self.tell(actor, What::Reply { exchange: exchange_name, bytes: body.len() as u64 });
                self.end_exchange(client, exchange, ClientEvent::Reply { exchange, body });
            }
            Some(Answer::Failed(why)) => {
                self.tell(actor, What::Fail { exchange: name, why });
                self.end_exchange(client, exchange, ClientEvent::ExchangeFailed { exchange, why });
            }
            None => self.violated(Property::S13, format!("{name} comes back without an answer")),
        }
    }

    /// The client's HTTP layer has waited long enough.
    pub(super) fn on_give_up(&mut self, client: usize, exchange: ExchangeId) {
        let Some((_, deadline)) = self.clients[client].exchanges.get(&exchange).copied() else { return };
        if deadline <= self.client_now(client) {
            let why = ExchangeFailure::Unknown;
            self.tell(
                Actor::Client(client as u32),
                What::Fail { exchange: Self::name(client, exchange), why },
            );
            self.end_exchange(client, exchange, ClientEvent::ExchangeFailed { exchange, why });
        }
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

    /// A call gives its place at the relay to the next.
    fn leave_seat(&mut self, flight: usize) {
        if std::mem::take(&mut self.network.flights[flight].seated) {
            let relay = self.network.flights[flight].relay;
            self.network.relays[relay].busy -= 1;
            self.admit_queued(relay);
        }
    }

    pub(super) fn admit_queued(&mut self, relay: usize) {
        while self.network.relays[relay].has_room() {
            let Some(flight) = self.network.relays[relay].queue.pop_front() else { return };
            self.seat(flight);
        }
    }

    /// Flows of this request's client are led to a node that does not know them.
    fn orphan_flows_of(&mut self, flight: usize) {
        let client = self.network.flights[flight].client;
        for flow in self.flows.iter_mut().filter(|flow| flow.client == client) {
            flow.orphaned = true;
        }
    }
}

/// What relays say with 429 (F8), absurd values too.
const REFUSALS: [Option<Duration>; 5] = [
    None,
    Some(Duration::ZERO),
    Some(Duration::from_secs(1)),
    Some(Duration::from_secs(30)),
    Some(Duration::from_secs(86_400 * 365)),
];

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

/// What a node answers that does not know `connect_data`.
fn not_understood(ops: usize) -> Bytes {
    let reply = wire::ReplyParts {
        error: Some("unknown op: connect_data"),
        code: Some(wire::Code::UnsupportedOp),
        ..wire::ReplyParts::default()
    };
    wire::encode_answer(&vec![reply; ops])
}
