//! An upstream, as its session or stream knows it (protocol.md 2.4 rule 8, 3.2 rule 6).

use alloc::sync::Arc;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::config::NodeOptions;
use crate::credit::{Credit, Lender};
use crate::error::{ConnectFailure, Misuse};
use crate::id::UpstreamId;
use crate::node::action::{NodeNotice, SessionEnd, Shut};
use crate::node::context::{Context, Owner};
use crate::node::event::UpstreamEvent;
use crate::node::upstreams::Carrier;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};

/// The largest UDP payload that a length field can name.
const MAX_DATAGRAM: usize = 65_535;

/// A reader that has this much credit left gets no more yet: two reads of the usual size, so that small ones
/// do not cost an action each.
const ENOUGH_CREDIT: usize = 128 * 1024;

/// An upstream, from the attempt to open it until its last byte is written.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    upstream: UpstreamId,
    kind: FlowKind,
    /// The name of the user, whose counters it adds to.
    user: Arc<str>,
    /// The target that the driver tries to open; none once it is open.
    connecting: Option<Target>,
    source: Source,
    /// Bytes handed out to be written, and not yet reported written.
    unwritten: usize,
    /// When it last took bytes, or had nothing to take; at first, when the driver was asked to open it.
    progressed: Instant,
    /// What may be read from it.
    credit: Credit,
    /// The last byte or datagram of either direction, or op that spoke to it.
    last_active: Instant,
    timer: TimerSlot,
}

/// Whether more may come from upstream.
///
/// ```text
///  Live ──Fin──▶ Finished ──┬──Reset────────────────────────▶ Reset
///   └───────────────────────┴──its session ends──▶ Lingering ──▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    /// Yes, and it takes bytes.
    Live,
    /// No, and it may still take bytes.
    Finished,
    /// Nothing that anybody waits for: what was handed out is still being written.
    Lingering,
    /// No, and it takes nothing.
    Reset,
}

impl Socket {
    /// Asks the driver for an upstream of whose downlink at most `window` bytes are kept; none if there are as many as
    /// the node allows.
    pub(super) fn open(
        carrier: Carrier,
        user: Arc<str>,
        target: Target,
        kind: FlowKind,
        window: usize,
        cx: &mut Context,
    ) -> Option<Self> {
        let upstream = cx.open_upstream(carrier, &user, target.clone(), kind)?;
        Some(Self {
            upstream,
            kind,
            user,
            connecting: Some(target),
            source: Source::Live,
            unwritten: 0,
            progressed: cx.now(),
            credit: Credit::new(window),
            last_active: cx.now(),
            timer: TimerSlot::default(),
        })
    }

    /// The driver has opened it.
    pub(super) fn opened(&mut self, cx: &mut Context) {
        let Some(target) = self.connecting.take() else { return };
        self.touch(cx.now());
        cx.count(|stats| &mut stats.sessions_opened, 1);
        cx.count_user(&self.user, |stats| &mut stats.opened, 1);
        cx.notice(NodeNotice::SessionOpened { upstream: self.upstream, target, kind: self.kind });
    }

    /// It cannot be opened.
    pub(super) fn failed(&self, failure: ConnectFailure, cx: &mut Context) {
        if failure == ConnectFailure::NotAllowed {
            cx.count_user(&self.user, |stats| &mut stats.refused, 1);
        }
        if let Some(target) = self.connecting.clone() {
            cx.notice(NodeNotice::ConnectFailed { upstream: self.upstream, target, failure });
        }
    }

    pub(super) const fn upstream(&self) -> UpstreamId {
        self.upstream
    }

