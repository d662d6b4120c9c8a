//! Sequencing of one session: numbered ops out, replies in order (protocol.md 2.4 rule 1, 2.5 "Order").

use alloc::collections::VecDeque;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::Bytes;

use crate::client::action::EndReason;
use crate::client::relays::Path;
use crate::client::sessions::batch::Polling;
use crate::client::sessions::polls::{Inputs, Polls};
use crate::client::sessions::uplink_window::UplinkWindow;
use crate::config::ClientOptions;
use crate::error::Misuse;
use crate::level::Level;
use crate::reorder::{ReorderLimits, ReorderQueue};
use crate::seq::Seq;
use crate::time::Instant;
use crate::wire::{Op, Reply, Sid};

/// The established part of a session.
#[derive(Clone, Debug)]
pub(super) struct Link {
    sid: Sid,
    /// The path that its ops need: whether they have numbers (level 1).
    path: Path,
    /// The number of the next new data op.
    next: Seq,
    in_flight: usize,
    replies: ReorderQueue<SequencedReply>,
    /// Whether the session's end waits for an earlier reply: no later one will bring anything.
    end_waits: bool,
    polls: Polls,
    window: UplinkWindow,
    /// Ops that the node cannot have had, to be sent again, in order.
    requeued: VecDeque<Op>,
    /// Since when it has had something to send that no relay could take.
    unroutable: Option<Instant>,
    /// Bytes handed to the driver and not yet written to the application.
    undelivered: usize,
}

/// A reply, and whether it answers a poll.
#[derive(Clone, Debug)]
pub(super) struct SequencedReply {
    pub(super) reply: Reply,
    pub(super) poll: bool,
}

impl Hash for Link {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.sid, self.path, self.next, self.in_flight, &self.replies, &self.polls).hash(state);
        (&self.window, &self.requeued, self.unroutable, self.undelivered).hash(state);
        // Whatever is in flight sets it anew when it is answered.
        (self.in_flight == 0).then(|| self.polls.due_at_last()).hash(state);
    }
}

impl Hash for SequencedReply {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Reply { data, eof, error, damaged, .. } = &self.reply;
        (data, eof, error.is_some(), damaged, self.poll).hash(state);
    }
}

impl Link {
    pub(super) fn new(sid: Sid, level: Level, config: &ClientOptions, now: Instant) -> Self {
        let limits = ReorderLimits { items: config.reorder_replies(), bytes: usize::MAX };
        Self {
            sid,
            path: if level == Level::Legacy { Path::Any } else { Path::Sequenced },
            next: Seq::ZERO,
            in_flight: 0,
            replies: ReorderQueue::new(limits),
            end_waits: false,
            polls: Polls::new(now),
            window: UplinkWindow::new(),
            requeued: VecDeque::new(),
            unroutable: None,
            undelivered: 0,
        }
    }

    /// The node's name for the session.
    pub(super) const fn sid(&self) -> Sid {
        self.sid
    }

    pub(super) const fn path(&self) -> Path {
        self.path
    }

    /// The application has taken `bytes`.
    pub(super) fn on_written(&mut self, bytes: usize) -> Result<(), Misuse> {
        self.undelivered = self.undelivered.checked_sub(bytes).ok_or(Misuse::WrittenTooMuch)?;
        Ok(())
    }

    /// Bytes of the op that should be sent now, with `queued` bytes that no op carries yet: one that goes again, or a
    /// new one.
    pub(super) fn wants_payload(&self, queued: usize, config: &ClientOptions) -> Option<usize> {
        if let Some(op) = self.requeued.front() {
            return op.payload().map(Bytes::len);
        }
        let bytes = queued.min(self.room(config));
        Some(bytes).filter(|bytes| *bytes > 0 && self.may_send(config))
    }

    /// Whether a new op with payload may be sent now.
    fn may_send(&self, config: &ClientOptions) -> bool {
        self.requeued.is_empty() && self.in_flight < self.max_in_flight(config) && self.has_place(config)
    }

    /// How many bytes the next op with payload may have.
    pub(super) fn room(&self, config: &ClientOptions) -> usize {
        self.window.room(self.max_in_flight(config))
    }

