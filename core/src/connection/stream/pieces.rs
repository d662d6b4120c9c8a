//! The bytes of a direction in the pieces in which they came, from the first that is not acknowledged on.

use alloc::collections::VecDeque;
use core::fmt;

use bytes::{Bytes, BytesMut};

/// Pieces smaller than this are joined while they wait, so that an application that writes byte by byte costs about
/// what it writes.
const SMALL: usize = 2 * 1024;

/// A place among the pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Pieces count from the start of the direction.
    piece: u64,
    offset: usize,
}

/// Bytes in order. What is read out of them is read by mark and length: nothing moves, and nothing is joined
/// that could be sent as it is.
#[derive(Clone, Default)]
pub(super) struct Pieces {
    queue: VecDeque<Bytes>,
    /// Joined small pieces, behind the queue. It may grow while chunks refer to its beginning.
    tail: BytesMut,
    /// The number of the piece at the front.
    first: u64,
    bytes: usize,
}

impl Pieces {
    /// Appends `piece`. With `waits`, others wait before it, and a small one is joined with what it follows.
    pub(super) fn push(&mut self, piece: Bytes, waits: bool) {
        if piece.is_empty() {
            return;
        }
        self.bytes = self.bytes.saturating_add(piece.len());
        if waits && piece.len() < SMALL {
            self.tail.extend_from_slice(&piece);
            if self.tail.len() >= SMALL {
                self.close_tail();
            }
        } else {
            self.close_tail();
            self.queue.push_back(piece);
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.queue.push_back(core::mem::take(&mut self.tail).freeze());
        }
    }

    /// Bytes here.
    pub(super) const fn len(&self) -> usize {
        self.bytes
    }

    fn piece(&self, number: u64) -> Option<&[u8]> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        match self.queue.get(place) {
            Some(piece) => Some(piece),
            None => Some(&*self.tail).filter(|tail| place == self.queue.len() && !tail.is_empty()),
        }
    }

    /// The `len` bytes from `mark` on.
    pub(super) const fn slices(&self, mark: Mark, len: usize) -> Slices<'_> {
        Slices { pieces: self, mark, left: len }
    }

    /// The place `len` bytes behind `mark`: at the beginning of a piece rather than at the end of one.
    pub(super) fn behind(&self, mark: Mark, len: usize) -> Mark {
        let mut slices = self.slices(mark, len);
        while slices.next().is_some() {}
        let mark = slices.mark;
        let ended = self.piece(mark.piece).is_some_and(|piece| mark.offset >= piece.len());
        let next = Mark { piece: mark.piece.saturating_add(1), offset: 0 };
        if ended && self.piece(next.piece).is_some() { next } else { mark }
    }

    /// Drops `bytes` bytes at the front: all before `mark`. A piece that is needed in part stays whole.
    pub(super) fn release(&mut self, mark: Mark, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        while self.first < mark.piece && self.queue.pop_front().is_some() {
            self.first = self.first.saturating_add(1);
        }
    }

    /// The pieces, in order.
    #[cfg(feature = "model")]
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let count = self.queue.len();
        // A range that includes its end has no exact size.
        (0..count.saturating_add(1)).map(|place| self.queue.get(place).map_or(&*self.tail, |piece| piece))
    }

    /// Drops everything, and gives the place at which the next piece will begin.
    pub(super) fn clear(&mut self) -> Mark {
        self.close_tail();
        let count = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
        self.first = self.first.saturating_add(count);
        self.queue.clear();
        self.bytes = 0;
        Mark { piece: self.first, offset: 0 }
    }
}

/// Never shows the bytes.
impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} pieces", self.bytes, self.queue.len())
    }
}

/// The parts of a run of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Slices<'p> {
    pieces: &'p Pieces,
    mark: Mark,
    left: usize,
}

impl<'p> Iterator for Slices<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        while self.left > 0 {
            let rest = self.pieces.piece(self.mark.piece)?.get(self.mark.offset..).unwrap_or_default();
            if let Some((part, _)) =
                rest.split_at_checked(rest.len().min(self.left)).filter(|(part, _)| !part.is_empty())
            {
                self.left = self.left.saturating_sub(part.len());
                self.mark.offset = self.mark.offset.saturating_add(part.len());
                return Some(part);
            }
            self.mark = Mark { piece: self.mark.piece.saturating_add(1), offset: 0 };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn read(pieces: &Pieces, mark: Mark, len: usize) -> Vec<u8> {
        pieces.slices(mark, len).collect::<Vec<_>>().concat()
    }

    #[test]
    fn runs_of_bytes_are_found_across_pieces() {
        let mut pieces = Pieces::default();
        for piece in ["abc", "", "defgh", "i"] {
            pieces.push(Bytes::from(piece), false);
        }
        assert_eq!(pieces.len(), 9);
        for start in 0..=9 {
            let mark = pieces.behind(Mark::default(), start);
            for len in 0..=9 - start {
                assert_eq!(read(&pieces, mark, len), b"abcdefghi"[start..start + len]);
            }
        }
    }

    #[test]
    fn a_piece_is_sent_from_where_it_lies() {
        let piece = Bytes::from(vec![7; 100]);
        let mut pieces = Pieces::default();
        pieces.push(piece.clone(), false);
        assert_eq!(pieces.slices(Mark::default(), 100).next().unwrap().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn small_pieces_that_wait_are_joined() {
        let mut pieces = Pieces::default();
        for _ in 0..10_000 {
            pieces.push(Bytes::from_static(b"x"), true);
        }
        assert_eq!(pieces.len(), 10_000);
        assert!(pieces.queue.len() <= 10_000 / SMALL);
        assert_eq!(read(&pieces, Mark::default(), 10_000), vec![b'x'; 10_000]);
    }

    #[test]
    fn a_mark_at_the_end_leads_to_what_is_pushed_later() {
        for waits in [false, true] {
            let mut pieces = Pieces::default();
            pieces.push(Bytes::from("ab"), waits);
            let end = pieces.behind(Mark::default(), 2);
            pieces.push(Bytes::from("cd"), waits);
            pieces.push(Bytes::from(vec![b'e'; SMALL]), waits);
            assert_eq!(read(&pieces, end, 3), b"cde");
        }
    }

    #[test]
    fn pieces_leave_when_all_of_them_is_released() {
        let mut pieces = Pieces::default();
        for piece in ["abc", "def"] {
            pieces.push(Bytes::from(piece), false);
        }
        let mark = pieces.behind(Mark::default(), 2);
        pieces.release(mark, 2);
        assert_eq!((pieces.queue.len(), pieces.len()), (2, 4));
        let mark = pieces.behind(mark, 1);
        pieces.release(mark, 1);
        assert_eq!((pieces.queue.len(), pieces.len()), (1, 3));
        assert_eq!(read(&pieces, mark, 3), b"def");
    }

    #[test]
    fn marks_go_on_counting_when_everything_was_dropped() {
        let mut pieces = Pieces::default();
        pieces.push(Bytes::from("abc"), false);
        pieces.push(Bytes::from("d"), true);
        let mark = pieces.clear();
        assert_eq!(pieces.len(), 0);
        pieces.push(Bytes::from("ef"), false);
        assert_eq!(read(&pieces, mark, 2), b"ef");
    }
}
