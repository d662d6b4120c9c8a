//! Replies: the elements of an answer.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::level::Caps;
use crate::seq::Seq;
use crate::wire::arena::{self, Arena};
use crate::wire::base64::decoded_len;
use crate::wire::json::{Length, Raw, Sink, cut, quoted_base64, read_elements, read_object};
use crate::wire::sid::Sid;

/// The machine-readable code of an error reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `UNSUPPORTED_OP`: the peer does not know the op.
    UnsupportedOp,
    /// Any other code; none is known today.
    Other,
}

impl Code {
    /// The code on the wire.
    pub const UNSUPPORTED_OP: &'static str = "UNSUPPORTED_OP";
}

/// What a node answered to one op, as a client reads it. Every field is optional on the wire.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The session that the reply is about.
    pub sid: Option<Sid>,
    /// TCP bytes from upstream.
    pub data: Bytes,
    /// Datagrams from upstream.
    pub packets: Vec<Bytes>,
    /// Whether the session has ended.
    pub eof: bool,
    /// The error text, cut to a bounded length.
    pub error: Option<Box<str>>,
    /// The error code.
    pub code: Option<Code>,
    /// The echo of the op's `seq`.
    pub seq: Option<Seq>,
    /// The node's capabilities (connect replies).
    pub caps: Option<Caps>,
    /// Something of the reply could not be read and is missing here: it is no object, or a field has the
    /// wrong type, or a payload is no strict base64. The bytes that a session lost so are gone.
    pub damaged: bool,
}

impl Reply {
    /// Whether the peer said that it does not know the op: by code, or by the texts of older peers.
    pub fn is_unsupported(&self, op: &str) -> bool {
        let by_text = self.error.as_deref().is_some_and(|text| {
            let text = text.to_ascii_lowercase();
            (text.contains("unknown op") || text.contains("unknown tunnel op")) && text.contains(op)
        });
        self.code == Some(Code::UnsupportedOp) || by_text
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("sid", &self.sid)
            .field("data_len", &self.data.len())
            .field("packets", &self.packets.len())
            .field("eof", &self.eof)
            .field("error", &self.error)
            .field("code", &self.code)
            .field("seq", &self.seq)
            .field("caps", &self.caps)
            .field("damaged", &self.damaged)
            .finish()
    }
}

/// What a node answers to one op, borrowed from wherever it lies, ready to be written.
///
/// Fields that are unset are left out, so a level 0 reply has exactly the bytes of a deployed node's.
#[derive(Clone, Copy, Default)]
pub struct ReplyParts<'a> {
    /// The session that the reply is about.
    pub sid: Option<Sid>,
    /// TCP bytes from upstream, in pieces; written as one base64 string.
    pub data: &'a [Bytes],
    /// Datagrams from upstream, one base64 string each.
    pub packets: &'a [Bytes],
    /// Whether the session has ended.
    pub eof: Option<bool>,
    /// The error text.
    pub error: Option<&'a str>,
    /// The error code.
    pub code: Option<Code>,
    /// The echo of the op's `seq`.
    pub seq: Option<Seq>,
    /// The node's capabilities (connect replies).
    pub caps: Option<Caps>,
}

impl ReplyParts<'_> {
    /// The bytes that the reply adds to an answer: its JSON and the comma before it.
    pub fn encoded_len(&self) -> usize {
        let mut length = Length::default();
        self.write(&mut length);
        length.0.saturating_add(1)
    }

    /// Writes the reply, fields in the order that deployed nodes have.
    pub(super) fn write<S: Sink>(&self, sink: &mut S) {
        let mut object = sink.object();
        if let Some(sid) = &self.sid {
            object.string("sid", sid.as_str());
        }
        if self.data.iter().any(|chunk| !chunk.is_empty()) {
            object.base64("d", self.data);
        }
        if !self.packets.is_empty() {
            let packets = self.packets.iter().map(core::slice::from_ref);
            object.field("pkts").array(packets, quoted_base64);
        }
        if let Some(eof) = self.eof {
            object.field("eof").raw(if eof { "true" } else { "false" });
        }
        if let Some(error) = self.error {
            object.string("e", error);
        }
        // Other codes have no text to write: none is known.
        if self.code == Some(Code::UnsupportedOp) {
            object.string("code", Code::UNSUPPORTED_OP);
        }
        if let Some(seq) = self.seq {
            object.number("seq", seq.number());
        }
        if let Some(caps) = self.caps {
            object.number("caps", caps.bits().into());
        }
        object.end();
    }
}

