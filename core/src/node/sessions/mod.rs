//! The engine of levels 0 and 1 (protocol.md 2).
//!
//! A request becomes a [batch] with a pending reply for each op. Its ops run at once or in their session's
//! [order](sequencer), then wait. When its [hold] allows, the batch is [answered](response), and only then does each op
//! take what its session has. An upstream is an attempt first, a [session] while it is open, and lingers until its last
//! byte is written ([table]).
//!
//! An event costs at most a constant times: the bytes and ops of a request; the pending replies of the batches that it
//! lets be answered, and the bytes that they take; the ops that wait in the sessions concerned, which `seq_queue_ops`
//! bounds; and the logarithm of the number of sessions and requests.

mod batch;
mod closed;
mod hold;
mod reply;
mod response;
mod sequencer;
mod session;
mod table;

use alloc::boxed::Box;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::close::CloseOrder;
use crate::config::NodeOptions;
use crate::error::{ConnectFailure, Misuse};
use crate::id::{IdGenerator, RequestId, UpstreamId};
use crate::level::{Caps, Level};
use crate::node::action::{NodeNotice, SessionEnd, Shut};
use crate::node::context::Context;
use crate::node::event::UpstreamEvent;
use crate::node::requests::{AnswerForm, Ops, Part};
use crate::node::sessions::batch::{Batch, Batches, Drain, PendingReply, Role};
use crate::node::sessions::closed::{ClosedSession, ClosedSessions, SHUTTING_DOWN, USER_GONE, cut};
use crate::node::sessions::hold::{BatchDelays, BatchHold};
use crate::node::sessions::reply::FixedReply;
use crate::node::sessions::response::Responder;
use crate::node::sessions::sequencer::QueuedOp;
use crate::node::sessions::session::Session;
use crate::node::sessions::table::{Connect, SessionTable, UpstreamState};
use crate::node::socket::Socket;
use crate::node::upstreams::Carrier;
use crate::pin::compact;
use crate::seq::Seq;
use crate::target::{FlowKind, Target};
use crate::time::Deadline;
use crate::wire::{BadOp, Op, Sid};

/// The engine of levels 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    sids: IdGenerator<Sid>,
    batches: Batches,
    table: SessionTable,
    closed: ClosedSessions,
    responder: Responder,
}

impl Hash for Sessions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.table, &self.batches, &self.closed).hash(state);
    }
}

/// Ended sessions that are remembered even by a node of very few sessions, so that a late op of one that was
/// cut is not notified of an orderly end; some 100 KiB.
const MIN_CLOSED: usize = 1024;

/// A request while its ops are looked at.
struct Incoming {
    /// Bytes of memory that stay as long as any payload of the request does.
    pinned: usize,
    order: CloseOrder<UpstreamId>,
}

impl Sessions {
    pub(super) fn new(config: &NodeOptions, seed: [u8; 32]) -> Self {
        Self {
            sids: IdGenerator::new(seed),
            batches: Batches::default(),
            table: SessionTable::default(),
            closed: ClosedSessions::new(config.max_sessions.max(MIN_CLOSED)),
            responder: Responder::default(),
        }
    }

    /// The sessions that are open, and then those that have ended, with what each expects.
    #[cfg(feature = "model")]
    pub(super) fn known(&self) -> impl Iterator<Item = (Sid, Option<UpstreamId>, Seq)> {
        let open = self.table.known().map(|(sid, upstream, expected)| (sid, Some(upstream), expected));
        open.chain(self.closed.known().map(|(sid, expected)| (sid, None, expected)))
    }

