//! The part of the node's fingerprint that is level 2.
//!
//! Numbers of exchanges and streams are shared with the client and stay what they are. Answers only count by their order,
//! and all that come are newer than those that went; names, nonces and statistics do not matter.

use alloc::vec::Vec;

use crate::fingerprint::Fingerprint;
use crate::node::fingerprint::Ranks;
use crate::node::streams::Streams;
use crate::node::upstreams::ConnectionId;

impl Streams {
    /// The connections in order, for ranks.
    pub(in crate::node) fn connections(&self) -> Vec<ConnectionId> {
        self.connections.ids()
    }

    /// Every client.
    pub(in crate::node) fn fingerprint(&self, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
        print.value(self.connections.promised());
        print.each(self.connections.iter(), |print, connection| connection.fingerprint(ranks, print));
    }
}
