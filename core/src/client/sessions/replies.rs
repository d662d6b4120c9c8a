//! Replies to the ops of a batch, and the loss of them (protocol.md 2.5 "Loss").

use alloc::vec::Vec;

use crate::client::action::{ClientNotice, EndReason};
use crate::client::calls::{CallFacts, CallOutcome};
use crate::client::context::Context;
use crate::client::event::ExchangeFailure;
use crate::client::relays::{Fault, HOLD_THRESHOLD, Path, Relay, Relays};
use crate::client::sessions::batch::{Class, OpOwner, Polling, SentBatch, SentOp};
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::session::Outcome;
use crate::client::sessions::table::FlowTable;
use crate::id::{FlowId, RelayId};
use crate::level::{Caps, Level};
use crate::pin::compact;
use crate::seq::Seq;
use crate::wire::{self, Op, Reply};

/// Payload bytes of an answer that one reply may keep alive: a copy of each reply of a small answer would cost an
/// allocation a chunk.
const PINNED: usize = 256 * 1024;

/// Distribution of the outcome of a batch to the owners of its ops.
pub(super) struct Replies<'a> {
    pub(super) flows: &'a mut FlowTable,
    /// The highest level that the node has offered.
    pub(super) offered: &'a mut Level,
    pub(super) relays: &'a mut Relays,
    pub(super) context: &'a mut Context,
}

