//! One flow of level 0 or 1: an open upstream, and its ops (protocol.md 2.4).

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::Bytes;

use crate::config::NodeOptions;
use crate::datagrams::DatagramQueue;
use crate::id::RequestId;
use crate::node::action::SessionEnd;
use crate::node::context::Context;
use crate::node::event::UpstreamEvent;
use crate::node::requests::Part;
use crate::node::sessions::batch::{Batches, Drain, PendingReply, Role};
use crate::node::sessions::reply::FixedReply;
use crate::node::sessions::sequencer::{OpSequencer, QueuedOp};
use crate::node::socket::Socket;
use crate::queue::ByteQueue;
use crate::reorder::Rejected;
use crate::seq::Seq;
use crate::target::FlowKind;
use crate::time::{Deadline, Instant};
use crate::timer::TimerKind;
use crate::wire::{BadOp, Sid};

/// One flow at levels 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Session {
    sid: Sid,
    socket: Socket,
    downlink: Downlink,
    sequencer: OpSequencer,
    /// The ops that have run and are not answered, in the order of their arrival.
    waiters: Vec<Waiter>,
    last_arrival: Instant,
    /// The longest time that an op waits for more after that.
    settle: Duration,
}

impl Hash for Session {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.sid, &self.socket, &self.downlink, &self.sequencer, &self.waiters).hash(state);
        // Whoever waits makes the session active again when it is answered.
        self.waiters.is_empty().then_some(self.socket.last_active()).hash(state);
        self.growing().map(|arrival| Deadline(arrival.saturating_add(self.settle))).hash(state);
    }
}

/// What came and was not fetched.
#[derive(Clone, Debug, Hash)]
enum Downlink {
    Tcp(ByteQueue),
    Udp(DatagramQueue),
}

/// An op that waits for what comes from upstream.
#[derive(Clone, Debug, Hash)]
struct Waiter {
    op: Part,
    /// Whether its batch knows that there is something to fetch.
    notified: bool,
}

/// What an op took from its session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) bytes: usize,
    /// Why the session ends with this op, if it does.
    pub(super) end: Option<SessionEnd>,
}

impl Session {
    pub(super) fn new(socket: Socket, sid: Sid, cx: &Context) -> Self {
        let downlink = match socket.kind() {
            FlowKind::Tcp => Downlink::Tcp(ByteQueue::default()),
            FlowKind::Udp => Downlink::Udp(DatagramQueue::default()),
        };
        let (sequencer, last_arrival) = (OpSequencer::new(cx.config()), cx.now());
        let settle = cx.config().tuning.settle_step.max(cx.config().tuning.single_settle);
        Self { sid, socket, downlink, sequencer, waiters: Vec::new(), last_arrival, settle }
    }

    pub(super) const fn sid(&self) -> Sid {
        self.sid
    }

    pub(super) const fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) const fn socket_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// The number that the session expects next.
    pub(super) const fn expected(&self) -> Seq {
        self.sequencer.expected()
    }

    /// Payload bytes that are kept, in either direction.
    pub(super) fn buffered(&self) -> usize {
        let downlink = match &self.downlink {
            Downlink::Tcp(queue) => queue.len(),
            Downlink::Udp(datagrams) => datagrams.bytes(),
        };
        self.sequencer.bytes().saturating_add(self.socket.unwritten()).saturating_add(downlink)
    }

    /// When bytes came last, if there are any to fetch and more may come.
    pub(super) fn growing(&self) -> Option<Instant> {
        (self.socket.is_live() && !self.is_drained()).then_some(self.last_arrival)
    }
}

/// Events of the upstream.
impl Session {
    pub(super) fn on_upstream(&mut self, event: UpstreamEvent, batches: &mut Batches, cx: &mut Context) {
        match event {
            UpstreamEvent::Data(bytes) => self.on_data(bytes, batches, cx),
            UpstreamEvent::Datagram(datagram) => self.on_datagram(datagram, batches, cx),
            UpstreamEvent::Fin => self.on_end(Socket::finish, batches, cx),
            UpstreamEvent::Reset => self.on_end(Socket::reset, batches, cx),
            UpstreamEvent::Written(bytes) => {
                self.socket.written(bytes, cx.now());
                cx.queue_upstream(self.socket.upstream());
            }
            UpstreamEvent::Opened | UpstreamEvent::Failed(_) => {}
        }
    }

