//! What crosses crates: wire compatibility, end to end over sockets, the oracle, determinism.
//!
//! Shared parts of the tests in `tests/`.

pub mod allocator;
pub mod certificate;
pub mod deadline;
pub mod harness;
pub mod http_client;
pub mod packets;
pub mod pair;
pub mod stub_node;
