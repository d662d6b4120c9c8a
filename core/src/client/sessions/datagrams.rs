//! UDP association at levels 0 and 1 (protocol.md 2.6). Datagrams have no order, so none waits for another.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::Bytes;

use crate::client::action::{ClientAction, ClientNotice, EndReason};
use crate::client::context::Context;
use crate::client::event::LocalEvent;
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::ready::{Polling, Wants};
use crate::client::sessions::session::{Outcome, Start};
use crate::config::{ClientOptions, OpenMode};
use crate::credit::Credit;
use crate::datagrams::DatagramQueue;
use crate::error::Misuse;
use crate::id::FlowId;
use crate::level::Level;
use crate::target::{FlowKind, Target};
use crate::time::{Deadline, Instant};
use crate::timer::TimerKind;
use crate::wire::{Op, Reply, Sid};

/// The largest datagram, by the length field of UDP.
const MAX_DATAGRAM: usize = 65_535;

/// The wait after a lost poll. Longer waits are up to the relays.
const POLL_AGAIN: Duration = Duration::from_millis(500);

/// One UDP flow.
#[derive(Clone, Debug)]
pub(super) struct Association {
    id: FlowId,
    target: Target,
    phase: AssociationPhase,
    queue: DatagramQueue,
    opened: Instant,
    last_active: Instant,
    announced: bool,
}

