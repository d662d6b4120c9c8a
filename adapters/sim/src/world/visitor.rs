//! Visitors: callers that speak to a node as deployed clients do, with a close and data in one batch.
//!
//! The client of this project never closes a session in the batch that writes to it; others do, and what a
//! close means then is for the node to keep (protocol.md 2.4 rule 6).

use seqlane::wire::{self, Limits, Op, Reply, Sid};
use seqlane::{BodyForm, Form, Secret, Target};

use crate::chooser::Chooser;
use crate::host::ClientHost;
use crate::mark::Mark;
use crate::pattern::{Direction, Pattern};
use crate::property::Property;
use crate::scenario::{KEY, VisitorSetup};
use crate::trace::Sink;
use crate::world::World;
use crate::world::event::Event;
use crate::world::node::Caller;

/// Bytes that a visitor sends.
const PAYLOAD: usize = 100;

/// A caller from elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
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

impl Visitor {
    pub(super) const fn new((setup, flow): (&VisitorSetup, usize)) -> Self {
        Self { flow, closes_first: setup.closes_first, stage: Stage::Coming }
    }
}

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// A visitor comes.
    pub(super) fn on_visit(&mut self, visitor: usize) {
        let target =
            Target::new(&format!("f{}", self.visitors[visitor].flow), 443).expect("a name and a port");
        self.visitors[visitor].stage = Stage::Opening;
        self.ask(visitor, &[Op::Connect { target }]);
    }

    fn ask(&mut self, visitor: usize, ops: &[Op]) {
        let body = wire::encode_request(Form::Node, &Secret::new(KEY), ops.iter());
        self.node_request(0, Caller::Visitor(visitor), BodyForm::Json, body);
    }

    /// Nobody answers a visitor any more.
    pub(super) fn leave(&mut self, visitor: usize) {
        self.visitors[visitor].stage = Stage::Gone;
    }

    /// The node answers a visitor.
    pub(super) fn on_visitor_answer(&mut self, visitor: usize, body: &[u8]) {
        let limits = Limits { max_body: 1 << 20, max_ops: 2 };
        let replies = |ops| wire::decode_answer(body, ops, limits).unwrap_or_default();
        match self.visitors[visitor].stage {
            Stage::Opening => match replies(1).first().and_then(|reply| reply.sid) {
                // The node is being polled: it is asked again when it is idle.
                Some(sid) => self.at(self.now, Event::VisitorSpeaks(visitor, sid)),
                None => self.leave(visitor),
            },
            Stage::Speaking => {
                self.leave(visitor);
                if let [first, second] = &replies(2)[..] {
                    self.check_close_order(visitor, first, second);
                }
            }
            Stage::Coming | Stage::Gone => {}
        }
    }

    /// A visitor sends its data and its close.
    pub(super) fn on_visitor_speaks(&mut self, visitor: usize, sid: Sid) {
        let Visitor { flow, closes_first, .. } = self.visitors[visitor];
        let payload = Pattern::new(flow as u64, Direction::Up).slice(0, PAYLOAD);
        self.flows[flow].local.sent = payload.len() as u64;
        self.visitors[visitor].stage = Stage::Speaking;
        let (data, close) = (Op::Data { sid, seq: None, payload }, Op::Close { sid });
        self.ask(visitor, &if closes_first { [close, data] } else { [data, close] });
    }

    /// S4: `[data, close]` writes and drains before it closes; `[close, data]` closes, and writes nothing.
    fn check_close_order(&mut self, visitor: usize, first: &Reply, second: &Reply) {
        let Visitor { flow, closes_first, .. } = self.visitors[visitor];
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
            return self.violated(Property::S4, format!("{what} (a visitor, flow {flow})"));
        }
        self.check_downlink(flow, &data.data);
        self.marks.set(if closes_first { Mark::CloseBeforeData } else { Mark::CloseAfterData });
    }
}
