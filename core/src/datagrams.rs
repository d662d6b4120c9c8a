//! Queue of datagrams, the oldest of which make room for the newest.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::credit::{Credit, Lender};

/// Datagrams in the order of their arrival.
#[derive(Clone, Default, Hash)]
pub(crate) struct DatagramQueue {
    queue: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
}

impl DatagramQueue {
    /// Appends a datagram; at most `most` of them wait, with `room` bytes. Says how many were dropped for it.
    pub(crate) fn push(&mut self, datagram: Bytes, most: usize, room: usize) -> u64 {
        let before = self.dropped;
        while self.queue.len() >= most || self.bytes.saturating_add(datagram.len()) > room {
            if self.drop_oldest().is_none() {
                break;
            }
        }
        self.append(datagram);
        self.dropped.saturating_sub(before)
    }

    /// Appends a datagram from a socket; at most `most` of them wait, with as many bytes as there is credit for.
    /// Says how many were dropped before and after.
    pub(crate) fn push_with_credit(
        &mut self,
        datagram: Bytes,
        most: usize,
        credit: &mut Credit,
        pool: &mut impl Lender,
    ) -> (u64, u64) {
        let before = self.dropped;
        while self.queue.len() >= most
            && let Some(bytes) = self.drop_oldest()
        {
            credit.release(bytes, pool);
        }
        // An empty queue always has room: the floor of a flow's credit is larger than any datagram.
        while credit.arrive(datagram.len()).is_err() {
            if credit.grant(pool) == 0 {
                let Some(bytes) = self.drop_oldest() else { break };
                credit.release(bytes, pool);
            }
        }
        self.append(datagram);
        (before, self.dropped)
    }

    fn append(&mut self, datagram: Bytes) {
        self.bytes = self.bytes.saturating_add(datagram.len());
        self.queue.push_back(datagram);
    }

    fn drop_oldest(&mut self) -> Option<usize> {
        let bytes = self.pop()?.len();
        self.dropped = self.dropped.saturating_add(1);
        Some(bytes)
    }

    /// Puts back the datagram that was taken last.
    pub(crate) fn put_back(&mut self, datagram: Bytes) {
        self.bytes = self.bytes.saturating_add(datagram.len());
        self.queue.push_front(datagram);
    }

    /// Takes the oldest.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let oldest = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(oldest.len());
        Some(oldest)
    }

    /// Takes the oldest if it has at most `room` bytes.
    pub(crate) fn pop_within(&mut self, room: usize) -> Option<Bytes> {
        let fits = self.next_len().is_some_and(|len| len <= room);
        if fits { self.pop() } else { None }
    }

    /// Moves whole datagrams of at most `most` bytes to the end of `into`, and says how many bytes.
    ///
    /// The first one goes whatever its size when anything may go at all: it cannot be cut, and would stay
    /// for ever under a bound that is smaller.
    pub(crate) fn take_into(&mut self, most: usize, into: &mut Vec<Bytes>) -> usize {
        let mut taken = 0_usize;
        while let Some(len) = self.next_len() {
            let total = taken.saturating_add(len);
            if most == 0 || (taken > 0 && total > most) {
                break;
            }
            taken = total;
            into.extend(self.pop());
        }
        taken
    }

    /// The length of the oldest.
    pub(crate) fn next_len(&self) -> Option<usize> {
        self.queue.front().map(Bytes::len)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many bytes they have.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Never shows the bytes.
impl fmt::Debug for DatagramQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} datagrams of {} bytes, {} dropped", self.queue.len(), self.bytes, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_of(datagrams: &[&'static str]) -> DatagramQueue {
        let mut queue = DatagramQueue::default();
        for datagram in datagrams {
            queue.push(Bytes::from(*datagram), usize::MAX, usize::MAX);
        }
        queue
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let mut queue = queue_of(&["one", "two", "three"]);
        assert_eq!(queue.push(Bytes::from("four"), 3, usize::MAX), 1);
        assert_eq!(queue.push(Bytes::from("five"), usize::MAX, 10), 2);
        let mut into = Vec::new();
        assert_eq!(queue.take_into(usize::MAX, &mut into), 8);
        assert_eq!(into, ["four", "five"]);
        assert_eq!((queue.dropped, queue.bytes(), queue.is_empty()), (3, 0, true));
    }

    #[test]
    fn datagrams_are_taken_whole() {
        let mut queue = queue_of(&["one", "two", "three"]);
        let mut into = Vec::new();
        assert_eq!(queue.take_into(7, &mut into), 6);
        assert_eq!(queue.take_into(0, &mut into), 0);
        assert_eq!(queue.take_into(1, &mut into), 5);
    }

    #[test]
    fn a_datagram_that_does_not_fit_stays_first() {
        let mut queue = queue_of(&["three", "one"]);
        assert_eq!(queue.pop_within(4), None);
        let first = queue.pop_within(5).unwrap();
        queue.put_back(first);
        assert_eq!((queue.pop().unwrap(), queue.bytes()), (Bytes::from("three"), 3));
    }

    #[test]
    fn an_empty_datagram_is_a_datagram() {
        let mut queue = queue_of(&[""]);
        let mut into = Vec::new();
        queue.take_into(1, &mut into);
        assert_eq!(into.len(), 1);
    }
}
