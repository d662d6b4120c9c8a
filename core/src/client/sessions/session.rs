//! Session: a TCP flow at levels 0 and 1 (protocol.md 2.5).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::client::action::{ClientAction, ClientNotice, EndReason};
use crate::client::context::Context;
use crate::client::event::LocalEvent;
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::ready::{Polling, Wants};
use crate::client::sessions::sequencing::{Link, Order, SequencedReply};
use crate::client::sessions::uplink::Uplink;
use crate::config::{ClientOptions, OpenMode};
use crate::credit::{Credit, FLOOR};
use crate::error::Misuse;
use crate::id::FlowId;
use crate::level::Level;
use crate::target::{FlowKind, Target};
use crate::time::{Instant, share};
use crate::timer::TimerKind;
use crate::wire::{Op, Reply};

/// One TCP flow.
#[derive(Clone, Debug)]
pub(super) struct Session {
    id: FlowId,
    target: Target,
    opened: Instant,
    phase: SessionPhase,
    uplink: Uplink,
    credit: Credit,
    /// When a half-closed session last had downlink, or the node took the last of its uplink.
    quiet_since: Instant,
}

/// ```text
///   FirstBytes ── first bytes, or the wait is over ──▶ ConnectDue ◀─────────┐
///                                                        │                  │ not sent, or
///        (optimistic opening on ordinary ports           │ in a batch       │ connect_data unknown
///         starts here; all others at ConnectDue)         ▼                  │
///                                                     Connecting ───────────┘
///                                                        │ sid
///                                                        ▼
///                                                     Linked ── eof, error, lost exchange ──▶ (ended)
/// ```
#[derive(Clone, Debug)]
enum SessionPhase {
    FirstBytes { until: Instant },
    ConnectDue,
    Connecting,
    Linked(Box<Link>),
}

/// What a flow hands over to the stream that takes its place.
#[derive(Clone, Debug)]
pub(in crate::client) struct Start {
    pub(in crate::client) target: Target,
    pub(in crate::client) flow: FlowKind,
    /// What the application sent already.
    pub(in crate::client) bytes: Vec<Bytes>,
    /// Whether it will send nothing more.
    pub(in crate::client) finished: bool,
    pub(in crate::client) credit: Credit,
}

/// The most first bytes that go with an open: the head of a request, a TLS hello.
const FIRST_BYTES_MOST: usize = 16 * 1024;

/// Whether a flow goes on, or why it ends.
pub(super) type Outcome = Result<(), EndReason>;

impl Session {
    /// A flow whose application has just been accepted.
    pub(super) fn open(id: FlowId, target: Target, context: &mut Context) -> Self {
        let (now, config) = (context.now(), context.config());
        let server_first = config.tuning.server_first_ports.contains(&target.port());
        let until = now.saturating_add(config.tuning.first_bytes_wait);
        let mut credit = Credit::new(first_window(config));
        let phase = match config.open {
            OpenMode::Optimistic => {
                context.push(ClientAction::Opened { flow: id });
                context.grant(id, &mut credit);
                if server_first {
                    context.count(|stats| &mut stats.first_bytes_skipped);
                    SessionPhase::ConnectDue
                } else {
                    SessionPhase::FirstBytes { until }
                }
            }
            OpenMode::Confirmed => SessionPhase::ConnectDue,
        };
        Self { id, target, opened: now, phase, uplink: Uplink::default(), credit, quiet_since: now }
    }

    /// Hands over to a stream.
    pub(super) fn start(&mut self) -> Start {
        let uplink = core::mem::take(&mut self.uplink);
        Start {
            target: self.target.clone(),
            flow: FlowKind::Tcp,
            finished: uplink.is_finished(),
            bytes: uplink.into_pieces(),
            credit: core::mem::replace(&mut self.credit, Credit::new(0)),
        }
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// What the session is once the node has opened it.
    pub(super) const fn link(&self) -> Option<&Link> {
        match &self.phase {
            SessionPhase::Linked(link) => Some(link),
            SessionPhase::FirstBytes { .. } | SessionPhase::ConnectDue | SessionPhase::Connecting => None,
        }
    }

    pub(super) const fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.phase {
            SessionPhase::Linked(link) => Some(link),
            SessionPhase::FirstBytes { .. } | SessionPhase::ConnectDue | SessionPhase::Connecting => None,
        }
    }

