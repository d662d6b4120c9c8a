//! Fields of an entry, appended and read.

use bytes::Bytes;
use seqlane::wire::varint;

use crate::error::Problem;

/// A position in an entry. Payloads are slices of it.
pub(crate) struct Cursor {
    rest: Bytes,
}

impl Cursor {
    pub(crate) const fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    /// An integer.
    pub(crate) fn varint(&mut self, field: &'static str) -> Result<u64, Problem> {
        let (value, len) = varint::decode(&self.rest).ok_or(Problem::Truncated(field))?;
        self.rest = self.rest.slice(len..);
        Ok(value)
    }

    /// An integer that fits a narrower type.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, Problem> {
        T::try_from(self.varint(field)?).map_err(|_| Problem::OutOfRange(field))
    }

    /// A field of fixed size.
    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Problem> {
        let bytes = *self.rest.first_chunk().ok_or(Problem::Truncated(field))?;
        self.rest = self.rest.slice(N..);
        Ok(bytes)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    /// All that is left, as text of at most `longest` bytes.
    pub(crate) fn text(&mut self, longest: usize, field: &'static str) -> Result<String, Problem> {
        let rest = self.rest();
        let text = str::from_utf8(&rest).ok().filter(|text| text.len() <= longest);
        text.map(str::to_owned).ok_or(Problem::OutOfRange(field))
    }

    /// A text of at most `longest` bytes behind its length.
    pub(crate) fn short_text(&mut self, longest: usize, field: &'static str) -> Result<String, Problem> {
        let len: usize = self.number(field)?;
        if len > longest.min(self.rest.len()) {
            return Err(Problem::OutOfRange(field));
        }
        let text = self.rest.split_to(len);
        str::from_utf8(&text).map(str::to_owned).map_err(|_| Problem::OutOfRange(field))
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.rest.is_empty() { Ok(()) } else { Err(Problem::OutOfRange("the length")) }
    }
}

/// Appends integers.
pub(crate) fn put<const N: usize>(numbers: [u64; N], out: &mut Vec<u8>) {
    numbers.into_iter().for_each(|number| varint::encode(number, out));
}
