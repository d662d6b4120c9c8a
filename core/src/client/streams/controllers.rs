//! The controllers of a connection, and what they learn from its answers (protocol.md 3.2, controllers).

use core::time::Duration;

use crate::client::streams::congestion_window::CongestionWindow;
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

/// An exchange that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) size: Size,
    /// Without the node's hold.
    pub(super) round_trip: Duration,
    /// Whether it had been declared lost.
    pub(super) was_lost: bool,
    /// Bytes of its response, and of the largest that was allowed.
    pub(super) response: u64,
    pub(super) max_response: u64,
    /// Bytes of payload in bulk, if it carried any, and of the largest request that was allowed.
    pub(super) bulk: Option<u64>,
    pub(super) max_request: u64,
}

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

    /// The loss detector.
    pub(super) const fn loss(&self) -> &LossDetector {
        &self.loss
    }

    /// Takes the loss detector for the next connection.
    pub(super) fn take_loss(&mut self, now: Instant) -> LossDetector {
        core::mem::replace(&mut self.loss, LossDetector::new(now))
    }

    /// The round trips of small exchanges.
    pub(super) fn rtt(&self) -> RttQuantiles {
        self.loss.rtt()
    }

    /// Bytes of the next request in bulk.
    pub(super) const fn request_size(&self) -> u64 {
        self.request_size.bytes()
    }

    /// Bytes that may be in flight up, of a total.
    pub(super) fn request_window(&self, total: u64) -> u64 {
        self.request_window.limit(total, self.rtt().p50)
    }

    /// Bytes of the next response.
    pub(super) const fn response_size(&self) -> u64 {
        self.response_size.bytes()
    }

    /// Bytes that may be in flight down, of a total.
    pub(super) fn response_window(&self, total: u64) -> u64 {
        self.response_window.limit(total, self.rtt().p50)
    }

    /// What slow start asks for.
    pub(super) fn boost(&self, now: Instant) -> Option<Boost> {
        self.slow_start.boost(now, self.rtt().p50)
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

    /// An exchange was answered.
    pub(super) fn on_answered(&mut self, exchange: &Answered, now: Instant) {
        let Answered { size, round_trip, was_lost, response, max_response, bulk, max_request } = *exchange;
        let p50 = self.rtt().p50;
        self.loss.on_answer(size, round_trip, was_lost, now);
        self.slow_start.on_answer(response, now, p50);
        if size == Size::Bulk {
            let full = response.saturating_add(MIN_RESPONSE) >= max_response;
            let sizing = self.response_window.sizing_rtt(p50);
            self.response_size.on_round_trip(max_response, full, round_trip, sizing);
            self.response_window.on_arrival(response, now, p50);
        }
        if let Some(bytes) = bulk {
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

    const NOW: Instant = Instant::from_micros(1_000_000);
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    fn controllers() -> Controllers {
        Controllers::new(LossDetector::new(NOW), 16 * MIB, &ClientStreamOptions::default(), NOW)
    }

    #[test]
    fn a_full_answer_in_bulk_enlarges_responses_and_a_full_request_requests() {
        let quick = Answered {
            size: Size::Bulk,
            round_trip: Duration::from_millis(100),
            was_lost: false,
            response: 10,
            max_response: 768 * KIB,
            bulk: None,
            max_request: 768 * KIB,
        };
        let table = [
            ("small", Answered { size: Size::Small, response: 768 * KIB, ..quick }, 768 * KIB, 768 * KIB),
            ("not full", quick, 768 * KIB, 768 * KIB),
            ("a full response", Answered { response: 768 * KIB, ..quick }, 768 * KIB, 960 * KIB),
            ("a full request", Answered { bulk: Some(768 * KIB), ..quick }, 960 * KIB, 768 * KIB),
        ];
        for (case, exchange, request, response) in table {
            let mut controllers = controllers();
            controllers.on_answered(&exchange, NOW);
            assert_eq!(
                (controllers.request_size(), controllers.response_size()),
                (request, response),
                "{case}"
            );
        }
    }

    #[test]
    fn silence_halves_sizes_and_windows_whenever_timeouts_double() {
        let mut controllers = controllers();
        controllers.on_silence(NOW);
        controllers.on_silence(NOW);
        assert_eq!((controllers.request_size(), controllers.response_size()), (384 * KIB, 384 * KIB));
        assert_eq!(controllers.request_window(64 * MIB), 8 * MIB, "once in each timeout");
        assert!(controllers.loss().is_silent());
    }
}
