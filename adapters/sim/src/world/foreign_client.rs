//! Foreign clients: callers that send data and a close in one batch, as deployed clients do.
//!
//! The client of this project never closes a session in the batch that writes to it; others do, and what a
//! close means then is for the node to keep (protocol.md 2.4 rule 6).

use seqlane::wire::{self, Limits, Op, Sid};
use seqlane::{BodyForm, Form, Secret, Target};

use crate::pattern::{Direction, Pattern};
use crate::scenario::setup::KEY;
use crate::trace::Sink;
use crate::world::World;
use crate::world::event::Event;
use crate::world::hosts::{Caller, ForeignClient, Stage};
use crate::{Chooser, ClientHost};

/// Bytes that a foreign client sends.
const PAYLOAD: usize = 100;

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// A foreign client comes.
    pub(super) fn on_visit(&mut self, foreign_client: usize) {
        let target = Target::new(&format!("f{}", self.foreign_clients[foreign_client].flow), 443)
            .expect("a name and a port");
        self.foreign_clients[foreign_client].stage = Stage::Opening;
        self.ask(foreign_client, &[Op::Connect { target }]);
    }

    fn ask(&mut self, foreign_client: usize, ops: &[Op]) {
        let body = wire::encode_request(Form::Node, &Secret::new(KEY), ops.iter());
        self.node_request(0, Caller::ForeignClient(foreign_client), BodyForm::Json, body);
    }

    /// A foreign client gets no more answers.
    pub(super) fn leave(&mut self, foreign_client: usize) {
        self.foreign_clients[foreign_client].stage = Stage::Gone;
    }

    /// The node answers a foreign client.
    pub(super) fn on_foreign_client_answer(&mut self, foreign_client: usize, body: &[u8]) {
        let limits = Limits { max_body: 1 << 20, max_ops: 2 };
        let replies = |ops| wire::decode_answer(body, ops, limits).unwrap_or_default();
        match self.foreign_clients[foreign_client].stage {
            Stage::Opening => match replies(1).first().and_then(|reply| reply.sid) {
                // The node is being polled: it is asked again when it is idle.
                Some(sid) => self.at(self.now, Event::ForeignClientSpeaks(foreign_client, sid)),
                None => self.leave(foreign_client),
            },
            Stage::Speaking => {
                self.leave(foreign_client);
                if let [first, second] = &replies(2)[..] {
                    let ForeignClient { flow, closes_first, .. } = self.foreign_clients[foreign_client];
                    let pair = (flow, closes_first, PAYLOAD as u64);
                    self.oracle.on_foreign_pair(&self.ends, pair, [first, second]);
                }
            }
            Stage::Coming | Stage::Gone => {}
        }
    }

    /// A foreign client sends its data and its close.
    pub(super) fn on_foreign_client_speaks(&mut self, foreign_client: usize, sid: Sid) {
        let ForeignClient { flow, closes_first, .. } = self.foreign_clients[foreign_client];
        let payload = Pattern::new(flow as u64, Direction::Up).slice(0, PAYLOAD);
        self.ends.flows[flow].app.sent = payload.len() as u64;
        self.foreign_clients[foreign_client].stage = Stage::Speaking;
        let (data, close) = (Op::Data { sid, seq: None, payload }, Op::Close { sid });
        self.ask(foreign_client, &if closes_first { [close, data] } else { [data, close] });
    }
}
