//! Seqlane on tokio.
#![forbid(unsafe_code)]

mod clock;
pub mod exchange;
mod http;
pub mod node;
pub mod proxy;
pub mod relay;
mod start;

pub use node::NodeServer;
pub use proxy::ProxyClient;
pub use relay::StandInRelay;
pub use start::StartError;
