//! Numbers of streams that have ended, as ranges (protocol.md 3.2 rule 11).

use alloc::collections::BTreeMap;

use crate::wire::number::StreamNumber;

/// Numbers in ranges that do not touch. A client numbers its streams without gaps, so the gaps between ranges
/// are streams that are open, or not opened yet: there are few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct EndedStreams(BTreeMap<u64, u64>);

impl EndedStreams {
    pub(super) fn contains(&self, stream: StreamNumber) -> bool {
        let before = self.0.range(..=stream.get()).next_back();
        before.is_some_and(|(_, last)| stream.get() <= *last)
    }

    /// Adds a number, and joins the ranges that it connects.
    pub(super) fn insert(&mut self, stream: StreamNumber) {
        let number = stream.get();
        if self.contains(stream) {
            return;
        }
        let after = number.saturating_add(1);
        let last = self.0.remove(&after).unwrap_or(number);
        match self.0.range_mut(..number).next_back() {
            Some((_, end)) if end.saturating_add(1) == number => *end = last,
            Some(_) | None => {
                self.0.insert(number, last);
            }
        }
    }

    /// How many ranges there are.
    pub(super) fn ranges(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_when_the_gap_between_them_ends() {
        let mut ended = EndedStreams::default();
        for number in [0, 2, 5, 1, 4, 4] {
            ended.insert(StreamNumber::new(number));
        }
        assert_eq!(ended.ranges(), 2);
        let there: alloc::vec::Vec<u64> = (0..7).filter(|n| ended.contains(StreamNumber::new(*n))).collect();
        assert_eq!(there, [0, 1, 2, 4, 5]);
        ended.insert(StreamNumber::new(3));
        assert_eq!(ended.ranges(), 1);
    }
}
