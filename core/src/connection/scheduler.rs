//! Scheduler of what goes into packets: sparse first, bulk by deficit round robin (protocol.md 3.2 rule 8).

use alloc::collections::{BTreeSet, VecDeque};
use core::ops::Bound;

use crate::connection::stream::{Class, Stream, Sums};
use crate::time::Instant;
use crate::wire::number::StreamNumber;

/// The most GONE frames that are queued.
const MAX_GONE: usize = 64;

/// How long frames of one kind have waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WaitTimes {
    /// Since when there is any.
    pub(crate) since: Instant,
    /// When bytes were last added to it, as long as it is of one stream. Other streams do not prolong the wait.
    pub(crate) grew: Instant,
}

/// The streams of a connection by what they have to send, and sums over all of them.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct SendScheduler {
    /// With sparse data, OPEN, OPENED, WINDOW.
    sparse: BTreeSet<StreamNumber>,
    /// With data in bulk, in their order of deficit round robin.
    bulk: VecDeque<StreamNumber>,
    in_bulk: BTreeSet<StreamNumber>,
    /// With an ACK.
    acks: BTreeSet<StreamNumber>,
    /// That have ended, and whose last frame is queued.
    closing: BTreeSet<StreamNumber>,
    /// That this end does not know, and for which DATA came.
    gone: BTreeSet<StreamNumber>,
    /// How long frames of each kind have waited.
    prompt_wait: Option<WaitTimes>,
    bulk_wait: Option<WaitTimes>,
    acks_since: Option<Instant>,
    sums: Sums,
}

impl SendScheduler {
    /// A stream has changed.
    pub(super) fn refresh<S>(&mut self, number: StreamNumber, stream: &mut Stream<S>, now: Instant) {
        let before = stream.counted();
        stream.recount(now);
        let counted = stream.counted();
        self.count(before, counted);
        let class = stream.class();
        let (facts, ack) = stream
            .recv_half()
            .map_or((false, false), |recv| (recv.is_window_due() || recv.is_report_due(), recv.is_ack_due()));
        put(&mut self.sparse, number, class == Some(Class::Sparse) || stream.opening().is_queued() || facts);
        put(&mut self.acks, number, ack);
        if class == Some(Class::Bulk) {
            if self.in_bulk.insert(number) {
                self.bulk.push_back(number);
            }
        } else {
            self.leave_bulk(number);
            stream.end_turn();
        }
        self.note(now);
        self.note_growth(class, counted.sendable > before.sendable, now);
    }

    /// The sums contain `new` of a stream, and no longer `old`.
    fn count(&mut self, old: Sums, new: Sums) {
        let swap = |sum: &mut usize, old, new| *sum = sum.saturating_sub(old).saturating_add(new);
        swap(&mut self.sums.sendable, old.sendable, new.sendable);
        swap(&mut self.sums.blocked, old.blocked, new.blocked);
        swap(&mut self.sums.beyond, old.beyond, new.beyond);
        swap(&mut self.sums.span, old.span, new.span);
    }

    fn note_growth(&mut self, class: Option<Class>, grew: bool, now: Instant) {
        let only = if class == Some(Class::Bulk) { self.bulk.len() == 1 } else { self.is_of_one() };
        let waiting = if class == Some(Class::Bulk) { &mut self.bulk_wait } else { &mut self.prompt_wait };
        if let Some(waiting) = waiting {
            waiting.grew = match (only, grew) {
                (true, true) => now,
                (true, false) => waiting.grew,
                (false, _) => waiting.since,
            };
        }
    }

    /// Whether everything prompt belongs to one stream.
    fn is_of_one(&self) -> bool {
        self.sparse.len() == 1 && self.closing.is_empty() && self.gone.is_empty()
    }

    /// A stream has ended.
    pub(super) fn remove(&mut self, number: StreamNumber, counted: Sums) {
        self.count(counted, Sums::default());
        self.sparse.remove(&number);
        self.acks.remove(&number);
        self.leave_bulk(number);
    }

    /// Usually it is the stream whose turn it is.
    fn leave_bulk(&mut self, number: StreamNumber) {
        if self.in_bulk.remove(&number) {
            if self.bulk.front() == Some(&number) {
                self.bulk.pop_front();
            } else {
                self.bulk.retain(|other| *other != number);
            }
        }
    }

    /// Ends the turn of the first stream in bulk.
    pub(super) fn pass_turn(&mut self) {
        self.bulk.rotate_left(usize::from(!self.bulk.is_empty()));
    }

    /// The stream in bulk whose turn it is.
    pub(super) fn next_bulk(&self) -> Option<StreamNumber> {
        self.bulk.front().copied()
    }

    /// The first sparse stream behind `last`.
    pub(super) fn next_sparse(&self, last: Option<StreamNumber>) -> Option<StreamNumber> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.sparse.range((from, Bound::Unbounded)).next().copied()
    }

    /// The first stream with an ACK.
    pub(super) fn next_ack(&self) -> Option<StreamNumber> {
        self.acks.first().copied()
    }

    /// The first stream whose last frame is queued.
    pub(super) fn next_closing(&self) -> Option<StreamNumber> {
        self.closing.first().copied()
    }

    /// Queues the last frame of a stream, or takes it out.
    pub(super) fn set_closing(&mut self, number: StreamNumber, queued: bool) {
        put(&mut self.closing, number, queued);
    }

    /// The first stream that is GONE.
    pub(super) fn next_gone(&self) -> Option<StreamNumber> {
        self.gone.first().copied()
    }

    /// Queues a GONE, unless too many are. A peer that needs one has broken the protocol.
    pub(super) fn queue_gone(&mut self, number: StreamNumber) {
        if self.gone.len() < MAX_GONE {
            self.gone.insert(number);
        }
    }

    /// A GONE was sent.
    pub(super) fn remove_gone(&mut self, number: StreamNumber) {
        self.gone.remove(&number);
    }

    /// How many streams have data in bulk.
    pub(crate) fn bulk_len(&self) -> usize {
        self.bulk.len()
    }

    /// How long prompt frames have waited.
    pub(crate) const fn prompt_wait(&self) -> Option<WaitTimes> {
        self.prompt_wait
    }

    /// How long bulk has waited.
    pub(crate) const fn bulk_wait(&self) -> Option<WaitTimes> {
        self.bulk_wait
    }

    /// Since when there are ACKs.
    pub(crate) const fn acks_since(&self) -> Option<Instant> {
        self.acks_since
    }

    /// Sums over the streams.
    pub(crate) const fn sums(&self) -> Sums {
        self.sums
    }

    /// Whether there are prompt frames: everything but bulk and ACKs.
    pub(crate) fn is_prompt(&self) -> bool {
        !(self.sparse.is_empty() && self.closing.is_empty() && self.gone.is_empty())
    }

    /// Updates since when there are frames of each kind.
    pub(super) fn note(&mut self, now: Instant) {
        let waiting = WaitTimes { since: now, grew: now };
        self.prompt_wait = self.is_prompt().then(|| self.prompt_wait.unwrap_or(waiting));
        self.bulk_wait = (!self.bulk.is_empty()).then(|| self.bulk_wait.unwrap_or(waiting));
        self.acks_since = (!self.acks.is_empty()).then(|| self.acks_since.unwrap_or(now));
    }
}

fn put(set: &mut BTreeSet<StreamNumber>, number: StreamNumber, there: bool) {
    if there {
        set.insert(number);
    } else {
        set.remove(&number);
    }
}
