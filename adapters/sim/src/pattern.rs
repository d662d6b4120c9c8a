//! Payload that tells its own place: a swap, a loss or a duplicate is found, with its offset.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::rng::{Xoshiro256pp, keyed};

/// The pattern repeats after this many bytes: a prime, so no size of a chunk or window divides it.
const PERIOD: usize = 1_048_573;
/// The longest slice that can be had in one piece.
pub const LONGEST: usize = 512 << 10;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Local to upstream.
    Up,
    /// Upstream to local.
    Down,
}

/// A byte stream that only one flow has in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    start: usize,
}

/// Bytes that do not belong where they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The first wrong byte's place in the stream.
    pub offset: u64,
    /// Where in the same stream the bytes from there on belong, if they do.
    pub belongs: Option<u64>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.belongs {
            Some(place) => write!(f, "at byte {} stands what belongs at byte {place}", self.offset),
            None => write!(f, "at byte {} stands what belongs nowhere in this stream", self.offset),
        }
    }
}

fn table() -> &'static Bytes {
    static TABLE: OnceLock<Bytes> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut rng = Xoshiro256pp::new(0x5eed);
        let mut bytes: Vec<u8> =
            std::iter::repeat_with(|| rng.next().to_le_bytes()).take(PERIOD.div_ceil(8)).flatten().collect();
        bytes.truncate(PERIOD);
        bytes.extend_from_within(..LONGEST);
        bytes.into()
    })
}

impl Pattern {
    /// The stream of `flow` in this direction.
    pub fn new(flow: u64, direction: Direction) -> Self {
        Self { start: (keyed(0, direction as u64, flow) % PERIOD as u64) as usize }
    }

    fn place(self, offset: u64) -> usize {
        (self.start + (offset % PERIOD as u64) as usize) % PERIOD
    }

    /// `len` bytes from `offset` on, at most [`LONGEST`], without a copy.
    pub fn slice(self, offset: u64, len: usize) -> Bytes {
        let place = self.place(offset);
        table().slice(place..place + len.min(LONGEST))
    }

    /// Whether `bytes` are those that stand at `offset`.
    ///
    /// # Errors
    /// [`Mismatch`] says where the first wrong byte is, and where it belongs.
    pub fn verify(self, offset: u64, bytes: &[u8]) -> Result<(), Mismatch> {
        let mut from = offset;
        for piece in bytes.chunks(LONGEST) {
            let place = self.place(from);
            let expected = &table()[place..place + piece.len()];
            if piece != expected {
                let wrong = piece.iter().zip(expected).take_while(|(got, want)| got == want).count();
                return Err(self.mismatch(from + wrong as u64, &piece[wrong..]));
            }
            from += piece.len() as u64;
        }
        Ok(())
    }

    fn mismatch(self, offset: u64, bytes: &[u8]) -> Mismatch {
        const TELLING: usize = 8;
        let sample = &bytes[..bytes.len().min(TELLING)];
        let found = table()[..PERIOD + TELLING].windows(sample.len()).position(|window| window == sample);
        let belongs = found.filter(|_| sample.len() >= 4).map(|place| {
            let ahead = (place + PERIOD - self.start) % PERIOD;
            ahead as u64
        });
        Mismatch { offset, belongs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_itself_at_every_offset() {
        let pattern = Pattern::new(3, Direction::Up);
        for offset in [0, 1, 65_536, PERIOD as u64 - 1, 5 * PERIOD as u64 + 17] {
            assert_eq!(pattern.verify(offset, &pattern.slice(offset, 1000)), Ok(()));
        }
    }

    #[test]
    fn a_swap_tells_what_was_swapped() {
        let pattern = Pattern::new(3, Direction::Down);
        let mismatch = pattern.verify(100, &pattern.slice(300, 50)).unwrap_err();
        assert_eq!(mismatch, Mismatch { offset: 100, belongs: Some(300) });
    }

    #[test]
    fn flows_and_directions_differ() {
        let streams = [(0, Direction::Up), (0, Direction::Down), (1, Direction::Up), (1, Direction::Down)];
        for (place, (flow, direction)) in streams.iter().enumerate() {
            let bytes = Pattern::new(*flow, *direction).slice(0, 16);
            for (flow, direction) in &streams[place + 1..] {
                assert!(Pattern::new(*flow, *direction).verify(0, &bytes).is_err());
            }
        }
    }
}
