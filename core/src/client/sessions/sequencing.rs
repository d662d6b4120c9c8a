//! A session's link to the node: numbered ops out, replies back into order (levels 0 and 1).

use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::Bytes;

use crate::client::action::EndReason;
use crate::client::sessions::depth::Depth;
use crate::client::sessions::pace::Pace;
use crate::config::ClientOptions;
#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;
use crate::level::Level;
use crate::reorder::{Rejected, ReorderLimits, ReorderQueue};
use crate::seq::Seq;
use crate::time::Instant;
use crate::wire::{Op, Reply, Sid};

/// Waits before the next poll of a session whose polls are not held, or that has one op in flight only, by
/// the number of empty answers in a row.
const POLL_WAITS: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(200),
    Duration::from_millis(500),
];

/// The wait when no relay holds polls and nothing has come for a while.
pub(in crate::client) const POLL_WAIT_NOT_HELD: Duration = Duration::from_secs(30);

/// A poll follows its payload after this time at the latest: just before the node's wait of 350 ms for the
/// answer to the payload is over.
pub(in crate::client) const LONGEST_BEHIND: Duration = Duration::from_millis(250);

/// The established part of a session.
#[derive(Clone, Debug)]
pub(in crate::client) struct Link {
    pub(in crate::client) sid: Sid,
    pub(in crate::client) level: Level,
    /// The number of the next new data op (level 1).
    next: Seq,
    in_flight: usize,
    polls_in_flight: usize,
    newest: Newest,
    /// When the last payload left.
    payload_sent: Instant,
    replies: ReorderQueue<Answered>,
    /// Whether the session's end waits for an earlier reply: no later one will bring anything.
    end_waits: bool,
    pub(in crate::client) depth: Depth,
    pace: Pace,
    /// Ops that the node cannot have had, to be sent again, in order.
    unsent: VecDeque<Op>,
    /// Since when it has had something to send, and no relay took it to the node.
    stranded: Option<Instant>,
    empties: usize,
    poll_from: Instant,
    /// Bytes handed to the driver and not yet written to the application.
    pub(in crate::client) undelivered: usize,
}

/// A reply, and whether it answers a poll.
#[derive(Clone, Debug)]
pub(in crate::client) struct Answered {
    pub(in crate::client) reply: Reply,
    pub(in crate::client) poll: bool,
}

/// What the op that was sent last carried: while it is a poll, the node has somewhere to put downlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Newest {
    Payload,
    Poll,
}

/// What the machine's circumstances allow.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Circumstances {
    pub(in crate::client) now: Instant,
    /// Calls are short: no poll that is not needed.
    pub(in crate::client) short: bool,
    /// No relay holds polls.
    pub(in crate::client) none_holds: bool,
    /// No relay that keeps `seq` holds polls.
    pub(in crate::client) none_holds_sequenced: bool,
    /// How long a poll waits where none is held and nothing has come for a while.
    pub(in crate::client) not_held: Duration,
    /// How long after a payload its session's next poll goes out, if nothing has come back by then.
    pub(in crate::client) poll_behind: Duration,
}

impl Link {
    pub(in crate::client) fn new(sid: Sid, level: Level, config: &ClientOptions, now: Instant) -> Self {
        let limits = ReorderLimits { items: config.reorder_replies(), bytes: usize::MAX };
        Self {
            sid,
            level,
            next: Seq::ZERO,
            in_flight: 0,
            polls_in_flight: 0,
            newest: Newest::Payload,
            payload_sent: now,
            replies: ReorderQueue::new(limits),
            end_waits: false,
            depth: Depth::new(),
            pace: Pace::new(),
            unsent: VecDeque::new(),
            stranded: None,
            empties: 0,
            poll_from: now,
            undelivered: 0,
        }
    }

    /// Whether an op with payload may be sent now.
    pub(in crate::client) fn may_send(&self, config: &ClientOptions) -> bool {
        self.unsent.is_empty() && self.in_flight < self.max_in_flight(config) && self.has_place(config)
    }

    /// How many bytes the next op with payload may have.
    pub(in crate::client) fn room(&self, config: &ClientOptions) -> usize {
        self.pace.room(self.max_in_flight(config))
    }

