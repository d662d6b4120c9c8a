//! Closes of sessions that the node still knows and nobody needs (protocol.md 2.5 "Close").

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::client::context::{Context, TimerOwner};
#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::Sid;

/// Nodes, deployed ones too, end an idle session by themselves after this time.
const NODE_IDLE: Duration = Duration::from_secs(300);

/// A close that is lost this often is left to the node's idle limit.
const MOST_TRIES: u8 = 3;

/// The closes that no op carries.
#[derive(Clone, Debug, Default)]
pub(super) struct Closes {
    queue: VecDeque<SessionClose>,
    timer: TimerSlot,
}

/// A session to be closed at the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionClose {
    pub(super) sid: Sid,
    /// How often it was lost.
    pub(super) tries: u8,
    /// When the node has forgotten the session by itself.
    pub(super) until: Instant,
    /// When it goes without company.
    due: Instant,
}

impl Closes {
    /// The node shall forget a session. The op rides with the next batch, or goes alone after a moment.
    pub(super) fn push(&mut self, sid: Sid, context: &mut Context) {
        self.push_again(sid, 0, context.now().saturating_add(NODE_IDLE), context);
    }

    /// A close that was tried `tries` times. Closing twice does no harm.
    pub(super) fn push_again(&mut self, sid: Sid, tries: u8, until: Instant, context: &mut Context) {
        // Closes are as many as sessions that ended; beyond this the node's idle limit does the work.
        if tries >= MOST_TRIES || self.queue.len() >= context.config().max_flows {
            return;
        }
        let due = context.now().saturating_add(context.config().tuning.coalesce);
        self.queue.push_back(SessionClose { sid, tries, until, due });
        self.rearm(context);
    }

    /// Sets the timer. A close that is due already waits for a relay, and not for the time.
    pub(super) fn rearm(&mut self, context: &mut Context) {
        let next = self.queue.front().map(|close| close.due).filter(|due| *due > context.now());
        context.set_timer(&mut self.timer, TimerOwner::Closes, next.map(|at| (at, TimerKind::Coalesce)));
    }

    /// The oldest close that the node has not done by itself.
    pub(super) fn first(&mut self, now: Instant) -> Option<SessionClose> {
        while self.queue.front().is_some_and(|close| close.until <= now) {
            self.queue.pop_front();
        }
        self.queue.front().copied()
    }

    /// Takes the oldest close out.
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

    /// The closes' part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(&self, print: &mut Fingerprint<'_>) {
        print.each(self.queue.iter(), |print, close| {
            print.value(close.tries);
            print.deadline(close.due);
            print.deadline(close.until);
        });
    }
}

impl SessionClose {
    /// Whether it goes although it found no company.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }
}