    /// Payload bytes that are kept. Visits every upstream.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.table.buffered_bytes()
    }

    /// Whether the contract allows an event of an upstream now.
    pub(super) fn check(&self, upstream: UpstreamId, event: &UpstreamEvent) -> Result<(), Misuse> {
        self.table.check(upstream, event)
    }

    /// A request came: its ops run, and it is answered or held.
    pub(super) fn on_request(&mut self, cx: &mut Context, request: RequestId, content: Ops) {
        let Ops { form, ops, counts_writes, pinned } = content;
        let tuning = &cx.config().tuning;
        let delays =
            if form == AnswerForm::Single { BatchDelays::single(tuning) } else { BatchDelays::batch(tuning) };
        let hold = if form == AnswerForm::Single || ops.iter().flatten().any(is_active) {
            if counts_writes { BatchHold::Each } else { BatchHold::Active }
        } else {
            BatchHold::LongPoll { until: Deadline(cx.now().saturating_add(cx.config().longpoll)) }
        };
        self.batches.insert(request, Batch::new(form, ops.len(), hold, delays));
        let mut incoming = Incoming { pinned, order: CloseOrder::new() };
        for (index, op) in ops.into_iter().enumerate() {
            self.on_op(cx, Part { request, index }, op, &mut incoming);
        }
    }

    fn on_op(&mut self, cx: &mut Context, part: Part, op: Result<Op, BadOp>, incoming: &mut Incoming) {
        let pinned = incoming.pinned;
        let is_sequenced = cx.config().max_level >= Level::Sequenced;
        match op {
            Err(BadOp::Payload { reason, sid: Some(sid), seq: Some(seq) }) if is_sequenced => {
                self.on_data_op(cx, part, sid, Some(seq), Err(reason), incoming);
            }
            Err(bad) => self.batches.finish(part, FixedReply::bad_op(&bad, None), cx),
            Ok(Op::Connect { target }) => self.open(cx, part, target, FlowKind::Tcp, None),
            Ok(Op::ConnectData { target, payload }) => {
                self.open(cx, part, target, FlowKind::Tcp, Some(compact(payload, pinned)));
            }
            Ok(Op::UdpOpen { target, payload }) => {
                let datagram = (!payload.is_empty()).then(|| compact(payload, pinned));
                self.open(cx, part, target, FlowKind::Udp, datagram);
            }
            Ok(Op::Data { sid, seq, payload }) => {
                let seq = seq.filter(|_| is_sequenced);
                self.on_data_op(cx, part, sid, seq, Ok(payload), incoming);
            }
            Ok(Op::UdpData { sid, payload }) => {
                let op = QueuedOp { op: part, seq: None, payload: Ok(payload), arrived: cx.now() };
                if let Some(upstream) = self.join(cx, part, sid, None, FlowKind::Udp, incoming)
                    && let Some((session, batches)) = self.session(upstream)
                {
                    session.run(op, batches, cx);
                }
            }
            Ok(Op::Close { sid }) => self.on_close_op(cx, part, sid, &incoming.order),
            Ok(Op::Streams { .. }) => self.batches.set(part, PendingReply::Packet, cx),
        }
    }
    fn on_data_op(
        &mut self,
        cx: &mut Context,
        part: Part,
        sid: Sid,
        seq: Option<Seq>,
        payload: Result<Bytes, &'static str>,
        incoming: &mut Incoming,
    ) {
        let Some(upstream) = self.join(cx, part, sid, seq, FlowKind::Tcp, incoming) else { return };
        let Some((session, batches)) = self.session(upstream) else { return };
        let keeps = !session.runs_at_once(seq, cx.config());
        let payload = if keeps { payload.map(|payload| compact(payload, incoming.pinned)) } else { payload };
        let op = QueuedOp { op: part, seq, payload, arrived: cx.now() };
        match seq {
            Some(seq) => session.queue(seq, op, batches, cx),
            None => session.run_unsequenced(op, batches, cx),
        }
    }

    /// The session that an op names; without one, the op is answered.
    fn join(
        &mut self,
        cx: &mut Context,
        part: Part,
        sid: Sid,
        seq: Option<Seq>,
        kind: FlowKind,
        incoming: &mut Incoming,
    ) -> Option<UpstreamId> {
        if let Some(upstream) = self.table.find(&sid)
            && let Some(session) = self.table.session_mut(upstream)
            && session.socket().kind() == kind
        {
            session.socket_mut().touch(cx.now());
            incoming.order.name(upstream);
            return Some(upstream);
        }
        let polls = self.batches.get(part.request).is_some_and(Batch::has_polls);
        let reply = match self.closed.get(&sid) {
            Some(closed) => closed.reply(sid, seq),
            None if polls => FixedReply::eof(sid, seq),
            None => FixedReply::error("unknown session", seq),
        };
        self.batches.finish(part, reply, cx);
        None
    }

    fn on_close_op(&mut self, cx: &mut Context, part: Part, sid: Sid, order: &CloseOrder<UpstreamId>) {
        let upstream = self.table.find(&sid);
        if upstream.is_some_and(|upstream| order.waits_for_drains(&upstream)) {
            self.batches.set(part, PendingReply::Closing(sid), cx);
            self.batches.hurry_polls(part.request);
        } else {
            self.close_session(cx, sid);
            self.batches.set(part, PendingReply::Ready(FixedReply::eof(sid, None)), cx);
        }
    }

    /// Answers a batch if it is time to.
    pub(super) fn respond(&mut self, cx: &mut Context, request: RequestId) {
        let table = &self.table;
        if self.batches.decide(request, |upstream| table.session(upstream)?.growing(), cx) {
            self.respond_now(cx, request);
        }
    }

    fn respond_now(&mut self, cx: &mut Context, request: RequestId) {
        let Some(batch) = self.batches.remove(request, cx) else { return };
        let ends = self.responder.respond(request, batch, &mut self.table, cx);
        for (upstream, why) in ends.ended {
            self.end_session(cx, upstream, why);
        }
        for sid in ends.closing {
            self.close_session(cx, sid);
        }
    }

    /// Nobody waits for the answer to a request any more: what the batch opened and did not tell is shut, what it waits
    /// for is left alone, and what it wanted closed is closed.
    pub(super) fn on_request_gone(&mut self, cx: &mut Context, request: RequestId) {
        let Some(batch) = self.batches.remove(request, cx) else { return };
        for (index, reply) in batch.into_replies().1.into_iter().enumerate() {
            let part = Part { request, index };
            match reply {
                PendingReply::Connecting(upstream) => self.shut(cx, upstream, Shut::Reset),
                PendingReply::Queued { upstream, seq } => {
                    if let Some(session) = self.table.session_mut(upstream) {
                        session.withdraw(part, seq);
                        cx.queue_upstream(upstream);
                    }
                }
                PendingReply::Waiting(drain) => self.abandon(cx, part, drain),
                PendingReply::Closing(sid) => self.close_session(cx, sid),
                PendingReply::Unread | PendingReply::Ready(_) | PendingReply::Packet => {}
            }
        }
    }

    fn abandon(&mut self, cx: &mut Context, part: Part, drain: Drain) {
        if let Some(session) = self.table.session_mut(drain.upstream) {
            session.finish(part, cx.now());
            cx.queue_upstream(drain.upstream);
        }
        if drain.role != Role::Data {
            self.end_session(cx, drain.upstream, SessionEnd::Abandoned);
        }
    }
}

