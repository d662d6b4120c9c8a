//! Which request goes out next, if any should (protocol.md 3.2 rules 6, 7, 9 and 10): arithmetic over what is known.
//!
//! | request | when |
//! |---|---|
//! | repair | a RESEND is due |
//! | sparse | OPEN, RESET, WINDOW or sparse payload waits, and fewer than 4 such are not known to have arrived |
//! | bulk | bulk waits, and the bytes on their way up are below their limit |
//! | report | a quarter of the downlink total was taken, and the node was not told |
//! | poll | fewer requests wait at the node than are wanted |
//!
//! Wanted while idle is one request, held for 25 s; while anything moves 2, held for two round trips; with a backlog,
//! one for each response that it fills, and one more; while a download begins, up to 5.

use core::time::Duration;

use crate::client::streams::connection::NodeConnection;
use crate::client::streams::peer_credit::PeerCredit;
use crate::client::streams::sent::RequestPayload;
use crate::client::streams::slow_start::Ask;
use crate::config::ClientOptions;
use crate::time::{Instant, share};
use crate::wire::packet::MIN_RESPONSE;

/// Requests with sparse payload that are not known to have arrived.
const SPARSE_MOST: usize = 4;

/// Exchanges from `done` on: the node tells of no more.
const SPAN_MOST: u64 = 1_024;

/// A response of less is not worth a call of its own while much waits.
const LEAST_SHARE: u64 = 256 * 1024;

/// Responses that a backlog is spread over when it is small, so that its end travels in parallel.
const SHARES: u64 = 4;

/// Bulk waits for this part of a round trip, so that packets are full.
const BULK_WAIT: u32 = 16;
const BULK_WAIT_LONGEST: Duration = Duration::from_millis(100);

/// The shortest hold of an active client: on fast paths, calls are not worth making for less.
const SHORTEST_HOLD: Duration = Duration::from_millis(20);

/// Responses that are asked for while calls are short.
const THRIFTY_RESPONSE: u64 = 8 << 20;

/// What the machine around the connection knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) now: Instant,
    /// Relays that lead to the node.
    pub(super) relays: usize,
    /// Whether calls are to be saved.
    pub(super) thrifty: bool,
}

/// What a request is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRequest {
    Repair,
    Sparse,
    Bulk,
    Report,
    Poll,
}

impl NodeConnection {
    /// The next request to make, if any.
    pub(super) fn demand(&self, config: &ClientOptions, circumstances: Circumstances) -> Option<NextRequest> {
        let tally = self.exchanges.tally();
        let out = tally.waiting.saturating_add(tally.under_way);
        if self.exchanges.span() >= SPAN_MOST || !(self.is_in_use() || self.scheduler.is_prompt()) {
            return None;
        }
        if self.loss.is_silent() {
            let trickle = (circumstances.relays / 2).max(2);
            return (out < trickle).then(|| self.trickle(tally.resends_due));
        }
        if tally.resends_due > 0 {
            return Some(NextRequest::Repair);
        }
        if self.scheduler.is_prompt() && tally.sparse < SPARSE_MOST {
            return Some(NextRequest::Sparse);
        }
        if self.wants_bulk(config, circumstances.now) {
            return Some(NextRequest::Bulk);
        }
        if self.unreported >= self.report_at(config) {
            return Some(NextRequest::Report);
        }
        (tally.waiting < self.wanted(config, circumstances)).then_some(NextRequest::Poll)
    }

    /// In silence, a few requests that carry what matters most.
    fn trickle(&self, resends_due: usize) -> NextRequest {
        if resends_due > 0 {
            NextRequest::Repair
        } else if self.scheduler.is_prompt() {
            NextRequest::Sparse
        } else if !self.scheduler.bulk.is_empty() {
            NextRequest::Bulk
        } else {
            NextRequest::Poll
        }
    }

    /// Bytes taken at which the node must hear of it.
    fn report_at(&self, config: &ClientOptions) -> u64 {
        self.grants.downlink_total.min(config.tuning.streams.downlink_total) / 4
    }

    fn wants_bulk(&self, config: &ClientOptions, now: Instant) -> bool {
        let tally = self.exchanges.tally();
        let flying = u64::try_from(tally.bulk_bytes).unwrap_or(u64::MAX);
        !self.scheduler.bulk.is_empty()
            && flying < self.request_window.limit(self.grants.uplink_total, self.loss.rtt().p50)
            && tally.bulk < config.tuning.streams.max_depth
            && self.bulk_at().is_some_and(|at| at <= now)
    }

