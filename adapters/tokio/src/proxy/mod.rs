//! The client's end: local SOCKS5 and HTTP CONNECT on one port, carried by a [`Client`] machine.
//!
//! ```text
//!  application ── TCP ──▶ listener ─ socks / http_connect ─▶ bridge ──┐ inputs       exchanges
//!  application ── UDP ──▶ associate ──────────────────────────────────┼──▶ machine ──────────▶ relays
//!  program ────────────▶ FlowStream ──────────────────────────────────┘     │
//!                              ▲                                            │
//!                              └────── actions, a channel per flow ─────────┘
//! ```
//! One task owns the machine and never waits for a socket; every local connection and every exchange has a
//! task of its own.
//!
//! [`Client`]: seqlane::Client

mod answer;
mod associate;
mod bridge;
mod client;
mod credentials;
mod door;
mod flow;
mod http_connect;
mod intake;
mod journal;
mod listener;
mod machine;
mod options;
mod socks;
mod stream;

pub use client::{ConnectError, ProxyClient};
pub use credentials::{BadCredentials, Credentials};
pub use options::ProxyClientBuilder;
pub use stream::FlowStream;
