//! Visitors: callers that speak to a node as deployed clients do, with a close and data in one batch.
//!
//! The client of this project never closes a session in the batch that writes to it; others do, and what a
//! close means then is for the node to keep (protocol.md 2.4 rule 6).

use seqlane::wire::{self, Limits, Op, Reply, Sid};
use seqlane::{BodyForm, Form, Secret, Target};

use crate::chooser::Chooser;
use crate::coverage::CoveragePoint;
use crate::host::ClientHost;
use crate::pattern::{Direction, Pattern};
use crate::property::Property;
use crate::scenario::{ForeignClientSetup, KEY};
use crate::trace::Sink;
use crate::world::World;
use crate::world::event::Event;
use crate::world::node::Caller;

/// Bytes that a foreign client sends.
const PAYLOAD: usize = 100;

/// A caller from elsewhere.
#[derive(Clone, Debug)]
pub(super) struct ForeignClient {
    /// The flow that stands for what it says.
    pub(super) flow: usize,
    /// Whether its close stands before its data.
    pub(super) closes_first: bool,
    pub(super) stage: Stage,
}

/// ```text
///   Coming ── connect ──▶ Opening ── sid ──▶ Speaking ── answered ──▶ Gone
///                            └── refused, or the node broke down ───▶ Gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Coming,
    Opening,
    Speaking,
    Gone,
}

impl ForeignClient {
    pub(super) const fn new((setup, flow): (&ForeignClientSetup, usize)) -> Self {
        Self { flow, closes_first: setup.closes_first, stage: Stage::Coming }
    }
}

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

    /// Nobody answers a foreign client any more.
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
                    self.check_close_order(foreign_client, first, second);
                }
            }
            Stage::Coming | Stage::Gone => {}
        }
    }

    /// A foreign client sends its data and its close.
    pub(super) fn on_foreign_client_speaks(&mut self, foreign_client: usize, sid: Sid) {
        let ForeignClient { flow, closes_first, .. } = self.foreign_clients[foreign_client];
        let payload = Pattern::new(flow as u64, Direction::Up).slice(0, PAYLOAD);
        self.flows[flow].local.sent = payload.len() as u64;
        self.foreign_clients[foreign_client].stage = Stage::Speaking;
        let (data, close) = (Op::Data { sid, seq: None, payload }, Op::Close { sid });
        self.ask(foreign_client, &if closes_first { [close, data] } else { [data, close] });
    }

    /// S4: `[data, close]` writes and drains before it closes; `[close, data]` closes, and writes nothing.
    fn check_close_order(&mut self, foreign_client: usize, first: &Reply, second: &Reply) {
        let ForeignClient { flow, closes_first, .. } = self.foreign_clients[foreign_client];
        // A node that restarted between the open and the pair does not know the session: there is no order to keep.
        if self.flows[flow].restarted {
            return;
        }
        let written = self.flows[flow].upstreams.iter().map(|up| self.upstreams[*up].received).sum::<u64>();
        let (close, data) = if closes_first { (first, second) } else { (second, first) };
        let wrong = if !close.eof {
            Some("a close is not the end of its session")
        } else if closes_first && (written > 0 || !data.eof) {
            Some("[close, data] does not close first")
        } else if !closes_first && data.error.is_none() && written < PAYLOAD as u64 {
            Some("[data, close] closes before it writes")
        } else if !closes_first && data.eof && (data.data.len() as u64) < self.flows[flow].script.total_down()
        {
            Some("[data, close] closes before it drains")
        } else {
            None
        };
        if let Some(what) = wrong {
            return self.violated(Property::S4, format!("{what} (a foreign client, flow {flow})"));
        }
        self.check_downlink(flow, &data.data);
        self.coverage.set(if closes_first {
            CoveragePoint::CloseBeforeData
        } else {
            CoveragePoint::CloseAfterData
        });
    }
}
