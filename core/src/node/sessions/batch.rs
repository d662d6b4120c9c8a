//! A held request: a slot for the reply to each of its ops.

use alloc::vec::Vec;

#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;
use crate::id::{RequestId, UpstreamId};
use crate::level::Caps;
use crate::node::event::Endpoint;
use crate::node::sessions::hold::{Hold, Pace, Verdict, Wait, Waiting};
use crate::node::sessions::reply::Fixed;
use crate::node::streams::client::ConnectionId;
use crate::seq::Seq;
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::number::ExchangeNumber;
use crate::wire::{Sealing, Sid};

/// Where an op is answered: its request, and its place therein.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::node) struct OpRef {
    pub(in crate::node) request: RequestId,
    pub(in crate::node) place: usize,
}

/// The form of a request's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::node) enum Form {
    /// Many replies.
    Batch,
    /// One reply.
    Single,
    /// A packet and nothing else.
    Packet,
}

impl From<&Endpoint> for Form {
    fn from(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Batch => Self::Batch,
            Endpoint::Single => Self::Single,
            Endpoint::Streams { .. } => Self::Packet,
        }
    }
}

/// A request between its arrival and its answer.
#[derive(Clone, Debug)]
pub(in crate::node) struct Batch {
    pub(in crate::node) form: Form,
    pub(in crate::node) slots: Vec<Slot>,
    /// How many slots are [unready](Slot::is_unready).
    unready: usize,
    hold: Hold,
    pub(in crate::node) pace: Pace,
    /// Whether it is on the machine's agenda already.
    pub(in crate::node) listed: bool,
    pub(in crate::node) timer: TimerSlot,
    /// What its timer is for.
    pub(in crate::node) due: TimerKind,
}

/// The reply to one op, on its way.
///
/// ```text
///  Unread ──▶ Connecting ──opened──┐
///    │                             ▼
///    ├──────▶ Queued ───its turn──▶ Waiting ──the batch is answered──▶ (reply with bytes)
///    │                             │
///    ├──────▶ Closing              └─a later op, or the end of its session──▶ Ready
///    └──────▶ Ready
///    └──────▶ Exchange ──its client is served──▶ Packet
/// ```
#[derive(Clone, Debug)]
pub(in crate::node) enum Slot {
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
    /// The op has run. It takes what came from upstream when the batch is answered, and not before: bytes in
    /// a reply that still waits for another op would be out of their session's reach, and of its bound.
    Waiting(Drain),
    /// The op closes a session that earlier ops of the batch name: after their drains.
    Closing(Sid),
    /// The reply is known.
    Ready(Fixed),
    /// The op brought a packet of this client, and its exchange is held (level 2).
    Exchange(ConnectionId, ExchangeNumber),
    /// The reply is this packet.
    Packet(Sealing),
}

impl Slot {
    /// Whether the batch cannot be answered yet, since this op has neither run nor failed.
    const fn is_unready(&self) -> bool {
        match self {
            Self::Unread | Self::Connecting(_) | Self::Queued { .. } | Self::Exchange(..) => true,
            Self::Waiting(_) | Self::Closing(_) | Self::Ready(_) | Self::Packet(_) => false,
        }
    }
}

/// An op that has run and takes what its session has when it is answered.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Drain {
    pub(in crate::node) upstream: UpstreamId,
    pub(in crate::node) seq: Option<Seq>,
    pub(in crate::node) role: Role,
}

/// What an op waits for after it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Role {
    /// `connect`, and `udp_open` without a datagram: nothing; it takes no bytes either.
    Open(Option<Caps>),
    /// `connect_data`, and `udp_open` with a datagram: the answer to its payload.
    FirstBytes(Option<Caps>, Wait),
    /// A data op without payload: something to fetch, in any session of its batch.
    Poll,
    /// A data op with payload: the answer to it.
    Payload(Wait),
}

impl Role {
    /// Whether its reply is the first to name the session.
    pub(in crate::node) const fn opens(&self) -> bool {
        matches!(self, Self::Open(_) | Self::FirstBytes(..))
    }

    const fn wait(&mut self) -> Option<&mut Wait> {
        match self {
            Self::FirstBytes(_, wait) | Self::Payload(wait) => Some(wait),
            Self::Open(_) | Self::Poll => None,
        }
    }
}

