//! Seqlane on tokio.
#![forbid(unsafe_code)]

mod clock;
pub mod exchange;
pub mod proxy;

pub use proxy::{ProxyClient, ProxyClientBuilder, StartError};
