//! The reorder queue: what came early waits here until everything before it has come.

use alloc::collections::VecDeque;

use crate::seq::Seq;

/// How much a reorder queue may hold beside the item that is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReorderLimits {
    /// How far ahead of the expected number an item may be, and so how many can wait.
    pub items: usize,
    /// Bytes that the waiting items pin.
    pub bytes: usize,
}

/// Items that arrive in any order and leave in sequence order.
///
/// The bound has one exception: the item that is expected next is always accepted, whatever waits
/// already. A queue that could refuse it would be full of items that only it can release.
///
/// A ring of places from the expected number on: in steady state nothing is allocated.
///
/// ```
/// use seqlane::{ReorderLimits, ReorderQueue, Seq};
///
/// let mut queue = ReorderQueue::new(ReorderLimits { items: 8, bytes: 1024 });
/// queue.insert(Seq::new(1), "second", 6)?;
/// assert_eq!(queue.pop(), None);
/// queue.insert(Seq::new(0), "first", 5)?;
/// assert_eq!(queue.pop(), Some("first"));
/// assert_eq!(queue.pop(), Some("second"));
/// # Ok::<(), seqlane::Rejected<&str>>(())
/// ```
#[derive(Clone, Debug, Hash)]
pub struct ReorderQueue<T> {
    expected: Seq,
    /// The place at the front is that of `expected`; the last place is never empty.
    places: VecDeque<Option<Waiting<T>>>,
    waiting: usize,
    bytes: usize,
    limits: ReorderLimits,
}

#[derive(Clone, Debug, Hash)]
struct Waiting<T> {
    item: T,
    bytes: usize,
}

impl<T> ReorderQueue<T> {
    /// An empty queue that expects [`Seq::ZERO`].
    pub const fn new(limits: ReorderLimits) -> Self {
        Self { expected: Seq::ZERO, places: VecDeque::new(), waiting: 0, bytes: 0, limits }
    }

    /// The number of the item that leaves next.
    pub const fn expected(&self) -> Seq {
        self.expected
    }

    /// Puts `item`, which pins `bytes` bytes, into its place.
    ///
    /// # Errors
    /// [`Rejected`] gives the item back when its number has passed already, waits already, or lies
    /// beyond what the limits allow.
    pub fn insert(&mut self, seq: Seq, item: T, bytes: usize) -> Result<(), Rejected<T>> {
        if seq < self.expected {
            return Err(Rejected::Old(item));
        }
        let ahead = usize::try_from(seq.ahead_of(self.expected)).unwrap_or(usize::MAX);
        let total = self.bytes.saturating_add(bytes);
        if self.places.get(ahead).is_some_and(Option::is_some) {
            return Err(Rejected::Duplicate(item));
        }
        if ahead > 0 && (ahead > self.limits.items || total > self.limits.bytes) {
            return Err(Rejected::Full(item));
        }
        while self.places.len() <= ahead {
            self.places.push_back(None);
        }
        if let Some(place) = self.places.get_mut(ahead) {
            *place = Some(Waiting { item, bytes });
            self.waiting = self.waiting.saturating_add(1);
            self.bytes = total;
        }
        Ok(())
    }

    /// Takes the expected item if it is here, and expects its successor from then on.
    pub fn pop(&mut self) -> Option<T> {
        if !self.is_ready() {
            return None;
        }
        let waiting = self.places.pop_front().flatten()?;
        self.forget(waiting.bytes);
        self.expected = self.expected.next();
        Some(waiting.item)
    }

    /// Takes an item out of turn; its number stays free for another copy.
    pub fn remove(&mut self, seq: Seq) -> Option<T> {
        if seq < self.expected {
            return None;
        }
        let ahead = usize::try_from(seq.ahead_of(self.expected)).ok()?;
        let waiting = self.places.get_mut(ahead)?.take()?;
        while self.places.back().is_some_and(Option::is_none) {
            self.places.pop_back();
        }
        self.forget(waiting.bytes);
        Some(waiting.item)
    }

    fn forget(&mut self, bytes: usize) {
        self.waiting = self.waiting.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether the expected item is here.
    pub fn is_ready(&self) -> bool {
        self.places.front().is_some_and(Option::is_some)
    }

    /// The waiting items, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Seq, &T)> {
        let numbers = core::iter::successors(Some(self.expected), |seq| Some(seq.next()));
        numbers.zip(&self.places).filter_map(|(seq, place)| Some((seq, &place.as_ref()?.item)))
    }

