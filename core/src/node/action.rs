//! Actions of a node, for its driver.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use bytes::Bytes;

use crate::error::ConnectFailure;
use crate::id::{RequestId, UpstreamId};
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::Wake;
use crate::wire::Body;
use crate::wire::packet::ClientId;

/// What the driver shall do, from [`Node::poll`](crate::Node::poll).
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub enum NodeAction {
    /// Answer a request.
    Respond {
        /// The request.
        request: RequestId,
        /// The whole answer; the driver may compress it.
        response: Response,
    },
    /// Open an upstream and report `Opened` or `Failed`; at `deadline` the node gives up by itself.
    OpenUpstream {
        /// Names the upstream in every later event and action.
        upstream: UpstreamId,
        /// Where to.
        target: Target,
        /// TCP or UDP.
        kind: FlowKind,
        /// The name of the [user](crate::NodeOptions::users); that of levels 0 and 1 is `default`.
        user: Arc<str>,
        /// When the node will give up.
        deadline: Instant,
    },
    /// Write bytes to an upstream, after those before; for UDP, send one datagram. Report `Written` (TCP).
    WriteUpstream {
        /// The upstream.
        upstream: UpstreamId,
        /// The bytes.
        bytes: Bytes,
    },
    /// This many more bytes may be read from an upstream and handed in (TCP).
    Credit {
        /// The upstream.
        upstream: UpstreamId,
        /// Bytes in addition to earlier credit.
        bytes: usize,
    },
    /// Write what was handed out before, then end this direction alone: the upstream may still send (TCP, level 2).
    FinishUpstream {
        /// The upstream.
        upstream: UpstreamId,
    },
    /// End an upstream, or an attempt to open one. Nothing follows for it, and nothing need be reported.
    ShutUpstream {
        /// The upstream.
        upstream: UpstreamId,
        /// In which way.
        how: Shut,
    },
    /// Something worth telling an observer; there is nothing to do.
    Event(NodeNotice),
    /// Nothing else is queued. Sleep until something happens, or until `wake` at the latest; then hand in
    /// `Timeout`.
    Idle {
        /// The next deadline, if there is one.
        wake: Option<Wake>,
    },
}

impl fmt::Debug for NodeAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Respond { request, response } => {
                f.debug_struct("Respond").field("request", request).field("response", response).finish()
            }
            Self::OpenUpstream { upstream, target, kind, user, deadline } => f
                .debug_struct("OpenUpstream")
                .field("upstream", upstream)
                .field("target", target)
                .field("kind", kind)
                .field("user", user)
                .field("deadline", deadline)
                .finish(),
            Self::WriteUpstream { upstream, bytes } => f
                .debug_struct("WriteUpstream")
                .field("upstream", upstream)
                .field("len", &bytes.len())
                .finish(),
            Self::Credit { upstream, bytes } => {
                f.debug_struct("Credit").field("upstream", upstream).field("bytes", bytes).finish()
            }
            Self::FinishUpstream { upstream } => {
                f.debug_struct("FinishUpstream").field("upstream", upstream).finish()
            }
            Self::ShutUpstream { upstream, how } => {
                f.debug_struct("ShutUpstream").field("upstream", upstream).field("how", how).finish()
            }
            Self::Event(notice) => f.debug_tuple("Event").field(notice).finish(),
            Self::Idle { wake } => f.debug_struct("Idle").field("wake", wake).finish(),
        }
    }
}

/// How an upstream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shut {
    /// Write what was handed out before, then close in order.
    Close,
    /// Drop what is not written yet and reset.
    Reset,
}

/// The answer to an HTTP request.
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// The value of the `Content-Type` header.
    pub content_type: &'static str,
    /// The whole body. Its bytes may still have to be made, on whatever thread has the time.
    pub body: Body,
}

impl Response {
    pub(super) const fn packet(body: Body) -> Self {
        Self { status: 200, content_type: "application/octet-stream", body }
    }

    pub(super) fn json(status: u16, body: impl Into<Body>) -> Self {
        Self { status, content_type: "application/json", body: body.into() }
    }

    pub(super) fn text(status: u16, text: String) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: Bytes::from(text).into() }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("body_len", &self.body.len())
            .finish()
    }
}

