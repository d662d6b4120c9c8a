//! The reorder queue: what came early waits here until everything before it has come.

use alloc::collections::BTreeMap;

use crate::seq::Seq;

/// How much a reorder queue may hold beside the item that is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReorderLimits {
    /// Items that wait at the same time.
    pub items: usize,
    /// Bytes that the waiting items pin.
    pub bytes: usize,
}

/// Items that arrive in any order and leave in sequence order.
///
/// The bound has one exception: the item that is expected next is always accepted, whatever waits
/// already. A queue that could refuse it would be full of items that only it can release.
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
#[derive(Clone, Debug)]
pub struct ReorderQueue<T> {
    expected: Seq,
    waiting: BTreeMap<Seq, Waiting<T>>,
    bytes: usize,
    limits: ReorderLimits,
}

#[derive(Clone, Debug)]
struct Waiting<T> {
    item: T,
    bytes: usize,
}

impl<T> ReorderQueue<T> {
    /// An empty queue that expects [`Seq::ZERO`].
    pub const fn new(limits: ReorderLimits) -> Self {
        Self { expected: Seq::ZERO, waiting: BTreeMap::new(), bytes: 0, limits }
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
        if self.waiting.contains_key(&seq) {
            return Err(Rejected::Duplicate(item));
        }
        let total = self.bytes.saturating_add(bytes);
        let full = self.waiting.len() >= self.limits.items || total > self.limits.bytes;
        if seq > self.expected && full {
            return Err(Rejected::Full(item));
        }
        self.bytes = total;
        self.waiting.insert(seq, Waiting { item, bytes });
        Ok(())
    }

    /// Takes the expected item if it is here, and expects its successor from then on.
    pub fn pop(&mut self) -> Option<T> {
        let waiting = self.waiting.remove(&self.expected)?;
        self.bytes = self.bytes.saturating_sub(waiting.bytes);
        self.expected = self.expected.next();
        Some(waiting.item)
    }

    /// Takes an item out of turn; its number stays free for another copy.
    pub fn remove(&mut self, seq: Seq) -> Option<T> {
        let waiting = self.waiting.remove(&seq)?;
        self.bytes = self.bytes.saturating_sub(waiting.bytes);
        Some(waiting.item)
    }

    /// Whether the expected item is here.
    pub fn is_ready(&self) -> bool {
        self.waiting.contains_key(&self.expected)
    }

    /// The waiting items, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Seq, &T)> {
        self.waiting.iter().map(|(seq, waiting)| (*seq, &waiting.item))
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
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
    fn the_item_limit_holds() {
        let mut queue = ReorderQueue::new(LIMITS);
        queue.insert(Seq::new(5), 'x', 0).unwrap();
        queue.insert(Seq::new(6), 'y', 0).unwrap();
        assert_eq!(queue.insert(Seq::new(7), 'z', 0), Err(Rejected::Full('z')));
        assert_eq!(queue.remove(Seq::new(6)), Some('y'));
        queue.insert(Seq::new(7), 'z', 0).unwrap();
        assert_eq!(queue.len(), 2);
    }
}
