//! A session: one open upstream, and the ops that speak to it.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::NodeOptions;
use crate::credit::{Credit, Exceeded, Pool};
use crate::datagrams::DatagramQueue;
#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;
#[cfg(feature = "model")]
use crate::node::fingerprint::Ranks;
use crate::node::sessions::batch::OpRef;
use crate::node::sessions::sequencer::Turn;
use crate::node::upstreams::WriteQueue;
use crate::queue::ByteQueue;
use crate::target::FlowKind;
use crate::time::Instant;
use crate::timer::TimerKind;
use crate::wire::Sid;

/// One flow at levels 0 and 1.
#[derive(Clone, Debug)]
pub(in crate::node) struct Session {
    pub(in crate::node) sid: Sid,
    pub(in crate::node) source: Source,
    pub(in crate::node) downlink: Downlink,
    pub(in crate::node) credit: Credit,
    pub(in crate::node) uplink: WriteQueue,
    pub(in crate::node) turn: Turn,
    /// The ops that have run and are not answered, in the order of their arrival.
    waiters: Vec<Waiter>,
    /// The last op, byte or datagram, of either direction.
    pub(in crate::node) last_active: Instant,
    last_arrival: Instant,
}

/// Whether more may come from upstream.
///
/// ```text
///  Live ──Fin──▶ Finished ──┐
///   └─────────Reset─────────┴──Reset──▶ Reset
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::node) enum Source {
    /// Yes, and it takes bytes.
    Live,
    /// No, and it may still take bytes.
    Finished,
    /// No, and it takes nothing.
    Reset,
}

/// What came and was not fetched.
#[derive(Clone, Debug)]
pub(in crate::node) enum Downlink {
    Tcp(ByteQueue),
    Udp(DatagramQueue),
}

/// An op that waits for what comes from upstream.
#[derive(Clone, Debug)]
struct Waiter {
    op: OpRef,
    /// Whether its batch was told that there is something to fetch.
    told: bool,
}

/// What an op took from its session.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Taken {
    pub(in crate::node) bytes: usize,
    /// Nothing is left and nothing will come.
    pub(in crate::node) eof: bool,
}

impl Session {
    pub(in crate::node) fn new(sid: Sid, kind: FlowKind, config: &NodeOptions, now: Instant) -> Self {
        let downlink = match kind {
            FlowKind::Tcp => Downlink::Tcp(ByteQueue::default()),
            FlowKind::Udp => Downlink::Udp(DatagramQueue::default()),
        };
        Self {
            sid,
            source: Source::Live,
            downlink,
            credit: Credit::new(config.session_buffer),
            uplink: WriteQueue::new(now),
            turn: Turn::new(config),
            waiters: Vec::new(),
            last_active: now,
            last_arrival: now,
        }
    }

    pub(in crate::node) const fn kind(&self) -> FlowKind {
        match &self.downlink {
            Downlink::Tcp(_) => FlowKind::Tcp,
            Downlink::Udp(_) => FlowKind::Udp,
        }
    }

    /// Bytes came from a TCP upstream; it had credit for them.
    pub(in crate::node) fn arrive(&mut self, bytes: Bytes, now: Instant) -> Result<(), Exceeded> {
        self.credit.arrive(bytes.len())?;
        self.last_active = now;
        self.last_arrival = now;
        match &mut self.downlink {
            Downlink::Tcp(queue) => queue.push(bytes),
            Downlink::Udp(datagrams) => drop(datagrams.push(bytes, usize::MAX, usize::MAX)),
        }
        Ok(())
    }

    /// A datagram came from a UDP upstream. The oldest make room, in the queue and in the pool. Says how many
    /// were dropped before and after.
    pub(in crate::node) fn arrive_datagram(
        &mut self,
        datagram: Bytes,
        most: usize,
        pool: &mut Pool,
        now: Instant,
    ) -> (u64, u64) {
        let Downlink::Udp(datagrams) = &mut self.downlink else { return (0, 0) };
        self.last_active = now;
        self.last_arrival = now;
        datagrams.push_with_credit(datagram, most, &mut self.credit, pool)
    }

    /// Nothing more will come from upstream. That is news, also to those that have heard of bytes.
    pub(in crate::node) fn end_source(&mut self, source: Source) {
        self.source = source;
        if source == Source::Reset {
            self.uplink.clear();
        }
        for waiter in &mut self.waiters {
            waiter.told = false;
        }
    }

    /// Moves at most `most` bytes of what came to the end of `into`.
    pub(in crate::node) fn take(&mut self, most: usize, into: &mut Vec<Bytes>, pool: &mut Pool) -> Taken {
        let bytes = match &mut self.downlink {
            Downlink::Tcp(queue) => queue.take_into(most, into),
            Downlink::Udp(datagrams) => datagrams.take_into(most, into),
        };
        if !(planted!(RefundForgotten) && bytes == most) {
            self.credit.release(bytes, pool);
        }
        Taken { bytes, eof: self.source != Source::Live && (self.is_drained() || planted!(EofWithTail)) }
    }

