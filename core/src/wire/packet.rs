//! Packets: a header, then frames (protocol.md 3.1). This is what lies under the seal.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::wire::cursor::{Cursor, PacketError};
use crate::wire::direction::Direction;
use crate::wire::frame::{DataHead, Frame, Frames, MAX_CHUNK, as_u64};
use crate::wire::number::{AnswerNumber, ExchangeNumber};
use crate::wire::varint;

pub use crate::wire::client_id::ClientId;
pub use crate::wire::seal::Unsealed;

/// The most exchanges that a response tells the state of: far more than a client has outstanding, and little
/// enough that the list stays small beside a packet.
pub const MAX_STATUSES: usize = 4096;

/// The least that a request allows its response, if it allows more than a header: one whole chunk, with 4 KiB for
/// everything around it. So a chunk that was cut once always fits.
pub const MIN_RESPONSE: u64 = MAX_CHUNK as u64 + 4 * 1024;

/// The unit in which a status gives the size of an answer: 64 KiB.
const STATUS_UNIT: u64 = 64 * 1024;

/// How large a response may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseRoom {
    /// A header and nothing else.
    HeaderOnly,
    /// This many bytes as a sealed packet, at least [`MIN_RESPONSE`].
    Bytes(u64),
}

impl ResponseRoom {
    /// Room for `bytes`, or `None` when that is too little for a response with frames.
    pub const fn new(bytes: u64) -> Option<Self> {
        match bytes {
            0 => Some(Self::HeaderOnly),
            MIN_RESPONSE.. => Some(Self::Bytes(bytes)),
            _ => None,
        }
    }

    /// The bytes on the wire.
    pub const fn get(self) -> u64 {
        match self {
            Self::HeaderOnly => 0,
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The header of a request packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// This exchange.
    pub exchange: ExchangeNumber,
    /// The node forgets every exchange below this; at most `exchange`.
    pub done: ExchangeNumber,
    /// How long the node may hold this request, in whole milliseconds. Zero: answer at once.
    pub hold: Duration,
    /// How many of the client's requests the node may hold at a time.
    pub max_held: u32,
    /// How large the response may be.
    pub max_response: ResponseRoom,
    /// The client's bound on the downlink bytes that the node keeps for it, beyond 64 KiB a stream.
    pub total: u64,
    /// After how long a small answer that is not confirmed is repeated, in whole milliseconds. `None`: never.
    pub confirm: Option<Duration>,
}

impl RequestHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        for value in [
            self.exchange.get(),
            self.done.get(),
            millis(self.hold),
            u64::from(self.max_held),
            self.max_response.get(),
            self.total,
            self.confirm.map_or(0, millis),
        ] {
            varint::encode(value, out);
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, PacketError> {
        let exchange = ExchangeNumber::new(cursor.varint("exchange")?);
        let done = ExchangeNumber::new(cursor.varint("done")?);
        if done > exchange {
            return Err(PacketError::OutOfRange("done"));
        }
        let hold = cursor.millis("hold_ms")?;
        let max_held = cursor.number("max_held")?;
        let max_response = ResponseRoom::new(cursor.varint("max_response")?);
        let max_response = max_response.ok_or(PacketError::OutOfRange("max_response"))?;
        let total = cursor.varint("total")?;
        let confirm = Some(cursor.millis("confirm")?).filter(|confirm| !confirm.is_zero());
        Ok(Self { exchange, done, hold, max_held, max_response, total, confirm })
    }
}

/// What the node knows of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It has not arrived.
    Missing,
    /// It arrived, and its request is held.
    Held,
    /// It was answered.
    Answered {
        /// The size of the answer in units of 64 KiB, rounded down.
        size: u32,
    },
}

impl Status {
    /// The status of an exchange that was answered with a packet of this many bytes.
    pub fn answered(bytes: usize) -> Self {
        Self::Answered { size: u32::try_from(as_u64(bytes) / STATUS_UNIT).unwrap_or(u32::MAX) }
    }

    fn number(self) -> u64 {
        match self {
            Self::Missing => 0,
            Self::Held => 1,
            Self::Answered { size } => u64::from(size).saturating_add(2),
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Missing),
            1 => Some(Self::Held),
            _ => Some(Self::Answered { size: u32::try_from(number.saturating_sub(2)).ok()? }),
        }
    }
}

/// Bytes of a packet that holds any chunk, with its header and the OPEN of its stream. A node that takes no larger ones
/// has no level 2, and neither has a relay.
pub const LEAST_PACKET: usize = 68 * 1024;

/// What a node tells a client that it has taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grants {
    /// Uplink bytes that a new stream may send without any WINDOW.
    pub uplink_window: u64,
    /// The node's bound on uplink bytes kept over all streams of the client, beyond 64 KiB each.
    pub uplink_total: u64,
    /// The node's bound on downlink bytes kept for the client, beyond 64 KiB a stream: the smaller of this and
    /// [`RequestHeader::total`] counts.
    pub downlink_total: u64,
    /// Bytes of the largest packet that it takes or sends.
    pub max_packet: u64,
    /// The longest hold, in whole milliseconds.
    pub max_hold: Duration,
    /// The most requests of the client that it holds at a time.
    pub max_held: u32,
    /// The most streams that the client may have open.
    pub max_streams: u32,
}