    /// Bytes buffered for this session in both directions.
    pub(super) fn buffered(&self) -> usize {
        self.credit.kept().saturating_add(self.link().map_or(0, Link::waiting_bytes))
    }

    /// Whether its reader would go on if the pool had room.
    pub(super) const fn is_blocked(&self) -> bool {
        self.credit.is_blocked() && !self.uplink.is_finished()
    }

    /// The pool has room again.
    pub(super) fn regrant(&mut self, context: &mut Context) {
        if self.may_read() {
            context.grant(self.id, &mut self.credit);
        }
    }

    /// Returns all credit to the pool.
    pub(super) fn close(&mut self, context: &mut Context) {
        self.credit.close(context.pool());
    }

    /// Whether the application may be read: not before a confirmed open.
    fn may_read(&self) -> bool {
        let told = match self.phase {
            SessionPhase::Linked(_) | SessionPhase::FirstBytes { .. } => true,
            SessionPhase::ConnectDue | SessionPhase::Connecting => self.credit.was_granted(),
        };
        told && !self.uplink.is_finished()
    }

    /// Something happened on the application's socket. `Reset` is the engine's to handle.
    pub(super) fn on_local(&mut self, event: LocalEvent, context: &mut Context) -> Result<(), Misuse> {
        let now = context.now();
        match event {
            LocalEvent::Data(bytes) => {
                self.uplink.check_open()?;
                self.credit.arrive(bytes.len()).map_err(|_| Misuse::CreditExceeded)?;
                self.uplink.push(bytes);
                if let SessionPhase::FirstBytes { .. } = self.phase {
                    context.count(|stats| &mut stats.first_bytes_hit);
                    self.phase = SessionPhase::ConnectDue;
                }
                if let Some(link) = self.link_mut() {
                    link.on_uplink(now);
                }
                self.regrant(context);
            }
            LocalEvent::Fin => {
                self.uplink.finish()?;
                self.quiet_since = now;
                if let SessionPhase::FirstBytes { .. } = self.phase {
                    self.phase = SessionPhase::ConnectDue;
                }
            }
            LocalEvent::Written(bytes) => match self.link_mut() {
                Some(link) => link.on_written(bytes)?,
                None if bytes == 0 => {}
                None => return Err(Misuse::WrittenTooMuch),
            },
            LocalEvent::Reset => {}
        }
        Ok(())
    }

    /// What the session wants sent now.
    pub(super) fn wants(&self, inputs: Inputs, config: &ClientOptions) -> Wants {
        match &self.phase {
            SessionPhase::FirstBytes { .. } | SessionPhase::Connecting => Wants::default(),
            SessionPhase::ConnectDue => Wants { connect: true, ..Wants::default() },
            SessionPhase::Linked(link) => {
                let payload = link.wants_payload(self.uplink.len(), config);
                Wants { connect: false, payload, poll: self.wants_poll(inputs, config) }
            }
        }
    }

    /// The poll that the session wants sent now.
    pub(super) fn wants_poll(&self, inputs: Inputs, config: &ClientOptions) -> Option<Polling> {
        let link = self.link()?;
        let polling = if link.is_bulk() { Polling::Bulk } else { Polling::Idle };
        let wanted = link.wants_poll(self.inputs(inputs, config), self.uplink.len(), config);
        wanted.then_some(polling)
    }

    /// The session's next deadline.
    pub(super) fn deadline(&self, inputs: Inputs, config: &ClientOptions) -> Option<(Instant, TimerKind)> {
        match &self.phase {
            SessionPhase::FirstBytes { until } => Some((*until, TimerKind::FirstBytes)),
            SessionPhase::ConnectDue => Some((self.open_deadline(config), TimerKind::ReplyWatchdog)),
            SessionPhase::Connecting => None,
            SessionPhase::Linked(link) => {
                let poll = link.poll_deadline(self.inputs(inputs, config), self.uplink.len());
                let poll = poll.map(|at| (at, TimerKind::Poll));
                let quiet = self.half_close_deadline(config).map(|at| (at, TimerKind::HalfClose));
                let unroutable = link.unroutable_deadline(config).map(|at| (at, TimerKind::ReplyWatchdog));
                poll.into_iter().chain(quiet).chain(unroutable).min()
            }
        }
    }

