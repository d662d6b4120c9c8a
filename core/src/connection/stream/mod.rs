//! One direction of a stream, at its two ends: what both machines do alike at level 2 (protocol.md 3.2).
//!
//! ```text
//!   write ─▶ SendHalf ── chunks, in exchanges ──▶ RecvHalf ─▶ deliver
//!               ▲                                    │
//!               └──── ACK, WINDOW, in exchanges ─────┘
//! ```
//!
//! The halves know nothing of relays, holds or time. The machine above them decides what goes into which
//! exchange, remembers it, and says what became of the exchange; a half knows which of its contents that
//! concerns.

pub(crate) mod flow;
pub(crate) mod recv;
pub(crate) mod send;
#[cfg(test)]
mod tests;
pub(crate) mod traffic;

use core::fmt;

/// How far ahead of the first chunk that is not acknowledged a chunk may be: one inside this and inside the credit is
/// never refused (protocol.md 3.2 rule 1).
pub(crate) const MAX_AHEAD: usize = 4096;

/// The peer broke the rules of a stream: its client is failed (protocol.md 3.2 rule 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A chunk is beyond the credit.
    CreditExceeded,
    /// A chunk is further ahead than the reorder queue reaches.
    TooFarAhead,
    /// A chunk lies behind the end, or an end before a chunk, or there are two ends.
    EndMoved,
    /// Chunks are acknowledged that were never sent.
    AckOfUnsent,
}

impl Violation {
    /// What the peer did.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::CreditExceeded => "the peer sent more bytes than it had credit for",
            Self::TooFarAhead => "the peer sent a chunk further ahead than any may be",
            Self::EndMoved => "the peer's chunks disagree about where the direction ends",
            Self::AckOfUnsent => "the peer acknowledged chunks that were never sent",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Violation {}