/// What an observer may want to log or count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeNotice {
    /// A session, or a stream of level 2, was opened.
    SessionOpened {
        /// Its upstream.
        upstream: UpstreamId,
        /// Its target.
        target: Target,
        /// TCP or UDP.
        kind: FlowKind,
    },
    /// A target could not be opened.
    ConnectFailed {
        /// The upstream of the attempt.
        upstream: UpstreamId,
        /// The target.
        target: Target,
        /// Why.
        failure: ConnectFailure,
    },
    /// A session or stream that was opened has ended; this is the one end event of its upstream.
    SessionEnded {
        /// Its upstream.
        upstream: UpstreamId,
        /// Why.
        why: SessionEnd,
    },
    /// A request with a wrong key, or none.
    Unauthorized {
        /// The request.
        request: RequestId,
    },
    /// A request that could not be read.
    BadRequest {
        /// The request.
        request: RequestId,
    },
    /// Datagrams of this upstream were dropped because no op fetched them in time.
    DatagramsDropped {
        /// The upstream.
        upstream: UpstreamId,
        /// How many so far, in all.
        dropped: u64,
    },
    /// A client of level 2 has a connection.
    ClientJoined {
        /// The connection.
        client: ClientId,
        /// The name of its user.
        user: Box<str>,
    },
    /// A client of level 2 is not known any more; its sessions have ended before.
    ClientEnded {
        /// The client.
        client: ClientId,
        /// Why.
        why: ClientEnd,
    },
    /// A packet that did not open, or could not be read, or broke the rules. Do client and node have the same
    /// secret?
    BadPacket {
        /// The request that brought it.
        request: RequestId,
    },
    /// A limit of the configuration refused something.
    LimitReached {
        /// Which limit, by its name in the configuration.
        limit: &'static str,
    },
}

/// Why a client of level 2 is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEnd {
    /// It was silent for the idle time.
    Idle,
    /// It broke the rules.
    Failed(ClientFault),
    /// It said goodbye.
    Goodbye,
    /// It was silent for 2 min, and its place was needed for another one of its user.
    Replaced,
    /// Its user was removed or changed.
    UserGone,
    /// The node was closed.
    NodeClosed,
}

impl fmt::Display for ClientEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("idle"),
            Self::Failed(fault) => write!(f, "protocol violation: {fault}"),
            Self::Goodbye => f.write_str("it said goodbye"),
            Self::Replaced => f.write_str("silent, and its place was needed"),
            Self::UserGone => f.write_str("its user was removed or changed"),
            Self::NodeClosed => f.write_str("the node was closed"),
        }
    }
}

impl core::error::Error for ClientEnd {}

/// Why a client is failed (protocol.md 3.2 rule 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientFault {
    /// A rule of a direction was broken: the text says which.
    Stream(&'static str),
    /// DATA came for a UDP stream.
    DataOnDatagrams,
    /// More uplink bytes are kept over all streams than were granted.
    TotalExceeded,
    /// The reorder queues of all streams together are too long.
    ReorderExceeded,
    /// An exchange is too far above `done`.
    TooManyExchanges,
    /// RESEND names an exchange that is not older than its own.
    ResendOfFuture,
    /// The streams that ended, or whose end is not confirmed, are too many.
    TooManyEnded,
}

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream(what) => what,
            Self::DataOnDatagrams => "DATA came for a UDP stream",
            Self::TotalExceeded => "the peer sent more bytes over all streams than it was granted",
            Self::ReorderExceeded => "too many chunks of all streams wait for earlier ones",
            Self::TooManyExchanges => "an exchange is too far ahead of those that are done",
            Self::ResendOfFuture => "RESEND names an exchange that is not older than its own",
            Self::TooManyEnded => "too many streams have ended out of order, or without confirmation",
        })
    }
}

impl core::error::Error for ClientFault {}

/// Why a session ended at the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SessionEnd {
    /// The upstream ended, and its tail and `eof` were answered.
    Finished,
    /// The client closed it.
    Closed,
    /// Nothing happened for the idle time.
    Idle,
    /// The upstream took no bytes until the write deadline.
    WriteTimedOut,
    /// The upstream was reset; the client has been told with `eof` or an error.
    Reset,
    /// The caller had gone when it opened.
    Abandoned,
    /// Its client broke the rules, or was silent for too long (level 2).
    ClientLost,
    /// Its user was removed or changed.
    UserGone,
    /// The node was closed.
    NodeClosed,
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::Closed => "closed by the client",
            Self::Idle => "idle",
            Self::WriteTimedOut => "the target took no bytes in time",
            Self::Reset => "reset by the target",
            Self::Abandoned => "the client left before the target was connected",
            Self::ClientLost => "the client broke the protocol or was silent for too long",
            Self::UserGone => "its user was removed or changed",
            Self::NodeClosed => "the node was closed",
        })
    }
}

impl core::error::Error for SessionEnd {}
