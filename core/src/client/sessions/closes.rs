//! Closes of sessions that the node still keeps (protocol.md 2.5 "Close").

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::client::context::{Context, TimerOwner};
use crate::time::{Deadline, Instant};
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::{Op, Sid};

/// Every node ends an idle session by itself after this time.
const NODE_IDLE: Duration = Duration::from_secs(300);

/// A close that is lost this often is left to the node's idle limit.
const MOST_TRIES: u8 = 3;

/// The closes that no op carries.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Closes {
    queue: VecDeque<SessionClose>,
    timer: TimerSlot,
}

/// A session to be closed at the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionClose {
    sid: Sid,
    /// How often it was lost.
    tries: u8,
    /// When the node ends the session by itself.
    until: Deadline,
    /// When it goes in a batch of its own.
    due: Deadline,
}

impl Closes {
    /// Queues the close of a session. The op shares the next batch, or goes alone after a moment.
    pub(super) fn push(&mut self, sid: Sid, context: &mut Context) {
        let until = Deadline(context.now().saturating_add(NODE_IDLE));
        self.push_again(SessionClose { sid, tries: 0, until, due: until }, context);
    }

    /// Queues a close that was sent before. Closing twice does no harm.
    pub(super) fn push_again(&mut self, close: SessionClose, context: &mut Context) {
        // Beyond the limit of flows, the node's idle limit ends the sessions.
        if close.tries >= MOST_TRIES || self.queue.len() >= context.config().max_flows {
            return;
        }
        let due = Deadline(context.now().saturating_add(context.config().tuning.coalesce));
        self.queue.push_back(SessionClose { due, ..close });
        self.rearm(context);
    }

    /// Sets the timer. A close that is due already waits for a relay and needs none.
    pub(super) fn rearm(&mut self, context: &mut Context) {
        let next = self.queue.front().map(|close| close.due.0).filter(|due| *due > context.now());
        context.set_timer(&mut self.timer, TimerOwner::Closes, next.map(|at| (at, TimerKind::Coalesce)));
    }

    /// The oldest close of a session that the node still keeps.
    pub(super) fn first(&mut self, now: Instant) -> Option<SessionClose> {
        while self.queue.front().is_some_and(|close| close.until.has_passed(now)) {
            self.queue.pop_front();
        }
        self.queue.front().copied()
    }

    /// Removes the oldest close.
    pub(super) fn pop(&mut self) {
        self.queue.pop_front();
    }

    /// Whether a close waits for others to share its batch.
    pub(super) fn is_gathering(&self, now: Instant) -> bool {
        self.queue.front().is_some_and(|close| !close.is_due(now))
    }

    /// The sessions to be closed, in order.
    #[cfg(feature = "model")]
    pub(super) fn sids(&self) -> impl Iterator<Item = Sid> {
        self.queue.iter().map(|close| close.sid)
    }
}

impl SessionClose {
    pub(super) const fn op(&self) -> Op {
        Op::Close { sid: self.sid }
    }

    /// The same, lost once more.
    pub(super) const fn lost(self) -> Self {
        Self { tries: self.tries.saturating_add(1), ..self }
    }

    /// Whether it goes in a batch of its own now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.has_passed(now)
    }
}
