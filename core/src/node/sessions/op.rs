//! The ops of a request: each runs, is queued, or is answered with an error.

use bytes::Bytes;

use crate::close::{CloseOrder, CloseTime};
use crate::id::{RequestId, UpstreamId};
use crate::level::Level;
use crate::node::Node;
use crate::node::action::NodeAction;
use crate::node::sessions::batch::{Drain, OpRef, Role, Slot};
use crate::node::sessions::reply::Fixed;
use crate::node::sessions::sequencer::QueuedOp;
use crate::node::sessions::session::Source;
use crate::node::upstreams::Opening;
use crate::pin::compact;
use crate::reorder::Rejected;
use crate::seq::Seq;
use crate::target::FlowKind;
use crate::wire::{BadOp, Op, Sid};

impl Node {
    /// Looks at an op of a batch. `pinned` bytes of memory stay as long as any payload of the batch does.
    pub(in crate::node) fn run_op(
        &mut self,
        at: OpRef,
        op: Result<Op, BadOp>,
        pinned: usize,
        order: &mut CloseOrder<UpstreamId>,
    ) {
        self.stats.ops = self.stats.ops.saturating_add(1);
        match op {
            Err(BadOp::Payload { reason, sid: Some(sid), seq: Some(seq) }) if self.is_sequenced() => {
                self.data(at, sid, Some(seq), Err(reason), pinned, order);
            }
            Err(bad) => self.tell(at, Fixed::bad_op(&bad, None)),
            Ok(Op::Connect { target }) => self.open(at, target, Opening::Plain),
            Ok(Op::ConnectData { target, payload }) => {
                self.open(at, target, Opening::FirstBytes(compact(payload, pinned)));
            }
            Ok(Op::UdpOpen { target, payload }) => {
                self.open(at, target, Opening::Udp(compact(payload, pinned)));
            }
            Ok(Op::Data { sid, seq, payload }) => {
                let seq = seq.filter(|_| self.is_sequenced());
                self.data(at, sid, seq, Ok(payload), pinned, order);
            }
            Ok(Op::UdpData { sid, payload }) => self.udp_data(at, sid, payload, order),
            Ok(Op::Close { sid }) => self.close_op(at, sid, order),
            Ok(Op::Streams { packet }) => {
                let shared = self.requests.get(&at.request).is_some_and(|batch| batch.slots.len() > 1);
                self.on_packet(at, packet, shared);
            }
        }
    }

    /// Whether the node looks at sequence numbers at all.
    fn is_sequenced(&self) -> bool {
        self.config.max_level >= Level::Sequenced
    }

    fn data(
        &mut self,
        at: OpRef,
        sid: Sid,
        seq: Option<Seq>,
        payload: Result<Bytes, &'static str>,
        pinned: usize,
        order: &mut CloseOrder<UpstreamId>,
    ) {
        let Some(upstream) = self.join(at, sid, seq, FlowKind::Tcp, order) else { return };
        let Some(session) = self.upstreams.session(upstream) else { return };
        let runs = session.may_write(&self.config) && seq.is_none_or(|seq| seq == session.turn.expected());
        let payload = if runs { payload } else { payload.map(|payload| compact(payload, pinned)) };
        let op = QueuedOp { op: at, seq, payload, arrived: self.now };
        match seq {
            Some(seq) => self.queue(upstream, seq, op),
            None => self.run_unsequenced(upstream, op),
        }
    }

    fn udp_data(&mut self, at: OpRef, sid: Sid, payload: Bytes, order: &mut CloseOrder<UpstreamId>) {
        if let Some(upstream) = self.join(at, sid, None, FlowKind::Udp, order) {
            let op = QueuedOp { op: at, seq: None, payload: Ok(payload), arrived: self.now };
            self.start(upstream, op);
        }
    }

