//! Violations of the rules of a stream by the peer (protocol.md 3.2 rule 14).

use core::fmt;

/// How far ahead of the first chunk that is not acknowledged a chunk may be: one inside this and inside the credit is
/// never refused (protocol.md 3.2 rule 1).
pub(crate) const MAX_AHEAD: usize = 4096;

/// A rule of a stream that the peer broke.
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
