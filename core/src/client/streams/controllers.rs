//! The controllers of a connection, and what they learn from its answers (protocol.md 3.2, controllers).

use core::time::Duration;

use crate::client::streams::congestion_window::CongestionWindow;
use crate::client::streams::exchanges::{Progress, Record, RequestPayload};
use crate::client::streams::packet_size::PacketSize;
use crate::client::streams::round_trips::{RttQuantiles, Size};
use crate::client::streams::slow_start::{Boost, SlowStart};
use crate::client::streams::timeout::LossDetector;
use crate::config::ClientStreamOptions;
use crate::time::Instant;
use crate::wire::packet::MIN_RESPONSE;

/// The bytes of an uplink packet in bulk to begin with, and the least.
const FIRST_REQUEST: u64 = 768 * 1024;
const LEAST_REQUEST: u64 = 128 * 1024;

/// Each finds one number.
#[derive(Clone, Debug, Hash)]
pub(super) struct Controllers {
    loss: LossDetector,
    request_size: PacketSize,
    request_window: CongestionWindow,
    response_size: PacketSize,
    response_window: CongestionWindow,
    slow_start: SlowStart,
}

/// What the controllers allow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Round trips of small exchanges, and whether nothing is answered at the moment.
    pub(super) rtt: RttQuantiles,
    pub(super) is_silent: bool,
    /// Bytes of the next packet in bulk, and bytes that may be in flight, up.
    pub(super) request_size: u64,
    pub(super) request_window: u64,
    /// The same down, and what slow start asks for.
    pub(super) response_size: u64,
    pub(super) response_window: u64,
    pub(super) boost: Option<Boost>,
}

impl Controllers {
    /// New controllers, but for what was measured before, for packets of at most `max_packet` bytes.
    pub(super) fn new(
        loss: LossDetector,
        max_packet: u64,
        options: &ClientStreamOptions,
        now: Instant,
    ) -> Self {
        let packet = max_packet.max(options.least_response);
        let request = u64::try_from(options.most_request).unwrap_or(u64::MAX).min(packet);
        let response = options.most_response.min(packet);
        Self {
            loss,
            request_size: PacketSize::new(FIRST_REQUEST, LEAST_REQUEST, request),
            request_window: CongestionWindow::new(now),
            response_size: PacketSize::new(options.first_response, options.least_response, response),
            response_window: CongestionWindow::new(now),
            slow_start: SlowStart::new(),
        }
    }

    /// The loss detector, which the next connection over the same paths begins with.
    pub(super) fn into_loss(self) -> LossDetector {
        self.loss
    }

    /// The loss detector.
    pub(super) const fn loss(&self) -> &LossDetector {
        &self.loss
    }

    /// What they allow, with these totals of each direction.
    pub(super) fn allowance(&self, uplink_total: u64, downlink_total: u64, now: Instant) -> Allowance {
        let rtt = self.loss.rtt();
        Allowance {
            rtt,
            is_silent: self.loss.is_silent(),
            request_size: self.request_size.bytes(),
            request_window: self.request_window.limit(uplink_total, rtt.p50),
            response_size: self.response_size.bytes(),
            response_window: self.response_window.limit(downlink_total, rtt.p50),
            boost: self.slow_start.boost(now, rtt.p50),
        }
    }

    /// Nothing was answered since an overdue exchange was sent: timeouts double, and the rest is halved with them.
    pub(super) fn on_silence(&mut self, now: Instant) {
        let before = self.loss.backoff();
        self.loss.on_silence(now);
        if self.loss.backoff() > before {
            self.response_size.on_silence();
            self.request_size.on_silence();
            self.response_window.on_silence();
            self.request_window.on_silence();
        }
    }

    /// An exchange was answered with `response` bytes, after `round_trip` without the node's hold.
    pub(super) fn on_answered(
        &mut self,
        exchange: &Record,
        response: usize,
        round_trip: Duration,
        now: Instant,
    ) {
        let Record { size, max_response, max_request, payload, progress, .. } = *exchange;
        let response = u64::try_from(response).unwrap_or(u64::MAX);
        let p50 = self.loss.rtt().p50;
        self.loss.on_answer(size, round_trip, matches!(progress, Progress::Lost { .. }), now);
        self.slow_start.on_answer(response, now, p50);
        if size == Size::Bulk {
            let full = response.saturating_add(MIN_RESPONSE) >= max_response;
            let sizing = self.response_window.sizing_rtt(p50);
            self.response_size.on_round_trip(max_response, full, round_trip, sizing);
            self.response_window.on_arrival(response, now, p50);
        }
        if let RequestPayload::Bulk(bytes) = payload {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let full = bytes.saturating_add(MIN_RESPONSE) >= max_request;
            let sizing = self.request_window.sizing_rtt(p50);
            self.request_size.on_round_trip(max_request, full, round_trip, sizing);
            self.request_window.on_arrival(bytes, now, p50);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RelayId;

    const NOW: Instant = Instant::from_micros(1_000_000);
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    fn controllers() -> Controllers {
        Controllers::new(LossDetector::new(NOW), 16 * MIB, &ClientStreamOptions::default(), NOW)
    }

    #[test]
    fn a_full_answer_in_bulk_enlarges_responses_and_a_full_request_requests() {
        const FULL: usize = 768 << 10;
        use RequestPayload::{Bare, Bulk};
        let table = [
            ("small", Size::Small, Bare, FULL, 768 * KIB, 768 * KIB),
            ("not full", Size::Bulk, Bare, 10, 768 * KIB, 768 * KIB),
            ("a full response", Size::Bulk, Bare, FULL, 768 * KIB, 960 * KIB),
            ("a full request", Size::Bulk, Bulk(FULL), 10, 960 * KIB, 768 * KIB),
        ];
        for (case, size, payload, len, request, response) in table {
            let mut controllers = controllers();
            let sent = Record::header_only(RelayId::new(0), NOW);
            let exchange = Record { size, payload, max_response: 768 * KIB, max_request: 768 * KIB, ..sent };
            controllers.on_answered(&exchange, len, Duration::from_millis(100), NOW);
            let allowed = controllers.allowance(64 * MIB, 64 * MIB, NOW);
            assert_eq!((allowed.request_size, allowed.response_size), (request, response), "{case}");
        }
    }

    #[test]
    fn silence_halves_sizes_and_windows_whenever_timeouts_double() {
        let mut controllers = controllers();
        controllers.on_silence(NOW);
        controllers.on_silence(NOW);
        let allowed = controllers.allowance(64 * MIB, 64 * MIB, NOW);
        assert_eq!((allowed.request_size, allowed.response_size), (384 * KIB, 384 * KIB));
        assert_eq!(allowed.request_window, 8 * MIB, "once in each timeout");
        assert!(allowed.is_silent);
    }
}
