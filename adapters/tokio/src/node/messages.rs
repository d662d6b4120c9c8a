//! Messages to the node's driver, from the tasks of requests and upstreams.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use seqlane::{Endpoint, NodeStats, RequestId, Response, UpstreamEvent, UpstreamId, UserOptions, UserStats};
use tokio::sync::oneshot;

use super::user::Rules;
use crate::http::body::Share;

/// A request of another task to the driver.
#[derive(Debug)]
pub(super) enum Input {
    Request {
        request: RequestId,
        endpoint: Endpoint,
        body: Bytes,
        /// The body's share of the server's memory, given back when the machine has read it.
        share: Share,
        answer: oneshot::Sender<Response>,
    },
    Upstream {
        upstream: UpstreamId,
        event: UpstreamEvent,
    },
    Snapshot(oneshot::Sender<NodeSnapshot>),
    /// Other users take the place of those that there are.
    Users(Vec<UserOptions>, Rules),
    /// Take no new connection, and say so when no upstream is left.
    Drain(oneshot::Sender<()>),
    /// Answer what is held and open nothing new.
    Close,
    /// End when the upstreams have written their queues, or after this time.
    Stop(Duration),
}

/// State of a node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeSnapshot {
    /// The machine's counters.
    pub stats: NodeStats,
    /// What each user has done, by name. Levels 0 and 1, and everybody without a secret, are `default`.
    pub users: BTreeMap<Box<str>, UserStats>,
    /// Payload bytes that the machine buffers.
    pub buffered_bytes: usize,
    /// Requests that wait for their answer.
    pub held_requests: usize,
    /// Upstreams, including those that are being opened.
    pub upstreams: usize,
    /// Open HTTP connections of the node's own listener.
    pub connections: usize,
}
