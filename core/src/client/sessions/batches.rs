//! Assembly of the next batch, and the choice of its relay (protocol.md 2.5 "Batches").

use alloc::vec::Vec;

use bytes::Bytes;

use crate::client::calls::{Calls, NewCall, Payload};
use crate::client::context::Context;
use crate::client::relays::{Path, Purpose, Relays};
use crate::client::sessions::batch::{
    Batch, Class, OpOwner, Polling, SendQueue, SentBatch, SentOp, Share, share,
};
use crate::client::sessions::flow::Flow;
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::sequencing::is_poll;
use crate::client::sessions::table::FlowTable;
use crate::id::{FlowId, RelayId};
use crate::level::Level;
use crate::seq::Seq;
use crate::wire::{self, BodyForm, Op, Sid};

/// Assembly of one batch. The inputs are valid until it goes out.
pub(super) struct Batches<'a> {
    pub(super) flows: &'a mut FlowTable,
    /// A session that no node has.
    pub(super) probe: Sid,
    /// Whether level 1 ops want a relay whose `seq` support is unknown.
    pub(super) wants_probe: &'a mut bool,
    pub(super) calls: &'a Calls,
    pub(super) relays: &'a mut Relays,
    pub(super) context: &'a mut Context,
    pub(super) inputs: Inputs,
}

/// Flows with nothing in flight but a held poll.
#[derive(Default)]
struct IdlePolling {
    flows: Vec<FlowId>,
    /// In how many calls.
    calls: usize,
}

