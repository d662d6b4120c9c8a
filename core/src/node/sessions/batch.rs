//! Batches: held requests of levels 0 and 1, with a pending reply for each op (protocol.md 2.4 rules 4 and 7).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::{RequestId, UpstreamId};
use crate::level::Caps;
use crate::node::context::{Context, Owner};
use crate::node::requests::{AnswerForm, Part};
use crate::node::sessions::hold::{BatchDecision, BatchDelays, BatchHold, DrainInputs, DrainWait};
use crate::node::sessions::reply::FixedReply;
use crate::seq::Seq;
use crate::time::Instant;
use crate::timer::TimerSlot;
use crate::wire::Sid;

/// The batches that are held.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Batches(BTreeMap<RequestId, Batch>);

/// A request between its arrival and its answer.
#[derive(Clone, Debug, Hash)]
pub(super) struct Batch {
    form: AnswerForm,
    replies: Vec<PendingReply>,
    /// How many replies are [unready](PendingReply::is_unready).
    unready: usize,
    hold: BatchHold,
    delays: BatchDelays,
    timer: TimerSlot,
}

/// The reply to one op before its batch is answered.
///
/// ```text
///  Unread ──▶ Connecting ──opened──┐
///    │                             ▼
///    ├──────▶ Queued ───its turn──▶ Waiting ──the batch is answered──▶ (reply with bytes)
///    │                             │
///    ├──────▶ Closing              └─a later op, or the end of its session──▶ Ready
///    ├──────▶ Packet
///    └──────▶ Ready
/// ```
#[derive(Clone, Debug, Hash)]
pub(super) enum PendingReply {
    /// The op has not been looked at.
    Unread,
    /// The op opens an upstream that is not open yet.
    Connecting(UpstreamId),
    /// The op has to wait before it may run.
    Queued {
        /// The upstream of its session.
        upstream: UpstreamId,
        /// Its place there.
        seq: Option<Seq>,
    },
    /// The op has run. It takes downlink bytes when the batch is answered, and not before: in a reply that waits for
    /// another op, bytes would be out of reach of later ops of their session, and beyond its bound.
    Waiting(Drain),
    /// The op closes a session that earlier ops of the batch name: after their drains.
    Closing(Sid),
    /// The reply is known.
    Ready(FixedReply),
    /// The op is a packet of level 2: its reply is kept with the request, and is known before the batch is looked at.
    Packet,
}

impl PendingReply {
    /// Whether the batch cannot be answered yet, since this op has neither run nor failed.
    const fn is_unready(&self) -> bool {
        match self {
            Self::Unread | Self::Connecting(_) | Self::Queued { .. } => true,
            Self::Waiting(_) | Self::Closing(_) | Self::Ready(_) | Self::Packet => false,
        }
    }
}

/// An op that has run and takes downlink bytes when it is answered.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Drain {
    pub(super) upstream: UpstreamId,
    pub(super) seq: Option<Seq>,
    pub(super) role: Role,
    /// How long it waits for the answer to its payload. A poll waits for something to fetch in any session of its batch.
    pub(super) wait: Option<DrainWait>,
}

/// What an op is for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// `connect`, and `udp_open` without a datagram: it takes no bytes.
    Open(Option<Caps>),
    /// `connect_data`, and `udp_open` with a datagram.
    FirstBytes(Option<Caps>),
    /// A data op.
    Data,
}

impl Batches {
    pub(super) fn insert(&mut self, request: RequestId, batch: Batch) {
        self.0.insert(request, batch);
    }

    /// Takes a batch out, with its timer.
    pub(super) fn remove(&mut self, request: RequestId, cx: &mut Context) -> Option<Batch> {
        let mut batch = self.0.remove(&request)?;
        cx.set_timer(&mut batch.timer, Owner::Request(request), None);
        Some(batch)
    }

    pub(super) fn get(&self, request: RequestId) -> Option<&Batch> {
        self.0.get(&request)
    }

    /// The requests of all batches.
    pub(super) fn requests(&self) -> Vec<RequestId> {
        self.0.keys().copied().collect()
    }

    /// The pending reply to an op.
    pub(super) fn reply(&self, op: Part) -> Option<&PendingReply> {
        self.0.get(&op.request)?.replies.get(op.index)
    }

