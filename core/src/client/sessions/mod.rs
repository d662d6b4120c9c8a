//! Engine of levels 0 and 1 at the client: sessions that share batches (protocol.md 2.5).
//!
//! ```text
//!                 bytes                    ops
//!  application ─────────▶ session ─▶ ready ─────▶ batches ──▶ relay
//!       ▲                    ▲                                  │
//!       │       bytes        │ replies in order                 │ replies, or a failure
//!       └────────────────────┴──────────── replies ◀────────────┘
//! ```

pub(super) mod batch;
mod batches;
mod closes;
mod datagrams;
mod depth;
mod flow;
mod polls;
mod ready;
mod replies;
mod sequencing;
pub(super) mod session;
mod table;
mod uplink_window;

use crate::client::action::EndReason;
use crate::client::calls::{CallFacts, CallOutcome, Calls, NewCall};
use crate::client::context::{Context, TimerOwner};
use crate::client::event::{ExchangeFailure, LocalEvent};
use crate::client::relays::Relays;
#[cfg(feature = "model")]
use crate::client::relays::{HOLD_THRESHOLD, Relay};
use crate::error::Misuse;
use crate::id::FlowId;
use crate::level::Level;
#[cfg(feature = "model")]
use crate::seq::Seq;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::Sid;

use batch::{Class, SentBatch};
#[cfg(feature = "model")]
use batch::{OpOwner, SentOp};
use batches::{Batches, SeqProbe};
use closes::Closes;
use flow::Flow;
use polls::Inputs;
#[cfg(test)]
use ready::Polling;
use ready::SendQueue;
use replies::Replies;
use session::Start;
use table::FlowTable;

pub(super) use batches::Opens;

/// The engine of levels 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    flows: FlowTable,
    closes: Closes,
    probe: SeqProbe,
    /// The highest level that the node has offered.
    offered: Level,
    opens: Opens,
}

impl Sessions {
    /// An engine without flows; `probe` is the id of a session that no node has.
    pub(super) fn new(probe: Sid) -> Self {
        Self {
            flows: FlowTable::default(),
            closes: Closes::default(),
            probe: SeqProbe::new(probe),
            offered: Level::Legacy,
            opens: Opens::Go,
        }
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
        match flow.on_local(event, context)? {
            Ok(()) => self.flows.refresh(id, Inputs::new(relays, context.now()), context),
            Err(why) => self.end(id, why, context),
        }
        Ok(())
    }

    /// Ends a flow.
    pub(super) fn end(&mut self, id: FlowId, why: EndReason, context: &mut Context) {
        self.flows.end(id, why, &mut self.closes, context);
    }

    /// One of this engine's deadlines has come.
    pub(super) fn on_timeout(&mut self, owner: TimerOwner, relays: &Relays, context: &mut Context) {
        match owner {
            TimerOwner::Flow(id) => {
                let Some(flow) = self.flows.get_mut(id) else { return };
                let inputs = Inputs::new(relays, context.now());
                match flow.on_timeout(inputs, context) {
                    Ok(()) => self.flows.refresh(id, inputs, context),
                    Err(why) => self.end(id, why, context),
                }
            }
            TimerOwner::Coalesce => self.flows.flush(context),
            TimerOwner::Closes => self.closes.rearm(context),
            TimerOwner::Relay(_) | TimerOwner::Exchange(_) | TimerOwner::Streams => {}
        }
    }