    fn on_data(&mut self, bytes: Bytes, batches: &mut Batches, cx: &mut Context) {
        let Downlink::Tcp(queue) = &mut self.downlink else { return };
        if !bytes.is_empty() && self.socket.arrive(bytes.len(), cx.now()) {
            self.last_arrival = cx.now();
            queue.push(bytes);
            self.notify_waiters(batches, cx);
        }
    }

    /// The oldest datagrams make room for the newest, in the queue and in the pool.
    fn on_datagram(&mut self, datagram: Bytes, batches: &mut Batches, cx: &mut Context) {
        let Downlink::Udp(datagrams) = &mut self.downlink else { return };
        if !self.socket.is_live() {
            return;
        }
        let most = cx.config().tuning.udp_queue;
        let (before, dropped) = datagrams.push_with_credit(datagram, most, self.socket.credit(), cx.pool());
        self.socket.touch(cx.now());
        self.last_arrival = cx.now();
        cx.datagrams_dropped(self.socket.upstream(), before, dropped);
        self.notify_waiters(batches, cx);
    }

    /// No more will come from upstream. After a reset it takes nothing either. Ops that were notified of bytes are notified
    /// again.
    fn on_end(&mut self, end: fn(&mut Socket), batches: &mut Batches, cx: &mut Context) {
        if self.socket.was_reset() {
            return;
        }
        end(&mut self.socket);
        for waiter in &mut self.waiters {
            waiter.notified = false;
        }
        self.notify_waiters(batches, cx);
    }

    /// There is something to fetch: every op that waits is notified once. The first to be answered takes it.
    fn notify_waiters(&mut self, batches: &mut Batches, cx: &mut Context) {
        for waiter in self.waiters.iter_mut().filter(|waiter| !waiter.notified) {
            waiter.notified = true;
            batches.data_ready(waiter.op, cx);
        }
        cx.queue_upstream(self.socket.upstream());
    }

    /// Gives its reader what credit there is.
    pub(super) fn grant(&mut self, cx: &mut Context) {
        let bytes = self.socket.grant(cx.pool());
        cx.credit(self.socket.upstream(), bytes);
        if self.socket.is_blocked() {
            cx.block(self.socket.upstream());
        }
    }
}

/// Ops.
impl Session {
    /// Whether an op runs as soon as it comes, and keeps nothing.
    pub(super) fn runs_at_once(&self, seq: Option<Seq>, config: &NodeOptions) -> bool {
        self.may_write(config) && seq.is_none_or(|seq| seq == self.expected())
    }

    /// A sequenced op comes: it waits for its turn, and the op that runs waits no longer.
    pub(super) fn queue(&mut self, seq: Seq, op: QueuedOp, batches: &mut Batches, cx: &mut Context) {
        let expected = self.expected();
        let part = op.op;
        let refused = match self.sequencer.admit(seq, op) {
            Ok(()) => {
                let running = self.sequencer.running();
                cx.count(|stats| &mut stats.reordered, usize::from(seq > expected));
                batches.set(
                    part,
                    PendingReply::Queued { upstream: self.socket.upstream(), seq: Some(seq) },
                    cx,
                );
                if let Some(running) = running {
                    self.release(running, part.request, batches, cx);
                }
                return cx.queue_upstream(self.socket.upstream());
            }
            Err(Rejected::Old(_)) => FixedReply::already_processed(seq, expected),
            Err(Rejected::Duplicate(_)) => FixedReply::already_waits(seq, expected),
            Err(Rejected::Full(_)) => FixedReply::too_far_ahead(seq, expected),
        };
        batches.finish(part, refused, cx);
    }

    /// An op of level 0 comes: it runs, unless its upstream has too much to take already. Then it waits. A second one is
    /// refused, so that what waits is bounded.
    pub(super) fn run_unsequenced(&mut self, op: QueuedOp, batches: &mut Batches, cx: &mut Context) {
        if op.bytes() == 0 || self.may_write(cx.config()) {
            return self.run(op, batches, cx);
        }
        let part = op.op;
        match self.sequencer.block(op) {
            Ok(()) => {
                batches.set(part, PendingReply::Queued { upstream: self.socket.upstream(), seq: None }, cx)
            }
            Err(_) => {
                let why = "write refused: an earlier op waits for the upstream";
                batches.finish(part, FixedReply::error(why, None), cx);
            }
        }
    }

