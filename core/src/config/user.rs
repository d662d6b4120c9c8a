//! Options of a user of a node (protocol.md 3.1 Keys).

use alloc::boxed::Box;

use crate::secret::Secret;

/// A user: somebody with a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserOptions {
    /// The name, for logs and counters.
    pub name: Box<str>,
    /// The secret, which no other user has: 16 to 1024 bytes.
    pub secret: Secret,
    /// Streams at a time, if that is less than the node allows anybody.
    pub max_streams: Option<u32>,
    /// Connections at a time, if that is less than the node allows anybody. A client has one.
    pub max_clients: Option<usize>,
}

impl UserOptions {
    /// A user without limits.
    pub fn new(name: impl Into<Box<str>>, secret: Secret) -> Self {
        Self { name: name.into(), secret, max_streams: None, max_clients: None }
    }
}