    /// When bulk goes although it does not fill a packet.
    pub(super) fn bulk_at(&self) -> Option<Instant> {
        let since = self.scheduler.bulk_wait?.since;
        let full =
            u64::try_from(self.scheduler.sums.sendable).unwrap_or(u64::MAX) >= self.request_size.bytes();
        let wait = share(self.loss.rtt().p50, 1, BULK_WAIT).min(BULK_WAIT_LONGEST);
        Some(if full { since } else { since.saturating_add(wait) })
    }

    /// Requests that should wait at the node.
    fn wanted(&self, config: &ClientOptions, circumstances: Circumstances) -> usize {
        if !self.awaits() {
            return 0;
        }
        let tally = self.exchanges.tally();
        let keep = self.keep(circumstances);
        let depth = self.depth(config, circumstances).saturating_sub(tally.under_way);
        let filled = self.expected().div_ceil(self.room(circumstances).max(1));
        let bulk = if filled > 0 {
            usize::try_from(filled).unwrap_or(usize::MAX).saturating_add(1).min(depth)
        } else if self.peer_credit == PeerCredit::Blocked && self.took_lately(circumstances.now) {
            depth
        } else {
            0
        };
        let surge = self.slow_start(circumstances).map_or(0, |ask| ask.requests.min(depth));
        keep.max(bulk).max(surge)
    }

    /// What a download that begins asks for, unless the node told of as much, or calls are short.
    fn slow_start(&self, circumstances: Circumstances) -> Option<Ask> {
        let told = self.expected().checked_div(self.response(circumstances)).unwrap_or(u64::MAX);
        let ask = self.slow_start.ask(circumstances.now, self.loss.rtt().p50)?;
        let more = told < u64::try_from(ask.requests).unwrap_or(u64::MAX);
        (more && !circumstances.thrifty).then_some(ask)
    }

    /// Downlink bytes that wait at the node: those that it told of, and those that it must send again.
    fn expected(&self) -> u64 {
        let repeated = self.exchanges.tally().lost_size.saturating_mul(64 * 1024);
        self.backlog.saturating_add(repeated)
    }

    /// Exchanges that may be out at a time.
    fn depth(&self, config: &ClientOptions, circumstances: Circumstances) -> usize {
        let total = self.grants.downlink_total.min(config.tuning.streams.downlink_total);
        let limit = self.response_window.limit(total, self.loss.rtt().p50);
        let depth = limit.div_ceil(self.room(circumstances).max(1)).saturating_add(1);
        usize::try_from(depth).unwrap_or(usize::MAX).min(config.tuning.streams.max_depth)
    }

    fn response(&self, circumstances: Circumstances) -> u64 {
        let least = if circumstances.thrifty { THRIFTY_RESPONSE.min(self.grants.max_packet) } else { 0 };
        self.response_size.bytes().max(least)
    }

    /// Bytes that the next response may have.
    pub(super) fn room(&self, circumstances: Circumstances) -> u64 {
        let whole = self.response(circumstances);
        let expected = self.expected();
        let room = if let Some(ask) = self.slow_start(circumstances) {
            ask.room.min(self.grants.max_packet).max(whole)
        } else if expected > 0 && expected / SHARES < whole && !circumstances.thrifty {
            // While calls are short, a few large ones are better than many.
            (expected / SHARES).max(LEAST_SHARE).min(whole)
        } else {
            whole
        };
        room.max(MIN_RESPONSE)
    }

    /// Whether there is anything that the node could have to say by itself. Without streams, what is owed goes out, and
    /// nothing is waited for.
    fn awaits(&self) -> bool {
        !self.streams.is_empty()
    }

    /// How many requests the node may hold.
    pub(super) fn keep(&self, circumstances: Circumstances) -> usize {
        if !self.awaits() {
            0
        } else if circumstances.thrifty {
            1
        } else {
            usize::from(self.moves(circumstances.now)).saturating_add(1)
        }
    }

    /// How long the node may hold the next request.
    pub(super) fn hold(&self, config: &ClientOptions, circumstances: Circumstances) -> Duration {
        let longest = self.grants.max_hold.min(config.tuning.streams.idle_hold);
        // Where nothing moves and only an answer is missing, calls become rarer and rarer.
        let quiet = share(circumstances.now.saturating_since(self.traffic), 1, 4);
        let active = || self.loss.rtt().p50.saturating_mul(2).max(SHORTEST_HOLD).max(quiet);
        if !self.awaits() {
            Duration::ZERO
        } else if self.is_active(circumstances.now) {
            active().min(longest)
        } else {
            longest
        }
    }