    /// The inputs for this session. After a half-close it polls again before its quiet time is over.
    fn inputs(&self, inputs: Inputs, config: &ClientOptions) -> Inputs {
        let quiet = share(config.half_close_quiet, 1, 2);
        let not_held = inputs.not_held.min(if self.uplink.is_finished() { quiet } else { Duration::MAX });
        Inputs { not_held, ..inputs }
    }

    fn open_deadline(&self, config: &ClientOptions) -> Instant {
        self.opened.saturating_add(config.request_timeout)
    }

    fn half_close_deadline(&self, config: &ClientOptions) -> Option<Instant> {
        // Not before the node has taken everything: an upload may outlast the quiet time.
        let finished = self.uplink.is_finished() && self.credit.kept() == 0;
        finished.then(|| self.quiet_since.saturating_add(config.half_close_quiet))
    }

    /// The session's deadline may have come.
    pub(super) fn on_timeout(&mut self, context: &mut Context) -> Outcome {
        let (now, config) = (context.now(), context.config());
        match &self.phase {
            SessionPhase::FirstBytes { until } if *until <= now => {
                context.count(|stats| &mut stats.first_bytes_missed);
                self.phase = SessionPhase::ConnectDue;
                Ok(())
            }
            // No relay could take the open in the time that a call may last.
            SessionPhase::ConnectDue if self.open_deadline(config) <= now => Err(EndReason::NoRelay),
            SessionPhase::Linked(link) if link.unroutable_deadline(config).is_some_and(|at| at <= now) => {
                Err(EndReason::NoRelay)
            }
            SessionPhase::Linked(_) if self.half_close_deadline(config).is_some_and(|at| at <= now) => {
                Err(EndReason::HalfCloseQuiet)
            }
            SessionPhase::FirstBytes { .. }
            | SessionPhase::ConnectDue
            | SessionPhase::Connecting
            | SessionPhase::Linked(_) => Ok(()),
        }
    }

    /// The op that opens the session, with first bytes if there are some and the relay takes them.
    ///
    /// More than a request is an upload, whose first part has no answer that the node could wait for. Such bytes follow
    /// the open.
    pub(super) fn take_connect(&mut self, with_data: bool, most: usize) -> Op {
        self.phase = SessionPhase::Connecting;
        let target = self.target.clone();
        if with_data && (1..=FIRST_BYTES_MOST).contains(&self.uplink.len()) {
            Op::ConnectData { target, payload: self.uplink.take(most) }
        } else {
            Op::Connect { target }
        }
    }

    /// The next op with payload, of at most `most` bytes, or the next op that must go again.
    pub(super) fn take_payload(&mut self, most: usize, now: Instant, config: &ClientOptions) -> Option<Op> {
        let SessionPhase::Linked(link) = &mut self.phase else { return None };
        if let Some(op) = link.next_requeued(now) {
            return Some(op);
        }
        let payload = self.uplink.take(most.min(link.room(config)));
        (!payload.is_empty()).then(|| link.next_op(payload, now))
    }

    /// The node cannot have had `op`: it is sent again.
    pub(super) fn requeue(&mut self, op: Op, now: Instant) {
        match (&mut self.phase, op) {
            (SessionPhase::Linked(link), op) => link.requeue(op, now),
            (_, Op::ConnectData { payload, .. }) => {
                self.uplink.put_back(payload);
                self.phase = SessionPhase::ConnectDue;
            }
            (_, _) => self.phase = SessionPhase::ConnectDue,
        }
    }

    /// The node answered the open. `level` is what the node and the relays make possible.
    pub(super) fn on_connect_reply(
        &mut self,
        op: &Op,
        reply: Reply,
        level: Level,
        context: &mut Context,
    ) -> Outcome {
        if let Some(error) = &reply.error {
            return Err(EndReason::of_failed_open(error));
        }
        let Some(sid) = reply.sid.filter(|_| !reply.damaged) else { return Err(EndReason::NodeError) };
        self.phase = SessionPhase::Linked(Box::new(Link::new(sid, level, context.config(), context.now())));
        self.credit.widen(context.config().uplink_window);
        self.quiet_since = context.now();
        if context.config().open == OpenMode::Confirmed {
            context.push(ClientAction::Opened { flow: self.id });
        }
        context.notice(ClientNotice::Connected { flow: self.id, level });
        self.credit.release(op.payload().map_or(0, Bytes::len), context.pool());
        self.regrant(context);
        self.take_downlink(SequencedReply { reply, poll: false }, context)
    }

