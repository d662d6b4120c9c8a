//! Flow at levels 0 and 1: how it opens, its deadlines, and its entries in the send queues (protocol.md 2.5, 2.6).

use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::client::action::{ClientAction, EndReason};
use crate::client::context::{Context, TimerOwner};
use crate::client::event::LocalEvent;
use crate::client::relays::Path;
use crate::client::sessions::batch::{Polling, SendQueue};
use crate::client::sessions::datagrams::Association;
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::sequencing::Link;
use crate::client::sessions::session::{Outcome, Session, Start};
use crate::config::{ClientOptions, OpenMode};
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
    target: Target,
    /// How far its open is; none once the node has answered that.
    opening: Option<Opening>,
    /// Since when it wants to open.
    opened: Instant,
    /// Whether the application knows that the flow is open.
    announced: bool,
    transport: Transport,
    timer: TimerSlot,
    queued: Queued,
    /// The rest of a turn that the end of a batch cut short (deficit round robin).
    deficit: usize,
}

/// ```text
///   FirstBytes ── first bytes, or the wait is over ──▶ Due ◀──────────────┐
///                                                      ▲ │                │ not sent, or
///       (optimistic opening on ordinary ports and UDP  │ │ in a batch     │ connect_data unknown
///        start here; all others at Due)                │ ▼                │
///                    a datagram without a session ─────┤ Sent ────────────┘
///                                                      │ │ sid
///                                                      │ ▼
///                                                     (none) ── eof, error, lost exchange ──▶ (ended)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Opening {
    FirstBytes { until: Instant },
    Due,
    Sent,
}

#[derive(Clone, Debug, Hash)]
enum Transport {
    Tcp(Session),
    Udp(Association),
}

/// The send queues that hold an entry of the flow, at most one each.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Queued {
    connect: bool,
    payload: bool,
    poll: bool,
}

/// The time of the open counts until the node has answered it.
impl Hash for Flow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.target, self.opening, self.announced, &self.transport, self.queued, self.deficit).hash(state);
        self.opening.map(|_| self.opened).hash(state);
    }
}

impl Flow {
    /// A flow whose application has just been accepted.
    pub(super) fn open(id: FlowId, target: Target, kind: FlowKind, context: &mut Context) -> Self {
        let (now, config) = (context.now(), context.config());
        let announced = config.open == OpenMode::Optimistic;
        let server_first = config.tuning.server_first_ports.contains(&target.port());
        let opening = match kind {
            FlowKind::Tcp if server_first || !announced => Opening::Due,
            FlowKind::Tcp | FlowKind::Udp => {
                Opening::FirstBytes { until: now.saturating_add(config.tuning.first_bytes_wait) }
            }
        };
        let transport = match kind {
            FlowKind::Tcp => Transport::Tcp(Session::new(id, now, config)),
            FlowKind::Udp => Transport::Udp(Association::new(id, now)),
        };
        let mut flow = Self {
            id,
            target,
            opening: Some(opening),
            opened: now,
            announced,
            transport,
            timer: TimerSlot::default(),
            queued: Queued::default(),
            deficit: 0,
        };
        if announced {
            context.push(ClientAction::Opened { flow: id });
            flow.regrant(context);
            if opening == Opening::Due {
                context.count(|stats| &mut stats.first_bytes_skipped);
            }
        }
        flow
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// The node's name for the flow's session, once it has one.
    pub(super) fn sid(&self) -> Option<Sid> {
        match &self.transport {
            Transport::Tcp(session) => session.link().map(Link::sid),
            Transport::Udp(association) => association.sid(),
        }
    }

    /// The path that this flow's data ops need.
    pub(super) fn path(&self) -> Path {
        self.link().map_or(Path::Any, Link::path)
    }

    /// The established part of a TCP session.
    fn link(&self) -> Option<&Link> {
        match &self.transport {
            Transport::Tcp(session) => session.link(),
            Transport::Udp(_) => None,
        }
    }

    fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.transport {
            Transport::Tcp(session) => session.link_mut(),
            Transport::Udp(_) => None,
        }
    }

    /// Payload bytes that are buffered in both directions.
    pub(super) fn buffered(&self) -> usize {
        match &self.transport {
            Transport::Tcp(session) => session.buffered(),
            Transport::Udp(association) => association.buffered(),
        }
    }

    /// Whether the flow waits for room in the uplink pool.
    pub(super) const fn is_blocked(&self) -> bool {
        matches!(&self.transport, Transport::Tcp(session) if session.is_blocked())
    }

    /// Gives credit to the reader of the application's socket: not before a confirmed open.
    pub(super) fn regrant(&mut self, context: &mut Context) {
        if let Transport::Tcp(session) = &mut self.transport
            && self.announced
        {
            session.regrant(context);
        }
    }

