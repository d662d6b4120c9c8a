//! The proxy for local applications: SOCKS5 and HTTP CONNECT on one port.
//!
//! ```text
//!  application ── TCP ──▶ listener ─ socks, http_connect ─▶ bridge ───▶ flow
//!  application ── UDP ──▶ associate ──────────────────────────────────▶ a flow for each target
//! ```

mod associate;
mod bridge;
mod credentials;
mod http_connect;
mod listener;
mod local_reader;
mod refusal;
mod socks;
mod terms;

pub use credentials::{BadCredentials, Credentials};
pub(crate) use listener::Proxy;
pub(crate) use terms::Terms;