/// Upstreams.
impl Sessions {
    /// An op asks for a new upstream.
    fn open(&mut self, cx: &mut Context, op: Part, target: Target, kind: FlowKind, first: Option<Bytes>) {
        let (user, window) = (cx.accounts().default_user(), cx.config().session_buffer);
        let Some(socket) = Socket::open(Carrier::Session, user, target, kind, window, cx) else {
            cx.notice(NodeNotice::LimitReached { limit: "max_sessions" });
            return self.batches.finish(op, FixedReply::not_opened(kind, "too many sessions"), cx);
        };
        self.batches.set(op, PendingReply::Connecting(socket.upstream()), cx);
        self.table.insert(UpstreamState::Connecting(Connect { op, socket, first }), cx);
    }

    /// Something happened to an upstream; the contract was checked. One that has ended is ignored.
    pub(super) fn on_upstream(&mut self, cx: &mut Context, upstream: UpstreamId, event: UpstreamEvent) {
        match (self.table.state_mut(upstream), event) {
            (Some(UpstreamState::Connecting(_)), UpstreamEvent::Opened) => self.on_opened(cx, upstream),
            (Some(UpstreamState::Connecting(_)), UpstreamEvent::Failed(failure)) => {
                self.on_failed(cx, upstream, failure);
            }
            (Some(UpstreamState::Open(session)), event) => session.on_upstream(event, &mut self.batches, cx),
            (Some(UpstreamState::Lingering(socket)), UpstreamEvent::Reset) => {
                socket.reset();
                self.shut(cx, upstream, Shut::Reset);
            }
            (Some(UpstreamState::Lingering(socket)), UpstreamEvent::Written(bytes)) => {
                socket.written(bytes, cx.now());
                if socket.unwritten() == 0 {
                    self.shut(cx, upstream, Shut::Close);
                } else {
                    self.table.arm(upstream, cx);
                }
            }
            (Some(UpstreamState::Connecting(_) | UpstreamState::Lingering(_)) | None, _) => {}
        }
    }

