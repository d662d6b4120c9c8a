//! Who has something to send: one queue per class of batch, in turn order.

use alloc::collections::VecDeque;

use crate::client::flows::Queued;
use crate::client::sessions::session::{Polling, Wants};
#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;
use crate::id::FlowId;
use crate::time::Instant;

/// Flows that want something sent. An entry may be stale: whoever takes it asks the flow again.
#[derive(Clone, Debug, Default)]
pub(in crate::client) struct Ready {
    pub(in crate::client) connects: VecDeque<FlowId>,
    pub(in crate::client) payloads: VecDeque<FlowId>,
    pub(in crate::client) idle_polls: VecDeque<FlowId>,
    pub(in crate::client) bulk_polls: VecDeque<FlowId>,
    pub(in crate::client) coalescing: Coalescing,
}

/// Whether payload that waits may go.
///
/// ```text
///            payload, none in flight; or a full op
///        ┌──────────────────────────────────────────┐
///        │                                          ▼
///   Nothing ── payload, some in flight ──▶ Until ──▶ Now ── all sent ──▶ Nothing
///                                          time, or an answer
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::client) enum Coalescing {
    #[default]
    Nothing,
    Until(Instant),
    Now,
}

impl Ready {
    /// Puts a flow into the queues that match what it wants, once each.
    pub(in crate::client) fn put(&mut self, id: FlowId, queued: &mut Queued, wants: Wants) {
        if wants.connect && !core::mem::replace(&mut queued.connect, true) {
            self.connects.push_back(id);
        }
        if wants.payload.is_some() && !core::mem::replace(&mut queued.payload, true) {
            if planted!(LastFirst) {
                self.payloads.push_front(id);
            } else {
                self.payloads.push_back(id);
            }
        }
        if let Some(polling) = wants.poll
            && !core::mem::replace(&mut queued.poll, true)
        {
            match polling {
                Polling::Idle => self.idle_polls.push_back(id),
                Polling::Bulk => self.bulk_polls.push_back(id),
            }
        }
    }

    /// Payload waits. It goes at once when nothing is in flight or a whole op is there, and otherwise
    /// waits for company until `until`.
    pub(in crate::client) fn on_payload(&mut self, at_once: bool, until: Instant) {
        match self.coalescing {
            _ if at_once => self.coalescing = Coalescing::Now,
            Coalescing::Nothing => self.coalescing = Coalescing::Until(until),
            Coalescing::Until(_) | Coalescing::Now => {}
        }
    }

    /// What waits may go: the time is over, or an answer came.
    pub(in crate::client) fn flush(&mut self) {
        if self.coalescing != Coalescing::Nothing {
            self.coalescing = Coalescing::Now;
        }
    }

    /// The queues' part of a state's fingerprint; `rank` renames flows.
    #[cfg(feature = "model")]
    pub(in crate::client) fn fingerprint(
        &self,
        rank: impl Fn(FlowId) -> Option<usize>,
        print: &mut Fingerprint<'_>,
    ) {
        for queue in [&self.connects, &self.payloads, &self.idle_polls, &self.bulk_polls] {
            print.value(queue.iter().filter_map(|id| rank(*id)).count());
            for place in queue.iter().filter_map(|id| rank(*id)) {
                print.value(place);
            }
        }
        print.value((self.coalescing == Coalescing::Now, self.coalescing == Coalescing::Nothing));
        if let Some(until) = self.deadline() {
            print.deadline(until);
        }
    }

    /// When the wait for company is over.
    pub(in crate::client) const fn deadline(&self) -> Option<Instant> {
        match self.coalescing {
            Coalescing::Until(until) => Some(until),
            Coalescing::Nothing | Coalescing::Now => None,
        }
    }
}