impl Replies<'_> {
    /// A call that carried a batch has ended.
    pub(super) fn on_call_ended(mut self, call: &CallFacts, batch: SentBatch, outcome: CallOutcome) {
        match outcome {
            CallOutcome::Replies(replies) => self.on_answer(call, batch, replies),
            CallOutcome::Failed(why) => self.on_failure(call, batch, why, EndReason::ExchangeLost(why)),
            CallOutcome::Overdue => {
                self.on_failure(call, batch, ExchangeFailure::Unknown, EndReason::ReplyOverdue);
            }
            // A batch is not answered with a packet.
            CallOutcome::Body(_) | CallOutcome::Decrypted(_) => {}
        }
    }

    /// Replies came, one for each op.
    fn on_answer(&mut self, call: &CallFacts, batch: SentBatch, replies: Vec<Reply>) {
        self.context.count(|stats| &mut stats.answered);
        self.observe(call, &batch, &replies);
        let decoded: usize = replies.iter().map(|reply| reply.data.len()).fold(0, usize::saturating_add);
        for (sent, mut reply) in batch.into_ops().into_iter().zip(replies) {
            // Payloads of one answer share one allocation.
            if decoded > PINNED {
                reply.data = compact(reply.data, decoded);
            }
            match sent.owner {
                OpOwner::Flow(id) => self.on_flow_reply(id, &sent.op, reply, call),
                OpOwner::Probe => self.on_probe_reply(call.relay, &reply),
                OpOwner::Close(_) => {}
            }
        }
    }

    /// Updates the relay of an answer.
    fn observe(&mut self, call: &CallFacts, batch: &SentBatch, replies: &[Reply]) {
        let now = self.context.now();
        let elapsed = now.saturating_since(call.sent);
        let newest = |sent: &SentOp| match sent.owner {
            OpOwner::Flow(id) => self.flows.get(id).is_some_and(|flow| flow.is_newest(&sent.op)),
            OpOwner::Close(_) | OpOwner::Probe => true,
        };
        let quiet = |reply: &Reply| {
            reply.data.is_empty() && reply.packets.is_empty() && !reply.eof && reply.error.is_none()
        };
        // An early answer means that the poll was not held only when nothing else ended the hold.
        let tells_hold = batch.class() == Class::Poll(Polling::Idle)
            && replies.iter().all(quiet)
            && batch.ops().iter().all(newest);
        let Some(relay) = self.relays.get_mut(call.relay) else { return };
        let up = relay.on_answer(now);
        match batch.class() {
            Class::Payload | Class::Control => relay.round_trip_mut().on_sample(elapsed),
            // A connect includes the time of its target: a rough sample.
            Class::Connect => relay.round_trip_mut().on_rough_sample(elapsed),
            Class::Poll(_) if tells_hold => relay.hold_mut().on_poll(now, elapsed >= HOLD_THRESHOLD),
            Class::Poll(_) => {}
        }
        self.context.notice(up);
    }

    fn on_probe_reply(&mut self, id: RelayId, reply: &Reply) {
        let passes = self.relays.get_mut(id).map(Relay::passes_mut);
        let Some(passes) = passes.filter(|passes| passes.is_probing_seq()) else { return };
        if reply.seq == Some(Seq::ZERO) {
            passes.on_seq_kept();
        } else if reply.error.is_some() || reply.damaged {
            passes.on_seq_probe_lost();
        } else {
            self.lose_seq(id);
        }
    }

    /// A relay does not keep `seq`: level 1 is not used through it any more. If no other relay is left for sessions of
    /// level 1, those that sent nothing go on at level 0, and the others end.
    fn lose_seq(&mut self, id: RelayId) {
        if !self.relays.get_mut(id).is_some_and(|relay| relay.passes_mut().on_seq_lost()) {
            return;
        }
        self.report_lost_seq();
        if self.relays.can_sequence() {
            return;
        }
        let sequenced = self.flows.iter().filter(|(_, flow)| flow.path() == Path::Sequenced);
        let unroutable: Vec<FlowId> = sequenced.map(|(id, _)| id).collect();
        let may_fall = self.context.config().lowest_level() == Level::Legacy;
        for id in unroutable {
            if may_fall && self.flows.get_mut(id).is_some_and(|flow| flow.downgrade()) {
                self.context.notice(ClientNotice::Connected { flow: id, level: Level::Legacy });
                self.conclude(id, Ok(()));
            } else {
                self.conclude(id, Err(EndReason::SequenceBroken));
            }
        }
    }

    /// Reports relays that lose `seq`, if the node keeps it.
    fn report_lost_seq(&mut self) {
        if *self.offered >= Level::Sequenced {
            for relay in self.relays.take_seq_losses() {
                self.context.notice(ClientNotice::SeqUnsupported { relay });
            }
        }
    }

    fn on_flow_reply(&mut self, id: FlowId, op: &Op, reply: Reply, call: &CallFacts) {
        if reply.error.as_deref() == Some("unauthorized") {
            self.context.notice(ClientNotice::Unauthorized { relay: call.relay });
        }
        let opens = !matches!(op, Op::Data { .. } | Op::UdpData { .. });
        if self.flows.get(id).is_none() {
            // The flow ended while its open was under way: the node has a session without a flow.
            if let Some(sid) = reply.sid.filter(|_| opens && !reply.eof) {
                self.flows.closes_mut().push(sid, self.context);
            }
        } else if opens {
            self.on_open_reply(id, call.relay, op, reply);
        } else {
            self.on_data_reply(id, op, reply, call);
        }
    }

    fn on_open_reply(&mut self, id: FlowId, relay: RelayId, op: &Op, reply: Reply) {
        if matches!(op, Op::ConnectData { .. }) && reply.is_unsupported("connect_data") {
            self.lose_connect_data(relay);
            return self.requeue(id, op.clone());
        }
        let offered = reply.caps.unwrap_or(Caps::NONE).session_level().min(self.context.config().max_level);
        if offered > *self.offered {
            *self.offered = offered;
            self.report_lost_seq();
        }
        let level = if self.relays.can_sequence() { offered } else { Level::Legacy };
        if level < self.context.config().lowest_level()
            && let Some(sid) = &reply.sid
        {
            self.flows.closes_mut().push(*sid, self.context);
            return self.conclude(id, Err(EndReason::LevelTooLow));
        }
        let Some(flow) = self.flows.get_mut(id) else { return };
        let outcome = flow.on_open_reply(op, reply, level, self.context);
        self.conclude(id, outcome);
    }

    fn lose_connect_data(&mut self, id: RelayId) {
        if self.relays.get_mut(id).is_some_and(|relay| relay.passes_mut().on_connect_data_refused()) {
            self.context.notice(ClientNotice::ConnectDataUnsupported { relay: id });
        }
    }

    fn on_data_reply(&mut self, id: FlowId, op: &Op, reply: Reply, call: &CallFacts) {
        let lost_seq = reply.seq.is_none() && reply.error.is_none();
        let inputs = Inputs::new(self.relays, self.context.now());
        let elapsed = inputs.now.saturating_since(call.sent);
        let Some(flow) = self.flows.get_mut(id) else { return };
        let sequenced = flow.path() == Path::Sequenced;
        let outcome = flow.on_data_reply(op, reply, elapsed, inputs, self.context);
        self.conclude(id, outcome);
        if sequenced && lost_seq {
            self.lose_seq(call.relay);
        }
    }

    fn conclude(&mut self, id: FlowId, outcome: Outcome) {
        self.flows.conclude(id, outcome, self.relays, self.context);
    }

    /// The call failed: its ops go again, or they are lost and their flows end with `end`.
    fn on_failure(&mut self, call: &CallFacts, batch: SentBatch, why: ExchangeFailure, end: EndReason) {
        let (now, config) = (self.context.now(), self.context.config());
        let Some(relay) = self.relays.get_mut(call.relay) else { return };
        if batch.is_probe() {
            relay.passes_mut().on_seq_probe_lost();
        }
        let overhead = wire::request_overhead(relay.options().form, &relay.options().key);
        // Bytes of a request up to which its ops go again.
        let again = match why {
            ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } => usize::MAX,
            ExchangeFailure::TooLarge => {
                Some(relay.passes().max_body()).filter(|most| call.body_len > *most).unwrap_or(0)
            }
            // The node may have had the ops. That counts against the relay.
            ExchangeFailure::Unknown | ExchangeFailure::Garbage => {
                self.context.notice(relay.on_fault(Fault::Strike, now, config));
                0
            }
        };
        for sent in batch.into_ops() {
            if overhead.saturating_add(sent.op.encoded_len()) <= again {
                self.requeue_op(sent);
            } else {
                self.on_lost(sent, end);
            }
        }
    }

    /// The node cannot have had an op: its owner sends it again.
    fn requeue_op(&mut self, sent: SentOp) {
        match sent.owner {
            OpOwner::Flow(id) => self.requeue(id, sent.op),
            OpOwner::Close(close) => self.flows.closes_mut().push_again(close, self.context),
            OpOwner::Probe => {}
        }
    }

    fn requeue(&mut self, id: FlowId, op: Op) {
        if let Some(flow) = self.flows.get_mut(id) {
            self.context.count(|stats| &mut stats.ops_resent);
            flow.requeue(op, self.context.now());
            self.conclude(id, Ok(()));
        }
    }

    /// The node may have had an op, and its reply is lost.
    fn on_lost(&mut self, sent: SentOp, why: EndReason) {
        match sent.owner {
            OpOwner::Flow(id) => {
                if let Some(flow) = self.flows.get_mut(id) {
                    let outcome = flow.on_lost(&sent.op, self.context.now(), why);
                    self.conclude(id, outcome);
                }
            }
            OpOwner::Close(close) => self.flows.closes_mut().push_again(close.lost(), self.context),
            OpOwner::Probe => {}
        }
    }
}
