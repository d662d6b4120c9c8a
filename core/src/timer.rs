//! Deadlines of many owners in one queue, of which the earliest is known at once.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use slab::Slab;

use crate::time::Instant;

/// The next deadline of a machine, and what it is for: the reason ends every hunt for a busy loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// When to hand in `Timeout`.
    pub at: Instant,
    /// What falls due then.
    pub timer: TimerKind,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TimerKind {
    /// Client: the wait for an application's first bytes ends, and the connect goes without them.
    FirstBytes,
    /// Client: small writes have been gathered for long enough.
    Coalesce,
    /// Client: the next poll of a level 0 session is due.
    Poll,
    /// Client: a reply is overdue.
    ReplyWatchdog,
    /// Client: a half-closed session has been quiet for too long.
    HalfClose,
    /// Client: a relay that was left alone may be used again.
    RelayRetry,
    /// Client: a relay's daily budget starts anew.
    BudgetReset,
    /// Client: an answer is overdue (level 2).
    Overdue,
    /// Client: a relay that is down is asked whether it works again (level 2).
    Probe,
    /// Client: a hello was not answered (level 2).
    Hello,
    /// Node: a held request must be answered.
    Hold,
    /// Node: a held request is looked at again while bytes still come.
    Settle,
    /// Node: a connect has taken too long.
    Connect,
    /// Node: an op waits too long for an earlier one.
    SeqWait,
    /// Node: an upstream takes no bytes.
    Write,
    /// Node: acknowledgements have waited long enough for bytes to share an answer with (level 2).
    AckDelay,
    /// Node: a small answer that was not confirmed is repeated (level 2).
    Confirm,
    /// Node: a client was not heard of for too long (level 2).
    IdleClient,
    /// Node: a hello is forgotten, or the end of a connection (level 2).
    Handshake,
    /// Both: a flow has been idle for too long.
    IdleFlow,
}

/// One deadline per owner, ordered by time and then by owner, so that ties have one order.
///
/// An indexed binary heap: moving a deadline allocates nothing, and [`first`](Self::first) is a look at
/// the top, however many owners wait.
#[derive(Clone, Debug)]
pub(crate) struct TimerQueue<K> {
    entries: Slab<Entry<K>>,
    heap: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Entry<K> {
    at: Instant,
    owner: K,
    place: usize,
}

/// An owner's place in the queue; none while it waits for nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimerSlot(Option<usize>);

/// Its owner knows the deadline.
impl Hash for TimerSlot {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl<K: Copy + Ord> TimerQueue<K> {
    pub(crate) const fn new() -> Self {
        Self { entries: Slab::new(), heap: Vec::new() }
    }

    /// Sets, moves or clears the deadline of `owner`, whose place is `slot`.
    pub(crate) fn set(&mut self, slot: &mut TimerSlot, owner: K, at: Option<Instant>) {
        match (slot.0, at) {
            (None, None) => {}
            (None, Some(at)) => {
                let place = self.heap.len();
                let key = self.entries.insert(Entry { at, owner, place });
                self.heap.push(key);
                self.rise(place);
                slot.0 = Some(key);
            }
            (Some(key), Some(at)) => {
                let Some(entry) = self.entries.get_mut(key) else { return };
                if entry.at != at || entry.owner != owner {
                    entry.at = at;
                    entry.owner = owner;
                    let place = entry.place;
                    self.restore(place);
                }
            }
            (Some(key), None) => {
                slot.0 = None;
                self.remove(key);
            }
        }
    }

    /// The earliest deadline and whose it is.
    pub(crate) fn first(&self) -> Option<(Instant, K)> {
        self.at(0)
    }

    fn remove(&mut self, key: usize) {
        let Some(entry) = self.entries.try_remove(key) else { return };
        let Some(last) = self.heap.pop() else { return };
        if last != key {
            self.put(entry.place, last);
            self.restore(entry.place);
        }
    }

    /// Moves the entry at `place` to where it belongs after its deadline changed.
    fn restore(&mut self, place: usize) {
        let place = self.rise(place);
        self.sink(place);
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while let Some(parent) = place.checked_sub(1).map(|before| before / 2) {
            if !self.earlier(place, parent) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = place.saturating_mul(2).saturating_add(1);
            let right = left.saturating_add(1);
            let child = if self.earlier(right, left) { right } else { left };
            if !self.earlier(child, place) {
                break;
            }
            self.swap(place, child);
            place = child;
        }
    }

    /// Whether `a` holds an entry that is due before that of `b`; places beyond the end never are.
    fn earlier(&self, a: usize, b: usize) -> bool {
        self.at(a).is_some_and(|a| self.at(b).is_none_or(|b| a < b))
    }

    /// The deadline at a place of the heap, and whose it is.
    fn at(&self, place: usize) -> Option<(Instant, K)> {
        let entry = self.entries.get(*self.heap.get(place)?)?;
        Some((entry.at, entry.owner))
    }

    fn swap(&mut self, a: usize, b: usize) {
        if let (Some(&key_a), Some(&key_b)) = (self.heap.get(a), self.heap.get(b)) {
            self.put(a, key_b);
            self.put(b, key_a);
        }
    }

    fn put(&mut self, place: usize, key: usize) {
        if let (Some(slot), Some(entry)) = (self.heap.get_mut(place), self.entries.get_mut(key)) {
            *slot = key;
            entry.place = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Option<Instant> {
        Some(Instant::from_micros(micros))
    }

    #[test]
    fn the_earliest_deadline_is_first_and_ties_go_by_owner() {
        let mut queue = TimerQueue::new();
        let mut slots = [const { TimerSlot(None) }; 3];
        for (owner, (slot, time)) in slots.iter_mut().zip([7, 5, 5]).enumerate() {
            queue.set(slot, owner, at(time));
        }
        assert_eq!(queue.first(), Some((Instant::from_micros(5), 1)));
        queue.set(&mut slots[1], 1, None);
        assert_eq!(queue.first(), Some((Instant::from_micros(5), 2)));
        queue.set(&mut slots[2], 2, at(9));
        assert_eq!(queue.first(), Some((Instant::from_micros(7), 0)));
        queue.set(&mut slots[0], 0, None);
        queue.set(&mut slots[2], 2, None);
        assert_eq!(queue.first(), None);
    }

    #[test]
    fn any_mix_of_moves_keeps_the_order() {
        let mut queue = TimerQueue::new();
        let mut slots: Vec<TimerSlot> = (0..64).map(|_| TimerSlot::default()).collect();
        let mut model: Vec<Option<Instant>> = alloc::vec![None; 64];
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let owner = (state >> 33) as usize % 64;
            let deadline = if (state >> 60) == 0 { None } else { at((state >> 40) % 97) };
            queue.set(&mut slots[owner], owner, deadline);
            model[owner] = deadline;
            let expected = model.iter().enumerate().filter_map(|(owner, at)| at.map(|at| (at, owner))).min();
            assert_eq!(queue.first(), expected);
        }
    }
}