    /// The upstream is open: it becomes a session.
    fn on_opened(&mut self, cx: &mut Context, upstream: UpstreamId) {
        let Some(UpstreamState::Connecting(connect)) = self.table.remove(upstream) else { return };
        let Connect { op, mut socket, first } = connect;
        socket.opened(cx);
        let session = Session::new(socket, self.sids.generate(), cx);
        self.table.insert(UpstreamState::Open(Box::new(session)), cx);
        self.answer_open(cx, upstream, op, first);
        cx.queue_upstream(upstream);
    }

    /// Writes the first bytes, and lets the op wait for their answer.
    fn answer_open(&mut self, cx: &mut Context, upstream: UpstreamId, op: Part, first: Option<Bytes>) {
        let level = cx.config().max_level;
        let Some(batch) = self.batches.get(op.request) else { return };
        let wait = first.is_some().then(|| batch.start_wait(cx.now(), false));
        let Some((session, batches)) = self.session(upstream) else { return };
        let has_caps = |caps: &Caps| session.socket().kind() == FlowKind::Tcp && *caps != Caps::NONE;
        let caps = Some(Caps::of_level(level)).filter(has_caps);
        let role = if first.is_some() { Role::FirstBytes(caps) } else { Role::Open(caps) };
        if let Some(bytes) = first {
            session.write(bytes, cx);
        }
        // Without first bytes, the session's id is something to tell.
        session.wait(op, Drain { upstream, seq: None, role, wait }, wait.is_none(), batches, cx);
    }

    /// The upstream could not be opened.
    fn on_failed(&mut self, cx: &mut Context, upstream: UpstreamId, failure: ConnectFailure) {
        if let Some(UpstreamState::Connecting(mut connect)) = self.table.remove(upstream) {
            connect.socket.failed(failure, cx);
            connect.socket.reset();
            connect.socket.shut(Shut::Reset, cx);
            let reply = FixedReply::not_opened(connect.socket.kind(), failure.text());
            self.batches.finish(connect.op, reply, cx);
        }
    }

    /// A session has changed: its next op may run, its reader may get credit, its deadline may be another.
    pub(super) fn advance(&mut self, cx: &mut Context, upstream: UpstreamId) {
        if let Some((session, batches)) = self.session(upstream) {
            session.run_next(batches, cx);
            session.grant(cx);
        }
        self.table.arm(upstream, cx);
    }

    /// Gives the reader of an upstream what credit there is.
    pub(super) fn grant(&mut self, cx: &mut Context, upstream: UpstreamId) {
        if let Some(session) = self.table.session_mut(upstream) {
            session.grant(cx);
        }
    }

    /// A deadline of an upstream has passed.
    pub(super) fn on_upstream_deadline(&mut self, cx: &mut Context, upstream: UpstreamId) {
        match self.table.state_mut(upstream) {
            Some(UpstreamState::Connecting(_)) => {
                cx.shut(upstream, Shut::Reset);
                self.on_failed(cx, upstream, ConnectFailure::TimedOut);
            }
            Some(UpstreamState::Open(session)) => {
                if let Some(why) = session.on_deadline(&mut self.batches, cx) {
                    self.end_session(cx, upstream, why);
                }
            }
            Some(UpstreamState::Lingering(_)) => self.shut(cx, upstream, Shut::Reset),
            None => {}
        }
    }

