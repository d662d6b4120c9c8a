//! What crosses crates: wire compatibility, end to end over sockets, the oracle, determinism.
