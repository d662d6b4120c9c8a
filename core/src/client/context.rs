//! Context of the engines: configuration, time, actions, counters, the uplink pool and deadlines.

use alloc::collections::VecDeque;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::client::action::{ClientAction, ClientNotice, EndReason};
use crate::client::unreachable::UnreachableCache;
use crate::config::ClientOptions;
use crate::credit::{Credit, Pool};
use crate::error::ConnectFailure;
use crate::id::{ExchangeId, FlowId, RelayId};
use crate::stats::ClientStats;
use crate::target::Target;
use crate::time::Instant;
use crate::timer::{TimerKind, TimerQueue, TimerSlot, Wake};

/// The context that both engines of a client work in.
#[derive(Clone, Debug)]
pub(super) struct Context {
    config: ClientOptions,
    now: Instant,
    actions: VecDeque<ClientAction>,
    stats: ClientStats,
    pool: Pool,
    timers: TimerQueue<Timer>,
    unreachable: UnreachableCache,
    /// Flows that have ended and that the router has not forgotten yet.
    ended: VecDeque<FlowId>,
}

/// Of a client whose actions are taken.
impl Hash for Context {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.unreachable, &self.pool).hash(state);
    }
}

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerOwner {
    Relay(RelayId),
    Exchange(ExchangeId),
    Flow(FlowId),
    Coalesce,
    Closes,
    Streams,
}

/// The owner of a deadline, and what falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    owner: TimerOwner,
    kind: TimerKind,
}

impl Context {
    pub(super) fn new(config: ClientOptions, now: Instant) -> Self {
        Self {
            now,
            actions: VecDeque::new(),
            stats: ClientStats::default(),
            pool: Pool::new(config.uplink_total),
            timers: TimerQueue::new(),
            unreachable: UnreachableCache::new(
                config.tuning.unreachable_entries,
                config.tuning.unreachable_ttl,
            ),
            ended: VecDeque::new(),
            config,
        }
    }

    pub(super) const fn config(&self) -> &ClientOptions {
        &self.config
    }

    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Time moves on, never back. Returns the time before.
    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        let before = self.now;
        self.now = before.max(now);
        before
    }

    /// Undoes an [`advance`](Self::advance), for an event that is refused.
    pub(super) const fn turn_back(&mut self, before: Instant) {
        self.now = before;
    }

    /// Queues an action.
    pub(super) fn push(&mut self, action: ClientAction) {
        self.actions.push_back(action);
    }

    /// Whether no flow is open.
    pub(super) const fn is_without_flows(&self) -> bool {
        self.stats.opened == self.stats.ended
    }

    /// The next action to take.
    pub(super) fn next_action(&mut self) -> Option<ClientAction> {
        self.actions.pop_front()
    }

    /// Whether no action is queued.
    pub(super) fn is_drained(&self) -> bool {
        self.actions.is_empty()
    }

    /// Bytes for the application.
    pub(super) fn deliver(&mut self, flow: FlowId, bytes: Bytes) {
        self.add(|stats| &mut stats.downlink_bytes, bytes.len());
        self.push(ClientAction::Deliver { flow, bytes });
    }

    /// Gives the reader of a flow the credit that it may have now.
    pub(super) fn grant(&mut self, flow: FlowId, credit: &mut Credit) {
        let bytes = credit.grant(&mut self.pool);
        if bytes > 0 {
            self.push(ClientAction::Credit { flow, bytes });
        }
    }

    pub(super) fn notice(&mut self, notice: impl Into<Option<ClientNotice>>) {
        self.actions.extend(notice.into().map(ClientAction::Event));
    }

    pub(super) const fn stats(&self) -> &ClientStats {
        &self.stats
    }

    /// Counts one more.
    pub(super) fn count(&mut self, counter: impl FnOnce(&mut ClientStats) -> &mut u64) {
        self.add(counter, 1_u64);
    }

    /// Counts `more`.
    pub(super) fn add(
        &mut self,
        counter: impl FnOnce(&mut ClientStats) -> &mut u64,
        more: impl TryInto<u64>,
    ) {
        let counter = counter(&mut self.stats);
        *counter = counter.saturating_add(more.try_into().unwrap_or(u64::MAX));
    }

    /// The pool of uplink bytes beyond the floor of each flow.
    pub(super) const fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// Whether a flow beyond its floor could get credit now.
    pub(super) const fn pool_has_room(&self) -> bool {
        self.pool.has_room()
    }

    /// Sets, moves or clears a deadline.
    pub(super) fn set_timer(
        &mut self,
        slot: &mut TimerSlot,
        owner: TimerOwner,
        deadline: Option<(Instant, TimerKind)>,
    ) {
        let kind = deadline.map_or(TimerKind::Poll, |(_, kind)| kind);
        self.timers.set(slot, Timer { owner, kind }, deadline.map(|(at, _)| at));
    }

    /// Whose deadline has passed first.
    pub(super) fn next_due(&self) -> Option<TimerOwner> {
        let (at, timer) = self.timers.first()?;
        (at <= self.now).then_some(timer.owner)
    }

    /// The earliest deadline, and what it is for.
    pub(super) fn wake(&self) -> Option<Wake> {
        let (at, timer) = self.timers.first()?;
        Some(Wake { at, timer: timer.kind })
    }

    /// How `target` failed, if that was not long ago.
    pub(super) fn recent_failure(&self, target: &Target) -> Option<ConnectFailure> {
        self.unreachable.lookup(self.now, target)
    }

    /// A flow is over, and its engine has removed it: reports that, and queues it for the router.
    pub(super) fn ended(&mut self, flow: FlowId, target: Option<&Target>, why: EndReason) {
        if let (EndReason::ConnectFailed(failure), Some(target)) = (why, target) {
            self.unreachable.record(self.now, target, failure);
        }
        self.count(|stats| &mut stats.ended);
        self.push(ClientAction::Ended { flow, why });
        self.ended.push_back(flow);
    }

    /// The next flow that the router has to forget.
    pub(super) fn next_ended(&mut self) -> Option<FlowId> {
        self.ended.pop_front()
    }
}
