//! The queue between a recorder and the thread that writes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use seqlane::{Instant, Misuse};
use seqlane_record::Machine;

/// Messages in the queue, at most.
pub(super) const MAX_MESSAGES: usize = 16 * 1024;

/// Bytes of payload in the queue, at most; one message more may exceed it.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;

/// One message.
pub(super) enum Message<M: Machine> {
    Begin(Instant),
    Event(Instant, M::Event),
    Refused(Misuse),
    Action(M::Action),
}

impl<M: Machine> Message<M> {
    /// Bytes of payload that the message keeps alive.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Begin(_) | Self::Refused(_) => 0,
            Self::Event(_, event) => M::event_weight(event),
            Self::Action(action) => M::action_weight(action),
        }
    }
}

/// State of the queue, known at both ends.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: AtomicUsize,
    is_lost: AtomicBool,
}

impl Backlog {
    /// Subtracts a message that was taken out.
    pub(super) fn subtract(&self, weight: usize) {
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Adds a message. Returns whether there was room for it.
    pub(super) fn add(&self, weight: usize) -> bool {
        self.bytes.fetch_add(weight, Ordering::Relaxed) < MAX_BYTES
    }

    /// Notes that a message had no room.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
    }

    /// Whether a message had no room.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }
}
