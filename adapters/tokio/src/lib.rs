//! Seqlane on tokio: the protocol machines of [`seqlane`] with real sockets, HTTP and TLS around them.
//!
//! ```text
//!  application ─ SOCKS5, HTTP CONNECT ─▶ ProxyClient ══ batches ══▶ relays ══ batches ══▶ NodeServer ─▶ targets
//!  program ───── connect, a stream ────▶    │                                                 │      TCP, UDP
//!                                    seqlane::Client                                   seqlane::Node
//! ```
//!
//! The machines decide everything; this crate does what they say. In [`ProxyClient`] and [`NodeServer`] alike,
//! one task owns the machine and runs the driver loop of the core's documentation. Sockets and HTTP calls have
//! tasks of their own, which speak to that one over channels, so that nobody's slowness holds up the machine.
//!
//! | type | what it is |
//! |---|---|
//! | [`ProxyClient`] | listens for applications, opens flows for the program itself, calls relays |
//! | [`NodeServer`] | answers relays and clients over HTTP, opens the real connections |
//! | [`StandInRelay`] | behaves like a hosted relay script, with seeded faults: for trying, measuring, testing |
//! | [`exchange::Exchanger`] | carries calls to relays, and knows which of them provably did not leave |
//!
//! Each is made by a builder that takes the machine's options ([`seqlane::NodeOptions`],
//! [`seqlane::ClientOptions`]), has its own for what the machine does not know of, and checks all of them in
//! `start`. Each tells its real address, gives the machine's notices (`events`) and counters (`stats`), ends in
//! order with `shutdown`, and at once when it is dropped.
//!
//! # Example
//!
//! A node, and a client that calls it with no relay between:
//!
//! ```
//! use seqlane::{ClientOptions, Form, NodeOptions, RelayOptions, Secret};
//! use seqlane_tokio::{NodeServer, ProxyClient};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = Secret::new("correct horse");
//! let node = NodeServer::builder(NodeOptions::new(key.clone()))
//!     .listen("127.0.0.1:0".parse()?)
//!     .start()
//!     .await?;
//!
//! let hop = RelayOptions::new(key).form(Form::Node);
//! let url = format!("http://{}", node.local_addr()).parse()?;
//! let client = ProxyClient::builder(ClientOptions::new(vec![hop]), vec![url])
//!     .listen("127.0.0.1:0".parse()?)
//!     .start()
//!     .await?;
//! println!("curl --proxy socks5h://{} https://example.org/", client.local_addr());
//!
//! client.shutdown().await;
//! node.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/embed.rs` sends bytes through such a pair. The binary `seqlane` is this crate with a command line.
//!
//! # What it needs of the runtime
//!
//! A tokio runtime with I/O and time enabled, of either flavour. Gzip of large bodies and the resolution of
//! names go to its blocking pool. Logs go to `tracing`; without a subscriber there are none. Neither keys nor
//! payloads are ever logged.
#![forbid(unsafe_code)]

mod clock;
pub mod exchange;
mod http;
pub mod node;
pub mod proxy;
mod record;
pub mod relay;
mod sealing;
mod start;

pub use node::NodeServer;
pub use proxy::ProxyClient;
pub use relay::StandInRelay;
pub use start::StartError;

/// The examples of the README, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