    /// Whether anything moves, or should, or an answer is missing.
    pub(super) fn is_active(&self, now: Instant) -> bool {
        let tally = self.exchanges.tally();
        tally.lost > 0 || tally.under_way > 0 || self.moves(now)
    }

    /// Whether anything moves, or should.
    fn moves(&self, now: Instant) -> bool {
        let tally = self.exchanges.tally();
        let lately = self.loss.rtt().p50.saturating_mul(2);
        tally.sparse > 0
            || tally.bulk > 0
            || self.backlog > 0
            || self.unconfirmed > 0
            || self.scheduler.is_prompt()
            || !self.scheduler.bulk.is_empty()
            || !self.closing.is_empty()
            || now.saturating_since(self.traffic) < lately
    }

    fn took_lately(&self, now: Instant) -> bool {
        now.saturating_since(self.taken) < self.loss.rtt().p50.saturating_mul(2)
    }

    /// After how long a small answer without confirmation is repeated.
    pub(super) fn confirm(&self) -> Duration {
        const LEAST: Duration = Duration::from_millis(20);
        self.loss.rtt().p90.max(LEAST)
    }

    /// What a request of this kind carries.
    pub(super) fn load_of(&self, demand: NextRequest) -> RequestPayload {
        match demand {
            NextRequest::Sparse => RequestPayload::Sparse,
            NextRequest::Bulk => RequestPayload::Bulk(0),
            NextRequest::Repair | NextRequest::Report | NextRequest::Poll if self.scheduler.is_prompt() => {
                RequestPayload::Sparse
            }
            NextRequest::Repair | NextRequest::Report | NextRequest::Poll
                if !self.scheduler.bulk.is_empty() =>
            {
                RequestPayload::Bulk(0)
            }
            NextRequest::Repair | NextRequest::Report | NextRequest::Poll => RequestPayload::Bare,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::client::streams::stream::Stream;
    use crate::client::streams::timeout::LossDetector;
    use crate::config::{ClientOptions, RelayOptions};
    use crate::credit::Credit;
    use crate::id::FlowId;
    use crate::secret::Secret;
    use crate::target::{FlowKind, Target};
    use crate::wire::number::ExchangeNumber;
    use crate::wire::packet::{ClientId, Epoch, Grants};

    const NOW: Instant = Instant::from_micros(1_000_000);
    const CALM: Circumstances = Circumstances { now: NOW, relays: 1, thrifty: false };
    const GRANTS: Grants = Grants {
        uplink_window: 4 << 20,
        uplink_total: 64 << 20,
        downlink_total: 64 << 20,
        max_packet: 16 << 20,
        max_hold: Duration::from_secs(25),
        max_held: 64,
        max_streams: 1_000,
    };

    fn config() -> ClientOptions {
        ClientOptions::new(vec![RelayOptions::new(Secret::new("k"))])
    }

    /// A connection with one stream, whose application has just taken bytes.
    fn connection(config: &ClientOptions) -> NodeConnection {
        let (client, epoch) = (ClientId([1; 16]), Epoch([2; 16]));
        let loss = LossDetector::new(NOW);
        let mut connection =
            NodeConnection::new(client, epoch, GRANTS, ExchangeNumber::ZERO, loss, config, NOW);
        let target = Target::new("host", 443).unwrap();
        let id = FlowId::new(1);
        connection.insert(Stream::new(id, target, FlowKind::Tcp, Credit::new(1), &GRANTS, config, NOW), NOW);
        connection.taken = NOW;
        connection
    }

    #[test]
    fn a_node_out_of_credit_is_asked_for_all_that_may_be_in_flight_until_it_still_is_after_a_report() {
        let config = config();
        let mut connection = connection(&config);
        let mut wanted = |standing, circumstances| {
            connection.peer_credit = standing;
            connection.wanted(&config, circumstances)
        };
        assert_eq!(wanted(PeerCredit::Free, CALM), 2);
        assert!(wanted(PeerCredit::Blocked, CALM) > 10);
        assert_eq!(wanted(PeerCredit::StillBlocked, CALM), 2);
        let later = NOW.saturating_add(Duration::from_secs(60));
        assert_eq!(
            wanted(PeerCredit::Blocked, Circumstances { now: later, ..CALM }),
            2,
            "nothing was taken lately"
        );
    }
}