    /// Something happened on the application's socket. Returns whether that ends the flow.
    pub(super) fn on_local(&mut self, event: LocalEvent, context: &mut Context) -> Result<Outcome, Misuse> {
        match (event, &mut self.transport) {
            (LocalEvent::Reset, _) | (LocalEvent::Fin, Transport::Udp(_)) => {
                return Ok(Err(EndReason::Local));
            }
            (LocalEvent::Data(bytes), Transport::Tcp(session)) => {
                session.on_data(bytes, context.now())?;
                if self.end_first_bytes() {
                    context.count(|stats| &mut stats.first_bytes_hit);
                }
                self.regrant(context);
            }
            (LocalEvent::Data(datagram), Transport::Udp(association)) => {
                association.on_data(datagram, context)?;
                self.open_if_queued(context.now());
            }
            (LocalEvent::Fin, Transport::Tcp(session)) => {
                session.on_fin(context.now())?;
                self.end_first_bytes();
            }
            (LocalEvent::Written(bytes), Transport::Tcp(session)) => session.on_written(bytes)?,
            (LocalEvent::Written(_), Transport::Udp(_)) => {}
        }
        Ok(Ok(()))
    }

    /// The wait for first bytes is over, if there was one.
    fn end_first_bytes(&mut self) -> bool {
        let waited = matches!(self.opening, Some(Opening::FirstBytes { .. }));
        if waited {
            self.opening = Some(Opening::Due);
        }
        waited
    }

    /// A UDP flow without a session opens one when it has something to send.
    fn open_if_queued(&mut self, now: Instant) {
        if let Transport::Udp(association) = &self.transport
            && association.wants_session()
            && matches!(self.opening, None | Some(Opening::FirstBytes { .. }))
        {
            self.opening = Some(Opening::Due);
            self.opened = now;
        }
    }