    /// The node answered a data op.
    pub(super) fn on_data_reply(
        &mut self,
        op: &Op,
        reply: Reply,
        elapsed: Duration,
        context: &mut Context,
    ) -> Outcome {
        let SessionPhase::Linked(link) = &mut self.phase else { return Ok(()) };
        let taken = op.payload().map_or(0, Bytes::len);
        if taken > 0 {
            self.quiet_since = context.now();
        }
        self.credit.release(taken, context.pool());
        if link.on_reply(op, reply, elapsed, context.config())? == Order::Waits {
            context.count(|stats| &mut stats.reordered);
        }
        self.regrant(context);
        while let SessionPhase::Linked(link) = &mut self.phase {
            let Some(answered) = link.next_reply() else { break };
            self.take_downlink(answered, context)?;
        }
        Ok(())
    }

    /// The session's part of a state's fingerprint. A time counts while it can still have an effect:
    /// that of the open until there is a link, that of the last downlink after a half-close.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(
        &self,
        config: &ClientOptions,
        print: &mut crate::fingerprint::Fingerprint<'_>,
    ) {
        print.value(&self.target);
        match &self.phase {
            SessionPhase::FirstBytes { until } => {
                print.value(0_u8);
                print.deadline(*until);
                print.deadline(self.open_deadline(config));
            }
            SessionPhase::ConnectDue => {
                print.value(1_u8);
                print.deadline(self.open_deadline(config));
            }
            SessionPhase::Connecting => {
                print.value(2_u8);
                print.deadline(self.open_deadline(config));
            }
            SessionPhase::Linked(link) => {
                print.value(3_u8);
                link.fingerprint(config, print);
                if self.uplink.is_finished() {
                    print.deadline(self.quiet_since.saturating_add(config.half_close_quiet));
                }
            }
        }
        print.value(&self.uplink);
        print.value(&self.credit);
    }

    /// The number of the reply that comes next, for a fingerprint; none where there are no numbers on the wire.
    #[cfg(feature = "model")]
    pub(super) const fn expected(&self) -> Option<crate::seq::Seq> {
        match &self.phase {
            SessionPhase::Linked(link) if matches!(link.level(), Level::Sequenced) => Some(link.expected()),
            SessionPhase::Linked(_)
            | SessionPhase::FirstBytes { .. }
            | SessionPhase::ConnectDue
            | SessionPhase::Connecting => None,
        }
    }

    /// An op of this session that is in flight.
    #[cfg(feature = "model")]
    pub(super) fn op_fingerprint(&self, op: &Op, print: &mut crate::fingerprint::Fingerprint<'_>) {
        match &self.phase {
            SessionPhase::Linked(link) => link.op_fingerprint(op, print),
            SessionPhase::FirstBytes { .. } | SessionPhase::ConnectDue | SessionPhase::Connecting => {
                print.value((op.name(), op.payload()));
            }
        }
    }

    /// A reply in order.
    fn take_downlink(&mut self, answered: SequencedReply, context: &mut Context) -> Outcome {
        let SequencedReply { reply, poll } = answered;
        if reply.error.is_some() || reply.damaged {
            return Err(EndReason::NodeError);
        }
        let SessionPhase::Linked(link) = &mut self.phase else { return Ok(()) };
        link.on_downlink(context.now(), reply.data.len(), poll, context.config());
        if reply.data.is_empty() {
            if poll {
                context.count(|stats| &mut stats.empty_polls);
            }
        } else {
            self.quiet_since = context.now();
            context.deliver(self.id, reply.data);
        }
        if reply.eof { Err(EndReason::Finished) } else { Ok(()) }
    }
}

/// Uplink bytes that may be buffered before the open. A flow that may become a stream is granted no more than the node
/// grants to every stream.
fn first_window(config: &ClientOptions) -> usize {
    if config.max_level < Level::Streams { config.uplink_window } else { config.uplink_window.min(FLOOR) }
}
