//! Seqlane on tokio.
#![forbid(unsafe_code)]

pub mod exchange;
