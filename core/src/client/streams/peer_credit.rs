//! Whether the node may send more than it did, by what its newest answer says.

/// ```text
///               blocked, to a request from before the last report
///   Free ────────────────────────────────────────────────────────▶ Blocked ◀──┐
///    ▲  │                                                            │        │ another report
///    │  └── blocked, to a request from after it ──▶ StillBlocked ◀───┘        │
///    │                                                   └────────────────────┘
///    └── not blocked ── any
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PeerCredit {
    /// Nothing waits for credit.
    Free,
    /// Bytes wait for credit that a report on its way may give.
    Blocked,
    /// They wait although the node could have heard of all that was taken: the report is late or lost, or was not enough.
    /// Requests that go before the next one come back empty.
    StillBlocked,
}

impl PeerCredit {
    /// The newest answer says whether bytes wait for credit; it answers a request from `after` the last report, or from
    /// before.
    pub(super) const fn told(blocked: bool, after: bool) -> Self {
        match (blocked, after) {
            (false, _) => Self::Free,
            (true, false) => Self::Blocked,
            (true, true) => Self::StillBlocked,
        }
    }

    /// A request goes that tells of bytes taken.
    pub(super) const fn on_report(self) -> Self {
        match self {
            Self::Free => Self::Free,
            Self::Blocked | Self::StillBlocked => Self::Blocked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blocked_after_a_report_is_so_until_the_next() {
        assert_eq!(PeerCredit::told(true, false), PeerCredit::Blocked);
        let still = PeerCredit::told(true, true);
        assert_eq!(still, PeerCredit::StillBlocked);
        assert_eq!(still.on_report(), PeerCredit::Blocked);
        assert_eq!(PeerCredit::told(false, true).on_report(), PeerCredit::Free);
    }
}
