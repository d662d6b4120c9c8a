//! Seqlane on tokio.
