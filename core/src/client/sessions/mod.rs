//! Sessions of levels 0 and 1 at the client (protocol.md 2).

pub(super) mod batch;
pub(super) mod batches;
pub(super) mod datagrams;
pub(super) mod depth;
pub(super) mod pace;
pub(super) mod ready;
pub(super) mod replies;
pub(super) mod sequencing;
pub(super) mod session;
pub(super) mod uplink;
