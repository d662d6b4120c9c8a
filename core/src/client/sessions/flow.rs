//! Flow at levels 0 and 1, with its timer and its entries in the send queues.

use core::time::Duration;

use crate::client::action::EndReason;
use crate::client::context::{Context, TimerOwner};
use crate::client::event::LocalEvent;
use crate::client::relays::Path;
use crate::client::sessions::datagrams::Association;
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::ready::{Polling, SendQueue, Wants};
use crate::client::sessions::sequencing::Link;
use crate::client::sessions::session::{Outcome, Session, Start};
use crate::config::ClientOptions;
use crate::error::Misuse;
use crate::id::FlowId;
use crate::level::Level;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::{Op, Reply, Sid};

/// One flow.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    id: FlowId,
    kind: Kind,
    timer: TimerSlot,
    queued: Queued,
    /// What it wanted sent at the last refresh. Time changes only whether it wants to poll.
    wants: Wants,
    /// The rest of a turn that the end of a batch cut short (deficit round robin).
    deficit: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    Tcp(Session),
    Udp(Association),
}

/// The send queues that hold an entry of the flow, at most one each.
#[derive(Clone, Copy, Debug, Default)]
struct Queued {
    connect: bool,
    payload: bool,
    poll: bool,
}

impl Flow {
    pub(super) fn open(id: FlowId, target: Target, kind: FlowKind, context: &mut Context) -> Self {
        let kind = match kind {
            FlowKind::Tcp => Kind::Tcp(Session::open(id, target, context)),
            FlowKind::Udp => Kind::Udp(Association::open(id, target, context)),
        };
        let (timer, queued, wants) = (TimerSlot::default(), Queued::default(), Wants::default());
        Self { id, kind, timer, queued, wants, deficit: 0 }
    }

    pub(super) const fn target(&self) -> &Target {
        match &self.kind {
            Kind::Tcp(session) => session.target(),
            Kind::Udp(association) => association.target(),
        }
    }

    /// The node's name for the flow's session, once it has one.
    pub(super) fn sid(&self) -> Option<Sid> {
        match &self.kind {
            Kind::Tcp(session) => session.link().map(Link::sid),
            Kind::Udp(association) => association.sid(),
        }
    }

    /// The path that this flow's data ops need.
    pub(super) fn path(&self) -> Path {
        match self.link().map(Link::level) {
            Some(Level::Sequenced) => Path::Sequenced,
            Some(Level::Legacy | Level::Streams) | None => Path::Any,
        }
    }

    /// The established part of a TCP session.
    const fn link(&self) -> Option<&Link> {
        match &self.kind {
            Kind::Tcp(session) => session.link(),
            Kind::Udp(_) => None,
        }
    }

