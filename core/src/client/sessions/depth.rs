//! Depth of one session: polls that pay in flight (protocol.md 2.5 "Depth").

/// A reply of this many bytes announces more: half of what one read of an upstream brings.
pub(super) const BULK_REPLY: usize = 32 * 1024;

/// The number of polls to keep in flight, between 1 and a maximum.
///
/// A second poll makes the node answer the first at once, so polls beyond the first only pay while there is
/// something to fetch: bulk replies raise the depth one by one, and each empty poll halves it.
///
/// ```text
///        bulk reply: +1                 bulk reply
///   ┌──────────────────────▶ 2 .. maximum ◀────┐
///   1                            │    └────────┘
///   ▲────────────────────────────┘
///        empty poll: halved
/// ```
#[derive(Clone, Debug)]
pub(super) struct Depth {
    target: usize,
}

impl Depth {
    pub(super) const fn new() -> Self {
        Self { target: 1 }
    }

    /// A reply brought `bytes`; `poll` tells whether it answered a poll.
    pub(super) fn on_reply(&mut self, bytes: usize, poll: bool, maximum: usize) {
        if bytes >= BULK_REPLY {
            self.target = self.target.saturating_add(1).min(maximum.max(1));
        } else if bytes == 0 && poll {
            self.target = (self.target / 2).max(1);
        }
    }

    /// How many polls to keep in flight.
    pub(super) const fn target(&self) -> usize {
        self.target
    }

    /// Whether the session has bulk downlink at the moment.
    pub(super) const fn is_bulk(&self) -> bool {
        self.target > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_replies_deepen_to_the_maximum_and_no_further() {
        let mut depth = Depth::new();
        for _ in 0..20 {
            depth.on_reply(BULK_REPLY, true, 4);
        }
        assert_eq!(depth.target(), 4);
    }

    #[test]
    fn empty_polls_lead_back_to_one() {
        let mut depth = Depth::new();
        for _ in 0..7 {
            depth.on_reply(1 << 20, true, 8);
        }
        for _ in 0..3 {
            depth.on_reply(0, true, 8);
        }
        assert_eq!(depth.target(), 1);
        assert!(!depth.is_bulk());
    }

    #[test]
    fn each_empty_poll_halves_and_one_poll_is_no_bulk() {
        let mut depth = Depth::new();
        for _ in 0..8 {
            depth.on_reply(BULK_REPLY, false, 9);
        }
        for (target, is_bulk) in [(9, true), (4, true), (2, true), (1, false), (1, false)] {
            assert_eq!((depth.target(), depth.is_bulk()), (target, is_bulk));
            depth.on_reply(0, true, 9);
        }
    }

    #[test]
    fn only_half_a_read_or_more_is_bulk() {
        let mut depth = Depth::new();
        depth.on_reply(32_767, true, 8);
        assert_eq!(depth.target(), 1);
        depth.on_reply(32_768, true, 8);
        assert_eq!(depth.target(), 2);
    }

    #[test]
    fn small_replies_and_answered_writes_change_nothing() {
        let mut depth = Depth::new();
        depth.on_reply(BULK_REPLY, true, 8);
        depth.on_reply(10, true, 8);
        depth.on_reply(0, false, 8);
        assert_eq!(depth.target(), 2);
    }
}