    fn session(&mut self, upstream: UpstreamId) -> Option<(&mut Session, &mut Batches)> {
        Some((self.table.session_mut(upstream)?, &mut self.batches))
    }
}

/// Ends.
impl Sessions {
    /// A client closes a session, which may be gone already.
    fn close_session(&mut self, cx: &mut Context, sid: Sid) {
        if let Some(upstream) = self.table.find(&sid) {
            self.end_session(cx, upstream, SessionEnd::Closed);
        }
    }

    /// Ends a session: its ops are answered, and its upstream is shut.
    fn end_session(&mut self, cx: &mut Context, upstream: UpstreamId, why: SessionEnd) {
        // Two ops of one batch may both see the end; what lingers by then must not be disturbed.
        if self.table.session(upstream).is_none() {
            return;
        }
        let Some(UpstreamState::Open(session)) = self.table.remove(upstream) else { return };
        let kind = session.socket().kind();
        let cut = cut(why, kind);
        if kind == FlowKind::Tcp {
            self.closed.remember(session.sid(), ClosedSession { expected: session.expected(), cut });
        }
        let mut socket = session.end(cut, &mut self.batches, cx);
        let how = if why == SessionEnd::WriteTimedOut { Shut::Reset } else { Shut::Close };
        if how == Shut::Close && socket.unwritten() > 0 && !cx.is_closed() {
            socket.linger(cx);
            socket.ended(why, cx);
            self.table.insert(UpstreamState::Lingering(socket), cx);
        } else {
            socket.shut(how, cx);
            socket.ended(why, cx);
        }
    }

    /// Shuts an upstream that has no session.
    fn shut(&mut self, cx: &mut Context, upstream: UpstreamId, how: Shut) {
        if let Some(mut state) = self.table.remove(upstream) {
            state.socket_mut().shut(how, cx);
        }
    }

    /// The node closes, or levels 0 and 1 have no user any more: answers every batch and ends every session.
    pub(super) fn close(&mut self, cx: &mut Context, why: SessionEnd) {
        let reason = if why == SessionEnd::UserGone { USER_GONE } else { SHUTTING_DOWN };
        for request in self.batches.requests() {
            self.refuse_unready(cx, request, reason);
            self.respond_now(cx, request);
        }
        while let Some(upstream) = self.table.first() {
            match self.table.state(upstream) {
                Some(UpstreamState::Connecting(_)) | None => self.shut(cx, upstream, Shut::Reset),
                Some(UpstreamState::Open(_)) => self.end_session(cx, upstream, why),
                Some(UpstreamState::Lingering(_)) => self.shut(cx, upstream, Shut::Close),
            }
        }
    }

    /// Answers the ops of a request that cannot run any more.
    fn refuse_unready(&mut self, cx: &mut Context, request: RequestId, reason: &'static str) {
        let mut part = Part { request, index: 0 };
        while let Some(reply) = self.batches.reply(part) {
            match *reply {
                PendingReply::Connecting(upstream) => {
                    if let Some(UpstreamState::Connecting(connect)) = self.table.state(upstream) {
                        let reply = FixedReply::not_opened(connect.socket.kind(), reason);
                        self.batches.finish(part, reply, cx);
                        self.shut(cx, upstream, Shut::Reset);
                    }
                }
                PendingReply::Queued { upstream, seq } => {
                    if let Some(session) = self.table.session_mut(upstream) {
                        session.withdraw(part, seq);
                    }
                    self.batches.finish(part, FixedReply::error(reason, seq), cx);
                }
                PendingReply::Unread
                | PendingReply::Waiting(_)
                | PendingReply::Closing(_)
                | PendingReply::Ready(_)
                | PendingReply::Packet => {}
            }
            part.index = part.index.saturating_add(1);
        }
    }
}

/// Whether an op makes its batch active: it is answered soon, whatever its polls have.
fn is_active(op: &Op) -> bool {
    match op {
        Op::Connect { .. } | Op::ConnectData { .. } | Op::Streams { .. } => true,
        Op::Data { payload, .. } | Op::UdpOpen { payload, .. } | Op::UdpData { payload, .. } => {
            !payload.is_empty()
        }
        Op::Close { .. } => false,
    }
}