    /// The name of the user.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) const fn kind(&self) -> FlowKind {
        self.kind
    }

    /// Whether it has been opened.
    pub(super) const fn is_open(&self) -> bool {
        self.connecting.is_none()
    }

    /// Whether more may come from it.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.source, Source::Live)
    }

    /// Whether it takes nothing any more.
    pub(super) const fn was_reset(&self) -> bool {
        matches!(self.source, Source::Reset)
    }

    /// Something happened: it is not idle.
    pub(super) const fn touch(&mut self, now: Instant) {
        self.last_active = now;
    }

    /// Bytes came. False if they are not to be taken: it has ended, or had no credit for them.
    pub(super) fn arrive(&mut self, bytes: usize, now: Instant) -> bool {
        let taken = self.is_live() && self.credit.arrive(bytes).is_ok();
        if taken {
            self.touch(now);
        }
        taken
    }

    /// The credit that datagrams take.
    pub(super) const fn credit(&mut self) -> &mut Credit {
        &mut self.credit
    }

    /// No more will come from it.
    pub(super) const fn finish(&mut self) {
        if self.is_live() {
            self.source = Source::Finished;
        }
    }

    /// It was reset, or could not be opened: nothing comes and nothing is written any more.
    pub(super) const fn reset(&mut self) {
        self.source = Source::Reset;
        self.unwritten = 0;
    }

    /// Hands out bytes to be written.
    pub(super) fn write(&mut self, bytes: Bytes, cx: &mut Context) {
        if self.kind == FlowKind::Tcp {
            if self.unwritten == 0 {
                self.progressed = cx.now();
            }
            self.unwritten = self.unwritten.saturating_add(bytes.len());
        }
        cx.write(self.upstream, &self.user, bytes);
    }

    /// The driver wrote `bytes` of them.
    pub(super) const fn written(&mut self, bytes: usize, now: Instant) {
        self.unwritten = self.unwritten.saturating_sub(bytes);
        if bytes > 0 {
            self.progressed = now;
        }
        self.touch(now);
    }

    /// Bytes handed out and not reported written.
    pub(super) const fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// New credit for its reader, in bytes; 0 if it needs none.
    pub(super) fn grant(&mut self, pool: &mut impl Lender) -> usize {
        let reads = self.kind == FlowKind::Tcp && self.is_live();
        if reads && self.credit.promised() < ENOUGH_CREDIT { self.credit.grant(pool) } else { 0 }
    }

    /// Whether its reader waits for credit that the pool did not have.
    pub(super) const fn is_blocked(&self) -> bool {
        matches!(self.kind, FlowKind::Tcp) && self.is_live() && self.credit.is_blocked()
    }

    /// Whether the node has stopped reading from it.
    pub(super) const fn is_paused(&self, window: usize) -> bool {
        self.credit.is_blocked() || self.credit.kept() >= window
    }

    /// Downlink bytes are kept no longer.
    pub(super) fn release(&mut self, bytes: usize, pool: &mut impl Lender) {
        self.credit.release(bytes, pool);
    }

    /// Its session has ended; what was handed out is still to be written.
    pub(super) fn linger(&mut self, cx: &mut Context) {
        self.source = Source::Lingering;
        cx.unblock(self.upstream);
    }

    /// Ends it; the driver has nothing to shut after a reset.
    pub(super) fn shut(&mut self, how: Shut, cx: &mut Context) {
        self.set_timer(None, cx);
        cx.remove_upstream(self.upstream);
        if !self.was_reset() {
            cx.shut(self.upstream, how);
        }
    }

    /// Its session or stream is over.
    pub(super) fn ended(&self, why: SessionEnd, cx: &mut Context) {
        if self.is_open() {
            cx.count(|stats| &mut stats.sessions_ended, 1);
            cx.notice(NodeNotice::SessionEnded { upstream: self.upstream, why });
        }
    }

    /// Its next deadline: to be open, to take bytes, or to be active if it `may_idle`.
    pub(super) fn deadline(&self, may_idle: bool, config: &NodeOptions) -> Option<(Instant, TimerKind)> {
        if !self.is_open() {
            return Some((self.progressed.saturating_add(config.connect_deadline), TimerKind::Connect));
        }
        let write = (self.unwritten > 0).then(|| self.progressed.saturating_add(config.write_deadline));
        let idle = may_idle.then(|| self.idle_deadline(config));
        write
            .map(|at| (at, TimerKind::Write))
            .into_iter()
            .chain(idle.map(|at| (at, TimerKind::IdleFlow)))
            .min()
    }

    /// Which deadline has passed.
    pub(super) fn due(&self, may_idle: bool, cx: &Context) -> Option<TimerKind> {
        let (at, kind) = self.deadline(may_idle, cx.config())?;
        (at <= cx.now()).then_some(kind)
    }

    /// When it was last active.
    pub(super) const fn last_active(&self) -> Instant {
        self.last_active
    }

    /// When it has been idle for too long.
    pub(super) fn idle_deadline(&self, config: &NodeOptions) -> Instant {
        self.last_active.saturating_add(match self.kind {
            FlowKind::Tcp => config.tcp_idle,
            FlowKind::Udp => config.udp_idle,
        })
    }

    /// Sets its timer.
    pub(super) fn set_timer(&mut self, deadline: Option<(Instant, TimerKind)>, cx: &mut Context) {
        cx.set_timer(&mut self.timer, Owner::Upstream(self.upstream), deadline);
    }

    /// Whether the contract allows an event now.
    pub(super) fn check(&self, event: &UpstreamEvent) -> Result<(), Misuse> {
        use UpstreamEvent::{Data, Datagram, Failed, Fin, Opened, Reset, Written};
        let (is_tcp, is_udp) = (self.kind == FlowKind::Tcp, self.kind == FlowKind::Udp);
        match event {
            Opened | Failed(_) if !self.is_open() => Ok(()),
            Data(_) if !self.is_open() => Err(Misuse::CreditExceeded),
            Written(_) if !self.is_open() => Err(Misuse::WrittenTooMuch),
            Datagram(_) | Fin | Reset if !self.is_open() => Err(Misuse::WrongKind),
            Opened | Failed(_) => Err(Misuse::WrongKind),
            // Nothing follows a reset, but what the driver had under way may.
            _ if self.was_reset() => Ok(()),
            Datagram(bytes) if bytes.len() > MAX_DATAGRAM => Err(Misuse::DatagramTooLarge),
            Datagram(_) if is_tcp => Err(Misuse::WrongKind),
            Data(_) | Written(_) if is_udp => Err(Misuse::WrongKind),
            Written(bytes) if *bytes > self.unwritten => Err(Misuse::WrittenTooMuch),
            Data(_) | Datagram(_) | Fin if matches!(self.source, Source::Finished) => Err(Misuse::AfterFin),
            Data(bytes) if self.is_live() && bytes.len() > self.credit.promised() => {
                Err(Misuse::CreditExceeded)
            }
            Data(_) | Datagram(_) | Fin | Reset | Written(_) => Ok(()),
        }
    }
}

/// A time counts while it can still have an effect; of TCP, only sessions look at when it was last active.
impl Hash for Socket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.upstream, self.kind, &self.connecting, self.source, self.unwritten, &self.credit).hash(state);
        (self.unwritten > 0 || !self.is_open()).then_some(self.progressed).hash(state);
        (self.kind == FlowKind::Udp).then_some(self.last_active).hash(state);
    }
}