    /// The session that an op speaks to; without one, the op is answered.
    fn join(
        &mut self,
        at: OpRef,
        sid: Sid,
        seq: Option<Seq>,
        kind: FlowKind,
        order: &mut CloseOrder<UpstreamId>,
    ) -> Option<UpstreamId> {
        let now = self.now;
        let upstream = self.sessions.get(&sid).copied();
        let session = upstream.and_then(|upstream| self.upstreams.session_mut(upstream));
        if let Some(session) = session.filter(|session| session.kind() == kind) {
            session.last_active = now;
            upstream.inspect(|upstream| order.name(*upstream))
        } else {
            let polls = self.requests.get(&at.request).is_some_and(|batch| batch.has_polls());
            let reply = match self.departed.get(&sid) {
                Some(departure) => departure.reply(sid, seq),
                None if polls && planted!(UnknownLives) => Fixed::empty(sid, seq),
                None if polls => Fixed::eof(sid, seq),
                None => Fixed::error("unknown session", seq),
            };
            self.tell(at, reply);
            None
        }
    }

    /// A sequenced op waits for its turn, and whatever ran before it waits no longer.
    fn queue(&mut self, upstream: UpstreamId, seq: Seq, op: QueuedOp) {
        let Some(session) = self.upstreams.session_mut(upstream) else { return };
        let expected = session.turn.expected();
        let (at, is_poll) = (op.op, op.bytes() == 0);
        let refused = match session.turn.admit(seq, op) {
            Ok(()) => {
                let running = session.turn.running();
                self.stats.reordered = self.stats.reordered.saturating_add(u64::from(seq > expected));
                self.place(at, Slot::Queued { upstream, seq: Some(seq) });
                let polls = planted!(PollsQueue) && is_poll;
                if let Some(running) = running.filter(|_| !polls && !planted!(PollBlocksPayload)) {
                    self.release(upstream, running, at.request);
                }
                return self.touch(upstream);
            }
            Err(Rejected::Old(op)) if planted!(OldPollDrains) && op.bytes() == 0 => {
                return self.start(upstream, op);
            }
            Err(Rejected::Old(_)) => Fixed::already_processed(seq, expected),
            Err(Rejected::Duplicate(_)) => Fixed::already_waits(seq, expected),
            Err(Rejected::Full(_)) => Fixed::too_far_ahead(seq, expected),
        };
        self.tell(at, refused);
    }

    /// An op of level 0 runs when it comes, unless its upstream has too much to take already. Then it waits;
    /// a second one is refused, so that what waits is bounded.
    fn run_unsequenced(&mut self, upstream: UpstreamId, op: QueuedOp) {
        let config = &self.config;
        let Some(session) = self.upstreams.session_mut(upstream) else { return };
        if op.bytes() == 0 || session.may_write(config) {
            return self.start(upstream, op);
        }
        let at = op.op;
        match session.turn.block(op) {
            Ok(()) => self.place(at, Slot::Queued { upstream, seq: None }),
            Err(_) => {
                self.tell(at, Fixed::error("write refused: an earlier op waits for the upstream", None))
            }
        }
    }

    /// Runs the ops of a session whose turn it is.
    pub(in crate::node) fn advance(&mut self, upstream: UpstreamId) {
        loop {
            let Self { config, upstreams, .. } = self;
            let Some(session) = upstreams.session_mut(upstream) else { return };
            let may_write = session.may_write(config);
            let Some(op) = session.turn.next(may_write) else { return };
            let at = op.op;
            self.start(upstream, op);
            // Ops that came before this one could run are later ones all the same.
            let Some(session) = self.upstreams.session(upstream) else { return };
            if session.turn.running() == Some(at)
                && let Some(request) = session.turn.successor(at.request)
            {
                self.release(upstream, at, request);
            }
        }
    }