impl Grants {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for value in [
            self.uplink_window,
            self.uplink_total,
            self.downlink_total,
            self.max_packet,
            millis(self.max_hold),
            u64::from(self.max_held),
            u64::from(self.max_streams),
        ] {
            varint::encode(value, out);
        }
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, PacketError> {
        Ok(Self {
            uplink_window: cursor.varint("the uplink window")?,
            uplink_total: cursor.varint("the uplink total")?,
            downlink_total: cursor.varint("the downlink total")?,
            max_packet: cursor.varint("the largest packet")?,
            max_hold: cursor.millis("the longest hold")?,
            max_held: cursor.number("the most held requests")?,
            max_streams: cursor.number("the most streams")?,
        })
    }
}

/// What a response says about the node and the client as wholes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// The node shuts down: no new streams.
    pub draining: bool,
    /// Some stream is at its credit.
    pub blocked: bool,
}

impl Flags {
    /// The bits from the lowest: the flags in their order.
    fn bits(self) -> u64 {
        u64::from(self.draining) | u64::from(self.blocked) << 1
    }

    fn from_bits(bits: u64) -> Option<Self> {
        let [draining, blocked] = [1, 2].map(|bit| bits & bit != 0);
        (bits < 4).then_some(Self { draining, blocked })
    }
}

/// The header of a response packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResponseHeader {
    /// The exchange that this answers.
    pub exchange: ExchangeNumber,
    /// The place of this answer among all that the node gave this client.
    pub answer: AnswerNumber,
    /// The highest exchange that has arrived.
    pub seen: ExchangeNumber,
    /// What became of the exchanges up to `seen`, the last of them being `seen` itself. At most [`MAX_STATUSES`]
    /// and at most `seen` + 1.
    pub statuses: Vec<Status>,
    /// From the arrival of this copy of the request to its answer, in whole milliseconds.
    pub held: Duration,
    /// The node's state.
    pub flags: Flags,
}

impl ResponseHeader {
    /// Every exchange that this response tells the state of.
    pub fn statuses(&self) -> impl Iterator<Item = (ExchangeNumber, Status)> {
        let after = self.seen.get().saturating_add(1);
        let first = after.saturating_sub(as_u64(self.statuses.len()));
        (first..after).map(ExchangeNumber::new).zip(self.statuses.iter().copied())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.exchange.get(), self.answer.get(), self.seen.get(), as_u64(self.statuses.len())] {
            varint::encode(number, out);
        }
        for status in &self.statuses {
            varint::encode(status.number(), out);
        }
        varint::encode(millis(self.held), out);
        varint::encode(self.flags.bits(), out);
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, PacketError> {
        let exchange = ExchangeNumber::new(cursor.varint("exchange")?);
        let answer = AnswerNumber::new(cursor.varint("answer")?);
        let seen = ExchangeNumber::new(cursor.varint("seen")?);
        let statuses = decode_statuses(cursor, seen)?;
        let held = cursor.millis("held_ms")?;
        let flags = Flags::from_bits(cursor.varint("flags")?).ok_or(PacketError::OutOfRange("flags"))?;
        Ok(Self { exchange, answer, seen, statuses, held, flags })
    }
}

fn decode_statuses(cursor: &mut Cursor<'_>, seen: ExchangeNumber) -> Result<Vec<Status>, PacketError> {
    let count: usize = cursor.number("the number of statuses")?;
    if count > MAX_STATUSES || as_u64(count) > seen.get().saturating_add(1) {
        return Err(PacketError::OutOfRange("the number of statuses"));
    }
    // A status has at least one byte, so no count makes room for more than the packet has.
    if count > cursor.remaining() {
        return Err(PacketError::Truncated("the statuses"));
    }
    let mut statuses = Vec::with_capacity(count);
    for _ in 0..count {
        let status = Status::from_number(cursor.varint("the statuses")?);
        statuses.push(status.ok_or(PacketError::OutOfRange("the statuses"))?);
    }
    Ok(statuses)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a request from what lay under its seal.
///
/// # Errors
/// [`PacketError`] when anything in it is wrong; then nothing of it counts.
pub fn decode_request(plain: Bytes) -> Result<(RequestHeader, Frames), PacketError> {
    let mut cursor = Cursor::new(&plain, 0);
    let header = RequestHeader::decode(&mut cursor)?;
    let at = cursor.at();
    Ok((header, Frames::check(plain, at, Direction::Up)?))
}

/// Reads a response from what lay under its seal.
///
/// # Errors
/// [`PacketError`] when anything in it is wrong; then nothing of it counts.
pub fn decode_response(plain: Bytes) -> Result<(ResponseHeader, Frames), PacketError> {
    let mut cursor = Cursor::new(&plain, 0);
    let header = ResponseHeader::decode(&mut cursor)?;
    let at = cursor.at();
    Ok((header, Frames::check(plain, at, Direction::Down)?))
}

impl Unsealed {
    /// Begins a request. With `capacity`, the length of the sealed packet, there is only one allocation.
    pub fn request(header: &RequestHeader, capacity: usize) -> Self {
        let mut packet = Self::with_capacity(capacity);
        header.encode(packet.out());
        packet
    }

    /// Begins a response. With `capacity`, the length of the sealed packet, there is only one allocation.
    pub fn response(header: &ResponseHeader, capacity: usize) -> Self {
        let mut packet = Self::with_capacity(capacity);
        header.encode(packet.out());
        packet
    }

    /// Appends a frame.
    pub fn push(&mut self, frame: &Frame) {
        frame.encode(self.out());
    }

    /// Appends a DATA frame whose `len` bytes lie in `pieces`.
    pub fn push_data<'p>(&mut self, head: DataHead, len: usize, pieces: impl Iterator<Item = &'p [u8]>) {
        head.encode(len, pieces, self.out());
    }
}
