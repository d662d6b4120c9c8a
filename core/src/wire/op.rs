//! Ops: the elements of a request.

use core::fmt;

use bytes::Bytes;

use crate::seq::Seq;
use crate::target::{BadTarget, Target};
use crate::wire::reply::Code;
use crate::wire::sid::Sid;

/// One element of a batch: what a client asks of a node.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// Open a TCP session.
    Connect {
        /// Where to.
        target: Target,
    },
    /// Open a TCP session, write its first bytes and answer with what comes back.
    ConnectData {
        /// Where to.
        target: Target,
        /// The first bytes; may be empty.
        payload: Bytes,
    },
    /// Write and read a TCP session. Without payload: a poll.
    Data {
        /// The session.
        sid: Sid,
        /// The op's place in its session (level 1).
        seq: Option<Seq>,
        /// Bytes for the upstream; empty in a poll.
        payload: Bytes,
    },
    /// Open a UDP session.
    UdpOpen {
        /// Where to.
        target: Target,
        /// The first datagram; none when empty.
        payload: Bytes,
    },
    /// Send one datagram and fetch what came. Without payload: a poll.
    UdpData {
        /// The session.
        sid: Sid,
        /// The datagram; none when empty.
        payload: Bytes,
    },
    /// End a session, TCP or UDP.
    Close {
        /// The session.
        sid: Sid,
    },
}

impl Op {
    /// The op's name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::ConnectData { .. } => "connect_data",
            Self::Data { .. } => "data",
            Self::UdpOpen { .. } => "udp_open",
            Self::UdpData { .. } => "udp_data",
            Self::Close { .. } => "close",
        }
    }

    /// The bytes that the op carries for the upstream; empty when it carries none.
    pub const fn payload(&self) -> Option<&Bytes> {
        match self {
            Self::ConnectData { payload, .. }
            | Self::Data { payload, .. }
            | Self::UdpOpen { payload, .. }
            | Self::UdpData { payload, .. } => Some(payload),
            Self::Connect { .. } | Self::Close { .. } => None,
        }
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct(self.name());
        match self {
            Self::Connect { target } | Self::ConnectData { target, .. } | Self::UdpOpen { target, .. } => {
                debug.field("target", target);
            }
            Self::Data { sid, seq, .. } => {
                debug.field("sid", sid).field("seq", seq);
            }
            Self::UdpData { sid, .. } | Self::Close { sid } => {
                debug.field("sid", sid);
            }
        }
        if let Some(payload) = self.payload() {
            debug.field("payload_len", &payload.len());
        }
        debug.finish()
    }
}

/// Why one op of a batch could not be read. Its neighbours are not affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadOp {
    /// The element is no object, or `op` is missing or no string.
    NotAnOp,
    /// The op's name is unknown: the text, cut to a bounded length.
    Unknown(alloc::boxed::Box<str>),
    /// `host` is missing, no string, empty or too long.
    Host,
    /// `port` is missing, no number, or not 1 to 65535.
    Port,
    /// `sid` is missing, no string, empty or too long.
    Sid,
    /// `seq` is there but no unsigned 64-bit number.
    Seq {
        /// The session, when it could be read.
        sid: Option<Sid>,
    },
    /// `d` is there but no string of strict base64 (standard alphabet, padded), or larger than allowed.
    Payload {
        /// What failed, as the base64 reader says it.
        reason: &'static str,
        /// The session of the op, when it names one.
        sid: Option<Sid>,
        /// The op's place in its session: the slot is used up although the payload was bad.
        seq: Option<Seq>,
    },
}

impl BadOp {
    /// The machine-readable code of the error reply.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Unknown(_) => Some(Code::UnsupportedOp),
            Self::NotAnOp | Self::Host | Self::Port | Self::Sid | Self::Seq { .. } | Self::Payload { .. } => {
                None
            }
        }
    }
}

/// The error text on the wire: where deployed nodes have one, theirs.
impl fmt::Display for BadOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnOp => f.write_str("bad op: not an object with a string \"op\""),
            Self::Unknown(name) => write!(f, "unknown op: {name}"),
            Self::Host => f.write_str("missing host"),
            Self::Port => f.write_str("missing or invalid port"),
            Self::Sid => f.write_str("missing sid"),
            Self::Seq { .. } => f.write_str("bad seq: not an unsigned 64-bit number"),
            Self::Payload { reason, .. } => write!(f, "bad base64: {reason}"),
        }
    }
}

impl core::error::Error for BadOp {}

impl From<BadTarget> for BadOp {
    fn from(bad: BadTarget) -> Self {
        match bad {
            BadTarget::Host => Self::Host,
            BadTarget::Port => Self::Port,
        }
    }
}