    /// Whether the reply to one op more would find a place while it waits for the oldest.
    fn has_place(&self, config: &ClientOptions) -> bool {
        let ahead = usize::try_from(self.next.ahead_of(self.replies.expected())).unwrap_or(usize::MAX);
        ahead <= config.reorder_replies()
    }

    /// Whether ops wait to be sent again.
    pub(in crate::client) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Notes whether there is something to send. An op in flight may still be answered, so it changes nothing:
    /// one that comes back unsent again and again has waited since the first time.
    pub(in crate::client) fn note_need(&mut self, needs: bool, now: Instant) {
        if self.in_flight == 0 {
            self.stranded = needs.then(|| self.stranded.unwrap_or(now));
        }
    }

    /// When the wait for a relay that takes its ops is over.
    pub(in crate::client) fn stranded_deadline(&self, config: &ClientOptions) -> Option<Instant> {
        let since = self.stranded.filter(|_| self.in_flight == 0 && !planted!(UnsentWaits))?;
        Some(since.saturating_add(config.reply_watchdog()))
    }

    /// Whether a poll should be sent now.
    pub(in crate::client) fn wants_poll(
        &self,
        circumstances: Circumstances,
        queued: usize,
        config: &ClientOptions,
    ) -> bool {
        if !self.unsent.is_empty() || self.undelivered >= config.downlink_window {
            return false;
        }
        if self.in_flight == 0 {
            return queued == 0 && self.poll_at(circumstances) <= circumstances.now;
        }
        // What was lost before the end is awaited, and nothing else.
        if self.level == Level::Legacy
            || self.end_waits
            || self.in_flight >= config.max_depth
            || !self.has_place(config)
        {
            return false;
        }
        let behind_payload =
            self.poll_behind_at(circumstances, queued).is_some_and(|at| at <= circumstances.now);
        let most = if circumstances.short { 1 } else { (config.max_depth / 2).max(1) };
        behind_payload || (self.polls_in_flight > 0 && self.polls_in_flight < self.depth.target().min(most))
    }

    /// When the next poll is due, if time alone decides it.
    pub(in crate::client) fn poll_deadline(
        &self,
        circumstances: Circumstances,
        queued: usize,
    ) -> Option<Instant> {
        let at = match self.in_flight {
            0 if self.unsent.is_empty() => Some(self.poll_at(circumstances)),
            0 => None,
            _ => self.poll_behind_at(circumstances, queued),
        };
        at.filter(|at| *at > circumstances.now)
    }

    /// When a poll should follow the last payload, so that the node always has an op to answer: it answers
    /// the payload at once then, and holds the poll instead.
    fn poll_behind_at(&self, circumstances: Circumstances, queued: usize) -> Option<Instant> {
        let wanted = self.level == Level::Sequenced
            && self.newest == Newest::Payload
            && queued == 0
            && self.unsent.is_empty()
            && !self.end_waits
            && !circumstances.short;
        wanted.then(|| self.payload_sent.saturating_add(circumstances.poll_behind))
    }

    fn poll_at(&self, circumstances: Circumstances) -> Instant {
        if planted!(PollsSpin) || self.level == Level::Sequenced && !circumstances.none_holds_sequenced {
            return self.poll_from;
        }
        let none_holds = match self.level {
            Level::Legacy => circumstances.none_holds,
            Level::Sequenced | Level::Streams => circumstances.none_holds_sequenced,
        };
        let wait = match self.empties {
            0 if self.depth.is_bulk() => Duration::ZERO,
            empties if none_holds && empties > 3 => circumstances.not_held,
            empties => POLL_WAITS.get(empties).copied().unwrap_or(Duration::from_millis(500)),
        };
        self.poll_from.saturating_add(wait)
    }

    fn max_in_flight(&self, config: &ClientOptions) -> usize {
        match self.level {
            Level::Legacy => 1,
            Level::Sequenced | Level::Streams => config.max_depth,
        }
    }

