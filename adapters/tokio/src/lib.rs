//! Seqlane on tokio.
#![forbid(unsafe_code)]

mod clock;
mod http;
pub mod node;
pub mod relay;
mod start;

pub use node::NodeServer;
pub use relay::StandInRelay;
pub use start::StartError;
