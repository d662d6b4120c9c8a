//! Which streams of a client have something for the next packet, and since when.

use alloc::collections::{BTreeSet, VecDeque};

use crate::connection::stream::traffic::{Class, Counted, Traffic};
use crate::time::Instant;
use crate::wire::number::StreamNumber;

/// How long something has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Since when there is any.
    pub(crate) since: Instant,
    /// When bytes were last added to it, as long as it is of one stream; nobody waits for what another stream adds.
    pub(crate) grew: Instant,
}

/// The streams of one client by what they have to send, and sums over all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SendScheduler {
    /// With sparse data, OPEN, OPENED, WINDOW.
    pub(crate) sparse: BTreeSet<StreamNumber>,
    /// With data in bulk, in their order of deficit round robin.
    pub(crate) bulk: VecDeque<StreamNumber>,
    in_bulk: BTreeSet<StreamNumber>,
    /// With an ACK.
    pub(crate) acks: BTreeSet<StreamNumber>,
    /// That ended, and whose farewell is due.
    pub(crate) closing: BTreeSet<StreamNumber>,
    /// For which DATA came, and that nobody knows.
    pub(crate) gone: BTreeSet<StreamNumber>,
    /// How long something of each kind has waited.
    pub(crate) prompt_wait: Option<Waiting>,
    pub(crate) bulk_wait: Option<Waiting>,
    pub(crate) acks_since: Option<Instant>,
    /// Sums over the streams.
    pub(crate) sums: Sums,
}

/// What all streams of a client have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Bytes that could be sent now.
    pub(crate) sendable: usize,
    /// Streams at their credit.
    pub(crate) blocked: usize,
    /// Received bytes kept beyond the floor of each stream.
    pub(crate) beyond: usize,
    /// Places of the reorder queues.
    pub(crate) span: usize,
}

impl Sums {
    fn replace(&mut self, old: Counted, new: Counted) {
        let swap = |sum: usize, old: usize, new: usize| sum.saturating_sub(old).saturating_add(new);
        self.sendable = swap(self.sendable, old.sendable, new.sendable);
        self.blocked = swap(self.blocked, old.blocked, new.blocked);
        self.beyond = swap(self.beyond, old.beyond, new.beyond);
        self.span = swap(self.span, old.span, new.span);
    }
}

impl SendScheduler {
    /// A stream has changed. `told` is whether there is something beside its payload that cannot wait: OPEN or OPENED.
    pub(crate) fn refresh(&mut self, number: StreamNumber, traffic: &mut Traffic, told: bool, now: Instant) {
        traffic.note(now);
        let counted = traffic.count();
        let grew = counted.sendable > traffic.counted.sendable;
        self.sums.replace(traffic.counted, counted);
        traffic.counted = counted;
        let class = traffic.class();
        put(&mut self.sparse, number, class == Some(Class::Sparse) || told || traffic.has_facts());
        put(&mut self.acks, number, traffic.has_ack());
        if class == Some(Class::Bulk) {
            if self.in_bulk.insert(number) {
                self.bulk.push_back(number);
            }
        } else {
            self.leave_bulk(number);
            traffic.deficit = 0;
        }
        self.note(now);
        self.note_growth(class, grew, now);
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

    /// Whether what cannot wait is of one stream.
    fn is_of_one(&self) -> bool {
        self.sparse.len() == 1 && self.closing.is_empty() && self.gone.is_empty()
    }

    /// A stream has ended.
    pub(crate) fn remove(&mut self, number: StreamNumber, counted: Counted) {
        self.sums.replace(counted, Counted::default());
        self.sparse.remove(&number);
        self.acks.remove(&number);
        self.leave_bulk(number);
    }

    /// Mostly it is the stream whose turn it is that has nothing more.
    fn leave_bulk(&mut self, number: StreamNumber) {
        if self.in_bulk.remove(&number) {
            if self.bulk.front() == Some(&number) {
                self.bulk.pop_front();
            } else {
                self.bulk.retain(|other| *other != number);
            }
        }
    }

    /// Moves the stream whose turn it is to the end of the line.
    pub(crate) fn pass_turn(&mut self) {
        self.bulk.rotate_left(usize::from(!self.bulk.is_empty()));
    }

    /// Whether there is something that does not wait for company longer than a settle, and is not bulk.
    pub(crate) fn is_prompt(&self) -> bool {
        !(self.sparse.is_empty() && self.closing.is_empty() && self.gone.is_empty())
    }

    /// The agenda's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(crate) fn fingerprint(&self, print: &mut crate::fingerprint::Fingerprint<'_>) {
        let Sums { sendable, blocked, beyond, span } = self.sums;
        print.value((&self.sparse, &self.bulk, &self.acks, &self.closing, &self.gone));
        print.value((sendable, blocked, beyond, span));
        print.value((self.prompt_wait.is_some(), self.bulk_wait.is_some(), self.acks_since.is_some()));
        for Waiting { since, grew } in self.prompt_wait.into_iter().chain(self.bulk_wait) {
            print.time(since);
            print.time(grew);
        }
        self.acks_since.into_iter().for_each(|at| print.time(at));
    }

    /// Keeps since when there is something of each kind.
    pub(crate) fn note(&mut self, now: Instant) {
        let waiting = Waiting { since: now, grew: now };
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
