//! Level 2, the half that both ends share (protocol.md 3).

pub(crate) mod closing;
pub(crate) mod pending;
pub(crate) mod scheduler;
pub(crate) mod stream;
