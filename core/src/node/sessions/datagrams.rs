//! Datagrams that came from a UDP upstream and nobody fetched yet.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

/// Datagrams in the order of their arrival; the oldest make room for the newest.
#[derive(Clone, Default)]
pub(in crate::node) struct Datagrams {
    queue: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
}

impl Datagrams {
    /// Appends a datagram.
    pub(in crate::node) fn push(&mut self, datagram: Bytes) {
        self.bytes = self.bytes.saturating_add(datagram.len());
        self.queue.push_back(datagram);
    }

    /// Drops the oldest datagram and says how many bytes it had.
    pub(in crate::node) fn drop_oldest(&mut self) -> Option<usize> {
        let oldest = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(oldest.len());
        self.dropped = self.dropped.saturating_add(1);
        Some(oldest.len())
    }

    /// Moves whole datagrams of at most `most` bytes to the end of `into`, and says how many bytes.
    ///
    /// The first one goes whatever its size when anything may go at all: it cannot be cut, and would stay
    /// for ever under a bound that is smaller.
    pub(in crate::node) fn take(&mut self, most: usize, into: &mut Vec<Bytes>) -> usize {
        let mut taken = 0_usize;
        while let Some(first) = self.queue.front() {
            let total = taken.saturating_add(first.len());
            if most == 0 || (taken > 0 && total > most) {
                break;
            }
            taken = total;
            if planted!(DatagramStays) && self.queue.len() > 1 {
                into.push(first.clone());
                break;
            }
            into.extend(self.queue.pop_front());
        }
        self.bytes = self.bytes.saturating_sub(taken);
        taken
    }

    /// The datagrams, for a fingerprint.
    #[cfg(feature = "model")]
    pub(in crate::node) fn iter(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.queue.iter()
    }

    /// How many datagrams there are.
    pub(in crate::node) fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many bytes they have.
    pub(in crate::node) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many were dropped since the beginning.
    pub(in crate::node) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Never shows the bytes.
impl fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} datagrams of {} bytes, {} dropped", self.queue.len(), self.bytes, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Datagrams {
        let mut datagrams = Datagrams::default();
        for text in ["one", "two", "three"] {
            datagrams.push(Bytes::from_static(text.as_bytes()));
        }
        datagrams
    }

    #[test]
    fn the_oldest_is_dropped_and_counted() {
        let mut datagrams = three();
        assert_eq!(datagrams.drop_oldest(), Some(3));
        let mut into = Vec::new();
        assert_eq!(datagrams.take(usize::MAX, &mut into), 8);
        assert_eq!(into, ["two", "three"]);
        assert_eq!((datagrams.dropped(), datagrams.bytes(), datagrams.len()), (1, 0, 0));
        assert_eq!(datagrams.drop_oldest(), None);
    }

    #[test]
    fn datagrams_are_taken_whole() {
        let mut datagrams = three();
        let mut into = Vec::new();
        assert_eq!(datagrams.take(7, &mut into), 6);
        assert_eq!(datagrams.take(0, &mut into), 0);
        assert_eq!(datagrams.take(1, &mut into), 5);
    }

    #[test]
    fn an_empty_datagram_is_a_datagram() {
        let mut datagrams = Datagrams::default();
        datagrams.push(Bytes::new());
        let mut into = Vec::new();
        datagrams.take(1, &mut into);
        assert_eq!(into.len(), 1);
    }
}
