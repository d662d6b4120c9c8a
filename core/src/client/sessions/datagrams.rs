//! UDP association at levels 0 and 1 (protocol.md 2.6). Datagrams have no order, so none waits for another.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::client::action::{ClientNotice, EndReason};
use crate::client::context::Context;
use crate::client::sessions::batch::Polling;
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::session::{Outcome, Start};
use crate::config::ClientOptions;
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

/// Empty answers are counted up to this: the wait after them does not grow any more.
const MOST_EMPTIES: u32 = 8;

/// The datagrams of one UDP flow.
///
/// A relay that answers from its own cache reports the end of a session that does not exist: the flow goes on without
/// one, until there is a datagram to send.
#[derive(Clone, Debug, Hash)]
pub(super) struct Association {
    id: FlowId,
    queue: DatagramQueue,
    last_active: Instant,
    /// The session at the node, once there is one.
    link: Option<AssociationLink>,
}

#[derive(Clone, Debug, Hash)]
struct AssociationLink {
    sid: Sid,
    polls: usize,
    payloads: usize,
    poll_from: Deadline,
    empties: u32,
}

/// The wait after so many empty polls that were not held: doubled each time up to half a minute.
fn poll_wait(empties: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(30);
    POLL_AGAIN.saturating_mul(1_u32.checked_shl(empties.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST)
}

impl Association {
    pub(super) fn new(id: FlowId, now: Instant) -> Self {
        Self { id, queue: DatagramQueue::default(), last_active: now, link: None }
    }

    /// Hands over to a stream.
    pub(super) fn hand_over(mut self, target: Target) -> Start {
        let mut bytes = Vec::new();
        self.queue.take_into(usize::MAX, &mut bytes);
        Start { target, flow: FlowKind::Udp, bytes, finished: false, credit: Credit::new(0) }
    }

    pub(super) fn sid(&self) -> Option<Sid> {
        self.link.as_ref().map(|link| link.sid)
    }

    /// Bytes of datagrams that wait.
    pub(super) const fn buffered(&self) -> usize {
        self.queue.bytes()
    }

    /// The application sent a datagram.
    pub(super) fn on_data(&mut self, datagram: Bytes, context: &mut Context) -> Result<(), Misuse> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Misuse::DatagramTooLarge);
        }
        self.last_active = context.now();
        // An empty payload means none on the wire, so an empty datagram cannot be sent.
        if !datagram.is_empty() {
            let dropped = self.queue.push(datagram, context.config().tuning.udp_queue, usize::MAX);
            context.add(|stats| &mut stats.datagrams_dropped, dropped);
        }
        Ok(())
    }

    /// Whether there are datagrams and no session for them.
    pub(super) fn wants_session(&self) -> bool {
        self.link.is_none() && !self.queue.is_empty()
    }

    /// The length of the datagram that should be sent now.
    pub(super) fn wants_payload(&self, config: &ClientOptions) -> Option<usize> {
        let link = self.link.as_ref()?;
        self.queue.next_len().filter(|_| link.payloads < config.max_depth)
    }

    /// The poll that should be sent now.
    pub(super) fn wants_poll(&self, now: Instant) -> Option<Polling> {
        let link = self.link.as_ref()?;
        (link.polls == 0 && link.poll_from.has_passed(now)).then_some(Polling::Idle)
    }

    /// When the flow has been idle for too long, and when its next poll is due.
    pub(super) fn deadlines(
        &self,
        now: Instant,
        config: &ClientOptions,
    ) -> [Option<(Instant, TimerKind)>; 2] {
        let poll = self.link.as_ref().filter(|link| link.polls == 0 && !link.poll_from.has_passed(now));
        [
            Some((self.last_active.saturating_add(config.udp_idle), TimerKind::IdleFlow)),
            poll.map(|link| (link.poll_from.0, TimerKind::Poll)),
        ]
    }

    /// The op that opens the flow, with its first datagram if there is one.
    pub(super) fn take_connect(&mut self, target: Target) -> Op {
        Op::UdpOpen { target, payload: self.queue.pop().unwrap_or_default() }
    }

    /// The next datagram.
    pub(super) fn take_payload(&mut self) -> Option<Op> {
        let link = self.link.as_mut()?;
        let payload = self.queue.pop()?;
        link.payloads = link.payloads.saturating_add(1);
        Some(Op::UdpData { sid: link.sid, payload })
    }

    pub(super) fn take_poll(&mut self) -> Option<Op> {
        let link = self.link.as_mut()?;
        link.polls = link.polls.saturating_add(1);
        Some(Op::UdpData { sid: link.sid, payload: Bytes::new() })
    }

    /// The node cannot have had `op`: it is sent again.
    pub(super) fn requeue(&mut self, op: Op) {
        self.on_op_ended(&op);
        if let Op::UdpOpen { payload, .. } | Op::UdpData { payload, .. } = op
            && !payload.is_empty()
        {
            self.queue.put_back(payload);
        }
    }

    /// The node may have had `op`, and its reply is lost. UDP allows the loss of datagrams, but not of its open.
    pub(super) fn on_lost(&mut self, op: &Op, now: Instant) -> Option<()> {
        self.on_op_ended(op);
        self.link.as_mut()?.poll_from = Deadline(now.saturating_add(POLL_AGAIN));
        Some(())
    }

    fn on_op_ended(&mut self, op: &Op) {
        if let (Some(link), Op::UdpData { payload, .. }) = (&mut self.link, op) {
            let counter = if payload.is_empty() { &mut link.polls } else { &mut link.payloads };
            *counter = counter.saturating_sub(1);
        }
    }

    /// The node opened a session.
    pub(super) fn on_opened(&mut self, sid: Sid, reply: Reply, context: &mut Context) -> Outcome {
        if reply.eof {
            self.deliver(reply, context);
            return Ok(());
        }
        let poll_from = Deadline(context.now());
        self.link = Some(AssociationLink { sid, polls: 0, payloads: 0, poll_from, empties: 0 });
        context.notice(ClientNotice::Connected { flow: self.id, level: Level::Legacy });
        self.deliver(reply, context);
        Ok(())
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
        if let Some(link) = &mut self.link {
            link.empties = if empty { link.empties.saturating_add(1).min(MOST_EMPTIES) } else { 0 };
            let wait = if inputs.none_holds && empty { poll_wait(link.empties) } else { Duration::ZERO };
            link.poll_from = Deadline(inputs.now.saturating_add(wait));
        }
        let ended = reply.eof;
        self.deliver(reply, context);
        if ended { Err(EndReason::Finished) } else { Ok(()) }
    }

    fn deliver(&mut self, reply: Reply, context: &mut Context) {
        if !reply.packets.is_empty() {
            self.last_active = context.now();
        }
        for packet in reply.packets {
            context.deliver(self.id, packet);
        }
    }
}
