//! Ops: the elements of a request.

use alloc::borrow::Cow;
use core::fmt;

use bytes::Bytes;

use crate::level::Level;
use crate::seq::Seq;
use crate::target::{BadTarget, Target};
use crate::wire::arena::{self, Arena};
use crate::wire::json::{Length, Raw, Sink, cut, read_object};
use crate::wire::reply::Code;
use crate::wire::sid::Sid;

/// One element of a batch: what a client asks of a node.
#[derive(Clone, PartialEq, Eq, Hash)]
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
    /// Everything of level 2: answered by `{"d"}` with the response packet (protocol.md 3).
    Streams {
        /// The sealed request packet.
        packet: Bytes,
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
            Self::Streams { .. } => "streams",
        }
    }

    /// What the op has in `d`: bytes for the upstream, which may be none, or a packet.
    pub const fn payload(&self) -> Option<&Bytes> {
        match self {
            Self::ConnectData { payload, .. }
            | Self::Data { payload, .. }
            | Self::UdpOpen { payload, .. }
            | Self::UdpData { payload, .. }
            | Self::Streams { packet: payload } => Some(payload),
            Self::Connect { .. } | Self::Close { .. } => None,
        }
    }

    /// The bytes that the op adds to a request: its JSON and the comma before it. With
    /// [`request_overhead`](crate::wire::request_overhead) it foretells the size of a request exactly.
    pub fn encoded_len(&self) -> usize {
        let mut length = Length::default();
        self.write(&mut length);
        length.0.saturating_add(1)
    }

    /// Writes the op, fields in the order that deployed clients have.
    pub(super) fn write<S: Sink>(&self, sink: &mut S) {
        let mut object = sink.object();
        object.string("op", self.name());
        match self {
            Self::Connect { target } | Self::ConnectData { target, .. } | Self::UdpOpen { target, .. } => {
                object.string("host", target.host());
                object.number("port", target.port().into());
            }
            Self::Data { sid, seq, .. } => {
                object.string("sid", sid.as_str());
                if let Some(seq) = seq {
                    object.number("seq", seq.number());
                }
            }
            Self::UdpData { sid, .. } | Self::Close { sid } => object.string("sid", sid.as_str()),
            Self::Streams { .. } => {}
        }
        let always = matches!(self, Self::ConnectData { .. });
        if let Some(payload) = self.payload().filter(|payload| always || !payload.is_empty()) {
            object.base64("d", core::slice::from_ref(payload));
        }
        object.end();
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
            Self::Streams { .. } => {}
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
    /// The op is of a lower level than the node takes: its `min_level`.
    Level(Level),
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
            Self::NotAnOp
            | Self::Host
            | Self::Port
            | Self::Sid
            | Self::Seq { .. }
            | Self::Level(_)
            | Self::Payload { .. } => None,
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
            Self::Level(lowest) => {
                write!(f, "this node takes level {} only; see its secret", lowest.number())
            }
            Self::Payload { reason, .. } => write!(f, "bad base64: {reason}"),
        }
    }
}

impl core::error::Error for BadOp {}

impl From<BadTarget> for BadOp {
    fn from(bad: BadTarget) -> Self {
        match bad {
            BadTarget::Host | BadTarget::Syntax => Self::Host,
            BadTarget::Port => Self::Port,
        }
    }
}

/// The longest part of an unknown op's name that is repeated to the peer, in bytes.
const MAX_NAME_LEN: usize = 200;

/// The fields of an op as they came, none of them interpreted. Unknown keys are dropped.
#[derive(Clone, Copy)]
pub(super) struct OpFields<'a> {
    op: Option<Raw<'a>>,
    host: Option<Raw<'a>>,
    port: Option<Raw<'a>>,
    sid: Option<Raw<'a>>,
    seq: Option<Raw<'a>>,
    payload: Option<Raw<'a>>,
}

impl<'a> OpFields<'a> {
    /// Reads the object of an op that has its payload under the key `payload`, and one more value beside the op.
    pub(super) fn read(
        json: &'a str,
        payload: &str,
        beside: &str,
    ) -> Result<(Self, Option<Raw<'a>>), serde_json::Error> {
        let keys = ["op", "host", "port", "sid", "seq", payload, beside];
        let [op, host, port, sid, seq, payload, beside] = read_object(json, keys)?;
        Ok((Self { op, host, port, sid, seq, payload }, beside))
    }

    /// At most the bytes that the payload takes when decoded.
    pub(super) fn payload_len(self) -> usize {
        arena::decoded_len(self.payload)
    }

    /// Whether the op has a name, be it no string.
    pub(super) const fn is_named(self) -> bool {
        self.op.is_some()
    }

    /// The op's name, known or not.
    pub(super) fn name(self) -> Result<Cow<'a, str>, BadOp> {
        self.op.and_then(Raw::string).ok_or(BadOp::NotAnOp)
    }

    /// Interprets the fields that the op's name asks for, and no others. The payload comes last: what else is wrong
    /// with the op is told first.
    pub(super) fn interpret(self, arena: &mut Arena) -> Result<Op, BadOp> {
        let mut payload =
            |sid, seq| arena.decode_value(self.payload).map_err(|reason| BadOp::Payload { reason, sid, seq });
        Ok(match &*self.name()? {
            "connect" => Op::Connect { target: self.target()? },
            "connect_data" => Op::ConnectData { target: self.target()?, payload: payload(None, None)? },
            "data" => {
                let sid = self.sid()?;
                let seq = self.seq().map_err(|()| BadOp::Seq { sid: Some(sid) })?;
                Op::Data { sid, seq, payload: payload(Some(sid), seq)? }
            }
            "udp_open" => Op::UdpOpen { target: self.target()?, payload: payload(None, None)? },
            "udp_data" => {
                let sid = self.sid()?;
                Op::UdpData { sid, payload: payload(Some(sid), None)? }
            }
            "close" => Op::Close { sid: self.sid()? },
            "streams" => Op::Streams { packet: payload(None, None)? },
            unknown => return Err(BadOp::Unknown(cut(unknown, MAX_NAME_LEN).into())),
        })
    }

    /// Host before port: a peer that sends neither is told of the host, as deployed nodes do.
    fn target(self) -> Result<Target, BadOp> {
        let host = self.host.and_then(Raw::string).ok_or(BadOp::Host)?;
        let port = self.port.and_then(Raw::plain).unwrap_or(0); // which is no port
        Ok(Target::new(&host, port)?)
    }

    fn sid(self) -> Result<Sid, BadOp> {
        self.sid.and_then(Raw::string).and_then(|text| Sid::new(&text)).ok_or(BadOp::Sid)
    }

    fn seq(self) -> Result<Option<Seq>, ()> {
        self.seq.map(|raw| raw.plain().map(Seq::new).ok_or(())).transpose()
    }
}
