//! Fields of a packet, and the errors in them (protocol.md 3.1).

use core::fmt;
use core::str;
use core::time::Duration;

use bytes::Bytes;

use crate::wire::direction::Direction;
use crate::wire::frame_type::FrameType;
use crate::wire::varint;

/// Why a decrypted packet could not be parsed. It fails as a whole: none of its frames counts
/// (protocol.md 3.2 rule 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketError {
    /// The packet, or the frame, ends within this field.
    Truncated(&'static str),
    /// This field has a value that it cannot have.
    OutOfRange(&'static str),
    /// The frame is longer than its fields.
    Trailing(FrameType),
    /// The frame is of a kind that only goes the other way.
    WrongWay(FrameType, Direction),
    /// A frame of this number is not known, and is odd: it must not be skipped.
    UnknownFrame(u64),
    /// What follows the last frame is no padding: something else than zeros.
    Padding,
    /// The frame ends the connection, and is not alone in its packet.
    NotAlone(FrameType),
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated(field) => write!(f, "the packet ends within {field}"),
            Self::OutOfRange(field) => write!(f, "{field} is out of range"),
            Self::Trailing(kind) => write!(f, "a frame {kind} is longer than its fields"),
            Self::WrongWay(kind, way) => write!(f, "a frame {kind} does not go {way}"),
            Self::UnknownFrame(number) => write!(f, "frames of type {number} are unknown and not optional"),
            Self::Padding => f.write_str("the padding is not all zeros"),
            Self::NotAlone(kind) => write!(f, "a frame {kind} is not alone in its packet"),
        }
    }
}

impl core::error::Error for PacketError {}

/// A place in a packet, and where what it reads ends. Payloads are slices of the packet.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    packet: &'a Bytes,
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    /// Reads `packet` from `at` to its end.
    pub(crate) fn new(packet: &'a Bytes, at: usize) -> Self {
        Self { packet, at, end: packet.len() }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    pub(super) fn peek(&self) -> &'a [u8] {
        self.packet.get(self.at..self.end).unwrap_or_default()
    }

    /// An integer.
    pub(crate) fn varint(&mut self, field: &'static str) -> Result<u64, PacketError> {
        let (value, len) = varint::decode(self.peek()).ok_or(PacketError::Truncated(field))?;
        self.at = self.at.saturating_add(len);
        Ok(value)
    }

    /// An integer that a narrower type can hold.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, PacketError> {
        T::try_from(self.varint(field)?).map_err(|_| PacketError::OutOfRange(field))
    }

    /// A time in whole milliseconds.
    pub(super) fn millis(&mut self, field: &'static str) -> Result<Duration, PacketError> {
        self.varint(field).map(Duration::from_millis)
    }

    /// One of two, the second of which is `true`.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, PacketError> {
        match self.varint(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(PacketError::OutOfRange(field)),
        }
    }

    /// A field of fixed size.
    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], PacketError> {
        let bytes = self.peek().first_chunk().ok_or(PacketError::Truncated(field))?;
        self.at = self.at.saturating_add(N);
        Ok(*bytes)
    }

    /// A text: its length, at most `longest` bytes, then UTF-8.
    pub(crate) fn text(&mut self, longest: usize, field: &'static str) -> Result<&'a str, PacketError> {
        let len = self.number(field)?;
        if len > longest {
            return Err(PacketError::OutOfRange(field));
        }
        let bytes = self.peek().get(..len).ok_or(PacketError::Truncated(field))?;
        self.at = self.at.saturating_add(len);
        str::from_utf8(bytes).map_err(|_| PacketError::OutOfRange(field))
    }

    /// The next `len` bytes, to be read by themselves; this cursor goes on behind them.
    pub(super) fn part(&mut self, len: usize, field: &'static str) -> Result<Self, PacketError> {
        let start = self.at;
        let end =
            start.checked_add(len).filter(|end| *end <= self.end).ok_or(PacketError::Truncated(field))?;
        self.at = end;
        Ok(Self { packet: self.packet, at: start, end })
    }

    /// All that is left, at most `longest` bytes. An empty rest pins nothing.
    pub(crate) fn rest(&mut self, longest: usize, field: &'static str) -> Result<Bytes, PacketError> {
        let rest = self.peek();
        if rest.len() > longest {
            return Err(PacketError::OutOfRange(field));
        }
        self.at = self.end;
        Ok(if rest.is_empty() { Bytes::new() } else { self.packet.slice_ref(rest) })
    }

    /// How many bytes are left.
    pub(super) const fn remaining(&self) -> usize {
        self.end.saturating_sub(self.at)
    }
}