impl Batch {
    pub(in crate::node) fn new(form: Form, ops: usize, hold: Hold, pace: Pace) -> Self {
        Self {
            form,
            slots: alloc::vec![Slot::Unread; ops],
            unready: ops,
            hold,
            pace,
            listed: false,
            timer: TimerSlot::default(),
            due: TimerKind::Hold,
        }
    }

    /// Whether a data op without payload is a poll here. A single op waits like one with payload.
    pub(in crate::node) const fn has_polls(&self) -> bool {
        matches!(self.form, Form::Batch)
    }

    /// Whether every op has run or failed.
    pub(in crate::node) const fn is_answerable(&self) -> bool {
        self.unready == 0
    }

    /// Puts `slot` into its place.
    pub(in crate::node) fn set(&mut self, place: usize, slot: Slot) {
        let Some(old) = self.slots.get_mut(place) else { return };
        let left = self.unready.saturating_sub(usize::from(old.is_unready()));
        self.unready = left.saturating_add(usize::from(slot.is_unready()));
        *old = slot;
    }

    /// The reply to an op is known, and worth telling: a held poll is answered.
    pub(in crate::node) fn tell(&mut self, place: usize, reply: Fixed) {
        self.set(place, Slot::Ready(reply));
        self.end_longpoll();
    }

    /// The session of an op that waits has something to fetch.
    pub(in crate::node) fn hear(&mut self, place: usize, now: Instant) {
        if let Some(Slot::Waiting(drain)) = self.slots.get_mut(place)
            && let Some(wait) = drain.role.wait()
        {
            wait.heard.get_or_insert(now);
        }
        self.end_longpoll();
    }

    /// A later op of a session in this batch has come with another one: whether this one waits for nothing
    /// any more.
    pub(in crate::node) const fn release(&mut self) -> bool {
        if matches!(self.hold, Hold::Each) {
            return false;
        }
        self.hold = Hold::Over;
        true
    }

    /// An earlier op of this batch names a session that it closes: its polls wait for nothing.
    pub(in crate::node) fn hurry_polls(&mut self) {
        if matches!(self.hold, Hold::LongPoll { .. }) {
            self.hold = Hold::Active;
        }
    }

    /// Whether the batch is answered `now`; `growing` says of a session when its bytes came last, if there
    /// are any and more may come.
    pub(in crate::node) fn verdict(
        &self,
        now: Instant,
        growing: impl Fn(UpstreamId) -> Option<Instant>,
    ) -> Verdict {
        if !self.is_answerable() {
            return Verdict::Unready;
        }
        match self.hold {
            Hold::Over => Verdict::Answer,
            Hold::LongPoll { .. } if planted!(HoldEndless) => Verdict::Unready,
            Hold::LongPoll { until } if now < until && self.drains().next().is_some() => {
                Verdict::Wait { at: until, timer: TimerKind::Hold }
            }
            Hold::LongPoll { .. } => Verdict::Answer,
            Hold::Active | Hold::Each => {
                let waits = self.drains().filter_map(|mut drain| {
                    let wait = *drain.role.wait()?;
                    Some(Waiting { wait, growing: growing(drain.upstream) })
                });
                self.pace.verdict(now, waits)
            }
        }
    }

    /// What is not in its slots, for a fingerprint.
    #[cfg(feature = "model")]
    pub(in crate::node) fn fingerprint(&self, print: &mut Fingerprint<'_>) {
        print.value(self.form);
        match self.hold {
            Hold::LongPoll { until } => {
                print.value(0_u8);
                print.deadline(until);
            }
            Hold::Active => print.value(1_u8),
            Hold::Over => print.value(2_u8),
            Hold::Each => print.value(3_u8),
        }
    }

    /// The wait of an op of this batch, for a fingerprint: as long as the batch looks at it.
    #[cfg(feature = "model")]
    pub(in crate::node) fn wait_fingerprint(&self, wait: Wait, print: &mut Fingerprint<'_>) {
        if !matches!(self.hold, Hold::Over) {
            self.pace.wait_fingerprint(wait, print);
        }
    }

    fn drains(&self) -> impl Iterator<Item = Drain> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Waiting(drain) => Some(*drain),
            Slot::Unread
            | Slot::Connecting(_)
            | Slot::Queued { .. }
            | Slot::Closing(_)
            | Slot::Ready(_)
            | Slot::Exchange(..)
            | Slot::Packet(_) => None,
        })
    }

    const fn end_longpoll(&mut self) {
        if matches!(self.hold, Hold::LongPoll { .. }) {
            self.hold = Hold::Over;
        }
    }
}
