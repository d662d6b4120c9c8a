//! Tests of the client under a manual clock, with the test in the place of relays and node.

mod batches;
mod bench;
mod budgets;
mod contract;
mod fallback;
#[cfg(feature = "model")]
mod fingerprint;
mod flows;
mod opening;
mod order;
mod polling;
mod relays;
mod udp;
