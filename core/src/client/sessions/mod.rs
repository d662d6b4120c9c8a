//! Engine of levels 0 and 1 at the client: sessions that share batches (protocol.md 2.5).
//!
//! ```text
//!                 bytes                    ops
//!  application ─────────▶ session ─▶ table ─────▶ batches ──▶ relay
//!       ▲                    ▲                                  │
//!       │       bytes        │ replies in order                 │ replies, or a failure
//!       └────────────────────┴──────────── replies ◀────────────┘
//! ```

pub(super) mod batch;
mod batches;
mod closes;
mod coalescing;
mod datagrams;
mod depth;
mod flow;
mod polls;
mod replies;
mod sequencing;
pub(super) mod session;
mod table;
mod uplink_window;

use core::hash::{Hash, Hasher};

use crate::client::action::EndReason;
use crate::client::calls::{CallFacts, CallOutcome, Calls, NewCall};
use crate::client::context::{Context, TimerOwner};
use crate::client::event::LocalEvent;
use crate::client::relays::Relays;
use crate::error::Misuse;
use crate::id::FlowId;
use crate::level::Level;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::Sid;

#[cfg(test)]
use batch::Polling;
use batch::{Class, SendQueue, SentBatch};
use batches::Batches;
use flow::Flow;
use polls::Inputs;
use replies::Replies;
use session::Start;
use table::FlowTable;

/// The engine of levels 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    flows: FlowTable,
    /// The session that relays are probed with: no node has it.
    probe: Sid,
    /// Whether level 1 ops want a relay whose `seq` support is unknown.
    wants_probe: bool,
    /// The highest level that the node has offered.
    offered: Level,
}

impl Hash for Sessions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.flows, self.wants_probe, self.offered).hash(state);
    }
}

impl Sessions {
    /// An engine without flows; `probe` is the id of a session that no node has.
    pub(super) fn new(probe: Sid) -> Self {
        Self { flows: FlowTable::default(), probe, wants_probe: false, offered: Level::Legacy }
    }

    /// A flow begins.
    pub(super) fn open(
        &mut self,
        id: FlowId,
        target: Target,
        kind: FlowKind,
        relays: &Relays,
        context: &mut Context,
    ) {
        self.flows.insert(id, Flow::open(id, target, kind, context));
        self.flows.refresh(id, Inputs::new(relays, context.now()), context);
    }

    /// Something happened on an application's socket.
    pub(super) fn on_local(
        &mut self,
        id: FlowId,
        event: LocalEvent,
        relays: &Relays,
        context: &mut Context,
    ) -> Result<(), Misuse> {
        let Some(flow) = self.flows.get_mut(id) else { return Ok(()) };
        let outcome = flow.on_local(event, context)?;
        self.flows.conclude(id, outcome, relays, context);
        Ok(())
    }

    /// Ends a flow.
    pub(super) fn end(&mut self, id: FlowId, why: EndReason, context: &mut Context) {
        self.flows.end(id, why, context);
    }

    /// One of this engine's deadlines has come.
    pub(super) fn on_timeout(&mut self, owner: TimerOwner, relays: &Relays, context: &mut Context) {
        match owner {
            TimerOwner::Flow(id) => {
                let Some(flow) = self.flows.get_mut(id) else { return };
                let outcome = flow.on_timeout(Inputs::new(relays, context.now()), context);
                self.flows.conclude(id, outcome, relays, context);
            }
            TimerOwner::Coalesce => self.flows.coalescing().flush(context),
            TimerOwner::Closes => self.flows.closes_mut().rearm(context),
            TimerOwner::Relay(_) | TimerOwner::Exchange(_) | TimerOwner::Streams => {}
        }
    }

    /// The next call to make; none when nothing can be sent now. Flows that open wait unless they `may_open`.
    pub(super) fn next_call(
        &mut self,
        may_open: bool,
        calls: &Calls,
        relays: &mut Relays,
        context: &mut Context,
    ) -> Option<NewCall> {
        let inputs = Inputs::new(relays, context.now());
        let Self { flows, probe, wants_probe, .. } = self;
        Batches { flows, probe: *probe, wants_probe, calls, relays, context, inputs }.next(may_open)
    }

    /// A call that carried a batch has ended.
    pub(super) fn on_call_ended(
        &mut self,
        call: &CallFacts,
        batch: SentBatch,
        outcome: CallOutcome,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        if batch.class() == Class::Payload {
            self.flows.coalescing().on_call_ended(context);
        }
        let Self { flows, offered, .. } = self;
        Replies { flows, offered, relays, context }.on_call_ended(call, batch, outcome);
    }

    /// Whether flows wait to open, those that are over included.
    pub(super) fn has_opens(&self) -> bool {
        self.flows.queue_len(SendQueue::Connect) > 0
    }

    /// Whether flows that are not over wait to open.
    pub(super) fn has_live_opens(&self) -> bool {
        self.flows.queue(SendQueue::Connect).any(|id| self.flows.get(id).is_some())
    }

    /// Removes the next flow that waits to open: it becomes a stream.
    pub(super) fn hand_over(&mut self, context: &mut Context) -> Option<(FlowId, Start)> {
        let id = self.flows.next(SendQueue::Connect, Flow::wants_connect)?;
        let flow = self.flows.remove(id)?;
        Some((id, flow.hand_over(context)))
    }

    /// Ends all flows that wait to open.
    pub(super) fn end_opens(&mut self, why: EndReason, context: &mut Context) {
        while let Some(id) = self.flows.next(SendQueue::Connect, Flow::wants_connect) {
            self.end(id, why, context);
        }
    }

    /// Gives credit to flows that got none while the uplink pool had no room.
    pub(super) fn feed(&mut self, context: &mut Context) {
        self.flows.feed(context);
    }

    /// Whether a close op waits for others to share its batch.
    pub(super) fn is_gathering_closes(&self, now: Instant) -> bool {
        self.flows.closes().is_gathering(now)
    }

    /// Payload bytes that are buffered. Visits every flow.
    pub(super) fn buffered(&self) -> usize {
        self.flows.iter().map(|(_, flow)| flow.buffered()).fold(0, usize::saturating_add)
    }
}

#[cfg(feature = "model")]
impl Sessions {
    /// The sessions at the node that the client knows: those of its flows, with the number of the reply that comes
    /// next, and those that it is about to close.
    pub(super) fn known(&self) -> impl Iterator<Item = (Sid, Option<crate::seq::Seq>)> {
        let flows = self.flows.iter().filter_map(|(_, flow)| Some((flow.sid()?, flow.expected())));
        flows.chain(self.flows.closes().sids().map(|sid| (sid, None)))
    }
}

#[cfg(test)]
impl Sessions {
    /// The session that relays are probed with.
    pub(super) const fn probe_sid(&self) -> Sid {
        self.probe
    }

    /// Puts an entry into the queue of idle polls that its flow knows nothing of.
    pub(super) fn push_stale_poll(&mut self, id: FlowId) {
        self.flows.push_stale(SendQueue::Poll(Polling::Idle), id);
    }

    /// The queue of idle polls.
    pub(super) fn idle_polls(&self) -> alloc::vec::Vec<FlowId> {
        self.flows.queue(SendQueue::Poll(Polling::Idle)).collect()
    }
}
