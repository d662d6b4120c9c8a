//! `node_streams`: the body and what must hold are in the crate `seqlane-sim`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| seqlane_sim::fuzz::node_streams(data));
