//! Seqlane on tokio.
#![forbid(unsafe_code)]

mod clock;
mod http;
pub mod node;

pub use node::NodeServer;