    /// An op has run and waits to be answered. Says whether there is something to fetch already.
    pub(in crate::node) fn wait(&mut self, op: OpRef) -> bool {
        let told = self.has_news();
        self.waiters.push(Waiter { op, told });
        told
    }

    /// The ops that wait and were not told yet that there is something to fetch.
    pub(in crate::node) fn tell_waiters(&mut self) -> impl Iterator<Item = OpRef> {
        let untold = self.waiters.iter_mut().filter(|waiter| !waiter.told);
        untold.map(|waiter| {
            waiter.told = true;
            waiter.op
        })
    }

    /// An op was answered, or nobody waits for it any more; if it was the one that ran, the turn passes.
    pub(in crate::node) fn finish(&mut self, op: OpRef, now: Instant) {
        self.waiters.retain(|waiter| waiter.op != op);
        self.turn.finish(op);
        self.last_active = now;
    }

    /// The ops that wait to be answered, in the order of their arrival.
    pub(in crate::node) fn waiters(&self) -> impl Iterator<Item = OpRef> {
        self.waiters.iter().map(|waiter| waiter.op)
    }

    /// The oldest op that waits, if more than `most` do.
    pub(in crate::node) fn excess(&self, most: usize) -> Option<OpRef> {
        let oldest = self.waiters.first().filter(|_| self.waiters.len() > most);
        oldest.map(|waiter| waiter.op)
    }

    /// Whether an op that writes may run.
    ///
    /// Not while the upstream has much to take. But when the node itself has stopped reading from the
    /// upstream, that may be why it takes nothing, and only a running op can fetch what is in the way: then
    /// more may be written, up to the bound of what may wait for its turn.
    pub(in crate::node) fn may_write(&self, config: &NodeOptions) -> bool {
        let unwritten = self.uplink.unwritten();
        let most = if self.is_paused(config) {
            config.tuning.write_queue.saturating_add(config.tuning.seq_queue_bytes)
        } else {
            config.tuning.write_queue
        };
        unwritten <= most
    }

    /// When bytes came last, if there are any to fetch and more may come.
    pub(in crate::node) fn growing(&self) -> Option<Instant> {
        (self.source == Source::Live && !self.is_drained()).then_some(self.last_arrival)
    }

    /// When it needs attention by itself, and why.
    pub(in crate::node) fn deadline(&self, config: &NodeOptions) -> Option<(Instant, TimerKind)> {
        let write = self.uplink.deadline(config).map(|at| (at, TimerKind::Write));
        let gap = self.turn.gap_deadline(config.tuning.seq_wait).map(|at| (at, TimerKind::SeqWait));
        let idle = self.idle_deadline(config).map(|at| (at, TimerKind::IdleFlow));
        [write, gap, idle].into_iter().flatten().min()
    }

    /// When nothing has happened for too long. Ops that wait keep a session alive.
    pub(in crate::node) fn idle_deadline(&self, config: &NodeOptions) -> Option<Instant> {
        let limit = match self.kind() {
            FlowKind::Tcp => config.tcp_idle,
            FlowKind::Udp => config.udp_idle,
        };
        let idle = self.waiters.is_empty() && self.turn.is_idle();
        idle.then(|| self.last_active.saturating_add(limit))
    }

    /// Bytes that are kept for the client.
    pub(in crate::node) const fn kept(&self) -> usize {
        match &self.downlink {
            Downlink::Tcp(queue) => queue.len(),
            Downlink::Udp(datagrams) => datagrams.bytes(),
        }
    }

    /// The session's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(in crate::node) fn fingerprint(&self, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
        let config = ranks.config();
        print.value(self.source);
        match &self.downlink {
            Downlink::Tcp(queue) => {
                print.value(0_u8);
                print.each(queue.iter(), |print, piece| print.value(piece));
            }
            Downlink::Udp(datagrams) => {
                print.value(1_u8);
                datagrams.fingerprint(print);
            }
        }
        self.credit.fingerprint(print);
        self.uplink.fingerprint(print);
        self.turn.fingerprint(ranks, print);
        print.each(self.waiters.iter(), |print, waiter| {
            print.value(waiter.told);
            ranks.op(waiter.op, print);
        });
        // Whoever waits makes the session active again when it is answered.
        if self.waiters.is_empty() {
            let limit = match self.kind() {
                FlowKind::Tcp => config.tcp_idle,
                FlowKind::Udp => config.udp_idle,
            };
            print.deadline(self.last_active.saturating_add(limit));
        }
        if let Some(arrival) = self.growing() {
            print
                .deadline(arrival.saturating_add(config.tuning.settle_step.max(config.tuning.single_settle)));
        }
    }

    fn is_drained(&self) -> bool {
        match &self.downlink {
            Downlink::Tcp(queue) => queue.is_empty(),
            Downlink::Udp(datagrams) => datagrams.is_empty(),
        }
    }

    /// Whether there is something to tell: bytes, or the end.
    fn has_news(&self) -> bool {
        self.source != Source::Live || !self.is_drained()
    }

    /// Whether the node has stopped reading from the upstream.
    fn is_paused(&self, config: &NodeOptions) -> bool {
        self.credit.is_blocked() || self.credit.kept() >= config.session_buffer
    }
}