/// The wait after so many empty polls that were not held: doubled each time up to half a minute.
fn poll_wait(empties: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(30);
    POLL_AGAIN.saturating_mul(1_u32.checked_shl(empties.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST)
}

/// ```text
///   FirstDatagram ── one came, or the wait is over ──▶ OpenDue ◀── not sent ──┐
///                                                       ▲ │ ▲                 │
///                            Unlinked ── a datagram ────┘ │ └─ more wait ──┐  │
///                               ▲                         ▼                │  │
///                               └── a relay's answer ── Opening ───────────┴──┘
///                                                         │ sid
///                                                         ▼
///                                                      Linked ── eof, error, idle ──▶ (ended)
/// ```
/// A relay that answers from its own cache reports the end of a session that does not exist: the flow goes on without
/// one.
#[derive(Clone, Debug)]
enum AssociationPhase {
    FirstDatagram { until: Instant },
    Unlinked,
    OpenDue,
    Opening,
    Linked(Linked),
}

#[derive(Clone, Debug)]
struct Linked {
    sid: Sid,
    polls: usize,
    payloads: usize,
    poll_from: Instant,
    empties: u32,
}

impl Association {
    pub(super) fn open(id: FlowId, target: Target, context: &mut Context) -> Self {
        let announced = context.config().open == OpenMode::Optimistic;
        if announced {
            context.push(ClientAction::Opened { flow: id });
        }
        let now = context.now();
        let until = now.saturating_add(context.config().tuning.first_bytes_wait);
        Self {
            id,
            target,
            phase: AssociationPhase::FirstDatagram { until },
            queue: DatagramQueue::default(),
            opened: now,
            last_active: now,
            announced,
        }
    }

    /// Hands over to a stream.
    pub(super) fn start(&mut self) -> Start {
        let mut bytes = Vec::new();
        self.queue.take_into(usize::MAX, &mut bytes);
        Start {
            target: self.target.clone(),
            flow: FlowKind::Udp,
            bytes,
            finished: false,
            credit: Credit::new(0),
        }
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) const fn sid(&self) -> Option<Sid> {
        match &self.phase {
            AssociationPhase::Linked(linked) => Some(linked.sid),
            AssociationPhase::FirstDatagram { .. }
            | AssociationPhase::Unlinked
            | AssociationPhase::OpenDue
            | AssociationPhase::Opening => None,
        }
    }

    /// Bytes of datagrams that wait.
    pub(super) const fn buffered(&self) -> usize {
        self.queue.bytes()
    }

    /// Something happened on the application's socket. `Fin` and `Reset` are the engine's to handle.
    pub(super) fn on_local(&mut self, event: LocalEvent, context: &mut Context) -> Result<(), Misuse> {
        let now = context.now();
        match event {
            LocalEvent::Data(datagram) if datagram.len() > MAX_DATAGRAM => Err(Misuse::DatagramTooLarge),
            LocalEvent::Data(datagram) => {
                self.last_active = now;
                self.push(datagram, context);
                self.open_if_queued(now);
                Ok(())
            }
            LocalEvent::Written(_) | LocalEvent::Fin | LocalEvent::Reset => Ok(()),
        }
    }

    /// A flow without a session opens one when it has something to send.
    fn open_if_queued(&mut self, now: Instant) {
        if let AssociationPhase::FirstDatagram { .. } | AssociationPhase::Unlinked = self.phase
            && !self.queue.is_empty()
        {
            self.phase = AssociationPhase::OpenDue;
            self.opened = now;
        }
    }

    fn push(&mut self, datagram: Bytes, context: &mut Context) {
        // An empty payload means none on the wire, so an empty datagram cannot be sent.
        if datagram.is_empty() {
            return;
        }
        let dropped = self.queue.push(datagram, context.config().tuning.udp_queue, usize::MAX);
        context.add(|stats| &mut stats.datagrams_dropped, dropped);
    }

    /// What the flow wants sent now.
    pub(super) fn wants(&self, now: Instant, config: &ClientOptions) -> Wants {
        match &self.phase {
            AssociationPhase::FirstDatagram { .. }
            | AssociationPhase::Unlinked
            | AssociationPhase::Opening => Wants::default(),
            AssociationPhase::OpenDue => Wants { connect: true, ..Wants::default() },
            AssociationPhase::Linked(linked) => Wants {
                connect: false,
                payload: self.queue.next_len().filter(|_| linked.payloads < config.max_depth),
                poll: self.wants_poll(now),
            },
        }
    }

    /// The poll that the flow wants sent now.
    pub(super) fn wants_poll(&self, now: Instant) -> Option<Polling> {
        let AssociationPhase::Linked(linked) = &self.phase else { return None };
        (linked.polls == 0 && linked.poll_from <= now).then_some(Polling::Idle)
    }

    pub(super) fn deadline(&self, now: Instant, config: &ClientOptions) -> Option<(Instant, TimerKind)> {
        let idle = (self.last_active.saturating_add(config.udp_idle), TimerKind::IdleFlow);
        let phase = match &self.phase {
            AssociationPhase::FirstDatagram { until } => Some((*until, TimerKind::FirstBytes)),
            AssociationPhase::OpenDue => {
                Some((self.opened.saturating_add(config.request_timeout), TimerKind::ReplyWatchdog))
            }
            AssociationPhase::Unlinked | AssociationPhase::Opening => None,
            AssociationPhase::Linked(linked) => {
                Some((linked.poll_from, TimerKind::Poll)).filter(|(at, _)| linked.polls == 0 && *at > now)
            }
        };
        phase.into_iter().chain([idle]).min()
    }

    pub(super) fn on_timeout(&mut self, context: &Context) -> Outcome {
        let (now, config) = (context.now(), context.config());
        if self.last_active.saturating_add(config.udp_idle) <= now {
            return Err(EndReason::Idle);
        }
        match &self.phase {
            AssociationPhase::FirstDatagram { until } if *until <= now => {
                self.phase = AssociationPhase::OpenDue;
                Ok(())
            }
            AssociationPhase::OpenDue if self.opened.saturating_add(config.request_timeout) <= now => {
                Err(EndReason::NoRelay)
            }
            AssociationPhase::FirstDatagram { .. }
            | AssociationPhase::Unlinked
            | AssociationPhase::OpenDue
            | AssociationPhase::Opening
            | AssociationPhase::Linked(_) => Ok(()),
        }
    }

    /// The op that opens the flow, with its first datagram if there is one.
    pub(super) fn take_open(&mut self) -> Op {
        self.phase = AssociationPhase::Opening;
        Op::UdpOpen { target: self.target.clone(), payload: self.queue.pop().unwrap_or_default() }
    }

    /// The next datagram.
    pub(super) fn take_payload(&mut self) -> Option<Op> {
        let sid = self.sid()?;
        let payload = self.queue.pop()?;
        if let AssociationPhase::Linked(linked) = &mut self.phase {
            linked.payloads = linked.payloads.saturating_add(1);
        }
        Some(Op::UdpData { sid, payload })
    }

    pub(super) fn take_poll(&mut self) -> Option<Op> {
        let AssociationPhase::Linked(linked) = &mut self.phase else { return None };
        linked.polls = linked.polls.saturating_add(1);
        Some(Op::UdpData { sid: linked.sid, payload: Bytes::new() })
    }

    /// The node cannot have had `op`: it is sent again.
    pub(super) fn requeue(&mut self, op: Op) {
        if let AssociationPhase::Opening = self.phase {
            self.phase = AssociationPhase::OpenDue;
        }
        self.on_op_ended(&op);
        if let Op::UdpOpen { payload, .. } | Op::UdpData { payload, .. } = op
            && !payload.is_empty()
        {
            self.queue.put_back(payload);
        }
    }

    /// The node may have had `op`, and its reply is lost. UDP allows the loss of datagrams.
    pub(super) fn on_lost(&mut self, op: &Op, now: Instant) -> Result<(), ()> {
        self.on_op_ended(op);
        match &mut self.phase {
            AssociationPhase::Linked(linked) => {
                linked.poll_from = now.saturating_add(POLL_AGAIN);
                Ok(())
            }
            AssociationPhase::FirstDatagram { .. }
            | AssociationPhase::Unlinked
            | AssociationPhase::OpenDue
            | AssociationPhase::Opening => Err(()),
        }
    }

    fn on_op_ended(&mut self, op: &Op) {
        if let (AssociationPhase::Linked(linked), Op::UdpData { payload, .. }) = (&mut self.phase, op) {
            let counter = if payload.is_empty() { &mut linked.polls } else { &mut linked.payloads };
            *counter = counter.saturating_sub(1);
        }
    }

    /// The node answered the open.
    pub(super) fn on_open_reply(&mut self, reply: Reply, context: &mut Context) -> Outcome {
        let now = context.now();
        if let Some(error) = &reply.error {
            return Err(EndReason::of_failed_open(error));
        }
        let Some(sid) = reply.sid else { return Err(EndReason::NodeError) };
        if !core::mem::replace(&mut self.announced, true) {
            context.push(ClientAction::Opened { flow: self.id });
        }
        if reply.eof {
            self.phase = AssociationPhase::Unlinked;
            self.take_packets(reply, context);
            self.open_if_queued(now);
            return Ok(());
        }
        self.phase =
            AssociationPhase::Linked(Linked { sid, polls: 0, payloads: 0, poll_from: now, empties: 0 });
        context.notice(ClientNotice::Connected { flow: self.id, level: Level::Legacy });
        self.on_packets(reply, context)
    }

    /// The node answered a datagram or a poll.
    pub(super) fn on_data_reply(
        &mut self,
        op: &Op,
        reply: Reply,
        inputs: Inputs,
        context: &mut Context,
    ) -> Outcome {
        self.on_op_ended(op);
        if reply.error.is_some() {
            return Err(EndReason::NodeError);
        }
        let empty = reply.packets.is_empty();
        if empty && op.payload().is_some_and(Bytes::is_empty) {
            context.count(|stats| &mut stats.empty_polls);
        }
        if let AssociationPhase::Linked(linked) = &mut self.phase {
            linked.empties = if empty { linked.empties.saturating_add(1) } else { 0 };
            let wait = if inputs.none_holds && empty { poll_wait(linked.empties) } else { Duration::ZERO };
            linked.poll_from = inputs.now.saturating_add(wait);
        }
        self.on_packets(reply, context)
    }

    fn on_packets(&mut self, reply: Reply, context: &mut Context) -> Outcome {
        let ended = reply.eof;
        self.take_packets(reply, context);
        if ended { Err(EndReason::Finished) } else { Ok(()) }
    }

    fn take_packets(&mut self, reply: Reply, context: &mut Context) {
        if !reply.packets.is_empty() {
            self.last_active = context.now();
        }
        for packet in reply.packets {
            context.deliver(self.id, packet);
        }
    }
}

impl Hash for Association {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.target, self.announced).hash(state);
        self.opened.hash(state);
        self.last_active.hash(state);
        match &self.phase {
            AssociationPhase::FirstDatagram { until } => {
                0_u8.hash(state);
                until.hash(state);
            }
            AssociationPhase::Unlinked => 4_u8.hash(state),
            AssociationPhase::OpenDue => 1_u8.hash(state),
            AssociationPhase::Opening => 2_u8.hash(state),
            AssociationPhase::Linked(linked) => {
                (3_u8, linked.polls, linked.payloads, linked.empties.min(8)).hash(state);
                Deadline(linked.poll_from).hash(state);
            }
        }
        self.queue.hash(state);
    }
}
