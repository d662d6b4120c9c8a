//! What crosses crates: wire compatibility, end to end over sockets, the oracle, determinism.
//!
//! The tests are in `tests/`; here is what they share.

pub mod allocator;
pub mod pair;
