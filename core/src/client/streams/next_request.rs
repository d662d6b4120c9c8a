//! The next request of a connection (protocol.md 3.2 rules 6, 7, 9 and 10).
//!
//! | request | when |
//! |---|---|
//! | repair | a RESEND is due |
//! | sparse | OPEN, RESET, WINDOW or sparse payload waits, and fewer than 4 such requests are unconfirmed |
//! | bulk | bulk waits, and the bytes in flight are below the congestion window |
//! | report | a quarter of the downlink total was taken since the last report |
//! | poll | fewer requests wait at the node than are wanted |
//!
//! While idle, one request is wanted, held for 25 s; while anything moves two, held for two round trips; with a backlog,
//! one for each response that it fills, and one more; in slow start, up to five.

use core::time::Duration;

use crate::client::streams::controllers::Allowance;
use crate::client::streams::exchanges::{RequestPayload, Tally};
use crate::client::streams::peer_credit::PeerCredit;
use crate::client::streams::slow_start::Boost;
use crate::time::{Instant, share};
use crate::wire::packet::MIN_RESPONSE;

/// Unconfirmed requests with sparse payload.
const SPARSE_MOST: usize = 4;

/// Exchanges from `done` on: the node tells of no more.
const SPAN_MOST: u64 = 1_024;

/// A response of less is not worth a call of its own while much waits.
const LEAST_SHARE: u64 = 256 * 1024;

/// Responses that a small backlog is spread over, so that its end travels in parallel.
const SHARES: u64 = 4;

/// Bulk waits for this part of a round trip, so that packets are full.
const BULK_WAIT: u32 = 16;
const BULK_WAIT_LONGEST: Duration = Duration::from_millis(100);

/// The shortest hold of an active client: on fast paths, calls are not worth making for less.
const SHORTEST_HOLD: Duration = Duration::from_millis(20);

/// The shortest time after which an unconfirmed answer is repeated.
const SHORTEST_CONFIRM: Duration = Duration::from_millis(20);

/// The size of responses while calls are short.
const THRIFTY_RESPONSE: u64 = 8 << 20;

/// The unit of the sizes in statuses.
const STATUS_UNIT: u64 = 64 * 1024;

/// What decides over the next request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs {
    pub(super) now: Instant,
    /// Relays that lead to the node.
    pub(super) relays: usize,
    /// Whether calls are to be saved.
    pub(super) thrifty: bool,
    /// Whether there are streams: without, what is pending goes out, and nothing is waited for.
    pub(super) has_streams: bool,
    /// Whether the node is to hear of the client, so that it keeps the connection.
    pub(super) confirm: bool,
    /// Streams that have ended and whose last frame is pending.
    pub(super) closing: usize,
    /// Streams of which the node is not known to have heard.
    pub(super) unconfirmed: usize,
    /// Whether anything waits that goes in a sparse packet.
    pub(super) prompt: bool,
    /// Since when bulk waits, if any does, and bytes that could be sent.
    pub(super) bulk_since: Option<Instant>,
    pub(super) sendable: usize,
    /// The exchanges so far, and how many there are from `done` on.
    pub(super) exchanges: Tally,
    pub(super) span: u64,
    /// When payload last went either way, and when an application last took bytes.
    pub(super) traffic: Instant,
    pub(super) taken: Instant,
    /// Bytes taken since the last report.
    pub(super) unreported: u64,
    /// Bytes that wait at the node, by its newest answer.
    pub(super) backlog: u64,
    pub(super) peer_credit: PeerCredit,
    pub(super) allowed: Allowance,
    /// The bounds of both ends.
    pub(super) downlink_total: u64,
    pub(super) max_packet: u64,
    pub(super) max_hold: Duration,
    pub(super) max_depth: usize,
}

/// What a request is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestPurpose {
    Repair,
    Sparse,
    Bulk,
    Report,
    Poll,
}

/// The next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextRequest {
    pub(super) purpose: RequestPurpose,
    pub(super) payload: RequestPayload,
    /// How long the node may hold it.
    pub(super) hold: Duration,
    /// How many requests the node may hold.
    pub(super) max_held: usize,
    /// Bytes of the largest request in bulk, and of the largest response.
    pub(super) max_request: u64,
    pub(super) max_response: u64,
    /// After how long a small answer without confirmation is repeated.
    pub(super) confirm: Duration,
}

impl Inputs {
    /// The next request to make, if any.
    pub(super) fn next_request(&self) -> Option<NextRequest> {
        let purpose = self.purpose()?;
        Some(NextRequest {
            purpose,
            payload: self.payload(purpose),
            hold: self.hold(),
            max_held: self.max_held(),
            max_request: self.allowed.request_size,
            max_response: self.max_response(),
            confirm: self.allowed.rtt.p90.max(SHORTEST_CONFIRM),
        })
    }