    /// The next call to make; none when nothing can be sent now.
    pub(super) fn next_call(
        &mut self,
        calls: &Calls,
        relays: &mut Relays,
        context: &mut Context,
    ) -> Option<NewCall> {
        let Self { flows, closes, probe, opens, .. } = self;
        Batches::new(flows, closes, probe, calls, relays, context).next(*opens)
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
            self.flows.on_payload_call_ended(context);
        }
        let Self { flows, closes, offered, .. } = self;
        let mut replies = Replies::new(flows, closes, offered, relays, context);
        match outcome {
            CallOutcome::Replies(answer) => replies.on_answer(call, batch, answer),
            CallOutcome::Failed(why) => replies.on_failure(call, batch, why),
            CallOutcome::Overdue => replies.on_overdue(call, batch),
            // A batch is not answered with a packet.
            CallOutcome::Sealed(_) | CallOutcome::Decrypted(_) => {
                replies.on_failure(call, batch, ExchangeFailure::Garbage)
            }
        }
    }

    /// Whether flows that open wait until it is known whether they can be streams.
    pub(super) const fn set_opens(&mut self, opens: Opens) {
        self.opens = opens;
    }

    /// Whether flows wait to open, those that are over included.
    pub(super) fn has_opens(&self) -> bool {
        self.flows.queue(SendQueue::Connect).len() > 0
    }

    /// Whether flows that are not over wait to open.
    pub(super) fn has_live_opens(&self) -> bool {
        self.flows.queue(SendQueue::Connect).any(|id| self.flows.get(id).is_some())
    }

    /// Removes the next flow that waits to open: it becomes a stream.
    pub(super) fn hand_over(&mut self, context: &mut Context) -> Option<(FlowId, Start)> {
        let id = self.flows.next_connect()?;
        let flow = self.flows.remove(id)?;
        Some((id, flow.hand_over(context)))
    }

    /// Gives credit to flows that got none while the uplink pool had no room.
    pub(super) fn feed(&mut self, context: &mut Context) {
        self.flows.feed(context);
    }

    /// Whether a close op waits for others to share its batch.
    pub(super) fn is_gathering_closes(&self, now: Instant) -> bool {
        self.closes.is_gathering(now)
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
    pub(super) fn known(&self) -> impl Iterator<Item = (Sid, Option<Seq>)> {
        let flows = self.flows.iter().filter_map(|(_, flow)| Some((flow.sid()?, flow.expected())));
        flows.chain(self.closes.sids().map(|sid| (sid, None)))
    }

    /// The engine's part of a state's fingerprint. `rank` numbers the flows.
    pub(super) fn fingerprint(
        &self,
        rank: impl Fn(FlowId) -> Option<usize>,
        context: &Context,
        print: &mut crate::fingerprint::Fingerprint<'_>,
    ) {
        print.value((self.probe.is_wanted(), self.offered));
        self.flows.fingerprint(rank, context, print);
        self.closes.fingerprint(print);
    }

    /// A batch that is under way.
    pub(super) fn batch_fingerprint(
        &self,
        call: &CallFacts,
        batch: &SentBatch,
        rank: impl Fn(FlowId) -> Option<usize>,
        relays: &Relays,
        context: &Context,
        print: &mut crate::fingerprint::Fingerprint<'_>,
    ) {
        print.value(batch.class());
        match batch.class() {
            // Better than no round trip at all.
            Class::Connect if relays.get(call.relay).is_some_and(Relay::knows_round_trip) => {}
            // The answer tells how long the round trip was.
            Class::Connect | Class::Payload | Class::Control => print.time(call.sent),
            // The answer tells whether the relay holds polls.
            Class::IdlePoll => {
                print.deadline(call.sent.saturating_add(HOLD_THRESHOLD));
            }
            Class::BulkPoll => {}
        }
        print.deadline(call.sent.saturating_add(context.config().reply_watchdog()));
        print.each(batch.ops().iter(), |print, SentOp { op, owner }| match owner {
            OpOwner::Flow(id) => {
                print.value((0_u8, rank(*id)));
                match self.flows.get(*id) {
                    Some(flow) => flow.op_fingerprint(op, print),
                    None => print.value((op.name(), op.payload())),
                }
            }
            OpOwner::Close { tries, until } => {
                print.value((1_u8, tries));
                print.deadline(*until);
            }
            OpOwner::Probe => print.value(2_u8),
        });
    }
}

#[cfg(test)]
impl Sessions {
    /// The session that relays are probed with.
    pub(super) const fn probe_sid(&self) -> Sid {
        self.probe.sid()
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
