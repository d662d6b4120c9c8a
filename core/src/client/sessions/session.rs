//! Session: payload of a TCP flow at levels 0 and 1 (protocol.md 2.5).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::Bytes;

use crate::client::action::{ClientNotice, EndReason};
use crate::client::context::Context;
use crate::client::sessions::batch::Polling;
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::sequencing::{Link, SequencedReply};
use crate::config::ClientOptions;
use crate::credit::{Credit, FLOOR};
use crate::error::Misuse;
use crate::id::FlowId;
use crate::level::Level;
use crate::queue::ByteQueue;
use crate::target::{FlowKind, Target};
use crate::time::{Instant, share};
use crate::timer::TimerKind;
use crate::wire::{Op, Reply, Sid};

/// The payload of one TCP flow.
#[derive(Clone, Debug)]
pub(super) struct Session {
    id: FlowId,
    /// What the application sent and no op carries.
    uplink: ByteQueue,
    /// Whether the application will send nothing more.
    finished: bool,
    credit: Credit,
    /// When a half-closed session last had downlink, or the node took the last of its uplink.
    quiet_since: Instant,
    /// The session at the node, once there is one.
    link: Option<Box<Link>>,
}

impl Hash for Session {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.uplink, self.finished, &self.credit, &self.link, self.quiet()).hash(state);
    }
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
    /// Without a link. A flow that may become a stream is granted no more than the node grants to every stream.
    pub(super) fn new(id: FlowId, now: Instant, config: &ClientOptions) -> Self {
        let most = if config.max_level < Level::Streams { usize::MAX } else { FLOOR };
        Self {
            id,
            uplink: ByteQueue::default(),
            finished: false,
            credit: Credit::new(config.uplink_window.min(most)),
            quiet_since: now,
            link: None,
        }
    }

    /// Hands over to a stream.
    pub(super) fn hand_over(mut self, target: Target) -> Start {
        let mut bytes = Vec::new();
        self.uplink.take_into(usize::MAX, &mut bytes);
        Start { target, flow: FlowKind::Tcp, finished: self.finished, bytes, credit: self.credit }
    }

    /// What the session is once the node has opened it.
    pub(super) fn link(&self) -> Option<&Link> {
        self.link.as_deref()
    }

    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        self.link.as_deref_mut()
    }

    /// Bytes buffered for this session in both directions.
    pub(super) fn buffered(&self) -> usize {
        self.credit.kept().saturating_add(self.link().map_or(0, Link::waiting_bytes))
    }

    /// Whether its reader would go on if the pool had room.
    pub(super) const fn is_blocked(&self) -> bool {
        self.credit.is_blocked() && !self.finished
    }

    /// Gives its reader credit.
    pub(super) fn regrant(&mut self, context: &mut Context) {
        if !self.finished {
            context.grant(self.id, &mut self.credit);
        }
    }

    /// Returns all credit to the pool.
    pub(super) fn close(&mut self, context: &mut Context) {
        self.credit.close(context.pool());
    }

    /// The application sent `bytes`. An op joins what it takes, so joining it here would copy it twice.
    pub(super) fn on_data(&mut self, bytes: Bytes, now: Instant) -> Result<(), Misuse> {
        self.check_open()?;
        self.credit.arrive(bytes.len()).map_err(|_| Misuse::CreditExceeded)?;
        self.uplink.push_behind(bytes, false);
        if let Some(link) = self.link_mut() {
            link.on_uplink(now);
        }
        Ok(())
    }

    /// The application will send no more.
    pub(super) fn on_fin(&mut self, now: Instant) -> Result<(), Misuse> {
        self.check_open()?;
        self.finished = true;
        self.quiet_since = now;
        Ok(())
    }

    const fn check_open(&self) -> Result<(), Misuse> {
        if self.finished { Err(Misuse::AfterFin) } else { Ok(()) }
    }

    /// The application has taken `bytes`.
    pub(super) fn on_written(&mut self, bytes: usize) -> Result<(), Misuse> {
        match self.link_mut() {
            Some(link) => link.on_written(bytes),
            None if bytes == 0 => Ok(()),
            None => Err(Misuse::WrittenTooMuch),
        }
    }

    /// Bytes of payload that should be sent now.
    pub(super) fn wants_payload(&self, config: &ClientOptions) -> Option<usize> {
        self.link()?.wants_payload(self.uplink.len(), config)
    }

    /// The poll that should be sent now.
    pub(super) fn wants_poll(&self, inputs: Inputs, config: &ClientOptions) -> Option<Polling> {
        self.link()?.wants_poll(self.inputs(inputs, config), self.uplink.len(), config)
    }

    /// When the session ends because no relay takes its ops, or because it has been quiet, and when its next poll is due.
    pub(super) fn deadlines(
        &self,
        inputs: Inputs,
        config: &ClientOptions,
    ) -> [Option<(Instant, TimerKind)>; 3] {
        let Some(link) = self.link() else { return [None; 3] };
        let unroutable = link.unroutable_deadline(config);
        let quiet = self.quiet().map(|since| since.saturating_add(config.half_close_quiet));
        let poll = link.poll_deadline(self.inputs(inputs, config), self.uplink.len());
        [
            unroutable.map(|at| (at, TimerKind::ReplyWatchdog)),
            quiet.map(|at| (at, TimerKind::HalfClose)),
            poll.map(|at| (at, TimerKind::Poll)),
        ]
    }

    /// Since when a half-closed session is quiet. Not before the node has taken everything: an upload may outlast the quiet
    /// time.
    fn quiet(&self) -> Option<Instant> {
        (self.finished && self.credit.kept() == 0).then_some(self.quiet_since)
    }

    /// The inputs for this session. After a half-close it polls again before its quiet time is over.
    fn inputs(&self, inputs: Inputs, config: &ClientOptions) -> Inputs {
        let most = if self.finished { share(config.half_close_quiet, 1, 2) } else { Duration::MAX };
        Inputs { not_held: inputs.not_held.min(most), ..inputs }
    }

    /// The op that opens the session.
    ///
    /// More than a request is an upload, whose first part has no answer that the node could wait for. Such bytes follow
    /// the open.
    pub(super) fn take_connect(&mut self, target: Target, with_data: bool, most: usize) -> Op {
        if with_data && (1..=FIRST_BYTES_MOST).contains(&self.uplink.len()) {
            Op::ConnectData { target, payload: self.uplink.take(most) }
        } else {
            Op::Connect { target }
        }
    }

    /// The next op with payload, of at most `most` bytes, or the next op that must go again.
    pub(super) fn take_payload(&mut self, most: usize, now: Instant, config: &ClientOptions) -> Option<Op> {
        let link = self.link.as_deref_mut()?;
        if let Some(op) = link.next_requeued(now) {
            return Some(op);
        }
        let payload = self.uplink.take(most.min(link.room(config)));
        (!payload.is_empty()).then(|| link.next_op(payload, now))
    }

    /// The node cannot have had `op`: it is sent again.
    pub(super) fn requeue(&mut self, op: Op, now: Instant) {
        if let Some(link) = self.link_mut() {
            link.requeue(op, now);
        } else if let Op::ConnectData { payload, .. } = op {
            self.uplink.put_back(payload);
        }
    }

    /// The node opened the session at this level.
    pub(super) fn on_opened(
        &mut self,
        sid: Sid,
        op: &Op,
        reply: Reply,
        level: Level,
        context: &mut Context,
    ) -> Outcome {
        self.link = Some(Box::new(Link::new(sid, level, context.config(), context.now())));
        self.credit.widen(context.config().uplink_window);
        self.quiet_since = context.now();
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
        let taken = op.payload().map_or(0, Bytes::len);
        if taken > 0 {
            self.quiet_since = context.now();
        }
        self.credit.release(taken, context.pool());
        let Some(link) = self.link_mut() else { return Ok(()) };
        if !link.on_reply(op, reply, elapsed, context.config())? {
            context.count(|stats| &mut stats.reordered);
        }
        self.regrant(context);
        while let Some(answered) = self.link_mut().and_then(Link::next_reply) {
            self.take_downlink(answered, context)?;
        }
        Ok(())
    }

    /// A reply in order.
    fn take_downlink(&mut self, answered: SequencedReply, context: &mut Context) -> Outcome {
        let SequencedReply { reply, poll } = answered;
        if reply.error.is_some() || reply.damaged {
            return Err(EndReason::NodeError);
        }
        if let Some(link) = self.link_mut() {
            link.on_downlink(context.now(), reply.data.len(), poll, context.config());
        }
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