    /// The next new op; without payload, a poll.
    pub(in crate::client) fn next_op(&mut self, payload: Bytes, now: Instant) -> Op {
        let seq = match self.level {
            Level::Legacy => None,
            Level::Sequenced | Level::Streams => {
                let seq = self.next;
                self.next = if planted!(SeqReused) && self.in_flight == 2 { seq } else { seq.next() };
                Some(seq)
            }
        };
        let op = Op::Data { sid: self.sid, seq, payload };
        self.on_sent(&op, now);
        op
    }

    /// The first op that must be sent again.
    pub(in crate::client) fn next_unsent(&mut self, now: Instant) -> Option<Op> {
        let op = self.unsent.pop_front()?;
        if planted!(SeqRenumbered)
            && let Op::Data { payload, .. } = op
        {
            return Some(self.next_op(payload, now));
        }
        self.on_sent(&op, now);
        Some(op)
    }

    /// The first op that must be sent again.
    pub(in crate::client) fn first_unsent(&self) -> Option<&Op> {
        self.unsent.front()
    }

    fn on_sent(&mut self, op: &Op, now: Instant) {
        self.in_flight = self.in_flight.saturating_add(1);
        self.pace.on_sent(payload_len(op));
        if is_poll(op) {
            self.polls_in_flight = self.polls_in_flight.saturating_add(1);
            self.newest = Newest::Poll;
        } else {
            self.newest = Newest::Payload;
            self.payload_sent = now;
        }
    }