impl Batches<'_> {
    /// The next batch to send; none when nothing can be sent now. Flows open only if they `may_open`.
    pub(super) fn next(mut self, may_open: bool) -> Option<NewCall> {
        let connects = if may_open { self.connects() } else { None };
        connects
            .or_else(|| self.payloads())
            .or_else(|| self.polls(Polling::Bulk))
            .or_else(|| self.polls(Polling::Idle))
            .or_else(|| self.control())
    }

    /// Opens go in batches of their own, and only with others for the same target, so that a dead host delays no
    /// other flow. When calls run out, targets mix.
    fn connects(&mut self) -> Option<NewCall> {
        let first = self.flows.next(SendQueue::Connect, Flow::wants_connect)?;
        let Some(mut batch) = self.start(Purpose::Active(Path::Any)) else {
            self.flows.put_first(SendQueue::Connect, first);
            return None;
        };
        let relay = self.relays.get(batch.relay())?;
        let (with_data, crowded) = (relay.passes().takes_connect_data(), relay.is_crowded());
        self.add_connect(&mut batch, first, with_data);
        let target = self.flows.get(first).map(|flow| flow.target().clone());
        let waiting = self.flows.queue_len(SendQueue::Connect);
        for _ in 0..waiting.min(self.context.config().tuning.max_batch_ops) {
            let Some(next) = self.flows.next(SendQueue::Connect, Flow::wants_connect) else { break };
            let same = crowded || self.flows.get(next).map(|flow| flow.target()) == target.as_ref();
            if same && batch.has_place() && batch.room(1) > 0 {
                self.add_connect(&mut batch, next, with_data);
            } else {
                self.flows.put_last(SendQueue::Connect, next);
            }
        }
        // The probe for `seq` is a call of its own: a dead target may hold this one.
        *self.wants_probe = self.context.config().max_level >= Level::Sequenced;
        self.call(Class::Connect, batch)
    }

    fn add_connect(&mut self, batch: &mut Batch, id: FlowId, with_data: bool) {
        let most = batch.room(1).min(self.context.config().tuning.max_op_payload);
        if let Some(flow) = self.flows.get_mut(id) {
            batch.push(OpOwner::Flow(id), flow.take_connect(with_data, most));
        }
        self.flows.refresh(id, self.inputs, self.context);
    }

    /// Ops with payload, of as many flows as fit.
    fn payloads(&mut self) -> Option<NewCall> {
        if !self.flows.coalescing().is_over() {
            return None;
        }
        let (mut batch, shares) = self.gather_payloads()?;
        for share in &shares {
            let Some(flow) = self.flows.get_mut(share.flow) else { continue };
            flow.set_deficit(share.deficit);
            if share.granted > 0
                && let Some(op) = flow.take_payload(share.granted, self.context)
            {
                batch.push(OpOwner::Flow(share.flow), op);
            }
        }
        for share in shares.iter().rev().filter(|share| share.cut_short) {
            self.flows.put_first(SendQueue::Payload, share.flow);
        }
        for share in shares {
            self.flows.refresh(share.flow, self.inputs, self.context);
        }
        self.add_closes(&mut batch);
        if batch.is_empty() {
            return None;
        }
        self.call(Class::Payload, batch)
    }

    /// The flows of the next payload batch with their shares, and the relay that can carry them.
    fn gather_payloads(&mut self) -> Option<(Batch, Vec<Share>)> {
        let has_room = self.relays.has_room(self.inputs.now, Purpose::Active(Path::Any));
        let waiting = if has_room { self.flows.queue_len(SendQueue::Payload) } else { 0 };
        let mut batch: Option<Batch> = None;
        let mut shares: Vec<Share> = Vec::new();
        let mut fixed = 0_usize;
        for _ in 0..waiting {
            if shares.len() >= self.context.config().tuning.max_batch_ops {
                break;
            }
            let Some((share, path)) = self.next_share() else { break };
            if batch.is_none() {
                batch = self.start(Purpose::Active(path));
            }
            let Some(batch) = batch.as_ref().filter(|batch| path.rides_on(batch.carries())) else {
                self.flows.put_last(SendQueue::Payload, share.flow);
                continue;
            };
            // An op of fixed size goes whole or waits for the next batch.
            let room = batch.room(shares.len().saturating_add(1)).saturating_sub(fixed);
            if room == 0 || (share.granted > room && !shares.is_empty()) {
                self.flows.put_first(SendQueue::Payload, share.flow);
                break;
            }
            fixed = fixed.saturating_add(share.granted);
            shares.push(share);
        }
        let Some(batch) = batch.filter(|_| !shares.is_empty()) else {
            if self.flows.queue_len(SendQueue::Payload) == 0 {
                self.flows.coalescing().on_no_payload(self.context);
            }
            return None;
        };
        let config = self.context.config();
        let room = batch.room(shares.len()).min(config.tuning.max_batch_payload).saturating_sub(fixed);
        let (mut sized, mut free): (Vec<Share>, Vec<Share>) =
            shares.into_iter().partition(|share| share.granted > 0);
        share(&mut free, room, config.tuning.max_op_payload);
        sized.append(&mut free);
        Some((batch, sized))
    }

    /// The next flow that wants to send payload, and the path that it needs. An op of fixed size has its bytes granted
    /// already.
    fn next_share(&mut self) -> Option<(Share, Path)> {
        let config = self.context.config();
        let id = self.flows.next(SendQueue::Payload, |flow| flow.wants_payload(config).is_some())?;
        let flow = self.flows.get(id)?;
        let wanted = flow.wants_payload(config)?;
        // A poll that goes again carries no bytes; its turn counts as one.
        let granted = if flow.has_fixed_op() { wanted.max(1) } else { 0 };
        let share = Share { flow: id, wanted, deficit: flow.deficit(), granted, cut_short: false };
        Some((share, flow.path()))
    }

    /// An empty batch, for a relay that serves this purpose.
    fn start(&mut self, purpose: Purpose) -> Option<Batch> {
        let (Purpose::Active(path) | Purpose::Poll(path)) = purpose;
        *self.wants_probe |= path == Path::Sequenced;
        let relay = self.relays.choose(self.inputs.now, purpose)?;
        self.batch_for(relay)
    }

    fn batch_for(&self, relay: RelayId) -> Option<Batch> {
        Some(Batch::new(self.relays.get(relay)?, self.context.config().tuning.max_batch_ops))
    }

    /// Polls, as many as fit into one batch: its answer comes as soon as one of them has something.
    ///
    /// When held polls take every place that polls may have, one more call is made only if it releases others.
    fn polls(&mut self, polling: Polling) -> Option<NewCall> {
        let relief = !self.relays.has_room(self.inputs.now, Purpose::Poll(Path::Any));
        if relief && self.idle_polling().calls == 0 {
            return None;
        }
        let purpose = |path| if relief { Purpose::Active(Path::Sequenced) } else { Purpose::Poll(path) };
        if !self.relays.has_room(self.inputs.now, purpose(Path::Any)) {
            return None;
        }
        let queue = SendQueue::Poll(polling);
        let waiting = self.flows.queue_len(queue);
        let mut batch: Option<Batch> = None;
        for _ in 0..waiting {
            if batch.as_ref().is_some_and(|batch| !batch.has_place()) {
                break;
            }
            let Some((id, path)) = self.flows.next_poll(polling, self.inputs, self.context) else { break };
            if batch.is_none() {
                batch = self.start(purpose(path));
            }
            match &mut batch {
                Some(batch) if path.rides_on(batch.carries()) => self.add_poll(batch, id),
                _ => self.flows.put_last(queue, id),
            }
        }
        let mut batch = batch.filter(|batch| !batch.is_empty())?;
        if batch.carries() == Path::Sequenced && (relief || polling == Polling::Idle) {
            let least = if relief { 1 } else { self.context.config().tuning.idle_exchanges };
            self.gather_idle_polling(&mut batch, least);
        }
        self.call(Class::Poll(polling), batch)
    }

    fn add_poll(&mut self, batch: &mut Batch, id: FlowId) {
        if let Some(op) = self.flows.get_mut(id).and_then(|flow| flow.take_poll(self.inputs.now)) {
            batch.push(OpOwner::Flow(id), op);
        }
        self.flows.refresh(id, self.inputs, self.context);
    }

    /// When at least `least` calls hold nothing but polls, this batch takes newer polls of their sessions: the node
    /// answers the older ones at once, and one call replaces several.
    fn gather_idle_polling(&mut self, batch: &mut Batch, least: usize) {
        let idle = self.idle_polling();
        if idle.calls < least {
            return;
        }
        let room = self.context.config().tuning.max_batch_ops.saturating_sub(batch.len());
        for id in idle.flows.into_iter().take(room) {
            self.add_poll(batch, id);
        }
    }

    /// The flows with nothing in flight but a held poll, as many as a batch can carry.
    fn idle_polling(&self) -> IdlePolling {
        let config = self.context.config();
        let flow_of = |sent: &SentOp| match sent.owner {
            OpOwner::Flow(id) => {
                let flow = self.flows.get(id)?;
                flow.is_idle_polling(&sent.op, self.inputs, config).then_some(id)
            }
            OpOwner::Close(_) | OpOwner::Probe => None,
        };
        let mut idle = IdlePolling::default();
        // The last poll of a download is of the bulk class, and is held like any other.
        let polls = |batch: &&SentBatch| matches!(batch.class(), Class::Poll(_));
        for batch in self.calls.batches().filter(polls) {
            let before = idle.flows.len();
            idle.flows.extend(batch.ops().iter().filter_map(flow_of));
            idle.calls = idle.calls.saturating_add(usize::from(idle.flows.len() > before));
            if idle.flows.len() >= config.tuning.max_batch_ops {
                break;
            }
        }
        idle
    }

    /// Control ops that nothing waits for: closes that found no batch to share, and probes.
    fn control(&mut self) -> Option<NewCall> {
        let now = self.inputs.now;
        let close = self.flows.closes_mut().first(now);
        if close.is_some_and(|close| close.is_due(now) || self.context.is_without_flows())
            && let Some(mut batch) = self.start(Purpose::Active(Path::Any))
        {
            self.add_closes(&mut batch);
            return self.call(Class::Control, batch);
        }
        self.seq_probe()
    }

    fn add_closes(&mut self, batch: &mut Batch) {
        let closes = self.flows.closes_mut();
        while let Some(close) = closes.first(self.inputs.now).filter(|close| batch.fits(&close.op())) {
            batch.push(OpOwner::Close(close), close.op());
            closes.pop();
        }
        closes.rearm(self.context);
    }

    /// Asks a relay whether `seq` passes (protocol.md 2.5 "Sequence lost on the way").
    ///
    /// The probe is a poll of a session that no node has. It is answered at once, with its `seq` if the relay keeps it,
    /// and risks no session.
    fn seq_probe(&mut self) -> Option<NewCall> {
        if !core::mem::take(self.wants_probe) {
            return None;
        }
        let relay = self.relays.seq_unknown(self.inputs.now)?;
        self.relays.get_mut(relay)?.passes_mut().on_seq_probe();
        let mut batch = self.batch_for(relay)?;
        let op = Op::Data { sid: self.probe, seq: Some(Seq::ZERO), payload: Bytes::new() };
        batch.push(OpOwner::Probe, op);
        // Other relays may be unknown too.
        *self.wants_probe = true;
        self.call(Class::Control, batch)
    }

    /// The call that carries a batch to its relay.
    fn call(&mut self, class: Class, batch: Batch) -> Option<NewCall> {
        let relay = batch.relay();
        let batch = batch.send(class);
        let options = self.relays.get(relay)?.options();
        let ops = batch.ops().iter().map(|sent| &sent.op);
        let body = wire::encode_request(options.form, &options.key, ops);
        for sent in batch.ops() {
            self.context.add(|stats| &mut stats.uplink_bytes, sent.op.payload().map_or(0, Bytes::len));
            if is_poll(&sent.op) && sent.owner != OpOwner::Probe {
                self.context.count(|stats| &mut stats.polls);
            }
        }
        if class == Class::Payload {
            self.flows.coalescing().on_call();
        }
        let with_seq = batch.path() == Path::Sequenced;
        let (now, config) = (self.inputs.now, self.context.config());
        Some(NewCall {
            relay,
            body: body.into(),
            form: BodyForm::Json,
            deadline: now.saturating_add(config.batch_timeout(with_seq)),
            overdue: now.saturating_add(config.exchange_watchdog(with_seq)),
            payload: Payload::Batch(batch),
        })
    }
}
