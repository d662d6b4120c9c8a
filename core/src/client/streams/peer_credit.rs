//! Flow control of the node, as its responses show it (protocol.md 3.2 rule 6).

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
    /// They wait although the node should know of all that was taken: the report is late or lost, or was not enough.
    /// Requests that go before the next report come back empty.
    StillBlocked,
}

impl PeerCredit {
    /// The state that the newest answer reports: whether it is `blocked`, and whether its request went out `after` the last
    /// report.
    pub(super) const fn reported(blocked: bool, after: bool) -> Self {
        match (blocked, after) {
            (false, _) => Self::Free,
            (true, false) => Self::Blocked,
            (true, true) => Self::StillBlocked,
        }
    }

    /// A report of taken bytes goes out.
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
    fn a_node_that_is_blocked_after_a_report_is_so_until_the_next() {
        assert_eq!(PeerCredit::reported(true, false), PeerCredit::Blocked);
        let blocked = PeerCredit::reported(true, true);
        assert_eq!(blocked, PeerCredit::StillBlocked);
        assert_eq!(blocked.on_report(), PeerCredit::Blocked);
        assert_eq!(PeerCredit::reported(false, true).on_report(), PeerCredit::Free);
    }
}