    fn on_ended(&mut self, op: &Op) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pace.on_ended(payload_len(op));
        if is_poll(op) {
            self.polls_in_flight = self.polls_in_flight.saturating_sub(1);
        }
    }

    /// The node cannot have had `op`: it goes out again, in its place.
    pub(in crate::client) fn on_unsent(&mut self, op: Op, now: Instant) {
        self.on_ended(&op);
        self.stranded.get_or_insert(now);
        if planted!(ResentTwice) {
            self.unsent.push_back(op.clone());
        }
        let place = self.unsent.iter().position(|other| seq_of(&op) < seq_of(other));
        self.unsent.insert(place.unwrap_or(self.unsent.len()), op);
    }

    /// Whether `op` is the newest one of this link: nothing after it made the node answer early.
    pub(in crate::client) fn is_newest(&self, op: &Op) -> bool {
        seq_of(op).is_none_or(|seq| seq.next() == self.next)
    }

    /// Falls back to level 0, if no op was numbered yet.
    pub(in crate::client) fn downgrade(&mut self) -> bool {
        let unused = self.next == Seq::ZERO;
        if unused {
            self.level = Level::Legacy;
        }
        unused
    }

    /// Whether `op` is the newest one and nothing else is in flight.
    pub(in crate::client) fn is_alone(&self, op: &Op) -> bool {
        self.in_flight == 1 && self.is_newest(op)
    }

    /// The reply to `op` came. It may wait for earlier ones; take what is in order with
    /// [`next_reply`](Self::next_reply).
    pub(in crate::client) fn on_reply(
        &mut self,
        op: &Op,
        reply: Reply,
        elapsed: Duration,
        config: &ClientOptions,
    ) -> Result<Order, EndReason> {
        self.on_ended(op);
        self.stranded = None;
        let poll = is_poll(op);
        if !poll {
            self.pace.on_answer(payload_len(op), elapsed, config.uplink_window);
        }
        let Some(seq) = seq_of(op) else {
            let at = self.replies.expected();
            return self.place(at, Answered { reply, poll });
        };
        // An error can come from a relay that knows nothing of seq; it ends the session anyway.
        if reply.seq != Some(seq) && reply.error.is_none() {
            return Err(EndReason::SequenceBroken);
        }
        let place = if planted!(ArrivalOrder) { self.replies.expected() } else { seq };
        self.place(place, Answered { reply, poll })
    }

    fn place(&mut self, seq: Seq, answered: Answered) -> Result<Order, EndReason> {
        let bytes = answered.reply.data.len();
        let order = if seq == self.replies.expected() { Order::Ready } else { Order::Waits };
        self.end_waits |= answered.reply.eof || answered.reply.error.is_some();
        match self.replies.insert(seq, answered, bytes) {
            Ok(()) => Ok(order),
            // Ops in flight are fewer than places, and each is answered once.
            Err(Rejected::Old(_) | Rejected::Duplicate(_) | Rejected::Full(_)) => {
                Err(EndReason::SequenceBroken)
            }
        }
    }

    /// The next reply in order, if it has come.
    pub(in crate::client) fn next_reply(&mut self) -> Option<Answered> {
        self.replies.pop()
    }

    /// Bytes of replies that wait for an earlier one.
    pub(in crate::client) const fn waiting_bytes(&self) -> usize {
        self.replies.bytes()
    }

    /// A reply in order brought `bytes`.
    pub(in crate::client) fn on_downlink(
        &mut self,
        now: Instant,
        bytes: usize,
        poll: bool,
        config: &ClientOptions,
    ) {
        self.depth.on_reply(bytes, poll, config.max_depth);
        self.empties = if bytes == 0 && poll { self.empties.saturating_add(1) } else { 0 };
        self.poll_from = now;
    }

    /// The number of the reply that comes next, for a fingerprint.
    #[cfg(feature = "model")]
    pub(in crate::client) const fn expected(&self) -> Seq {
        self.replies.expected()
    }

    /// The link's part of a state's fingerprint. A time counts as long as something can still look at it.
    #[cfg(feature = "model")]
    pub(in crate::client) fn fingerprint(&self, config: &ClientOptions, print: &mut Fingerprint<'_>) {
        let expected = self.replies.expected();
        print.value((self.level, self.next.ahead_of(expected), self.in_flight, self.polls_in_flight));
        print.value((self.newest, self.depth.target(), self.empties.min(POLL_WAITS.len()), self.undelivered));
        print.value(self.replies.len());
        for (seq, answered) in self.replies.iter() {
            print.value((seq.ahead_of(expected), answered.poll));
            reply_fingerprint(&answered.reply, print);
        }
        self.pace.fingerprint(print);
        print.each(self.unsent.iter(), |print, op| self.op_fingerprint(op, print));
        print.value(self.stranded.is_some());
        if let Some(since) = self.stranded {
            print.deadline(since.saturating_add(config.reply_watchdog()));
        }
        if self.in_flight == 0 {
            // Whatever is in flight sets it anew when it is answered.
            print.deadline(self.poll_from.saturating_add(POLL_WAIT_NOT_HELD));
        }
        if self.newest == Newest::Payload {
            print.deadline(self.payload_sent.saturating_add(LONGEST_BEHIND));
        }
    }

    /// An op of this link, with its number relative to the reply that comes next.
    #[cfg(feature = "model")]
    pub(in crate::client) fn op_fingerprint(&self, op: &Op, print: &mut Fingerprint<'_>) {
        print.value((op.name(), op.payload()));
        print.value(seq_of(op).map(|seq| seq.ahead_of(self.replies.expected())));
    }

    /// Something from the application: it may be about to hear back, so polls start over.
    pub(in crate::client) fn on_uplink(&mut self, now: Instant) {
        self.empties = 0;
        self.poll_from = now;
    }
}

/// Whether a reply is next in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Order {
    Ready,
    Waits,
}

fn seq_of(op: &Op) -> Option<Seq> {
    match op {
        Op::Data { seq, .. } => *seq,
        Op::Connect { .. }
        | Op::ConnectData { .. }
        | Op::UdpOpen { .. }
        | Op::UdpData { .. }
        | Op::Close { .. }
        | Op::Streams { .. } => None,
    }
}

#[cfg(feature = "model")]
fn reply_fingerprint(reply: &Reply, print: &mut Fingerprint<'_>) {
    print.value((&reply.data, reply.eof, reply.error.is_some(), reply.damaged));
}

fn payload_len(op: &Op) -> usize {
    op.payload().map_or(0, Bytes::len)
}

/// Whether `op` asks for downlink and carries nothing.
pub(in crate::client) fn is_poll(op: &Op) -> bool {
    matches!(op, Op::Data { .. } | Op::UdpData { .. }) && op.payload().is_some_and(Bytes::is_empty)
}