    /// Whether a batch is answered now; if not, sets its timer. `growing` tells when the bytes of a session came last,
    /// if there are any and more may come.
    pub(super) fn decide(
        &mut self,
        request: RequestId,
        growing: impl Fn(UpstreamId) -> Option<Instant>,
        cx: &mut Context,
    ) -> bool {
        let Some(batch) = self.0.get_mut(&request) else { return false };
        let deadline = match batch.decide(cx.now(), growing) {
            BatchDecision::Answer => return true,
            BatchDecision::Unready => None,
            BatchDecision::Wait { at, timer } => Some((at, timer)),
        };
        cx.set_timer(&mut batch.timer, Owner::Request(request), deadline);
        false
    }

    /// Sets the pending reply to an op, if its request is still held.
    pub(super) fn set(&mut self, op: Part, reply: PendingReply, cx: &mut Context) {
        if let Some(batch) = self.0.get_mut(&op.request) {
            batch.set(op.index, reply);
            cx.queue_request(op.request);
        }
    }

    /// The reply to an op is known, and a reason to answer a held poll.
    pub(super) fn finish(&mut self, op: Part, reply: FixedReply, cx: &mut Context) {
        if let Some(batch) = self.0.get_mut(&op.request) {
            cx.count(|stats| &mut stats.failed_ops, usize::from(reply.error.is_some()));
            batch.set(op.index, PendingReply::Ready(reply));
            batch.hold.end_longpoll();
            cx.queue_request(op.request);
        }
    }

    /// The session of an op that waits has something to fetch.
    pub(super) fn data_ready(&mut self, op: Part, cx: &mut Context) {
        if let Some(batch) = self.0.get_mut(&op.request) {
            if let Some(PendingReply::Waiting(drain)) = batch.replies.get_mut(op.index)
                && let Some(wait) = &mut drain.wait
            {
                wait.become_ready(cx.now());
            }
            batch.hold.end_longpoll();
            cx.queue_request(op.request);
        }
    }

    /// A later op of a session in this batch has come with another request: whether the whole batch is answered for it.
    pub(super) fn release(&mut self, request: RequestId, cx: &mut Context) -> bool {
        let released =
            self.0.get_mut(&request).is_some_and(|batch| batch.hold.release() && batch.unready == 0);
        if released {
            cx.queue_request(request);
        }
        released
    }

    /// An earlier op of this batch names a session that it closes: its polls wait for nothing.
    pub(super) fn hurry_polls(&mut self, request: RequestId) {
        if let Some(batch) = self.0.get_mut(&request) {
            batch.hold.hurry_polls();
        }
    }
}

impl Batch {
    pub(super) fn new(form: AnswerForm, ops: usize, hold: BatchHold, delays: BatchDelays) -> Self {
        Self {
            form,
            replies: alloc::vec![PendingReply::Unread; ops],
            unready: ops,
            hold,
            delays,
            timer: TimerSlot::default(),
        }
    }

    /// Whether a data op without payload is a poll here. A single op waits like one with payload.
    pub(super) const fn has_polls(&self) -> bool {
        matches!(self.form, AnswerForm::Batch)
    }

    /// The wait of an op that runs `now`.
    pub(super) fn start_wait(&self, now: Instant, ready: bool) -> DrainWait {
        self.delays.start(now, ready)
    }

    /// The form of its answer, and the replies in their order.
    pub(super) fn into_replies(self) -> (AnswerForm, Vec<PendingReply>) {
        (self.form, self.replies)
    }

    fn set(&mut self, index: usize, reply: PendingReply) {
        let Some(old) = self.replies.get_mut(index) else { return };
        let left = self.unready.saturating_sub(usize::from(old.is_unready()));
        self.unready = left.saturating_add(usize::from(reply.is_unready()));
        *old = reply;
    }

    fn decide(&self, now: Instant, growing: impl Fn(UpstreamId) -> Option<Instant>) -> BatchDecision {
        if self.unready > 0 {
            return BatchDecision::Unready;
        }
        let drains = self.replies.iter().filter_map(|reply| match reply {
            PendingReply::Waiting(drain) => Some(drain),
            PendingReply::Unread
            | PendingReply::Connecting(_)
            | PendingReply::Queued { .. }
            | PendingReply::Closing(_)
            | PendingReply::Ready(_)
            | PendingReply::Packet => None,
        });
        let drains = drains.map(|drain| DrainInputs { wait: drain.wait, growing: growing(drain.upstream) });
        self.hold.decide(now, &self.delays, drains)
    }
}
