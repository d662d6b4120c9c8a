//! Frames: what a packet carries (protocol.md 3.1).
//!
//! A frame is its type, the length of its fields, and its fields. Types that are not known are skipped when
//! even, and fail the packet when odd; so of the types here, those that a peer could do without are even.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::seq::Seq;
use crate::target::{FlowKind, MAX_HOST_LEN, Target};
use crate::wire::cursor::{Cursor, PacketError};
use crate::wire::direction::Direction;
use crate::wire::end::EndCode;
use crate::wire::frame_type::FrameType;
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::reset::ResetCode;
use crate::wire::varint;

/// The most bytes that a chunk has: 64 KiB.
pub const MAX_CHUNK: usize = 64 * 1024;

/// The most bytes that a datagram has: what UDP can carry.
pub const MAX_DATAGRAM: usize = 65_535;

/// The most bytes of the text of an END.
pub const MAX_END_TEXT: usize = 128;

/// The byte that stands behind the last frame, and nowhere else where a frame's type should stand.
const PADDING: u8 = 0;

/// The most bytes that a DATA or DATAGRAM frame takes beside its payload: type, length (at most 4 bytes), stream,
/// sequence number and flag.
pub const MAX_DATA_OVERHEAD: usize = 1 + 4 + varint::MAX_LEN + varint::MAX_LEN + 1;

/// One frame. A payload is a slice of the packet that it came in; `Debug` shows its length alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Frame {
    /// Open an upstream to `target`. Saying it again changes nothing.
    Open {
        /// The stream's number.
        stream: StreamNumber,
        /// What it carries.
        kind: FlowKind,
        /// Downlink bytes that the node may send without any WINDOW.
        window: u64,
        /// Where to.
        target: Target,
    },
    /// The upstream of the stream is open.
    Opened {
        /// The stream.
        stream: StreamNumber,
    },
    /// A chunk.
    Data {
        /// The stream.
        stream: StreamNumber,
        /// The chunk's place in its direction, from 0.
        seq: Seq,
        /// Whether the direction ends with this chunk.
        fin: bool,
        /// At most [`MAX_CHUNK`] bytes; none only with `fin`.
        bytes: Bytes,
    },
    /// Every chunk below `next` was taken by the application, or by the upstream's socket.
    Ack {
        /// The stream.
        stream: StreamNumber,
        /// The first chunk that was not taken.
        next: Seq,
    },
    /// The receiver of this frame may send up to `limit` bytes of the stream in all, first time sent ones only.
    Window {
        /// The stream.
        stream: StreamNumber,
        /// Bytes from the start of the direction.
        limit: u64,
    },
    /// The stream is over, in both directions.
    Reset {
        /// The stream.
        stream: StreamNumber,
        /// Why.
        code: ResetCode,
    },
    /// A datagram. It is never sent again.
    Datagram {
        /// The stream.
        stream: StreamNumber,
        /// At most [`MAX_DATAGRAM`] bytes.
        bytes: Bytes,
    },
    /// The response of this exchange may be lost: its contents shall be sent again.
    Resend {
        /// The exchange.
        exchange: ExchangeNumber,
    },
    /// What could be sent now and did not fit into this response.
    Backlog {
        /// Bytes.
        bytes: u64,
    },
    /// DATA came for a stream that the node neither knows nor has ended.
    Gone {
        /// The stream.
        stream: StreamNumber,
    },
    /// The client ends the connection. It is alone in its packet.
    Goodbye,
    /// The node has ended the connection. It is alone in its packet.
    End {
        /// Why.
        code: EndCode,
        /// More, for people; at most [`MAX_END_TEXT`] bytes.
        text: Box<str>,
    },
}

impl Frame {
    /// The frame's type.
    pub const fn kind(&self) -> FrameType {
        match self {
            Self::Open { .. } => FrameType::Open,
            Self::Opened { .. } => FrameType::Opened,
            Self::Data { .. } => FrameType::Data,
            Self::Ack { .. } => FrameType::Ack,
            Self::Window { .. } => FrameType::Window,
            Self::Reset { .. } => FrameType::Reset,
            Self::Datagram { .. } => FrameType::Datagram,
            Self::Resend { .. } => FrameType::Resend,
            Self::Backlog { .. } => FrameType::Backlog,
            Self::Gone { .. } => FrameType::Gone,
            Self::Goodbye => FrameType::Goodbye,
            Self::End { .. } => FrameType::End,
        }
    }

    /// The stream that the frame is about, if it is about one.
    pub const fn stream(&self) -> Option<StreamNumber> {
        match self {
            Self::Open { stream, .. }
            | Self::Opened { stream }
            | Self::Data { stream, .. }
            | Self::Ack { stream, .. }
            | Self::Window { stream, .. }
            | Self::Reset { stream, .. }
            | Self::Datagram { stream, .. }
            | Self::Gone { stream } => Some(*stream),
            Self::Resend { .. } | Self::Backlog { .. } | Self::Goodbye | Self::End { .. } => None,
        }
    }

