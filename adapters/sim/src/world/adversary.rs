//! Forged answers and requests (F18, F19), which only packets of level 2 detect.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seqlane::{BodyForm, ExchangeId};

use crate::latency::QUANTILES;
use crate::oracle::{Request, SentOp, is_packet};
use crate::trace::Sink;
use crate::world::World;
use crate::world::event::Event;
use crate::world::flight::{Answer, Flight};
use crate::{Chooser, ClientHost, DecisionPoint, Fault};

/// Old bodies that are kept for each client, each way.
const KEPT: usize = 8;

/// An answer as a client receives it.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) exchange: ExchangeId,
    pub(super) body: Bytes,
}

fn keep<T>(past: &mut VecDeque<T>, item: T) {
    if past.len() == KEPT {
        past.pop_front();
    }
    past.push_back(item);
}

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    fn tampers(&self, fault: Fault, request: &[SentOp]) -> bool {
        is_packet(request) && !self.setup.probability(fault).is_never()
    }

    /// F18: an answer is delivered for another request, or an old one in its place.
    pub(super) fn swap(
        &mut self,
        client: usize,
        (exchange, key, form): (ExchangeId, u64, BodyForm),
        request: &[SentOp],
        body: Bytes,
    ) -> Delivered {
        if !self.tampers(Fault::Swap, request) {
            return Delivered { exchange, body };
        }
        let way = self.strikes(Fault::Swap, DecisionPoint::Swap, key, 2);
        let delivered = match way {
            0 => None,
            1 => self.another_exchange(client, exchange, key).map(|exchange| (exchange, body.clone())),
            _ => self.old_answer(client, key, form).map(|old| (exchange, old)),
        };
        keep(&mut self.network.past[client].answers, (form, body.clone()));
        match delivered {
            Some((exchange, body)) => {
                self.count_fault(Fault::Swap);
                Delivered { exchange, body }
            }
            None => Delivered { exchange, body },
        }
    }

    /// Another exchange of the client with a packet.
    fn another_exchange(&mut self, client: usize, exchange: ExchangeId, key: u64) -> Option<ExchangeId> {
        let open = self.clients[client].exchanges.iter();
        let others = open.filter(|(other, (_, packet))| **other != exchange && *packet);
        let others: Vec<ExchangeId> = others.map(|(other, _)| *other).collect();
        let count = u32::try_from(others.len()).ok().filter(|count| *count > 0)?;
        others.get(self.chooser.decide(DecisionPoint::SwapWith, key, count) as usize).copied()
    }

    fn old_answer(&mut self, client: usize, key: u64, form: BodyForm) -> Option<Bytes> {
        let fits = self.network.past[client].answers.iter().filter(|(of, _)| *of == form);
        let bodies: Vec<Bytes> = fits.map(|(_, body)| body.clone()).collect();
        let count = u32::try_from(bodies.len()).ok().filter(|count| *count > 0)?;
        bodies.get(self.chooser.decide(DecisionPoint::SwapWith, key.wrapping_add(1), count) as usize).cloned()
    }

    /// F19 on the way up: bits flip, or an old request comes once more.
    pub(super) fn corrupt_request(&mut self, flight: usize, body: &Bytes) -> Bytes {
        let Flight { client, key, form, .. } = self.network.flights[flight];
        let request = Request::clone(&self.network.flights[flight].request);
        // What comes once more does not bring others.
        if self.network.flights[flight].is_stray() || !self.tampers(Fault::Corrupt, &request) {
            return body.clone();
        }
        let way = self.strikes(Fault::Corrupt, DecisionPoint::Corrupt, key, 3);
        if way == 3 {
            self.replay(flight, client, key);
        }
        keep(&mut self.network.past[client].requests, (form, body.clone(), request));
        if way != 1 {
            return body.clone();
        }
        self.strike(flight, Fault::Corrupt, "is damaged on the way up");
        self.flip(form, key, body)
    }

    fn replay(&mut self, flight: usize, client: usize, key: u64) {
        let count = self.network.past[client].requests.len() as u32;
        if count == 0 {
            return;
        }
        let nth = self.chooser.decide(DecisionPoint::SwapWith, key.wrapping_add(2), count);
        let Some((form, body, request)) = self.network.past[client].requests.get(nth as usize).cloned()
        else {
            return;
        };
        self.strike(flight, Fault::Corrupt, "brings an old request once more");
        let stray = self.network.flights[flight].stray(form, body, request);
        let stray = self.network.flights.insert(stray);
        self.at(self.now.after(Duration::from_millis(5)), Event::AtNode(stray));
    }

    /// F19 on the way down.
    pub(super) fn corrupt_answer(&mut self, flight: usize, key: u64, body: &Bytes) {
        let Flight { form, ref request, .. } = self.network.flights[flight];
        if self.tampers(Fault::Corrupt, request)
            && self.strikes(Fault::Corrupt, DecisionPoint::Corrupt, key, 3) == 2
        {
            self.strike(flight, Fault::Corrupt, "is damaged on the way down");
            let damaged = self.flip(form, key, body);
            self.network.flights[flight].answer = Some(Answer::Reply(damaged));
        }
    }

    /// Changes one place of the packet in a body.
    fn flip(&mut self, form: BodyForm, key: u64, body: &Bytes) -> Bytes {
        const FIELD: &[u8] = br#""d":""#;
        let (from, until) = match form {
            BodyForm::Packet => (0, body.len()),
            BodyForm::Json => {
                let field = body.windows(FIELD.len()).position(|part| part == FIELD);
                let from = field.map_or(body.len(), |at| at + FIELD.len());
                let len = body[from..].iter().position(|byte| *byte == b'"').unwrap_or(0);
                (from, from + len)
            }
        };
        let at = self.chooser.decide(DecisionPoint::CorruptAt, key, QUANTILES) as usize;
        let place = from + (until - from) * at / QUANTILES as usize;
        let mut damaged = BytesMut::from(&body[..]);
        if let Some(byte) = damaged.get_mut(place).filter(|_| place < until) {
            *byte = match (form, *byte) {
                (BodyForm::Packet, byte) => byte ^ 0x10,
                (BodyForm::Json, b'A') => b'B',
                (BodyForm::Json, _) => b'A',
            };
        }
        damaged.freeze()
    }
}