    fn purpose(&self) -> Option<RequestPurpose> {
        let in_use =
            self.has_streams || self.closing > 0 || self.exchanges.lost > 0 || self.prompt || self.confirm;
        if self.span >= SPAN_MOST || !in_use {
            return None;
        }
        if self.allowed.is_silent {
            let out = self.exchanges.waiting.saturating_add(self.exchanges.under_way);
            return (out < (self.relays / 2).max(2)).then(|| self.purpose_in_silence());
        }
        if self.exchanges.resends_due > 0 {
            return Some(RequestPurpose::Repair);
        }
        if self.prompt && self.exchanges.sparse < SPARSE_MOST {
            return Some(RequestPurpose::Sparse);
        }
        if self.wants_bulk() {
            return Some(RequestPurpose::Bulk);
        }
        if self.unreported >= self.downlink_total / 4 {
            return Some(RequestPurpose::Report);
        }
        (self.exchanges.waiting < self.wanted()).then_some(RequestPurpose::Poll)
    }

    /// In silence, a few requests carry what matters most.
    const fn purpose_in_silence(&self) -> RequestPurpose {
        if self.exchanges.resends_due > 0 {
            RequestPurpose::Repair
        } else if self.prompt {
            RequestPurpose::Sparse
        } else if self.bulk_since.is_some() {
            RequestPurpose::Bulk
        } else {
            RequestPurpose::Poll
        }
    }

    const fn payload(&self, purpose: RequestPurpose) -> RequestPayload {
        match purpose {
            RequestPurpose::Sparse => RequestPayload::Sparse,
            RequestPurpose::Bulk => RequestPayload::Bulk(0),
            _ if self.prompt => RequestPayload::Sparse,
            _ if self.bulk_since.is_some() => RequestPayload::Bulk(0),
            RequestPurpose::Repair | RequestPurpose::Report | RequestPurpose::Poll => RequestPayload::Bare,
        }
    }

    fn wants_bulk(&self) -> bool {
        u64::try_from(self.exchanges.bulk_bytes).unwrap_or(u64::MAX) < self.allowed.request_window
            && self.exchanges.bulk < self.max_depth
            && self.bulk_at().is_some_and(|at| at <= self.now)
    }

    /// When bulk goes although it does not fill a packet.
    pub(super) fn bulk_at(&self) -> Option<Instant> {
        let since = self.bulk_since?;
        let full = u64::try_from(self.sendable).unwrap_or(u64::MAX) >= self.allowed.request_size;
        let wait = share(self.allowed.rtt.p50, 1, BULK_WAIT).min(BULK_WAIT_LONGEST);
        Some(if full { since } else { since.saturating_add(wait) })
    }

    /// Requests that should wait at the node.
    fn wanted(&self) -> usize {
        if !self.has_streams {
            return usize::from(self.confirm);
        }
        let depth = self.depth().saturating_sub(self.exchanges.under_way);
        let filled = self.expected().div_ceil(self.max_response().max(1));
        let bulk = if filled > 0 {
            usize::try_from(filled).unwrap_or(usize::MAX).saturating_add(1).min(depth)
        } else if self.peer_credit == PeerCredit::Blocked && self.is_recent(self.taken) {
            depth
        } else {
            0
        };
        let boost = self.boost().map_or(0, |boost| boost.requests.min(depth));
        self.max_held().max(bulk).max(boost)
    }

    /// What slow start asks for, unless the node told of as much, or calls are short.
    fn boost(&self) -> Option<Boost> {
        let told = self.expected().checked_div(self.response()).unwrap_or(u64::MAX);
        let more = |boost: &Boost| told < u64::try_from(boost.requests).unwrap_or(u64::MAX);
        self.allowed.boost.filter(|boost| more(boost) && !self.thrifty)
    }

    /// Downlink bytes that wait at the node: those that it told of, and those that it must send again.
    fn expected(&self) -> u64 {
        let lost = u64::try_from(self.exchanges.lost_size).unwrap_or(u64::MAX);
        self.backlog.saturating_add(lost.saturating_mul(STATUS_UNIT))
    }

    /// Exchanges that may be out at a time.
    fn depth(&self) -> usize {
        let depth = self.allowed.response_window.div_ceil(self.max_response().max(1)).saturating_add(1);
        usize::try_from(depth).unwrap_or(usize::MAX).min(self.max_depth)
    }

    fn response(&self) -> u64 {
        let least = if self.thrifty { THRIFTY_RESPONSE.min(self.max_packet) } else { 0 };
        self.allowed.response_size.max(least)
    }