    /// How many bytes the frame takes in a packet.
    pub fn encoded_len(&self) -> usize {
        let fields = self.fields_len();
        head_len(self.kind(), fields).saturating_add(fields)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        write_head(self.kind(), self.fields_len(), out);
        self.fields(out);
    }

    fn fields_len(&self) -> usize {
        let mut len = Length(0);
        self.fields(&mut len);
        len.0
    }

    /// The fields in their order; what measures a frame is what writes it.
    fn fields(&self, out: &mut impl Sink) {
        if let Some(stream) = self.stream() {
            out.varint(stream.get());
        }
        match self {
            Self::Open { kind, window, target, .. } => {
                out.varint(u64::from(*kind == FlowKind::Udp));
                out.varint(*window);
                out.varint(as_u64(target.host().len()));
                out.bytes(target.host().as_bytes());
                out.varint(u64::from(target.port()));
            }
            Self::Data { seq, fin, bytes, .. } => {
                out.varint(seq.number());
                out.varint(u64::from(*fin));
                out.bytes(bytes);
            }
            Self::Ack { next, .. } => out.varint(next.number()),
            Self::Window { limit: bytes, .. } | Self::Backlog { bytes } => out.varint(*bytes),
            Self::Reset { code, .. } => out.varint(code.number()),
            Self::Datagram { bytes, .. } => out.bytes(bytes),
            Self::Resend { exchange } => out.varint(exchange.get()),
            Self::End { code, text } => {
                let text = text.get(..text.floor_char_boundary(MAX_END_TEXT)).unwrap_or_default();
                out.varint(code.number());
                out.varint(as_u64(text.len()));
                out.bytes(text.as_bytes());
            }
            Self::Opened { .. } | Self::Gone { .. } | Self::Goodbye => {}
        }
    }

    /// Reads one frame; `None` when it is one to be skipped.
    fn decode(cursor: &mut Cursor<'_>, way: Direction) -> Result<Option<Self>, PacketError> {
        let number = cursor.varint("a frame's type")?;
        if number == u64::from(PADDING) {
            // In more bytes than it needs.
            return Err(PacketError::Padding);
        }
        let len = cursor.number("a frame's length")?;
        let mut fields = cursor.part(len, "a frame")?;
        let Some((kind, only)) = FrameType::find(number) else {
            return if number & 1 == 0 { Ok(None) } else { Err(PacketError::UnknownFrame(number)) };
        };
        if only.is_some_and(|only| only != way) {
            return Err(PacketError::WrongWay(kind, way));
        }
        let frame = Self::decode_fields(kind, &mut fields)?;
        if fields.is_empty() { Ok(Some(frame)) } else { Err(PacketError::Trailing(kind)) }
    }

    fn decode_fields(kind: FrameType, fields: &mut Cursor<'_>) -> Result<Self, PacketError> {
        Ok(match kind {
            FrameType::Open => decode_open(fields)?,
            FrameType::Opened => Self::Opened { stream: stream(fields)? },
            FrameType::Data => decode_data(fields)?,
            FrameType::Ack => {
                Self::Ack { stream: stream(fields)?, next: Seq::new(fields.varint("ACK's next")?) }
            }
            FrameType::Window => {
                Self::Window { stream: stream(fields)?, limit: fields.varint("WINDOW's limit")? }
            }
            FrameType::Reset => Self::Reset {
                stream: stream(fields)?,
                code: ResetCode::from_number(fields.varint("RESET's code")?),
            },
            FrameType::Datagram => Self::Datagram {
                stream: stream(fields)?,
                bytes: fields.rest(MAX_DATAGRAM, "DATAGRAM's bytes")?,
            },
            FrameType::Resend => {
                Self::Resend { exchange: ExchangeNumber::new(fields.varint("RESEND's exchange")?) }
            }
            FrameType::Backlog => Self::Backlog { bytes: fields.varint("BACKLOG's bytes")? },
            FrameType::Gone => Self::Gone { stream: stream(fields)? },
            FrameType::Goodbye => Self::Goodbye,
            FrameType::End => Self::End {
                code: EndCode::from_number(fields.varint("END's code")?),
                text: fields.text(MAX_END_TEXT, "END's text")?.into(),
            },
        })
    }
}

fn stream(fields: &mut Cursor<'_>) -> Result<StreamNumber, PacketError> {
    fields.varint("a frame's stream").map(StreamNumber::new)
}

fn decode_open(fields: &mut Cursor<'_>) -> Result<Frame, PacketError> {
    let stream = stream(fields)?;
    let kind = if fields.flag("OPEN's kind")? { FlowKind::Udp } else { FlowKind::Tcp };
    let window = fields.varint("OPEN's window")?;
    let host = fields.text(MAX_HOST_LEN, "OPEN's host")?;
    let port = fields.number("OPEN's port")?;
    let target = Target::new(host, port).map_err(|_| PacketError::OutOfRange("OPEN's target"))?;
    Ok(Frame::Open { stream, kind, window, target })
}