    /// How many items wait.
    pub const fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// The bytes that the waiting items pin.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// An item that the queue did not take, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected<T> {
    /// Its number has left the queue already.
    Old(T),
    /// An item with its number waits already.
    Duplicate(T),
    /// It is not the expected one, and there is no room for others.
    Full(T),
}

impl<T> core::fmt::Display for Rejected<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Old(_) => "the sequence number has passed already",
            Self::Duplicate(_) => "the sequence number waits already",
            Self::Full(_) => "the reorder queue is full; send the expected number first",
        })
    }
}

impl<T: core::fmt::Debug> core::error::Error for Rejected<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const LIMITS: ReorderLimits = ReorderLimits { items: 2, bytes: 100 };

    #[test]
    fn items_leave_in_order_whatever_their_arrival() {
        let mut queue = ReorderQueue::new(LIMITS);
        for seq in [2, 1, 0] {
            queue.insert(Seq::new(seq), seq, 1).unwrap();
        }
        assert_eq!([queue.pop(), queue.pop(), queue.pop(), queue.pop()], [Some(0), Some(1), Some(2), None]);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn the_expected_item_is_accepted_by_a_full_queue() {
        let mut queue = ReorderQueue::new(LIMITS);
        queue.insert(Seq::new(1), 'b', 100).unwrap();
        assert_eq!(queue.insert(Seq::new(2), 'c', 1), Err(Rejected::Full('c')));
        queue.insert(Seq::new(0), 'a', 1_000).unwrap();
        assert_eq!(queue.pop(), Some('a'));
        assert_eq!(queue.pop(), Some('b'));
    }

    #[test]
    fn old_and_duplicate_numbers_are_told_apart() {
        let mut queue = ReorderQueue::new(LIMITS);
        queue.insert(Seq::new(1), 'b', 0).unwrap();
        assert_eq!(queue.insert(Seq::new(1), 'B', 0), Err(Rejected::Duplicate('B')));
        queue.insert(Seq::new(0), 'a', 0).unwrap();
        queue.pop();
        assert_eq!(queue.insert(Seq::new(0), 'A', 0), Err(Rejected::Old('A')));
    }

    #[test]
    fn items_too_far_ahead_are_refused() {
        let mut queue = ReorderQueue::new(LIMITS);
        assert_eq!(queue.insert(Seq::new(3), 'x', 0), Err(Rejected::Full('x')));
        assert_eq!(queue.insert(Seq::new(u64::MAX), 'x', 0), Err(Rejected::Full('x')));
        queue.insert(Seq::new(2), 'c', 0).unwrap();
        queue.insert(Seq::new(0), 'a', 0).unwrap();
        queue.pop();
        queue.insert(Seq::new(3), 'd', 0).unwrap();
        assert_eq!(
            queue.iter().map(|(seq, item)| (seq.number(), *item)).collect::<Vec<_>>(),
            [(2, 'c'), (3, 'd')]
        );
    }

    #[test]
    fn a_queue_is_empty_while_nothing_waits() {
        let mut queue = ReorderQueue::new(LIMITS);
        assert!(queue.is_empty());
        queue.insert(Seq::new(1), 'b', 0).unwrap();
        assert!(!queue.is_empty());
        queue.remove(Seq::new(1));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_rejected_item_says_why() {
        let reasons = [Rejected::Old('x'), Rejected::Duplicate('x'), Rejected::Full('x')];
        let words = ["passed already", "waits already", "is full"];
        for (reason, words) in reasons.iter().zip(words) {
            assert!(alloc::format!("{reason}").contains(words), "{reason}");
        }
    }

    #[test]
    fn a_removed_item_leaves_its_number_free() {
        let mut queue = ReorderQueue::new(LIMITS);
        queue.insert(Seq::new(1), 'b', 40).unwrap();
        assert_eq!(queue.remove(Seq::new(1)), Some('b'));
        assert_eq!(queue.remove(Seq::new(1)), None);
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
        queue.insert(Seq::new(1), 'B', 60).unwrap();
        assert_eq!(queue.len(), 1);
    }
}
