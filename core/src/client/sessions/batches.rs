//! From flows that want something to calls: which batch comes next, through which relay.

use alloc::vec::Vec;

use crate::client::action::ClientAction;
use crate::client::calls::{Class, Exchange, OpOwner, Sent};
use crate::client::context::count;
use crate::client::flows::{Flow, Kind};
use crate::client::relays::{Path, Purpose};
use crate::client::sessions::batch::{Batch, Draft, Share, share};
use crate::client::sessions::ready::Coalescing;
use crate::client::sessions::sequencing::is_poll;
use crate::client::sessions::session::Polling;
use crate::client::{Client, Closing, TimerOwner, may_flush};
use crate::id::{ExchangeId, FlowId, RelayId};
use crate::level::Level;
use crate::seq::Seq;
use crate::timer::TimerSlot;
use crate::wire::{self, BodyForm, Op};

/// Sessions that wait with nothing but a held poll.
#[derive(Default)]
struct Parked {
    streams: Vec<FlowId>,
    /// In how many calls.
    holding: usize,
}

impl Client {
    /// Puts one batch together and queues its `Send`; false when nothing can be sent now.
    pub(in crate::client) fn send_next(&mut self) -> bool {
        self.send_streams()
            || self.send_connects()
            || self.send_payloads()
            || self.send_polls(Polling::Bulk)
            || self.send_polls(Polling::Idle)
            || self.send_control()
    }

    /// Opens go in batches of their own, and only with others for the same target: a dead host then holds
    /// nobody's data. When calls run out, targets mix.
    fn send_connects(&mut self) -> bool {
        if self.is_undecided() {
            return false;
        }
        let Some(first) = self.next_connect() else { return false };
        let Some(relay) = self.relays.choose(self.now, Purpose::Active(Path::Any)) else {
            self.ready.connects.push_front(first);
            self.mark_connect(first, true);
            return false;
        };
        let Some((mut batch, with_data, crowded)) = self.relays.get_mut(relay).map(|relay| {
            let batch =
                Batch::new(relay.options(), relay.passes().max_body(), self.config.tuning.max_batch_ops);
            (batch, relay.passes().takes_connect_data(), relay.is_crowded())
        }) else {
            return false;
        };
        self.add_connect(&mut batch, first, with_data);
        let target = self.flows.get(&first).and_then(|flow| flow.target().cloned());
        for _ in 0..self.ready.connects.len().min(self.config.tuning.max_batch_ops) {
            let Some(next) = self.next_connect() else { break };
            let same = crowded || self.flows.get(&next).and_then(Flow::target) == target.as_ref();
            if same && batch.has_place() && batch.room(1) > 0 {
                self.add_connect(&mut batch, next, with_data);
            } else {
                self.ready.connects.push_back(next);
                self.mark_connect(next, true);
            }
        }
        self.dispatch(relay, Class::Connect, batch);
        // Whether `seq` passes is asked in a call of its own: this one may be held by a dead target.
        self.probe_wanted = self.config.max_level >= Level::Sequenced;
        true
    }

    pub(in crate::client) fn next_connect(&mut self) -> Option<FlowId> {
        let circumstances = self.circumstances();
        while let Some(id) = self.ready.connects.pop_front() {
            self.mark_connect(id, false);
            if self.flows.get(&id).is_some_and(|flow| flow.wants(circumstances, &self.config).connect) {
                return Some(id);
            }
        }
        None
    }

