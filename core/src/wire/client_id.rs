//! Ids of connections (protocol.md 3.1 Keys).

use core::hash::{Hash, Hasher};

use crate::relative;

/// A connection, by the name that its client gave it: 8 random bytes, and 8 that show who made it (protocol.md 3.1 Keys).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub [u8; 16]);

impl Hash for ClientId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        relative::hash_name(relative::CLIENT, &self.0, state);
    }
}
