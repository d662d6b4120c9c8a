//! Seqlane on tokio: the protocol machines of [`seqlane`] with sockets, HTTP and TLS.
//!
//! ```text
//!  program ───── connect, a stream ────▶ Client ══ calls ══▶ relays ══ calls ══▶ Node ─▶ targets
//!  application ─ SOCKS5, HTTP CONNECT ─▶   │                                      │     TCP, UDP
//!                                   seqlane::Client                         seqlane::Node
//! ```
//!
//! | type | what it is |
//! |---|---|
//! | [`Client`] | opens flows for the program and, if wanted, for applications; calls relays |
//! | [`Node`] | answers relays and clients over HTTP, opens the targets of flows |
//! | [`StandInRelay`] | behaves like a hosted relay script, with seeded faults: for trials, measurements, tests |
//! | [`exchange::Exchanger`] | carries calls over HTTP, and proves which of them were not sent |
//!
//! Each is made by a builder, whose `start` checks all settings. A client and a node have the machine's
//! notices (`notices`) and counters (`stats`), end in order with `shutdown`, and at once when dropped.
//!
//! # Example
//!
//! A node, and a client that calls it with no relay between:
//!
//! ```
//! use seqlane_tokio::{Client, Node, Relay};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::builder("correct horse").listen("127.0.0.1:0").start().await?;
//! let address = node.local_addr().ok_or("not listening")?;
//!
//! let client = Client::builder()
//!     .relay(Relay::direct(format!("http://{address}"), "correct horse"))
//!     .socks("127.0.0.1:0")
//!     .start()
//!     .await?;
//! if let Some(proxy) = client.local_addr() {
//!     println!("curl --proxy socks5h://{proxy} https://example.org/");
//! }
//!
//! client.shutdown().await;
//! node.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/embed.rs` sends bytes through such a pair without a proxy port.
//!
//! # Parts to replace
//!
//! - [`Carrier`]: a client reaches a relay over any medium that takes a request and gives a response
//!   (`examples/folder_carrier.rs`).
//! - [`NodeService`](node::NodeService): a node inside an HTTP server that is there already
//!   (`examples/mounted_node.rs`).
//! - [`Connector`](node::Connector): a node opens targets of any kind, also inside the program
//!   (`examples/function_target.rs`).
//!
//! # Features
//!
//! - `cli` (default): the command line of the binary `seqlane`. A library user switches it off with
//!   `default-features = false`, and then compiles no command line, tables or progress bars.
//!
//! # Runtime
//!
//! A tokio runtime with I/O and time enabled, of either flavour. Gzip and encryption of large bodies and the resolution
//! of names use its blocking pool. Logs go to `tracing`. Neither keys nor payloads are logged.
#![forbid(unsafe_code)]

mod carrier;
pub mod client;
mod clock;
mod driver;
mod error;
pub mod exchange;
mod http;
pub mod node;
pub mod proxy;
mod record;
pub mod relay;
mod sealing;
mod start;

pub use carrier::{Call, CallError, Carrier};
pub use client::{Client, ConnectError, FlowSocket, FlowStream, Relay};
pub use error::StartError;
pub use node::Node;
pub use relay::StandInRelay;

/// The examples of the README, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
