//! The link of a client, shared by all its calls.

use std::time::Duration;

use seqlane::{ClientEvent, Level};

use crate::oracle::is_packet;
use crate::trace::Sink;
use crate::world::World;
use crate::world::event::Event;
use crate::world::flight::{Answer, Flight};
use crate::{Chooser, ClientHost, DecisionPoint};

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// Puts a body on its client's link; without one it is through at once.
    pub(super) fn load_link(&mut self, flight: usize, down: bool) {
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

    pub(in crate::world) fn on_link(&mut self, client: usize, down: bool, generation: u64) {
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
    pub(super) fn set_out(&mut self, flight: usize) {
        let at = self.now.after(self.network.flights[flight].down);
        self.at(at, Event::AtLink(flight));
    }

    /// An answer has come to its client's link: its first bytes are there.
    pub(in crate::world) fn on_answer_link(&mut self, flight: usize) {
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
        let speaks = self.setup.client.max_level == Level::Streams
            && is_packet(&self.network.flights[flight].request)
            && self.clients[client].exchanges.contains_key(&exchange);
        let way = if speaks { self.chooser.decide(DecisionPoint::Answering, key, 16) } else { 0 };
        let Some(pause) = PAUSES[..ways].get(way as usize).filter(|_| way > 0) else {
            return self.on_answer(flight);
        };
        self.tell_answering(flight);
        self.at(self.now.after(Duration::from_millis(*pause)), Event::AtClient(flight));
    }

    fn tell_answering(&mut self, flight: usize) {
        let Flight { client, exchange, .. } = self.network.flights[flight];
        let speaks = self.setup.client.max_level == Level::Streams;
        if speaks && self.clients[client].exchanges.contains_key(&exchange) {
            self.oracle.on_answering(client, exchange);
            self.client_handle(client, ClientEvent::Answering { exchange });
            self.drain_client(client);
        }
    }
}