    fn mark_connect(&mut self, id: FlowId, queued: bool) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.queued.connect = queued;
        }
    }

    fn add_connect(&mut self, batch: &mut Batch, id: FlowId, with_data: bool) {
        let most = batch.room(1).min(self.config.tuning.max_op_payload);
        if let Some(op) = self.flows.get_mut(&id).and_then(|flow| flow.take_connect(with_data, most)) {
            batch.push(OpOwner::Stream(id), op);
        }
        self.refresh(id);
    }

    /// A poll of a session that nobody has comes back at once, with its `seq` if the way keeps it: so no
    /// session is risked to find that out.
    fn send_probe(&mut self) -> bool {
        if !core::mem::take(&mut self.probe_wanted) {
            return false;
        }
        let Some(id) = self.relays.seq_unknown(self.now) else { return false };
        let Some(relay) = self.relays.get_mut(id) else { return false };
        relay.passes_mut().on_seq_probe();
        let mut batch =
            Batch::new(relay.options(), relay.passes().max_body(), self.config.tuning.max_batch_ops);
        let op = Op::Data { sid: self.probe, seq: Some(Seq::ZERO), payload: bytes::Bytes::new() };
        batch.push(OpOwner::Probe, op);
        // There may be others to ask.
        self.probe_wanted = true;
        self.dispatch(id, Class::Control, batch);
        true
    }

    /// Ops with payload, of as many flows as fit.
    fn send_payloads(&mut self) -> bool {
        if !may_flush(self.ready.coalescing) {
            return false;
        }
        let Some((Draft { relay, mut batch, .. }, shares)) = self.gather_payloads() else { return false };
        for share in &shares {
            let Some(flow) = self.flows.get_mut(&share.stream) else { continue };
            flow.deficit = share.deficit;
            if share.granted > 0
                && let Some(op) = flow.take_payload(share.granted, self.now, &self.config)
            {
                batch.push(OpOwner::Stream(share.stream), op);
            }
        }
        for share in shares.iter().rev().filter(|share| share.owed) {
            self.ready.payloads.push_front(share.stream);
            self.mark_payload(share.stream, true);
        }
        for share in shares {
            self.refresh(share.stream);
        }
        self.add_closes(&mut batch);
        if batch.ops.is_empty() {
            return false;
        }
        self.dispatch(relay, Class::Payload, batch);
        true
    }

    /// The flows of the next payload batch with their shares, and the relay that can carry them.
    fn gather_payloads(&mut self) -> Option<(Draft, Vec<Share>)> {
        let has_room = self.relays.has_room(self.now, Purpose::Active(Path::Any));
        let waiting = if has_room { self.ready.payloads.len() } else { 0 };
        let mut draft: Option<Draft> = None;
        let mut shares: Vec<Share> = Vec::new();
        let mut fixed = 0_usize;
        for _ in 0..waiting {
            if shares.len() >= self.config.tuning.max_batch_ops {
                break;
            }
            let Some((share, path)) = self.next_payload() else { break };
            if draft.is_none() {
                draft = self.start_batch(Purpose::Active(path));
            }
            let Some(Draft { batch, .. }) = draft.as_ref().filter(|draft| path.rides_on(draft.carries))
            else {
                self.ready.payloads.push_back(share.stream);
                self.mark_payload(share.stream, true);
                continue;
            };
            // An op whose size is given goes whole or waits for the next batch.
            let room = batch.room(shares.len().saturating_add(1)).saturating_sub(fixed);
            if room == 0 || (share.granted > room && !shares.is_empty()) {
                self.ready.payloads.push_front(share.stream);
                self.mark_payload(share.stream, true);
                break;
            }
            fixed = fixed.saturating_add(share.granted);
            shares.push(share);
        }
        let Some(draft) = draft.filter(|_| !shares.is_empty()) else {
            if self.ready.payloads.is_empty() {
                self.ready.coalescing = Coalescing::Nothing;
                self.rearm_coalesce();
            }
            return None;
        };
        let room =
            draft.batch.room(shares.len()).min(self.config.tuning.max_batch_payload).saturating_sub(fixed);
        let (mut sized, mut free): (Vec<Share>, Vec<Share>) =
            shares.into_iter().partition(|share| share.granted > 0);
        share(&mut free, room, self.config.tuning.max_op_payload);
        sized.append(&mut free);
        Some((draft, sized))
    }

    /// The next flow that wants to send payload, what it wants, and what way it needs. An op whose size is
    /// given has its bytes granted already.
    fn next_payload(&mut self) -> Option<(Share, Path)> {
        let circumstances = self.circumstances();
        while let Some(stream) = self.ready.payloads.pop_front() {
            self.mark_payload(stream, false);
            let Some(flow) = self.flows.get(&stream) else { continue };
            let Some(wanted) = flow.wants(circumstances, &self.config).payload else { continue };
            // A poll that goes again carries no bytes; its turn counts as one.
            let granted = if flow.has_fixed_op() { wanted.max(1) } else { 0 };
            return Some((
                Share { stream, wanted, deficit: flow.deficit, granted, owed: false },
                flow.path(),
            ));
        }
        None
    }

    fn mark_payload(&mut self, id: FlowId, queued: bool) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.queued.payload = queued;
        }
    }

    /// A relay for this purpose and an empty batch for it.
    fn start_batch(&mut self, purpose: Purpose) -> Option<Draft> {
        let (Purpose::Active(path) | Purpose::Poll(path)) = purpose;
        if path == Path::Sequenced {
            self.probe_wanted = true;
        }
        let id = self.relays.choose(self.now, purpose)?;
        let relay = self.relays.get_mut(id)?;
        let carries = relay.carries();
        let batch = Batch::new(relay.options(), relay.passes().max_body(), self.config.tuning.max_batch_ops);
        Some(Draft { relay: id, carries, batch })
    }

    /// Polls, as many as fit into one batch: its answer comes as soon as one of them has something.
    ///
    /// When calls that hold polls take every place that polls may have, one call more is made only if it sets
    /// others free.
    fn send_polls(&mut self, polling: Polling) -> bool {
        let relief = !self.relays.has_room(self.now, Purpose::Poll(Path::Any));
        if relief && self.parked().holding == 0 {
            return false;
        }
        let purpose = |path| if relief { Purpose::Active(Path::Sequenced) } else { Purpose::Poll(path) };
        if !self.relays.has_room(self.now, purpose(Path::Any)) {
            return false;
        }
        let mut draft: Option<Draft> = None;
        for _ in 0..self.poll_queue(polling).len() {
            if draft.as_ref().is_some_and(|draft| !draft.batch.has_place()) {
                break;
            }
            let Some((id, path)) = self.next_poll(polling) else { break };
            if draft.is_none() {
                draft = self.start_batch(purpose(path));
            }
            match &mut draft {
                Some(draft) if path.rides_on(draft.carries) => self.add_poll(&mut draft.batch, id),
                _ => {
                    self.poll_queue(polling).push_back(id);
                    self.mark_poll(id, true);
                }
            }
        }
        let Some(Draft { relay, carries, mut batch }) = draft.filter(|draft| !draft.batch.ops.is_empty())
        else {
            return false;
        };
        if carries == Path::Sequenced && (relief || polling == Polling::Idle) {
            self.gather_parked(&mut batch, if relief { 1 } else { self.config.tuning.idle_exchanges });
        }
        let class = match polling {
            Polling::Idle => Class::IdlePoll,
            Polling::Bulk => Class::BulkPoll,
        };
        self.dispatch(relay, class, batch);
        true
    }

    /// The next flow that wants to poll, and what way it needs.
    fn next_poll(&mut self, polling: Polling) -> Option<(FlowId, Path)> {
        let circumstances = self.circumstances();
        while let Some(id) = self.poll_queue(polling).pop_front() {
            self.mark_poll(id, false);
            let Some(flow) = self.flows.get(&id) else { continue };
            if flow.wants(circumstances, &self.config).poll.is_some() {
                return Some((id, flow.path()));
            }
            // It wanted to when it was queued. Circumstances changed since, and so does its deadline.
            self.refresh(id);
        }
        None
    }

    fn mark_poll(&mut self, id: FlowId, queued: bool) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.queued.poll = queued;
        }
    }

    const fn poll_queue(&mut self, polling: Polling) -> &mut alloc::collections::VecDeque<FlowId> {
        match polling {
            Polling::Idle => &mut self.ready.idle_polls,
            Polling::Bulk => &mut self.ready.bulk_polls,
        }
    }

    fn add_poll(&mut self, batch: &mut Batch, id: FlowId) {
        if let Some(op) = self.flows.get_mut(&id).and_then(|flow| flow.take_poll(self.now)) {
            batch.push(OpOwner::Stream(id), op);
        }
        self.refresh(id);
    }

    /// When at least `least` calls hold nothing but polls, this batch takes newer polls of their sessions
    /// along: the node answers the older ones at once, and one call holds what several held.
    fn gather_parked(&mut self, batch: &mut Batch, least: usize) {
        let parked = self.parked();
        if parked.holding < least {
            return;
        }
        let room = self.config.tuning.max_batch_ops.saturating_sub(batch.ops.len());
        for id in parked.streams.into_iter().take(room) {
            self.add_poll(batch, id);
        }
    }

    /// The sessions that wait with nothing but a held poll, as many as a batch can carry.
    fn parked(&self) -> Parked {
        let circumstances = self.circumstances();
        let session_of = |sent: &Sent| match sent.owner {
            OpOwner::Stream(id) => match self.flows.get(&id).map(|flow| &flow.kind) {
                Some(Kind::Session(session)) => {
                    session.is_parked(&sent.op, circumstances, &self.config).then_some(id)
                }
                Some(Kind::Association(_) | Kind::Stream(_)) | None => None,
            },
            OpOwner::Close { .. } | OpOwner::Probe => None,
        };
        let mut parked = Parked::default();
        // The last poll of a download is one of bulk, and is held like any other.
        let polls = |exchange: &&Exchange| matches!(exchange.class, Class::IdlePoll | Class::BulkPoll);
        for exchange in self.exchanges.values().filter(polls) {
            let before = parked.streams.len();
            parked.streams.extend(exchange.ops.iter().filter_map(session_of));
            parked.holding = parked.holding.saturating_add(usize::from(parked.streams.len() > before));
            if parked.streams.len() >= self.config.tuning.max_batch_ops {
                break;
            }
        }
        parked
    }

    /// What nobody waits for: closes that found no company, and probes.
    fn send_control(&mut self) -> bool {
        let due = self.next_close().is_some_and(|closing| closing.due <= self.now || self.flows.is_empty());
        if due && let Some(Draft { relay, mut batch, .. }) = self.start_batch(Purpose::Active(Path::Any)) {
            self.add_closes(&mut batch);
            self.dispatch(relay, Class::Control, batch);
            return true;
        }
        self.send_probe()
    }

    fn add_closes(&mut self, batch: &mut Batch) {
        while let Some(closing) = self.next_close() {
            let op = Op::Close { sid: closing.sid };
            if !batch.fits(&op) {
                break;
            }
            batch.push(OpOwner::Close { tries: closing.tries, until: closing.until }, op);
            self.closes.pop_front();
        }
        self.rearm_closes();
    }

    /// The oldest close that the node does not do without by now.
    fn next_close(&mut self) -> Option<Closing> {
        while self.closes.front().is_some_and(|closing| closing.until <= self.now) {
            self.closes.pop_front();
        }
        self.closes.front().copied()
    }

    /// Hands a batch to its relay.
    fn dispatch(&mut self, id: RelayId, class: Class, batch: Batch) {
        let ops = batch.ops;
        let Some(relay) = self.relays.get_mut(id) else { return };
        let body =
            wire::encode_request(relay.options().form, &relay.options().key, ops.iter().map(|sent| &sent.op));
        let spent = relay.on_sent(self.now);
        self.out.notice(spent);
        let exchange = ExchangeId::new(self.exchange_ids.next());
        count(&mut self.out.stats.calls);
        for sent in &ops {
            let payload = u64::try_from(sent.op.payload().map_or(0, bytes::Bytes::len)).unwrap_or(u64::MAX);
            self.out.stats.uplink_bytes = self.out.stats.uplink_bytes.saturating_add(payload);
            if is_poll(&sent.op) && sent.owner != OpOwner::Probe {
                count(&mut self.out.stats.polls);
            }
        }
        if class == Class::Payload {
            self.payload_in_flight = self.payload_in_flight.saturating_add(1);
        }
        let with_seq = Exchange::path(&ops) == Path::Sequenced;
        let deadline = self.now.saturating_add(self.config.batch_timeout(with_seq));
        let overdue = self.now.saturating_add(self.config.exchange_watchdog(with_seq));
        let mut timer = TimerSlot::default();
        self.timers.set(&mut timer, TimerOwner::Exchange(exchange), Some(overdue));
        let body_len = body.len();
        let sent = self.now;
        self.exchanges
            .insert(exchange, Exchange { relay: id, class, sent, body_len, ops, packet: None, timer });
        self.out.actions.push_back(ClientAction::Send {
            exchange,
            relay: id,
            body: body.into(),
            form: BodyForm::Json,
            deadline,
        });
    }
}
