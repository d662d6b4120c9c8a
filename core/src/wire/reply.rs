//! Replies: the elements of an answer.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::caps::Caps;
use crate::seq::Seq;
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
    /// The reply was an object of the right shape, but its payload was no strict base64: bytes are missing.
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