    fn max_response(&self) -> u64 {
        let whole = self.response();
        let expected = self.expected();
        let room = if let Some(boost) = self.boost() {
            boost.response.min(self.max_packet).max(whole)
        } else if expected > 0 && expected / SHARES < whole && !self.thrifty {
            // While calls are short, a few large responses are better than many.
            (expected / SHARES).max(LEAST_SHARE).min(whole)
        } else {
            whole
        };
        room.max(MIN_RESPONSE)
    }

    fn max_held(&self) -> usize {
        if !self.has_streams {
            0
        } else if self.thrifty {
            1
        } else {
            usize::from(self.moves()).saturating_add(1)
        }
    }

    fn hold(&self) -> Duration {
        if !self.has_streams {
            return Duration::ZERO;
        }
        if !self.is_active() {
            return self.max_hold;
        }
        // Where nothing moves and only an answer is missing, calls become rarer and rarer.
        let quiet = share(self.now.saturating_since(self.traffic), 1, 4);
        self.allowed.rtt.p50.saturating_mul(2).max(SHORTEST_HOLD).max(quiet).min(self.max_hold)
    }

    /// Whether anything moves, or should, or an answer is missing.
    pub(super) fn is_active(&self) -> bool {
        self.exchanges.lost > 0 || self.exchanges.under_way > 0 || self.moves()
    }

    /// Whether anything moves, or should.
    fn moves(&self) -> bool {
        self.exchanges.sparse > 0
            || self.exchanges.bulk > 0
            || self.backlog > 0
            || self.unconfirmed > 0
            || self.prompt
            || self.bulk_since.is_some()
            || self.closing > 0
            || self.is_recent(self.traffic)
    }

