//! What the tests that cross crates share.

pub mod deadline;
pub mod http_client;
pub mod stub_node;
