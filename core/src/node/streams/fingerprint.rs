//! The part of the node's fingerprint that is level 2.
//!
//! Numbers of exchanges and streams are shared with the client and stay what they are. Answers only count by their order,
//! and all that come are newer than those that went; names, nonces and statistics do not matter.

use alloc::vec::Vec;

use crate::fingerprint::Fingerprint;
use crate::node::fingerprint::Ranks;
use crate::node::streams::Streams;
use crate::node::streams::client::ClientConnection;
use crate::node::upstreams::ConnectionId;
use crate::wire::packet::ResponseRoom;

impl Streams {
    /// The connections in order, for ranks.
    pub(in crate::node) fn connections(&self) -> Vec<ConnectionId> {
        self.connections.table.keys().copied().collect()
    }

    /// Every client.
    pub(in crate::node) fn fingerprint(&self, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
        print.value(self.connections.promised);
        print.each(self.connections.table.values(), |print, connection| connection.fingerprint(ranks, print));
    }
}

impl ClientConnection {
    fn fingerprint(&self, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
        print.value((self.exchanges.done(), self.keep, self.confirm, &self.ended));
        print.each(self.exchanges.iter(), |print, record| {
            print.value((record.progress, record.named, record.repeats));
        });
        print.each(self.held.iter(), |print, (exchange, held)| {
            let room = match held.room {
                ResponseRoom::HeaderOnly => 0,
                ResponseRoom::Bytes(bytes) => bytes,
            };
            print.value((exchange, room));
            ranks.op(held.at, print);
            print.time(held.arrived);
            print.deadline(held.until);
        });
        self.shared.fingerprint(print, |print, socket| socket.fingerprint(ranks, print));
        print.each(self.unconfirmed.iter(), |print, (at, exchange)| {
            print.value(exchange);
            print.deadline(*at);
        });
        print.time(self.last_seen);
    }
}
