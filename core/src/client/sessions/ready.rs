//! Send queues of flows, one per class of batch, in turn order (protocol.md 2.5 "Batches").

use alloc::collections::VecDeque;

use crate::id::FlowId;
use crate::time::Instant;

/// The ops that a flow wants sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// Its open.
    pub(super) connect: bool,
    /// Ops with payload, new or again: the bytes that wait.
    pub(super) payload: Option<usize>,
    /// A poll.
    pub(super) poll: Option<Polling>,
}

/// The class of a poll, which decides the batches that it may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polling {
    Idle,
    Bulk,
}

/// The send queues. An entry may be stale, so whoever takes it asks the flow again.
#[derive(Clone, Debug, Default)]
pub(super) struct Ready {
    connects: VecDeque<FlowId>,
    payloads: VecDeque<FlowId>,
    idle_polls: VecDeque<FlowId>,
    bulk_polls: VecDeque<FlowId>,
}

/// One of the send queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendQueue {
    Connect,
    Payload,
    Poll(Polling),
}

impl Ready {
    /// Adds an entry at the end.
    pub(super) fn push(&mut self, queue: SendQueue, id: FlowId) {
        self.queue_mut(queue).push_back(id);
    }

    /// Adds an entry whose turn is next.
    pub(super) fn push_front(&mut self, queue: SendQueue, id: FlowId) {
        self.queue_mut(queue).push_front(id);
    }

    /// Adds an entry whose turn was passed over.
    pub(super) fn push_back(&mut self, queue: SendQueue, id: FlowId) {
        self.queue_mut(queue).push_back(id);
    }

    pub(super) fn pop(&mut self, queue: SendQueue) -> Option<FlowId> {
        self.queue_mut(queue).pop_front()
    }

    /// The entries of a queue, in turn order.
    pub(super) fn iter(&self, queue: SendQueue) -> impl ExactSizeIterator<Item = FlowId> {
        let queue = match queue {
            SendQueue::Connect => &self.connects,
            SendQueue::Payload => &self.payloads,
            SendQueue::Poll(Polling::Idle) => &self.idle_polls,
            SendQueue::Poll(Polling::Bulk) => &self.bulk_polls,
        };
        queue.iter().copied()
    }

    const fn queue_mut(&mut self, queue: SendQueue) -> &mut VecDeque<FlowId> {
        match queue {
            SendQueue::Connect => &mut self.connects,
            SendQueue::Payload => &mut self.payloads,
            SendQueue::Poll(Polling::Idle) => &mut self.idle_polls,
            SendQueue::Poll(Polling::Bulk) => &mut self.bulk_polls,
        }
    }

    /// The queues' part of a state's fingerprint; `rank` renames flows.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(
        &self,
        rank: impl Fn(FlowId) -> Option<usize>,
        print: &mut crate::fingerprint::Fingerprint<'_>,
    ) {
        for queue in [&self.connects, &self.payloads, &self.idle_polls, &self.bulk_polls] {
            print.value(queue.iter().filter_map(|id| rank(*id)).count());
            for index in queue.iter().filter_map(|id| rank(*id)) {
                print.value(index);
            }
        }
    }
}

/// Coalescing of small writes: whether payload that waits may go.
///
/// ```text
///            payload, none in flight; or a full op
///        ┌──────────────────────────────────────────┐
///        │                                          ▼
///   Nothing ── payload, some in flight ──▶ Until ──▶ Now ── all sent ──▶ Nothing
///                                          time, or an answer
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coalescing {
    #[default]
    Nothing,
    Until(Instant),
    Now,
}

impl Coalescing {
    /// Payload waits. It goes at once when nothing is in flight or a whole op is there, and otherwise
    /// waits for others until `until`.
    pub(super) fn on_payload(&mut self, at_once: bool, until: Instant) {
        match self {
            _ if at_once => *self = Self::Now,
            Self::Nothing => *self = Self::Until(until),
            Self::Until(_) | Self::Now => {}
        }
    }

    /// What waits may go: the time is over, or an answer came.
    pub(super) fn flush(&mut self) {
        if *self != Self::Nothing {
            *self = Self::Now;
        }
    }

    /// Whether payload may be sent now.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Now)
    }

    /// When the wait for others is over.
    pub(super) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Until(until) => Some(until),
            Self::Nothing | Self::Now => None,
        }
    }

    /// The wait's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(self, print: &mut crate::fingerprint::Fingerprint<'_>) {
        print.value((self == Self::Now, self == Self::Nothing));
        if let Some(until) = self.deadline() {
            print.deadline(until);
        }
    }
}
