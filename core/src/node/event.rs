//! Events of a node, from its driver.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::config::UserOptions;
use crate::error::ConnectFailure;
use crate::id::{RequestId, UpstreamId};
use crate::secret::Secret;

/// Something that happened outside the node, handed to [`Node::handle`](crate::Node::handle).
#[derive(Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// An HTTP request arrived, whole and decompressed.
    Request {
        /// Names the request in the action that answers it; each larger than the one before.
        request: RequestId,
        /// The path that it came to.
        endpoint: Endpoint,
        /// The body: JSON, or a packet.
        body: Bytes,
    },
    /// The caller of a request has gone and takes no answer any more.
    RequestGone {
        /// The request.
        request: RequestId,
    },
    /// Something happened to an upstream.
    Upstream {
        /// The upstream.
        upstream: UpstreamId,
        /// What happened.
        event: UpstreamEvent,
    },
    /// The wake time of [`NodeAction::Idle`](crate::NodeAction::Idle) has come.
    Timeout,
    /// Answer every held request now, open nothing new, end every session.
    Close,
    /// The node is about to stop: it takes no new connection of level 2, and tells its clients to open no new streams. What
    /// is open goes on until [`Close`](Self::Close).
    Drain,
    /// Other [users](crate::NodeOptions::users) take the place of those that the node has. The connections of a user that
    /// was removed or changed end, with the reason. The user `default` of the node's secret stays. See
    /// [`check_users`](crate::NodeOptions::check_users) first.
    Users(Vec<UserOptions>),
}

impl fmt::Debug for NodeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { request, endpoint, body } => f
                .debug_struct("Request")
                .field("request", request)
                .field("endpoint", endpoint)
                .field("body_len", &body.len())
                .finish(),
            Self::RequestGone { request } => f.debug_struct("RequestGone").field("request", request).finish(),
            Self::Upstream { upstream, event } => {
                f.debug_struct("Upstream").field("upstream", upstream).field("event", event).finish()
            }
            Self::Timeout => f.write_str("Timeout"),
            Self::Close => f.write_str("Close"),
            Self::Drain => f.write_str("Drain"),
            Self::Users(users) => write!(f, "Users({})", users.len()),
        }
    }
}

/// The path that a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /tunnel/batch`: many ops, many replies.
    Batch,
    /// `POST /tunnel`: one op, one reply.
    Single,
    /// `POST /tunnel/streams`: a packet of level 2, answered by one.
    Streams {
        /// What stood in `Authorization: Bearer`; empty when there was nothing.
        key: Secret,
    },
}

/// What happened to an upstream.
#[derive(Clone, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// It is connected.
    Opened,
    /// It could not be opened. Nothing follows for this upstream.
    Failed(ConnectFailure),
    /// It sent bytes, within the credit given. TCP only.
    Data(Bytes),
    /// It sent one datagram. UDP only; needs no credit, the oldest make room for the newest.
    Datagram(Bytes),
    /// It sent everything it had (half-close). It may still take bytes.
    Fin,
    /// It failed or was reset, in either direction. Nothing follows for this upstream.
    Reset,
    /// This many bytes of `WriteUpstream` have been handed to its socket.
    Written(usize),
}

impl fmt::Debug for UpstreamEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.write_str("Opened"),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Self::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
            Self::Datagram(bytes) => write!(f, "Datagram({} bytes)", bytes.len()),
            Self::Fin => f.write_str("Fin"),
            Self::Reset => f.write_str("Reset"),
            Self::Written(bytes) => write!(f, "Written({bytes})"),
        }
    }
}