    /// Whether the reply to one more op could wait for the oldest one.
    fn has_place(&self, config: &ClientOptions) -> bool {
        let ahead = usize::try_from(self.next.ahead_of(self.replies.expected())).unwrap_or(usize::MAX);
        ahead <= config.reorder_replies()
    }

    /// Whether ops wait to be sent again.
    pub(super) fn has_requeued(&self) -> bool {
        !self.requeued.is_empty()
    }

    /// Notes whether there is something to send. Nothing changes while an op is in flight, so an op that is requeued again
    /// and again has waited since the first time.
    pub(super) fn note_need(&mut self, needs: bool, now: Instant) {
        if self.in_flight == 0 {
            self.unroutable = needs.then(|| self.unroutable.unwrap_or(now));
        }
    }

    /// When the wait for a relay that takes its ops is over.
    pub(super) fn unroutable_deadline(&self, config: &ClientOptions) -> Option<Instant> {
        let since = self.unroutable.filter(|_| self.in_flight == 0)?;
        Some(since.saturating_add(config.reply_watchdog()))
    }

    /// The poll that should be sent now, with `queued` bytes of payload that no op carries yet.
    pub(super) fn wants_poll(
        &self,
        inputs: Inputs,
        queued: usize,
        config: &ClientOptions,
    ) -> Option<Polling> {
        self.is_poll_due(inputs, queued, config).then(|| self.polls.polling())
    }

    fn is_poll_due(&self, inputs: Inputs, queued: usize, config: &ClientOptions) -> bool {
        if !self.requeued.is_empty() || self.undelivered >= config.downlink_window {
            return false;
        }
        if self.in_flight == 0 {
            return queued == 0 && self.polls.due_at(self.path, inputs) <= inputs.now;
        }
        // Once the end has come, only what precedes it is missing.
        if self.path == Path::Any
            || self.end_waits
            || self.in_flight >= config.max_depth
            || !self.has_place(config)
        {
            return false;
        }
        let most = if inputs.short { 1 } else { (config.max_depth / 2).max(1) };
        let behind_payload = self.poll_behind_at(inputs, queued).is_some_and(|at| at <= inputs.now);
        behind_payload || self.polls.may_deepen(most)
    }

    /// When the next poll is due, if time alone decides it.
    pub(super) fn poll_deadline(&self, inputs: Inputs, queued: usize) -> Option<Instant> {
        let at = match self.in_flight {
            0 if self.requeued.is_empty() => Some(self.polls.due_at(self.path, inputs)),
            0 => None,
            _ => self.poll_behind_at(inputs, queued),
        };
        at.filter(|at| *at > inputs.now)
    }

    /// When a poll should follow the last payload.
    fn poll_behind_at(&self, inputs: Inputs, queued: usize) -> Option<Instant> {
        let wanted = self.path == Path::Sequenced
            && queued == 0
            && self.requeued.is_empty()
            && !self.end_waits
            && !inputs.short;
        self.polls.behind_at(inputs).filter(|_| wanted)
    }

    /// Whether `op`, a poll, is all that the session has in flight, and may be followed by a newer one.
    pub(super) fn is_idle_polling(&self, op: &Op, inputs: Inputs, config: &ClientOptions) -> bool {
        self.path == Path::Sequenced
            && self.in_flight == 1
            && self.is_newest(op)
            && self.may_send(config)
            && self.polls.polling() == Polling::Idle
            && self.undelivered < config.downlink_window
            && !inputs.none_holds_sequenced
    }

    fn max_in_flight(&self, config: &ClientOptions) -> usize {
        match self.path {
            Path::Any => 1,
            Path::Sequenced => config.max_depth,
        }
    }

    /// A poll.
    pub(super) fn next_poll(&mut self, now: Instant) -> Op {
        self.next_op(Bytes::new(), now)
    }

    /// The next new op; without payload, a poll.
    pub(super) fn next_op(&mut self, payload: Bytes, now: Instant) -> Op {
        let seq = (self.path == Path::Sequenced).then_some(self.next);
        if let Some(seq) = seq {
            self.next = seq.next();
        }
        let op = Op::Data { sid: self.sid, seq, payload };
        self.on_sent(&op, now);
        op
    }

