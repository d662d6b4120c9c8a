//! Queue of bytes in the pieces in which they came.
//!
//! It serves both kinds of reader. Most take bytes from the front. The sending half of a level 2 stream reads by
//! position, as often as a chunk has to be sent, and releases what was acknowledged.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::{Bytes, BytesMut};

/// Pieces smaller than this are joined while they wait, so that a socket that is read byte by byte costs about what it
/// delivers.
const SMALL: usize = 2 * 1024;

/// A place in the queue. Taking from the front makes positions stale; releasing does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Pieces count from the start of the direction.
    piece: u64,
    offset: usize,
}

/// Bytes in order, without a copy of what is large.
#[derive(Clone, Default)]
pub(crate) struct ByteQueue {
    pieces: VecDeque<Bytes>,
    /// Joined small pieces, behind the others. It may grow while chunks refer to its beginning.
    tail: BytesMut,
    /// The number of the piece at the front.
    first: u64,
    bytes: usize,
}

impl ByteQueue {
    /// Appends a piece. A small one is joined with what waits before it.
    pub(crate) fn push(&mut self, piece: Bytes) {
        let waits = self.bytes > 0;
        self.push_behind(piece, waits);
    }

    /// Appends a piece. With `waits`, others wait to be read before it, and a small one is joined with them.
    pub(crate) fn push_behind(&mut self, piece: Bytes, waits: bool) {
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
            self.pieces.push_back(piece);
        }
    }

    /// Puts back a piece that was taken from the front.
    pub(crate) fn put_back(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes = self.bytes.saturating_add(piece.len());
            self.pieces.push_front(piece);
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(core::mem::take(&mut self.tail).freeze());
        }
    }

    /// Bytes in the queue.
    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes at most `most` bytes as one piece. Bytes of several pieces are copied together.
    pub(crate) fn take(&mut self, most: usize) -> Bytes {
        let wanted = self.bytes.min(most);
        match self.take_piece(wanted) {
            Some(piece) if piece.len() < wanted => {
                let mut joined = Vec::with_capacity(wanted);
                joined.extend_from_slice(&piece);
                while let Some(piece) = self.take_piece(wanted.saturating_sub(joined.len())) {
                    joined.extend_from_slice(&piece);
                }
                joined.into()
            }
            piece => piece.unwrap_or_default(),
        }
    }

    /// Moves at most `most` bytes to the end of `into`, and says how many.
    pub(crate) fn take_into(&mut self, most: usize, into: &mut Vec<Bytes>) -> usize {
        let mut taken = 0_usize;
        while let Some(piece) = self.take_piece(most.saturating_sub(taken)) {
            taken = taken.saturating_add(piece.len());
            into.push(piece);
        }
        taken
    }

    /// Takes the first piece, or the first `most` bytes of it.
    fn take_piece(&mut self, most: usize) -> Option<Bytes> {
        if most == 0 {
            return None;
        }
        if self.pieces.is_empty() {
            self.close_tail();
        }
        let first = self.pieces.front_mut()?;
        let piece = if first.len() > most { first.split_to(most) } else { self.pieces.pop_front()? };
        self.bytes = self.bytes.saturating_sub(piece.len());
        Some(piece)
    }

    fn piece(&self, number: u64) -> Option<&[u8]> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        match self.pieces.get(index) {
            Some(piece) => Some(piece),
            None => Some(&*self.tail).filter(|tail| index == self.pieces.len() && !tail.is_empty()),
        }
    }

    /// The `len` bytes from `position` on.
    pub(crate) const fn slices(&self, position: Position, len: usize) -> Slices<'_> {
        Slices { queue: self, position, left: len }
    }

    /// The position `len` bytes behind `position`: at the beginning of a piece rather than at the end of one.
    pub(crate) fn behind(&self, position: Position, len: usize) -> Position {
        let mut slices = self.slices(position, len);
        while slices.next().is_some() {}
        let position = slices.position;
        let ended = self.piece(position.piece).is_some_and(|piece| position.offset >= piece.len());
        let next = Position { piece: position.piece.saturating_add(1), offset: 0 };
        if ended && self.piece(next.piece).is_some() { next } else { position }
    }

    /// Drops `bytes` bytes at the front: all before `position`. A piece that is needed in part stays whole.
    pub(crate) fn release(&mut self, position: Position, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        while self.first < position.piece && self.pieces.pop_front().is_some() {
            self.first = self.first.saturating_add(1);
        }
    }

    /// Drops everything, and gives the position at which the next piece will begin.
    pub(crate) fn clear(&mut self) -> Position {
        self.close_tail();
        let count = u64::try_from(self.pieces.len()).unwrap_or(u64::MAX);
        self.first = self.first.saturating_add(count);
        self.pieces.clear();
        self.bytes = 0;
        Position { piece: self.first, offset: 0 }
    }
}

/// The bytes count and how they are cut, not how many were taken out before.
impl Hash for ByteQueue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
        self.pieces.iter().for_each(|piece| piece.hash(state));
        self.tail.hash(state);
    }
}

/// Never shows the bytes.
impl fmt::Debug for ByteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} pieces", self.bytes, self.pieces.len())
    }
}

/// The parts of a run of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Slices<'q> {
    queue: &'q ByteQueue,
    position: Position,
    left: usize,
}

impl<'q> Iterator for Slices<'q> {
    type Item = &'q [u8];