/// The longest part of an error text that is kept, in bytes.
pub(super) const MAX_ERROR_LEN: usize = 200;

/// Datagrams that are kept of an answer: 5 times what a deployed node can send in a batch of 50 ops
/// (256 each). A datagram costs at least 3 bytes of body and, kept, ten times that.
pub(super) const MAX_PACKETS: usize = 65_536;

/// The fields of a reply as they came, none of them interpreted, in the order of [`KEYS`](Self::KEYS); `None` when it
/// is no object.
#[derive(Clone, Copy)]
pub(super) struct ReplyFields<'a>(Option<[Option<Raw<'a>>; 8]>);

impl<'a> ReplyFields<'a> {
    const KEYS: [&'static str; 8] = ["sid", "d", "pkts", "eof", "e", "code", "seq", "caps"];

    /// Reads an element of an answer.
    pub(super) fn read(json: &'a str) -> Self {
        Self(read_object(json, Self::KEYS).ok())
    }

    /// At most the bytes that the payloads of the reply take when decoded.
    pub(super) fn payload_len(self) -> usize {
        let [_, data, packets, ..] = self.0.unwrap_or_default();
        // Quotes, commas and blanks count as symbols here: too much, but by little.
        let packets = packets.map_or(0, |array| decoded_len(array.text()));
        arena::decoded_len(data).saturating_add(packets)
    }

    /// Interprets the fields. A wrong one leaves its value unset and the reply damaged.
    pub(super) fn interpret(self, arena: &mut Arena, packets_left: &mut usize) -> Reply {
        let Some([sid, data, packets, eof, error, code, seq, caps]) = self.0 else {
            let error = Some("bad reply: not an object".into());
            return Reply { error, damaged: true, ..Reply::default() };
        };
        let mut damaged = false;
        let sid = read(sid, &mut damaged, |raw| Sid::new(&raw.string()?));
        let eof = read(eof, &mut damaged, Raw::plain).unwrap_or_default();
        let seq = read(seq, &mut damaged, |raw| raw.plain().map(Seq::new));
        let caps = read(caps, &mut damaged, |raw| raw.plain().map(Caps::from_bits));
        let code = read(code, &mut damaged, |raw| Some(Code::named(&raw.string()?)));
        // An error that cannot be read is an error all the same.
        let error = error.map(|raw| match raw.string() {
            Some(text) => cut(&text, MAX_ERROR_LEN).into(),
            None => {
                damaged = true;
                "bad reply: the error is not a text".into()
            }
        });
        let data = read(data, &mut damaged, |raw| arena.decode_value(Some(raw)).ok()).unwrap_or_default();
        let packets = read(packets, &mut damaged, |raw| {
            let packets = read_elements(raw, *packets_left)?;
            *packets_left = packets_left.saturating_sub(packets.kept.len());
            Some(packets)
        });
        let packets = packets.map_or_else(Vec::new, |packets| {
            // An empty datagram is one too; null is not.
            let datagram = |raw| arena.decode_value(Some(Raw::new(raw)?)).ok();
            let mut datagrams = Vec::with_capacity(packets.kept.len());
            datagrams.extend(packets.kept.into_iter().filter_map(datagram));
            damaged |= datagrams.len() < packets.count;
            datagrams
        });
        Reply { sid, data, packets, eof, error, code, seq, caps, damaged }
    }
}

/// What `interpret` makes of a value, if it is there; if it is there and nothing comes of it, that is damage.
fn read<'a, T>(
    value: Option<Raw<'a>>,
    damaged: &mut bool,
    interpret: impl FnOnce(Raw<'a>) -> Option<T>,
) -> Option<T> {
    let interpreted = interpret(value?);
    *damaged |= interpreted.is_none();
    interpreted
}

impl Code {
    fn named(text: &str) -> Self {
        if text == Self::UNSUPPORTED_OP { Self::UnsupportedOp } else { Self::Other }
    }
}
