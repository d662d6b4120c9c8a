//! What came from a TCP upstream and nobody fetched yet.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

/// Chunks up to here may stand alone; beyond it, small neighbours are joined.
const LOOSE: usize = 16;

/// Two neighbours that have this many bytes together are worth an entry each.
const SMALL: usize = 4 * 1024;

/// Bytes in the pieces in which they came.
///
/// An upstream that sends single bytes must not cost an entry for each: when there are many pieces, small
/// neighbours become one, so that entries cost at most a few percent of what they hold.
#[derive(Clone, Default)]
pub(in crate::node) struct Chunks {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Chunks {
    /// Appends a piece.
    pub(in crate::node) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.bytes = self.bytes.saturating_add(piece.len());
        let small = |last: &Bytes| last.len().saturating_add(piece.len()) <= SMALL;
        if self.pieces.len() >= LOOSE && self.pieces.back().is_some_and(small) {
            self.join_last(&piece);
        } else {
            self.pieces.push_back(piece);
        }
    }

    /// Moves at most `most` bytes to the end of `into`, and says how many.
    pub(in crate::node) fn take(&mut self, most: usize, into: &mut Vec<Bytes>) -> usize {
        let mut left = most.min(self.bytes);
        let taken = left;
        while left > 0 {
            let Some(first) = self.pieces.front_mut() else { break };
            if first.len() > left {
                into.push(first.split_to(left));
                break;
            }
            left = left.saturating_sub(first.len());
            into.extend(self.pieces.pop_front());
        }
        self.bytes = self.bytes.saturating_sub(taken);
        taken
    }

    /// The pieces, for a fingerprint.
    #[cfg(feature = "model")]
    pub(in crate::node) fn iter(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// How many bytes there are.
    pub(in crate::node) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn join_last(&mut self, piece: &Bytes) {
        if let Some(last) = self.pieces.back_mut() {
            let joined = [last.as_ref(), piece.as_ref()].concat();
            *last = joined.into();
        }
    }
}

/// Never shows the bytes.
impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} pieces", self.bytes, self.pieces.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(chunks: &mut Chunks, most: usize) -> Vec<u8> {
        let mut pieces = Vec::new();
        let count = chunks.take(most, &mut pieces);
        let bytes = pieces.concat();
        assert_eq!(bytes.len(), count);
        bytes
    }

    #[test]
    fn a_drain_takes_a_prefix_and_keeps_the_tail() {
        let mut chunks = Chunks::default();
        chunks.push(Bytes::from_static(b"abc"));
        chunks.push(Bytes::from_static(b"defg"));
        assert_eq!(taken(&mut chunks, 5), b"abcde");
        assert_eq!(chunks.bytes(), 2);
        assert_eq!(taken(&mut chunks, 0), b"");
        assert_eq!(taken(&mut chunks, usize::MAX), b"fg");
        assert_eq!(chunks.bytes(), 0);
    }

    #[test]
    fn single_bytes_do_not_cost_an_entry_each() {
        let mut chunks = Chunks::default();
        let sent: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        for byte in &sent {
            chunks.push(Bytes::copy_from_slice(&[*byte]));
        }
        assert!(chunks.pieces.len() <= LOOSE + 2 * sent.len() / SMALL + 1);
        assert_eq!(taken(&mut chunks, usize::MAX), sent);
    }

    #[test]
    fn large_pieces_are_kept_without_a_copy() {
        let mut chunks = Chunks::default();
        let piece = Bytes::from(alloc::vec![7; SMALL]);
        for _ in 0..2 * LOOSE {
            chunks.push(piece.clone());
        }
        let mut pieces = Vec::new();
        chunks.take(usize::MAX, &mut pieces);
        assert!(pieces.iter().all(|kept| kept.as_ptr() == piece.as_ptr()));
    }
}