    /// After anything that may have changed the flow: sets its timer, and returns the queues for what it wants sent.
    pub(super) fn refresh(&mut self, inputs: Inputs, context: &mut Context) -> [Option<SendQueue>; 3] {
        let config = context.config();
        let wanted = [
            self.wants_connect().then_some(SendQueue::Connect),
            self.wants_payload(config).map(|_| SendQueue::Payload),
            self.wants_poll(inputs, config).map(SendQueue::Poll),
        ];
        if let Some(link) = self.link_mut() {
            link.note_need(wanted.iter().any(Option::is_some), inputs.now);
        }
        let deadline = self.deadlines(inputs, config).into_iter().flatten().min();
        context.set_timer(&mut self.timer, TimerOwner::Flow(self.id), deadline);
        wanted
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
    pub(super) fn wants_connect(&self) -> bool {
        self.opening == Some(Opening::Due)
    }

    /// Bytes of payload that the flow wants sent, new or again.
    pub(super) fn wants_payload(&self, config: &ClientOptions) -> Option<usize> {
        match &self.transport {
            Transport::Tcp(session) => session.wants_payload(config),
            Transport::Udp(association) => association.wants_payload(config),
        }
    }

    /// The poll that the flow wants sent now.
    pub(super) fn wants_poll(&self, inputs: Inputs, config: &ClientOptions) -> Option<Polling> {
        match &self.transport {
            Transport::Tcp(session) => session.wants_poll(inputs, config),
            Transport::Udp(association) => association.wants_poll(inputs.now),
        }
    }

    pub(super) const fn deficit(&self) -> usize {
        self.deficit
    }

    pub(super) const fn set_deficit(&mut self, deficit: usize) {
        self.deficit = deficit;
    }

    /// Everything that time alone changes, the ends of the flow first.
    fn deadlines(&self, inputs: Inputs, config: &ClientOptions) -> [Option<(Instant, TimerKind)>; 4] {
        let opening = self.opening.and_then(|opening| match opening {
            Opening::FirstBytes { until } => Some((until, TimerKind::FirstBytes)),
            // No relay could take the open in the time that a call may last.
            Opening::Due => {
                Some((self.opened.saturating_add(config.request_timeout), TimerKind::ReplyWatchdog))
            }
            Opening::Sent => None,
        });
        match &self.transport {
            Transport::Tcp(session) => {
                let [unroutable, quiet, poll] = session.deadlines(inputs, config);
                [opening, unroutable, quiet, poll]
            }
            Transport::Udp(association) => {
                let [idle, poll] = association.deadlines(inputs.now, config);
                [idle, opening, poll, None]
            }
        }
    }

    /// The flow's deadline may have come.
    pub(super) fn on_timeout(&mut self, inputs: Inputs, context: &mut Context) -> Outcome {
        let deadlines = self.deadlines(inputs, context.config());
        match deadlines.into_iter().flatten().find(|(at, _)| *at <= inputs.now) {
            Some((_, TimerKind::FirstBytes)) => {
                if let Transport::Tcp(_) = self.transport {
                    context.count(|stats| &mut stats.first_bytes_missed);
                }
                self.opening = Some(Opening::Due);
                Ok(())
            }
            Some((_, TimerKind::ReplyWatchdog)) => Err(EndReason::NoRelay),
            Some((_, TimerKind::HalfClose)) => Err(EndReason::HalfCloseQuiet),
            Some((_, TimerKind::IdleFlow)) => Err(EndReason::Idle),
            Some(_) | None => Ok(()),
        }
    }

    /// The op that opens the flow, with its first bytes or datagram if there are some and the relay takes them.
    pub(super) fn take_connect(&mut self, with_data: bool, most: usize) -> Op {
        self.opening = Some(Opening::Sent);
        let target = self.target.clone();
        match &mut self.transport {
            Transport::Tcp(session) => session.take_connect(target, with_data, most),
            Transport::Udp(association) => association.take_connect(target),
        }
    }

    /// The next op with payload, of at most `most` bytes if they may be cut.
    pub(super) fn take_payload(&mut self, most: usize, context: &Context) -> Option<Op> {
        match &mut self.transport {
            Transport::Tcp(session) => session.take_payload(most, context.now(), context.config()),
            Transport::Udp(association) => association.take_payload(),
        }
    }

    pub(super) fn take_poll(&mut self, now: Instant) -> Option<Op> {
        match &mut self.transport {
            Transport::Tcp(session) => session.link_mut().map(|link| link.next_poll(now)),
            Transport::Udp(association) => association.take_poll(),
        }
    }

    /// Whether the next op of this flow has a fixed size: a datagram, or an op that goes again.
    pub(super) fn has_fixed_op(&self) -> bool {
        self.link().is_none_or(Link::has_requeued)
    }

    /// Whether nothing newer than `op` was sent for this flow.
    pub(super) fn is_newest(&self, op: &Op) -> bool {
        self.link().is_none_or(|link| link.is_newest(op))
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
        if let Some(error) = &reply.error {
            return Err(EndReason::of_failed_open(error));
        }
        let is_tcp = matches!(self.transport, Transport::Tcp(_));
        let Some(sid) = reply.sid.filter(|_| !(is_tcp && reply.damaged)) else {
            return Err(EndReason::NodeError);
        };
        self.opening = None;
        if !core::mem::replace(&mut self.announced, true) {
            context.push(ClientAction::Opened { flow: self.id });
        }
        match &mut self.transport {
            Transport::Tcp(session) => session.on_opened(sid, op, reply, level, context),
            Transport::Udp(association) => {
                let outcome = association.on_opened(sid, reply, context);
                self.open_if_queued(context.now());
                outcome
            }
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
        match &mut self.transport {
            Transport::Tcp(session) => session.on_data_reply(op, reply, elapsed, context),
            Transport::Udp(association) => association.on_data_reply(op, reply, inputs, context),
        }
    }

    /// The node cannot have had `op`: it is sent again.
    pub(super) fn requeue(&mut self, op: Op, now: Instant) {
        self.opening = self.opening.map(|_| Opening::Due);
        match &mut self.transport {
            Transport::Tcp(session) => session.requeue(op, now),
            Transport::Udp(association) => association.requeue(op),
        }
    }

    /// The node may have had `op`, and its reply is lost. A session ends, since it would have a gap (protocol.md 2.5
    /// "Loss"); datagrams may be lost.
    pub(super) fn on_lost(&mut self, op: &Op, now: Instant, why: EndReason) -> Outcome {
        match &mut self.transport {
            Transport::Tcp(_) => Err(why),
            Transport::Udp(association) => association.on_lost(op, now).ok_or(why),
        }
    }

    /// Falls back to level 0, if nothing was sent at level 1 yet.
    pub(super) fn downgrade(&mut self) -> bool {
        self.link_mut().is_some_and(Link::downgrade)
    }

    /// Hands over to a stream.
    pub(super) fn hand_over(mut self, context: &mut Context) -> Start {
        context.set_timer(&mut self.timer, TimerOwner::Flow(self.id), None);
        match self.transport {
            Transport::Tcp(session) => session.hand_over(self.target),
            Transport::Udp(association) => association.hand_over(self.target),
        }
    }

    /// The flow is over: clears its timer and returns its credit.
    pub(super) fn close(&mut self, context: &mut Context) {
        context.set_timer(&mut self.timer, TimerOwner::Flow(self.id), None);
        if let Transport::Tcp(session) = &mut self.transport {
            session.close(context);
        }
    }

    /// The number of the reply that comes next; none where there are no numbers on the wire.
    #[cfg(feature = "model")]
    pub(super) fn expected(&self) -> Option<crate::seq::Seq> {
        self.link().filter(|link| link.path() == Path::Sequenced).map(Link::expected)
    }
}