    /// Runs the ops whose turn it is.
    pub(super) fn run_next(&mut self, batches: &mut Batches, cx: &mut Context) {
        while let Some(op) = self.sequencer.next(self.may_write(cx.config())) {
            let part = op.op;
            self.run(op, batches, cx);
            // Ops that came before this one could run are later ones all the same.
            if self.sequencer.running() == Some(part)
                && let Some(request) = self.sequencer.successor(part.request)
            {
                self.release(part, request, batches, cx);
            }
        }
    }

    /// Runs an op: its payload goes to the upstream, and it waits for what comes back.
    pub(super) fn run(&mut self, op: QueuedOp, batches: &mut Batches, cx: &mut Context) {
        let QueuedOp { op: part, seq, payload, .. } = op;
        match payload {
            Err(reason) => {
                let bad = BadOp::Payload { reason, sid: None, seq };
                batches.finish(part, FixedReply::bad_op(&bad, seq), cx);
            }
            Ok(payload) => {
                let is_poll = payload.is_empty();
                self.write(payload, cx);
                if seq.is_some() {
                    self.sequencer.run(part);
                }
                let ready = self.is_ready();
                let Some(batch) = batches.get(part.request) else { return };
                let waits = !(is_poll && batch.has_polls());
                let wait = waits.then(|| batch.start_wait(cx.now(), ready));
                let drain = Drain { upstream: self.socket.upstream(), seq, role: Role::Data, wait };
                self.wait(part, drain, ready, batches, cx);
                self.bound_waiters(batches, cx);
            }
        }
        cx.queue_upstream(self.socket.upstream());
    }

    /// Hands payload to the upstream. One that was reset takes nothing.
    pub(super) fn write(&mut self, bytes: Bytes, cx: &mut Context) {
        if bytes.is_empty() || self.socket.was_reset() {
            return;
        }
        self.socket.write(bytes, cx);
    }

    /// An op has run and waits to be answered. With `ready`, there is something to answer it with.
    pub(super) fn wait(
        &mut self,
        op: Part,
        drain: Drain,
        ready: bool,
        batches: &mut Batches,
        cx: &mut Context,
    ) {
        self.waiters.push(Waiter { op, notified: self.is_ready() });
        batches.set(op, PendingReply::Waiting(drain), cx);
        if ready {
            batches.data_ready(op, cx);
        }
    }

    /// An op that has run waits no longer, since a later one came with the request `by`.
    ///
    /// The whole batch is answered if it can be. If it cannot, or is not to be, or is `by` itself, the op alone is
    /// answered empty: what there is goes to its successor, and the order holds.
    fn release(&mut self, op: Part, by: RequestId, batches: &mut Batches, cx: &mut Context) {
        if op.request != by && batches.release(op.request, cx) {
            return;
        }
        self.answer_empty(op, batches, cx);
    }

    fn answer_empty(&mut self, op: Part, batches: &mut Batches, cx: &mut Context) {
        let Some(PendingReply::Waiting(Drain { seq, .. })) = batches.reply(op) else { return };
        let reply = FixedReply::empty(self.sid, *seq);
        self.finish(op, cx.now());
        batches.set(op, PendingReply::Ready(reply), cx);
    }

    /// At level 0 any number of ops may wait; beyond a bound, the oldest is answered empty.
    fn bound_waiters(&mut self, batches: &mut Batches, cx: &mut Context) {
        if self.waiters.len() > cx.config().tuning.seq_queue_ops
            && let Some(oldest) = self.waiters.first().map(|waiter| waiter.op)
        {
            self.answer_empty(oldest, batches, cx);
        }
    }

    /// An op was answered, or its caller has gone; if it was the one that ran, the next one may run.
    pub(super) fn finish(&mut self, op: Part, now: Instant) {
        self.waiters.retain(|waiter| waiter.op != op);
        self.sequencer.finish(op);
        self.socket.touch(now);
    }

