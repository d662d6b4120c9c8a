//! Counters of what the machines did. They only grow, and wrap never in practice: 64 bits each.

/// What a client has done since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Flows that were opened.
    pub opened: u64,
    /// Flows that ended.
    pub ended: u64,
    /// Exchanges that were sent.
    pub calls: u64,
    /// Exchanges that were answered with usable replies.
    pub answered: u64,
    /// Exchanges that failed, in any way.
    pub failed: u64,
    /// Ops that were sent a second time because the node cannot have had them.
    pub ops_resent: u64,
    /// Polls that were sent: data ops without payload.
    pub polls: u64,
    /// Polls that were answered without bytes.
    pub empty_polls: u64,
    /// Payload bytes sent towards nodes.
    pub uplink_bytes: u64,
    /// Payload bytes delivered to applications.
    pub downlink_bytes: u64,
    /// Replies that waited for an earlier one.
    pub reordered: u64,
    /// Datagrams dropped because a queue was full.
    pub datagrams_dropped: u64,
    /// Opens that carried the application's first bytes.
    pub first_bytes_hit: u64,
    /// Opens that waited for first bytes in vain.
    pub first_bytes_missed: u64,
    /// Opens that did not wait because servers speak first on their port.
    pub first_bytes_skipped: u64,
    /// Opens that failed at once because their target is known to be unreachable.
    pub unreachable_hits: u64,
}

/// What a user of a node has done since the node was made, or since the user was new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserStats {
    /// Streams and sessions that were opened.
    pub opened: u64,
    /// Payload bytes written to upstreams.
    pub uplink_bytes: u64,
    /// Payload bytes answered to clients.
    pub downlink_bytes: u64,
    /// Targets that were not allowed, and connections for which there was no place.
    pub refused: u64,
}

/// What a node has done since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStats {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that were answered.
    pub responses: u64,
    /// Requests whose caller went away first.
    pub requests_gone: u64,
    /// Requests with a wrong key.
    pub unauthorized: u64,
    /// Ops that ran or were refused.
    pub ops: u64,
    /// Ops that were answered with an error.
    pub failed_ops: u64,
    /// Ops that waited for an earlier one of their session.
    pub reordered: u64,
    /// Sessions that were opened.
    pub sessions_opened: u64,
    /// Sessions that ended.
    pub sessions_ended: u64,
    /// Payload bytes written to upstreams.
    pub uplink_bytes: u64,
    /// Payload bytes answered to clients.
    pub downlink_bytes: u64,
    /// Datagrams dropped because a queue was full.
    pub datagrams_dropped: u64,
    /// Clients of level 2 that said hello.
    pub clients: u64,
    /// Packets of level 2 that came.
    pub packets: u64,
    /// Packets that did not open, could not be read, or broke the rules.
    pub bad_packets: u64,
    /// Payload bytes answered to clients again, since an answer was lost or doubled (level 2).
    pub repeated_bytes: u64,
}
