//! Bytes that depend on their position: any loss, duplication or swap shows at once.

use std::fmt;
use std::sync::LazyLock;

/// An endless stream of bytes, known at every offset. Streams of different number differ everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    number: usize,
}

/// The period of every stream, a prime: no power of two of missing bytes looks like none.
const PERIOD: usize = 1_048_573;

/// One period of every stream; stream `n` starts `n` steps further in.
static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    });
    noise.take(PERIOD).collect()
});

impl Pattern {
    /// The stream of this number.
    pub const fn new(number: usize) -> Self {
        Self { number }
    }

    /// The bytes from `offset` on: at least one, at most `most`.
    pub fn piece(&self, offset: usize, most: usize) -> &'static [u8] {
        /// Streams lie this far apart in the block.
        const STEP: usize = 4_099;
        let start = (offset + self.number * STEP) % PERIOD;
        &BLOCK[start..PERIOD.min(start + most.max(1))]
    }

    /// The first `len` bytes.
    pub fn bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            bytes.extend_from_slice(self.piece(bytes.len(), len - bytes.len()));
        }
        bytes
    }

    /// Whether `bytes` are those from `offset` on.
    ///
    /// # Errors
    /// [`Mismatch`] names the first byte that is not.
    pub fn check(&self, mut offset: usize, mut bytes: &[u8]) -> Result<(), Mismatch> {
        while !bytes.is_empty() {
            let expected = self.piece(offset, bytes.len());
            let (found, rest) = bytes.split_at(expected.len());
            if found != expected {
                let place = found.iter().zip(expected).take_while(|(found, expected)| found == expected);
                return Err(Mismatch { offset: offset + place.count() });
            }
            offset += found.len();
            bytes = rest;
        }
        Ok(())
    }
}

/// A wrong byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Its position in the stream.
    pub offset: usize,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the byte at {} is not the one that was sent", self.offset)
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_in_any_pieces() {
        let pattern = Pattern::new(3);
        let whole = pattern.bytes(2 * PERIOD + 10);
        assert_eq!(pattern.check(0, &whole), Ok(()));
        assert_eq!(pattern.check(PERIOD - 5, &whole[PERIOD - 5..]), Ok(()));
    }

    #[test]
    fn a_missing_a_doubled_and_a_foreign_byte_are_found() {
        let pattern = Pattern::new(0);
        let whole = pattern.bytes(5_000);
        assert!(pattern.check(0, &[&whole[..1000], &whole[1001..]].concat()).is_err());
        assert!(pattern.check(0, &[&whole[..1000], &whole[999..]].concat()).is_err());
        let mut foreign = whole;
        foreign[1234] ^= 1;
        assert_eq!(pattern.check(0, &foreign), Err(Mismatch { offset: 1234 }));
    }

    #[test]
    fn streams_of_different_number_differ() {
        assert!(Pattern::new(1).check(0, &Pattern::new(2).bytes(100)).is_err());
    }
}
