//! The event heap: the earliest event first, and of equal times the one pushed first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use slab::Slab;

use crate::time::Time;

/// Events with their times. Order depends on times and on the order of pushing, never on an address.
#[derive(Clone, Debug)]
pub struct EventHeap<E> {
    order: BinaryHeap<Reverse<(Time, u64, usize)>>,
    events: Slab<E>,
    pushed: u64,
}

impl<E> Default for EventHeap<E> {
    fn default() -> Self {
        Self { order: BinaryHeap::new(), events: Slab::new(), pushed: 0 }
    }
}

impl<E> EventHeap<E> {
    /// Adds an event that falls due at `at`.
    pub fn push(&mut self, at: Time, event: E) {
        let place = self.events.insert(event);
        self.order.push(Reverse((at, self.pushed, place)));
        self.pushed += 1;
    }

    /// When the first event falls due.
    pub fn next_time(&self) -> Option<Time> {
        self.order.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes the first event.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse((at, _, place)) = self.order.pop()?;
        Some((at, self.events.remove(place)))
    }

    /// Takes the event at `index` among those that fall due first at the same time, in the order of pushing.
    pub fn pop_tied(&mut self, index: usize) -> Option<(Time, E)> {
        let mut skipped = Vec::with_capacity(index);
        for _ in 0..index {
            skipped.extend(self.order.pop());
        }
        let taken = self.pop();
        self.order.extend(skipped);
        taken
    }

    /// How many events fall due at the time of the first, counted up to `most`.
    pub fn tied(&mut self, most: usize) -> usize {
        let Some(first) = self.next_time() else { return 0 };
        let mut popped = Vec::new();
        while popped.len() < most && self.next_time() == Some(first) {
            popped.extend(self.order.pop());
        }
        let tied = popped.len();
        self.order.extend(popped);
        tied
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap() -> EventHeap<&'static str> {
        let mut heap = EventHeap::default();
        for (at, event) in [(7, "late"), (3, "first"), (3, "second"), (3, "third")] {
            heap.push(Time::from_nanos(at), event);
        }
        heap
    }

    #[test]
    fn equal_times_come_in_the_order_of_pushing() {
        let mut heap = heap();
        let order: Vec<_> = std::iter::from_fn(|| heap.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, ["first", "second", "third", "late"]);
    }

    #[test]
    fn a_tied_event_can_be_taken_out_of_turn() {
        let mut heap = heap();
        assert_eq!(heap.tied(9), 3);
        assert_eq!(heap.pop_tied(2), Some((Time::from_nanos(3), "third")));
        assert_eq!(heap.pop(), Some((Time::from_nanos(3), "first")));
        assert_eq!(heap.len(), 2);
    }
}