fn decode_data(fields: &mut Cursor<'_>) -> Result<Frame, PacketError> {
    let stream = stream(fields)?;
    let seq = Seq::new(fields.varint("DATA's seq")?);
    let fin = fields.flag("DATA's fin")?;
    let bytes = fields.rest(MAX_CHUNK, "DATA's bytes")?;
    if bytes.is_empty() && !fin {
        return Err(PacketError::OutOfRange("DATA's bytes"));
    }
    Ok(Frame::Data { stream, seq, fin, bytes })
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        if let Some(stream) = self.stream() {
            write!(f, " {stream}")?;
        }
        match self {
            Self::Open { kind, window, target, .. } => write!(f, " {kind:?} {target} window {window}"),
            Self::Data { seq, fin, bytes, .. } => {
                write!(f, " seq {seq}, {} bytes{}", bytes.len(), if *fin { ", fin" } else { "" })
            }
            Self::Ack { next, .. } => write!(f, " next {next}"),
            Self::Window { limit, .. } => write!(f, " limit {limit}"),
            Self::Reset { code, .. } => write!(f, " {code}"),
            Self::Datagram { bytes, .. } => write!(f, " {} bytes", bytes.len()),
            Self::Resend { exchange } => write!(f, " {exchange}"),
            Self::Backlog { bytes } => write!(f, " {bytes} bytes"),
            Self::End { code, .. } => write!(f, " {code}"),
            Self::Opened { .. } | Self::Gone { .. } | Self::Goodbye => Ok(()),
        }
    }
}

/// What stands before a chunk's bytes in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHead {
    /// The stream.
    pub stream: StreamNumber,
    /// The chunk's place in its direction.
    pub seq: Seq,
    /// Whether the direction ends with it.
    pub fin: bool,
}

impl DataHead {
    /// Appends the whole frame, whose payload of `len` bytes lies in `pieces`.
    pub(super) fn encode<'p>(&self, len: usize, pieces: impl Iterator<Item = &'p [u8]>, out: &mut Vec<u8>) {
        let Self { stream, seq, fin } = *self;
        let head = Frame::Data { stream, seq, fin, bytes: Bytes::new() };
        write_head(FrameType::Data, head.fields_len().saturating_add(len), out);
        head.fields(out);
        for piece in pieces {
            out.extend_from_slice(piece);
        }
    }
}

fn head_len(kind: FrameType, fields: usize) -> usize {
    varint::len(kind.number()).saturating_add(varint::len(as_u64(fields)))
}

fn write_head(kind: FrameType, fields: usize, out: &mut Vec<u8>) {
    varint::encode(kind.number(), out);
    varint::encode(as_u64(fields), out);
}

/// A length as an integer of the wire; every length in memory fits.
pub(super) fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Where fields go.
trait Sink {
    fn varint(&mut self, value: u64);
    fn bytes(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn varint(&mut self, value: u64) {
        varint::encode(value, self);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Measures instead of writing.
struct Length(usize);

impl Sink for Length {
    fn varint(&mut self, value: u64) {
        self.0 = self.0.saturating_add(varint::len(value));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// The frames of a packet, in its order. All of them were checked before the first is handed out, so a packet
/// that is wrong anywhere has no effect at all.
///
/// Nothing is kept per frame: a packet of millions of tiny frames costs no memory beside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    packet: Bytes,
    at: usize,
    way: Direction,
}

impl Frames {
    pub(super) fn check(packet: Bytes, at: usize, way: Direction) -> Result<Self, PacketError> {
        let mut cursor = Cursor::new(&packet, at);
        let (mut frames, mut ends) = (0_usize, None);
        while cursor.peek().first().is_some_and(|first| *first != PADDING) {
            let known = Frame::decode(&mut cursor, way)?;
            frames = frames.saturating_add(1);
            ends = known.as_ref().map(Frame::kind).filter(|kind| kind.is_alone()).or(ends);
        }
        if cursor.peek().iter().any(|byte| *byte != PADDING) {
            return Err(PacketError::Padding);
        }
        let end = cursor.at();
        match ends {
            Some(kind) if frames > 1 => Err(PacketError::NotAlone(kind)),
            _ => Ok(Self { packet: packet.slice(..end), at, way }),
        }
    }

    /// The packet that they are in, its header included.
    pub(crate) fn packet(&self) -> &[u8] {
        &self.packet
    }
}

impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let mut cursor = Cursor::new(&self.packet, self.at);
        while !cursor.is_empty() {
            // Checked: an error cannot come, and would end the frames.
            let frame = Frame::decode(&mut cursor, self.way).ok()?;
            self.at = cursor.at();
            if frame.is_some() {
                return frame;
            }
        }
        None
    }
}