    /// Runs an op: its payload goes to the upstream, and it waits for what comes back.
    fn start(&mut self, upstream: UpstreamId, op: QueuedOp) {
        let QueuedOp { op: at, seq, payload, .. } = op;
        match payload {
            Err(reason) => {
                let bad = BadOp::Payload { reason, sid: None, seq };
                self.tell(at, Fixed::bad_op(&bad, seq));
            }
            Ok(payload) => {
                let is_poll = payload.is_empty();
                self.write(upstream, payload);
                let now = self.now;
                let Some(session) = self.upstreams.session_mut(upstream) else { return };
                if seq.is_some() {
                    session.turn.run(at);
                }
                let heard = session.wait(at);
                let Some(batch) = self.requests.get(&at.request) else { return };
                let role = if is_poll && batch.has_polls() {
                    Role::Poll
                } else {
                    Role::Payload(batch.pace.start(now, heard))
                };
                self.place(at, Slot::Waiting(Drain { upstream, seq, role }));
                self.hear(at, heard);
                self.bound_waiters(upstream);
            }
        }
        self.touch(upstream);
    }

    /// Hands payload to an upstream. One that was reset takes nothing.
    pub(in crate::node) fn write(&mut self, upstream: UpstreamId, bytes: Bytes) {
        let now = self.now;
        let Some(session) = self.upstreams.session_mut(upstream).filter(|_| !bytes.is_empty()) else {
            return;
        };
        if session.source == Source::Reset {
            return;
        }
        if session.kind() == FlowKind::Tcp {
            session.uplink.push(bytes.len(), now);
        }
        let written = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.stats.uplink_bytes = self.stats.uplink_bytes.saturating_add(written);
        self.actions.push_back(NodeAction::WriteUpstream { upstream, bytes });
    }

    /// An op that has run waits no longer, since a later one came with the request `by`.
    ///
    /// The whole batch is answered if it can be. If it cannot, or is not to be, or is `by` itself, the op alone is
    /// answered empty in its place: what there is goes to its successor, and the order holds.
    fn release(&mut self, upstream: UpstreamId, op: OpRef, by: RequestId) {
        let Some(batch) = self.requests.get_mut(&op.request) else { return };
        if op.request != by {
            if batch.release() && batch.is_answerable() {
                return self.list(op.request);
            }
            if planted!(BlockedHoldsBatch) {
                return;
            }
        }
        self.answer_empty(upstream, op);
    }

    /// An op that has run is answered empty in its place.
    fn answer_empty(&mut self, upstream: UpstreamId, op: OpRef) {
        let now = self.now;
        let Some(batch) = self.requests.get(&op.request) else { return };
        let Some(Slot::Waiting(Drain { seq, .. })) = batch.slots.get(op.place) else { return };
        let seq = *seq;
        let Some(session) = self.upstreams.session_mut(upstream) else { return };
        session.finish(op, now);
        let reply = Fixed::empty(session.sid, seq);
        self.place(op, Slot::Ready(reply));
    }

    /// At level 0 any number of ops may wait; beyond a bound, the oldest is answered empty.
    fn bound_waiters(&mut self, upstream: UpstreamId) {
        let session = self.upstreams.session(upstream);
        if let Some(oldest) = session.and_then(|session| session.excess(self.config.tuning.seq_queue_ops)) {
            self.answer_empty(upstream, oldest);
        }
    }

    /// Puts a slot into its place, if the request is still held.
    pub(in crate::node) fn place(&mut self, at: OpRef, slot: Slot) {
        if let Some(batch) = self.requests.get_mut(&at.request) {
            batch.set(at.place, slot);
            self.list(at.request);
        }
    }

    /// Tells the batch of an op that waits that there is something to fetch, if so.
    pub(in crate::node) fn hear(&mut self, at: OpRef, heard: bool) {
        let now = self.now;
        if heard && let Some(batch) = self.requests.get_mut(&at.request) {
            batch.hear(at.place, now);
            self.list(at.request);
        }
    }

    fn close_op(&mut self, at: OpRef, sid: Sid, order: &CloseOrder<UpstreamId>) {
        let upstream = self.sessions.get(&sid);
        match upstream.map_or(CloseTime::Now, |upstream| order.close(upstream)) {
            CloseTime::Now => {
                self.close_session(sid);
                self.place(at, Slot::Ready(Fixed::eof(sid, None)));
            }
            CloseTime::AfterDrains => {
                self.place(at, Slot::Closing(sid));
                if let Some(batch) = self.requests.get_mut(&at.request) {
                    batch.hurry_polls();
                }
            }
        }
    }
}