    fn next(&mut self) -> Option<&'q [u8]> {
        while self.left > 0 {
            let rest = self.queue.piece(self.position.piece)?.get(self.position.offset..).unwrap_or_default();
            if let Some((part, _)) =
                rest.split_at_checked(rest.len().min(self.left)).filter(|(part, _)| !part.is_empty())
            {
                self.left = self.left.saturating_sub(part.len());
                self.position.offset = self.position.offset.saturating_add(part.len());
                return Some(part);
            }
            self.position = Position { piece: self.position.piece.saturating_add(1), offset: 0 };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn read(queue: &ByteQueue, position: Position, len: usize) -> Vec<u8> {
        queue.slices(position, len).collect::<Vec<_>>().concat()
    }

    #[test]
    fn runs_of_bytes_are_found_across_pieces() {
        let mut queue = ByteQueue::default();
        for piece in ["abc", "", "defgh", "i"] {
            queue.push_behind(Bytes::from(piece), false);
        }
        assert_eq!(queue.len(), 9);
        for start in 0..=9 {
            let position = queue.behind(Position::default(), start);
            for len in 0..=9 - start {
                assert_eq!(read(&queue, position, len), b"abcdefghi"[start..start + len]);
            }
        }
    }

    #[test]
    fn a_piece_is_sent_from_where_it_lies() {
        let piece = Bytes::from(vec![7; 100]);
        let mut queue = ByteQueue::default();
        queue.push_behind(piece.clone(), false);
        assert_eq!(queue.slices(Position::default(), 100).next().unwrap().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn small_pieces_that_wait_are_joined() {
        let mut queue = ByteQueue::default();
        for _ in 0..10_000 {
            queue.push_behind(Bytes::from_static(b"x"), true);
        }
        assert_eq!(queue.len(), 10_000);
        assert!(queue.pieces.len() <= 10_000 / SMALL);
        assert_eq!(read(&queue, Position::default(), 10_000), vec![b'x'; 10_000]);
    }

    #[test]
    fn a_position_at_the_end_leads_to_what_is_pushed_later() {
        for waits in [false, true] {
            let mut queue = ByteQueue::default();
            queue.push_behind(Bytes::from("ab"), waits);
            let end = queue.behind(Position::default(), 2);
            queue.push_behind(Bytes::from("cd"), waits);
            queue.push_behind(Bytes::from(vec![b'e'; SMALL]), waits);
            assert_eq!(read(&queue, end, 3), b"cde");
        }
    }

    #[test]
    fn a_piece_leaves_when_all_of_it_is_released() {
        let mut queue = ByteQueue::default();
        for piece in ["abc", "def"] {
            queue.push_behind(Bytes::from(piece), false);
        }
        let position = queue.behind(Position::default(), 2);
        queue.release(position, 2);
        assert_eq!((queue.pieces.len(), queue.len()), (2, 4));
        let position = queue.behind(position, 1);
        queue.release(position, 1);
        assert_eq!((queue.pieces.len(), queue.len()), (1, 3));
        assert_eq!(read(&queue, position, 3), b"def");
    }

    #[test]
    fn positions_go_on_counting_when_everything_was_dropped() {
        let mut queue = ByteQueue::default();
        queue.push_behind(Bytes::from("abc"), false);
        queue.push_behind(Bytes::from("d"), true);
        let position = queue.clear();
        assert_eq!(queue.len(), 0);
        queue.push_behind(Bytes::from("ef"), false);
        assert_eq!(read(&queue, position, 2), b"ef");
    }

    fn queue_of(pieces: &[&'static str]) -> ByteQueue {
        let mut queue = ByteQueue::default();
        for piece in pieces {
            queue.push(Bytes::from(*piece));
        }
        queue
    }

    #[test]
    fn bytes_leave_in_order_in_pieces_of_any_size() {
        for most in 1..12 {
            let mut queue = queue_of(&["abc", "", "defgh", "i"]);
            let mut all = Vec::new();
            while !queue.is_empty() {
                let piece = queue.take(most);
                assert!(!piece.is_empty() && piece.len() <= most);
                all.extend_from_slice(&piece);
            }
            assert_eq!(all, b"abcdefghi");
            assert!(queue.take(most).is_empty());
        }
    }

    #[test]
    fn a_drain_takes_a_prefix_and_keeps_the_rest() {
        let mut queue = queue_of(&["abc", "defg"]);
        let mut taken = Vec::new();
        assert_eq!(queue.take_into(5, &mut taken), 5);
        assert_eq!((taken.concat(), queue.len()), (b"abcde".to_vec(), 2));
        assert_eq!(queue.take_into(0, &mut taken), 0);
        assert_eq!(queue.take_into(usize::MAX, &mut taken), 2);
        assert_eq!((taken.concat(), queue.len()), (b"abcdefg".to_vec(), 0));
    }

    #[test]
    fn what_is_put_back_leaves_first() {
        let mut queue = queue_of(&["world"]);
        queue.put_back(Bytes::from_static(b"hello "));
        assert_eq!(queue.take(100), "hello world");
    }

    #[test]
    fn a_piece_that_is_taken_whole_is_not_copied() {
        let piece = Bytes::from(vec![7; 2 * SMALL]);
        let mut queue = ByteQueue::default();
        for _ in 0..3 {
            queue.push(piece.clone());
        }
        let mut taken = vec![queue.take(piece.len())];
        queue.take_into(usize::MAX, &mut taken);
        assert!(taken.iter().all(|taken| taken.as_ptr() == piece.as_ptr()));
    }
}