    /// The next op that must be sent again.
    pub(super) fn next_requeued(&mut self, now: Instant) -> Option<Op> {
        let op = self.requeued.pop_front()?;
        self.on_sent(&op, now);
        Some(op)
    }

    fn on_sent(&mut self, op: &Op, now: Instant) {
        self.in_flight = self.in_flight.saturating_add(1);
        self.window.on_sent(payload_len(op));
        self.polls.on_sent(is_poll(op), now);
    }

    fn on_ended(&mut self, op: &Op) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.window.on_ended(payload_len(op));
        self.polls.on_ended(is_poll(op));
    }

    /// The node cannot have had `op`: it goes out again, in its place.
    pub(super) fn requeue(&mut self, op: Op, now: Instant) {
        self.on_ended(&op);
        self.unroutable.get_or_insert(now);
        let index = self.requeued.iter().position(|other| seq_of(&op) < seq_of(other));
        self.requeued.insert(index.unwrap_or(self.requeued.len()), op);
    }

    /// Whether `op` is the newest one: nothing after it made the node answer early.
    pub(super) fn is_newest(&self, op: &Op) -> bool {
        seq_of(op).is_none_or(|seq| seq.next() == self.next)
    }

    /// Falls back to level 0, if no op was numbered yet.
    pub(super) fn downgrade(&mut self) -> bool {
        let unused = self.next == Seq::ZERO;
        if unused {
            self.path = Path::Any;
        }
        unused
    }

    /// The reply to `op` came. Returns whether it is next in order; take what is with
    /// [`next_reply`](Self::next_reply).
    pub(super) fn on_reply(
        &mut self,
        op: &Op,
        reply: Reply,
        elapsed: Duration,
        config: &ClientOptions,
    ) -> Result<bool, EndReason> {
        self.on_ended(op);
        self.unroutable = None;
        let poll = is_poll(op);
        if !poll {
            self.window.on_answer(payload_len(op), elapsed, config.uplink_window);
        }
        let seq = match seq_of(op) {
            // An error can come from a relay that does not know `seq`; it ends the session anyway.
            Some(seq) if reply.seq != Some(seq) && reply.error.is_none() => {
                return Err(EndReason::SequenceBroken);
            }
            Some(seq) => seq,
            None => self.replies.expected(),
        };
        self.end_waits |= reply.eof || reply.error.is_some();
        let bytes = reply.data.len();
        // `has_place` bounds the ops in flight, and each is answered once.
        let taken = self.replies.insert(seq, SequencedReply { reply, poll }, bytes);
        taken.map(|()| self.replies.is_ready()).map_err(|_| EndReason::SequenceBroken)
    }

    /// The next reply in order, if it has come.
    pub(super) fn next_reply(&mut self) -> Option<SequencedReply> {
        self.replies.pop()
    }

    /// Bytes of replies that wait for an earlier one.
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.replies.bytes()
    }

    /// A reply in order brought `bytes`.
    pub(super) fn on_downlink(&mut self, now: Instant, bytes: usize, poll: bool, config: &ClientOptions) {
        self.polls.on_reply(bytes, poll, config.max_depth, now);
        self.undelivered = self.undelivered.saturating_add(bytes);
    }

    /// The number of the reply that comes next.
    #[cfg(feature = "model")]
    pub(super) const fn expected(&self) -> Seq {
        self.replies.expected()
    }

    /// The application sent something.
    pub(super) fn on_uplink(&mut self, now: Instant) {
        self.polls.on_uplink(now);
    }
}

fn seq_of(op: &Op) -> Option<Seq> {
    if let Op::Data { seq, .. } = op { *seq } else { None }
}

fn payload_len(op: &Op) -> usize {
    op.payload().map_or(0, Bytes::len)
}

/// Whether `op` asks for downlink and carries nothing.
pub(super) fn is_poll(op: &Op) -> bool {
    matches!(op, Op::Data { .. } | Op::UdpData { .. }) && op.payload().is_some_and(Bytes::is_empty)
}