    /// Whether that was less than two round trips ago.
    fn is_recent(&self, at: Instant) -> bool {
        self.now.saturating_since(at) < self.allowed.rtt.p50.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::streams::round_trips::RttQuantiles;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: Instant = Instant::from_micros(1_000_000_000);
    const LONG_AGO: Instant = Instant::from_micros(900_000_000);
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    /// A connection with one stream on which nothing moves, one request held at the node.
    fn idle() -> Inputs {
        Inputs {
            now: NOW,
            relays: 1,
            thrifty: false,
            has_streams: true,
            confirm: false,
            closing: 0,
            unconfirmed: 0,
            prompt: false,
            bulk_since: None,
            sendable: 0,
            exchanges: Tally { waiting: 1, ..Tally::default() },
            span: 1,
            traffic: LONG_AGO,
            taken: LONG_AGO,
            unreported: 0,
            backlog: 0,
            peer_credit: PeerCredit::Free,
            allowed: Allowance {
                rtt: RttQuantiles { p50: SECOND, p90: 2 * SECOND },
                is_silent: false,
                request_size: 768 * KIB,
                request_window: 16 * MIB,
                response_size: 768 * KIB,
                response_window: 16 * MIB,
                boost: None,
            },
            downlink_total: 64 * MIB,
            max_packet: 16 * MIB,
            max_hold: 25 * SECOND,
            max_depth: 32,
        }
    }

    fn with(change: impl FnOnce(&mut Inputs)) -> Inputs {
        let mut inputs = idle();
        change(&mut inputs);
        inputs
    }

    #[test]
    fn the_table_of_requests() {
        use RequestPurpose::{Bulk, Poll, Repair, Report, Sparse};
        type Change = fn(&mut Inputs);
        let table: [(&str, Change, Option<RequestPurpose>); 20] = [
            ("idle, and one request is held", |_| {}, None),
            ("idle, and none is held", |i| i.exchanges.waiting = 0, Some(Poll)),
            ("no streams", |i| (i.has_streams, i.exchanges.waiting) = (false, 0), None),
            (
                "the node is to hear of the client",
                |i| (i.has_streams, i.confirm, i.exchanges.waiting) = (false, true, 0),
                Some(Poll),
            ),
            ("traffic a moment ago", |i| i.traffic = NOW, Some(Poll)),
            ("traffic, and two are held", |i| (i.traffic, i.exchanges.waiting) = (NOW, 2), None),
            ("a RESEND is due", |i| (i.exchanges.resends_due, i.prompt) = (1, true), Some(Repair)),
            ("sparse", |i| i.prompt = true, Some(Sparse)),
            ("three sparse ones out", |i| (i.prompt, i.exchanges.sparse) = (true, 3), Some(Sparse)),
            (
                "four, and enough held",
                |i| (i.prompt, i.exchanges.sparse, i.exchanges.waiting) = (true, 4, 2),
                None,
            ),
            ("bulk that may fill a packet", |i| (i.bulk_since, i.exchanges.waiting) = (Some(NOW), 2), None),
            ("a full packet", |i| (i.bulk_since, i.sendable) = (Some(NOW), 768 << 10), Some(Bulk)),
            ("bulk for a while", |i| i.bulk_since = Some(LONG_AGO), Some(Bulk)),
            (
                "a full window",
                |i| {
                    i.bulk_since = Some(LONG_AGO);
                    (i.exchanges.bulk_bytes, i.exchanges.waiting) = (16 << 20, 2);
                },
                None,
            ),
            ("a quarter of the total unreported", |i| i.unreported = 16 * MIB, Some(Report)),
            ("too many exchanges", |i| (i.span, i.prompt) = (1_024, true), None),
            ("silence, one out", |i| (i.allowed.is_silent, i.prompt) = (true, true), Some(Sparse)),
            (
                "silence, two out",
                |i| (i.allowed.is_silent, i.prompt, i.exchanges.waiting) = (true, true, 2),
                None,
            ),
            (
                "silence, two out, six relays",
                |i| (i.allowed.is_silent, i.relays, i.exchanges.waiting) = (true, 6, 2),
                Some(Poll),
            ),
            (
                "a last frame is pending",
                |i| (i.has_streams, i.closing, i.prompt) = (false, 1, true),
                Some(Sparse),
            ),
        ];
        for (case, change, expected) in table {
            assert_eq!(with(change).next_request().map(|next| next.purpose), expected, "{case}");
        }
    }

    #[test]
    fn an_idle_request_is_held_long_and_an_active_one_for_two_round_trips() {
        let table = [
            ("idle", with(|_| {}), 25 * SECOND, 1),
            ("active", with(|i| i.traffic = NOW), 2 * SECOND, 2),
            ("thrifty", with(|i| (i.traffic, i.thrifty) = (NOW, true)), 2 * SECOND, 1),
            ("only an answer is missing", with(|i| i.exchanges.lost = 1), 25 * SECOND, 1),
            (
                "for 40 s",
                with(|i| (i.exchanges.lost, i.now) = (1, LONG_AGO.saturating_add(40 * SECOND))),
                10 * SECOND,
                1,
            ),
            ("no streams", with(|i| i.has_streams = false), Duration::ZERO, 0),
        ];
        for (case, inputs, hold, max_held) in table {
            assert_eq!((inputs.hold(), inputs.max_held()), (hold, max_held), "{case}");
        }
    }

    #[test]
    fn responses_have_room_for_a_share_of_a_small_backlog_and_more_in_slow_start() {
        let boost = Some(Boost { requests: 5, response: 2 * MIB });
        let table = [
            ("nothing waits", with(|_| {}), 768 * KIB),
            ("much waits", with(|i| i.backlog = 100 * MIB), 768 * KIB),
            ("2 MiB wait", with(|i| i.backlog = 2 * MIB), 512 * KIB),
            ("little waits", with(|i| i.backlog = 10), 256 * KIB),
            ("little waits, thrifty", with(|i| (i.backlog, i.thrifty) = (10, true)), 8 * MIB),
            ("slow start", with(|i| i.allowed.boost = boost), 2 * MIB),
            ("slow start, thrifty", with(|i| (i.allowed.boost, i.thrifty) = (boost, true)), 8 * MIB),
            (
                "slow start, and the node told of more",
                with(|i| (i.allowed.boost, i.backlog) = (boost, 100 * MIB)),
                768 * KIB,
            ),
        ];
        for (case, inputs, expected) in table {
            assert_eq!(inputs.max_response(), expected, "{case}");
        }
    }

    #[test]
    fn as_many_requests_wait_as_the_backlog_fills_and_one_more_within_the_depth() {
        let table = [
            ("idle", with(|_| {}), 1),
            ("ten responses", with(|i| i.backlog = 7_680 * KIB), 11),
            ("some are on their way", with(|i| (i.backlog, i.exchanges.under_way) = (100 * MIB, 3)), 20),
            ("more than may be in flight", with(|i| i.backlog = 100 * MIB), 23),
            ("slow start", with(|i| i.allowed.boost = Some(Boost { requests: 5, response: 2 * MIB })), 5),
        ];
        for (case, inputs, expected) in table {
            assert_eq!(inputs.wanted(), expected, "{case}");
        }
    }

    #[test]
    fn a_node_out_of_credit_is_asked_for_all_that_may_be_in_flight_until_it_still_is_after_a_report() {
        let wanted = |peer_credit, taken| with(|i| (i.peer_credit, i.taken) = (peer_credit, taken)).wanted();
        assert_eq!(wanted(PeerCredit::Free, NOW), 1);
        assert_eq!(wanted(PeerCredit::Blocked, NOW), 23);
        assert_eq!(wanted(PeerCredit::StillBlocked, NOW), 1);
        assert_eq!(wanted(PeerCredit::Blocked, LONG_AGO), 1, "nothing was taken lately");
    }
}
