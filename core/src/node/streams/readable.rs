//! Requests that are opened beside the node, for recordings: nothing happens to the node.

use bytes::Bytes;

use crate::node::streams::Streams;
use crate::node::streams::client::ClientConnection;
use crate::node::users::User;
use crate::time::Instant;
use crate::wire::direction::Direction;
use crate::wire::handshake::{self, HELLO, ReceivedHello};
use crate::wire::packet::ClientId;
use crate::wire::seal::{self, Seal};

impl Streams {
    /// What lies under the seal of a hello or a packet that would open now, and its id.
    pub(in crate::node) fn readable(&self, packet: &Bytes, now: Instant) -> Option<(ClientId, Bytes)> {
        if packet.first() == Some(&HELLO) {
            let client = handshake::client_of(packet)?;
            let user = self.users.find(client).and_then(|id| self.users.get(id)).map(User::keys);
            let keys = user.or_else(|| self.users.open_keys(client))?;
            let payload = ReceivedHello::open(keys, packet).ok()?.payload().encode();
            return Some((client, Bytes::copy_from_slice(&payload)));
        }
        let client = seal::client_of(packet)?;
        let connection = self.connections.find(client).and_then(|id| self.connections.get(id));
        let half_open = self.connections.half_open().get(client);
        let up = match (connection.map(ClientConnection::up), half_open) {
            (Some(up), _) => up.clone(),
            (None, Some(half)) => Seal::new(&half.keys, Direction::Up),
            (None, None) => self.connections.ended().get(client, now)?.up.clone(),
        };
        up.open(packet.clone()).ok().map(|plaintext| (client, plaintext))
    }

    /// Whether an id is of a connection, or of a client of a user.
    pub(in crate::node) fn knows(&self, client: ClientId) -> bool {
        self.users.find(client).is_some()
            || self.users.open_keys(client).is_some()
            || self.connections.find(client).is_some()
    }
}
