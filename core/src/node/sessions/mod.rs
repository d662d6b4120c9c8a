//! Sessions of levels 0 and 1 at the node (protocol.md 2).

pub(super) mod batch;
pub(super) mod closed;
pub(super) mod ending;
pub(super) mod hold;
pub(super) mod op;
pub(super) mod opening;
pub(super) mod reply;
pub(super) mod respond;
pub(super) mod sequencer;
pub(super) mod session;
pub(super) mod traffic;