    const fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.kind {
            Kind::Tcp(session) => session.link_mut(),
            Kind::Udp(_) => None,
        }
    }

    pub(super) fn buffered(&self) -> usize {
        match &self.kind {
            Kind::Tcp(session) => session.buffered(),
            Kind::Udp(association) => association.buffered(),
        }
    }

    /// Whether the flow waits for room in the uplink pool.
    pub(super) const fn is_blocked(&self) -> bool {
        match &self.kind {
            Kind::Tcp(session) => session.is_blocked(),
            Kind::Udp(_) => false,
        }
    }

    /// The pool has room again.
    pub(super) fn regrant(&mut self, context: &mut Context) {
        if let Kind::Tcp(session) = &mut self.kind {
            session.regrant(context);
        }
    }

    /// Something happened on the application's socket. Returns whether that ends the flow.
    pub(super) fn on_local(&mut self, event: LocalEvent, context: &mut Context) -> Result<Outcome, Misuse> {
        match (&mut self.kind, event) {
            (Kind::Tcp(_), LocalEvent::Reset) | (Kind::Udp(_), LocalEvent::Reset | LocalEvent::Fin) => {
                Ok(Err(EndReason::Local))
            }
            (Kind::Tcp(session), event) => session.on_local(event, context).map(Ok),
            (Kind::Udp(association), event) => association.on_local(event, context).map(Ok),
        }
    }

    /// After anything that may have changed the flow: sets its timer, and returns what it wants sent, computed from its
    /// state.
    pub(super) fn refresh(&mut self, inputs: Inputs, context: &mut Context) -> Wants {
        self.wants = match &self.kind {
            Kind::Tcp(session) => session.wants(inputs, context.config()),
            Kind::Udp(association) => association.wants(inputs.now, context.config()),
        };
        let wants = self.wants;
        if let Some(link) = self.link_mut() {
            link.note_need(wants.payload.is_some() || wants.poll.is_some(), inputs.now);
        }
        let deadline = self.deadline(inputs, context.config());
        context.set_timer(&mut self.timer, TimerOwner::Flow(self.id), deadline);
        self.wants
    }

    /// The flow gets an entry in a queue. Returns whether it had none.
    pub(super) const fn enter(&mut self, queue: SendQueue) -> bool {
        !core::mem::replace(self.mark(queue), true)
    }

    /// The entry in a queue was taken.
    pub(super) const fn leave(&mut self, queue: SendQueue) {
        *self.mark(queue) = false;
    }

    const fn mark(&mut self, queue: SendQueue) -> &mut bool {
        match queue {
            SendQueue::Connect => &mut self.queued.connect,
            SendQueue::Payload => &mut self.queued.payload,
            SendQueue::Poll(_) => &mut self.queued.poll,
        }
    }

    /// Whether the flow wants its open sent.
    pub(super) const fn wants_connect(&self) -> bool {
        self.wants.connect
    }

    /// Bytes of payload that the flow wants sent, new or again.
    pub(super) const fn wants_payload(&self) -> Option<usize> {
        self.wants.payload
    }

    /// Whether the flow wants to poll now. Time may have changed that since the last refresh.
    pub(super) fn wants_poll(&self, inputs: Inputs, config: &ClientOptions) -> Option<Polling> {
        match &self.kind {
            Kind::Tcp(session) => session.wants_poll(inputs, config),
            Kind::Udp(association) => association.wants_poll(inputs.now),
        }
    }

    pub(super) const fn deficit(&self) -> usize {
        self.deficit
    }

    pub(super) const fn set_deficit(&mut self, deficit: usize) {
        self.deficit = deficit;
    }

    fn deadline(&self, inputs: Inputs, config: &ClientOptions) -> Option<(Instant, TimerKind)> {
        match &self.kind {
            Kind::Tcp(session) => session.deadline(inputs, config),
            Kind::Udp(association) => association.deadline(inputs.now, config),
        }
    }

    pub(super) fn on_timeout(&mut self, context: &mut Context) -> Outcome {
        match &mut self.kind {
            Kind::Tcp(session) => session.on_timeout(context),
            Kind::Udp(association) => association.on_timeout(context),
        }
    }

    pub(super) fn take_connect(&mut self, with_data: bool, most: usize) -> Op {
        match &mut self.kind {
            Kind::Tcp(session) => session.take_connect(with_data, most),
            Kind::Udp(association) => association.take_open(),
        }
    }

    pub(super) fn take_payload(&mut self, most: usize, context: &Context) -> Option<Op> {
        match &mut self.kind {
            Kind::Tcp(session) => session.take_payload(most, context.now(), context.config()),
            Kind::Udp(association) => association.take_payload(),
        }
    }

    pub(super) fn take_poll(&mut self, now: Instant) -> Option<Op> {
        match &mut self.kind {
            Kind::Tcp(session) => session.link_mut().map(|link| link.next_poll(now)),
            Kind::Udp(association) => association.take_poll(),
        }
    }

    /// Whether the next op of this flow has a fixed size: a datagram, or an op that goes again.
    pub(super) fn has_fixed_op(&self) -> bool {
        match &self.kind {
            Kind::Tcp(session) => session.link().is_some_and(Link::has_requeued),
            Kind::Udp(_) => true,
        }
    }

    /// Whether nothing newer than `op` was sent for this flow.
    pub(super) fn is_newest(&self, op: &Op) -> bool {
        match &self.kind {
            Kind::Tcp(session) => session.link().is_some_and(|link| link.is_newest(op)),
            Kind::Udp(_) => true,
        }
    }

    /// Whether `op`, a poll, is all that the flow has in flight, and may be followed by a newer one.
    pub(super) fn is_idle_polling(&self, op: &Op, inputs: Inputs, config: &ClientOptions) -> bool {
        self.link().is_some_and(|link| link.is_idle_polling(op, inputs, config))
    }

    /// The node answered the open. `level` is what the node and the relays make possible.
    pub(super) fn on_open_reply(
        &mut self,
        op: &Op,
        reply: Reply,
        level: Level,
        context: &mut Context,
    ) -> Outcome {
        match &mut self.kind {
            Kind::Tcp(session) => session.on_connect_reply(op, reply, level, context),
            Kind::Udp(association) => association.on_open_reply(reply, context),
        }
    }

    /// The node answered a data op after `elapsed`.
    pub(super) fn on_data_reply(
        &mut self,
        op: &Op,
        reply: Reply,
        elapsed: Duration,
        inputs: Inputs,
        context: &mut Context,
    ) -> Outcome {
        match &mut self.kind {
            Kind::Tcp(session) => session.on_data_reply(op, reply, elapsed, context),
            Kind::Udp(association) => association.on_data_reply(op, reply, inputs, context),
        }
    }

    /// The node cannot have had `op`: it is sent again.
    pub(super) fn requeue(&mut self, op: Op, now: Instant) {
        match &mut self.kind {
            Kind::Tcp(session) => session.requeue(op, now),
            Kind::Udp(association) => association.requeue(op),
        }
    }

    /// The node may have had `op`, and its reply is lost. A session ends, since it would have a gap (protocol.md 2.5
    /// "Loss"); datagrams may be lost.
    pub(super) fn on_lost(&mut self, op: &Op, now: Instant, why: EndReason) -> Outcome {
        match &mut self.kind {
            Kind::Tcp(_) => Err(why),
            Kind::Udp(association) => association.on_lost(op, now).map_err(|()| why),
        }
    }

    /// Falls back to level 0, if nothing was sent at level 1 yet.
    pub(super) fn downgrade(&mut self) -> bool {
        self.link_mut().is_some_and(Link::downgrade)
    }

    /// Hands over to a stream.
    pub(super) fn hand_over(mut self, context: &mut Context) -> Start {
        context.set_timer(&mut self.timer, TimerOwner::Flow(self.id), None);
        match &mut self.kind {
            Kind::Tcp(session) => session.start(),
            Kind::Udp(association) => association.start(),
        }
    }

    /// The flow is over: clears its timer and returns its credit.
    pub(super) fn close(&mut self, context: &mut Context) {
        context.set_timer(&mut self.timer, TimerOwner::Flow(self.id), None);
        if let Kind::Tcp(session) = &mut self.kind {
            session.close(context);
        }
    }

    /// The number of the reply that comes next, for a fingerprint; none where there are no numbers on the wire.
    #[cfg(feature = "model")]
    pub(super) const fn expected(&self) -> Option<crate::seq::Seq> {
        match &self.kind {
            Kind::Tcp(session) => session.expected(),
            Kind::Udp(_) => None,
        }
    }

    /// The flow's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(
        &self,
        config: &ClientOptions,
        print: &mut crate::fingerprint::Fingerprint<'_>,
    ) {
        print.value((self.queued.connect, self.queued.payload, self.queued.poll, self.deficit));
        match &self.kind {
            Kind::Tcp(session) => {
                print.value(0_u8);
                session.fingerprint(config, print);
            }
            Kind::Udp(association) => {
                print.value(1_u8);
                print.value(association);
            }
        }
    }

    /// An op of this flow that is in flight.
    #[cfg(feature = "model")]
    pub(super) fn op_fingerprint(&self, op: &Op, print: &mut crate::fingerprint::Fingerprint<'_>) {
        match &self.kind {
            Kind::Tcp(session) => session.op_fingerprint(op, print),
            Kind::Udp(_) => print.value((op.name(), op.payload())),
        }
    }
}