    /// Takes a queued op back; its number stays free for another copy.
    pub(super) fn withdraw(&mut self, op: Part, seq: Option<Seq>) {
        self.sequencer.withdraw(op, seq);
    }

    /// Moves at most `most` bytes of what came to the end of `into`.
    pub(super) fn take(&mut self, most: usize, into: &mut Vec<Bytes>, cx: &mut Context) -> Taken {
        let bytes = match &mut self.downlink {
            Downlink::Tcp(queue) => queue.take_into(most, into),
            Downlink::Udp(datagrams) => datagrams.take_into(most, into),
        };
        self.socket.release(bytes, cx.pool());
        let ended = !self.socket.is_live() && self.is_drained();
        let end = match self.socket.was_reset() {
            _ if !ended => None,
            false => Some(SessionEnd::Finished),
            // Bytes before a reset are answered first; the next op gets the error.
            true if bytes > 0 && self.socket.kind() == FlowKind::Tcp => None,
            true => Some(SessionEnd::Reset),
        };
        Taken { bytes, end }
    }

    /// The session ends, or was `cut`: its ops are answered. What is left is its socket.
    pub(super) fn end(
        mut self,
        cut: Option<&'static str>,
        batches: &mut Batches,
        cx: &mut Context,
    ) -> Socket {
        self.socket.credit().close(cx.pool());
        for Waiter { op, .. } in self.waiters {
            if let Some(PendingReply::Waiting(drain)) = batches.reply(op) {
                batches.finish(op, FixedReply::over(cut, self.sid, drain.seq), cx);
            }
        }
        for op in self.sequencer.take_all() {
            batches.finish(op.op, FixedReply::over(cut, self.sid, op.seq), cx);
        }
        self.socket
    }
}

/// Deadlines.
impl Session {
    /// When it needs attention by itself, and why.
    pub(super) fn deadline(&self, config: &NodeOptions) -> Option<(Instant, TimerKind)> {
        let gap = self.sequencer.gap_deadline(config.tuning.seq_wait).map(|at| (at, TimerKind::SeqWait));
        self.socket.deadline(self.may_idle(), config).into_iter().chain(gap).min()
    }

    /// A deadline has passed: why the session ends, if it does. Ops that waited too long for an earlier one are answered.
    pub(super) fn on_deadline(&mut self, batches: &mut Batches, cx: &mut Context) -> Option<SessionEnd> {
        let (now, expected) = (cx.now(), self.expected());
        if let Some(due) = self.socket.due(self.may_idle(), cx) {
            return Some(if due == TimerKind::Write { SessionEnd::WriteTimedOut } else { SessionEnd::Idle });
        }
        for op in self.sequencer.overdue(cx.config().tuning.seq_wait, now) {
            if let Some(seq) = op.seq {
                let waited = now.saturating_since(op.arrived);
                batches.finish(op.op, FixedReply::timed_out(seq, expected, waited), cx);
            }
        }
        cx.queue_upstream(self.socket.upstream());
        None
    }

    /// Whether it ends when nothing happens for too long. Ops that wait keep a session alive.
    fn may_idle(&self) -> bool {
        self.waiters.is_empty() && self.sequencer.is_idle()
    }
}

/// What its state means.
impl Session {
    /// Whether an op that writes may run.
    ///
    /// Not while the upstream has much to take. But when the node itself has stopped reading from the upstream, that may
    /// be why it takes nothing, and only a running op can fetch what is in the way: then more may be written, up to the
    /// bound of what may wait for its turn.
    fn may_write(&self, config: &NodeOptions) -> bool {
        let most = if self.socket.is_paused(config.session_buffer) {
            config.tuning.write_queue.saturating_add(config.tuning.seq_queue_bytes)
        } else {
            config.tuning.write_queue
        };
        self.socket.unwritten() <= most
    }

    fn is_drained(&self) -> bool {
        match &self.downlink {
            Downlink::Tcp(queue) => queue.is_empty(),
            Downlink::Udp(datagrams) => datagrams.is_empty(),
        }
    }

    /// Whether there is something to tell: bytes, or the end.
    fn is_ready(&self) -> bool {
        !self.socket.is_live() || !self.is_drained()
    }
}
