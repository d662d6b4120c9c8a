//! Bounds of the machines at their edges, which a small bound reaches sooner than a long run.

use std::time::Duration;

use seqlane::{Balance, ClientOptions, ClientStreamOptions, Level, NodeOptions, NodeStreamOptions, OpenMode};

use crate::{Chooser, DecisionPoint};

/// Sets bounds of the machines to the least that is allowed, to one more, or to something large.
#[derive(Debug)]
pub struct Bounds<'a, C> {
    chooser: &'a mut C,
    asked: u64,
}

impl<'a, C: Chooser> Bounds<'a, C> {
    /// Asks `chooser` for each bound.
    pub const fn new(chooser: &'a mut C) -> Self {
        Self { chooser, asked: 0 }
    }

    fn one_of<T: Copy>(&mut self, value: &mut T, others: &[T]) {
        let ways = others.len() as u32 + 1;
        let way = self.chooser.decide(DecisionPoint::Bound, self.asked, ways);
        self.asked += 1;
        if let Some(other) = (way as usize).checked_sub(1).and_then(|place| others.get(place)) {
            *value = *other;
        }
    }

    /// Bounds of a client.
    pub fn client(&mut self, options: &mut ClientOptions) {
        const KIB: usize = 1024;
        self.one_of(&mut options.open, &[OpenMode::Confirmed]);
        self.one_of(&mut options.balance, &[Balance::RoundRobin]);
        self.one_of(&mut options.max_depth, &[1, 2, 64]);
        self.one_of(&mut options.tuning.max_batch_ops, &[1, 2, 3]);
        self.one_of(&mut options.tuning.max_op_payload, &[1, 2, 700, 64 * KIB]);
        self.one_of(&mut options.uplink_window, &[64 * KIB, 64 * KIB + 1]);
        self.one_of(&mut options.tuning.streams.uplink_window, &[64 * KIB, 64 * KIB + 1]);
        self.one_of(&mut options.uplink_total, &[0, 1, 64 * KIB]);
        self.one_of(&mut options.downlink_window, &[1, 2, 1000]);
        self.one_of(&mut options.tuning.idle_exchanges, &[1, 2]);
        self.one_of(&mut options.tuning.unreachable_entries, &[1, 2]);
        self.one_of(&mut options.tuning.udp_queue, &[1, 2]);
        self.one_of(&mut options.tuning.strikes, &[1, 100]);
        self.one_of(
            &mut options.tuning.coalesce,
            &[Duration::ZERO, Duration::from_millis(1), Duration::from_secs(1)],
        );
        self.one_of(&mut options.tuning.first_bytes_wait, &[Duration::ZERO, Duration::from_millis(1)]);
        self.one_of(&mut options.request_timeout, &[Duration::from_secs(5), Duration::from_secs(300)]);
        for relay in &mut options.relays {
            self.one_of(&mut relay.max_concurrent, &[1, 2]);
        }
        self.one_of(&mut options.half_close_quiet, &[Duration::from_secs(2), Duration::from_secs(300)]);
        self.client_streams(&mut options.tuning.streams);
    }

    /// Bounds of a client at level 2.
    fn client_streams(&mut self, options: &mut ClientStreamOptions) {
        const KIB: u64 = 1024;
        self.one_of(&mut options.downlink_total, &[64 * KIB, 64 * KIB + 1, 1024 * KIB]);
        self.one_of(&mut options.downlink_window, &[64 * KIB, 64 * KIB + 1]);
        self.one_of(&mut options.max_depth, &[2, 3]);
        self.one_of(&mut options.idle_hold, &[Duration::from_secs(1), Duration::from_secs(50)]);
        self.one_of(&mut options.least_response, &[68 * KIB, options.first_response]);
        self.one_of(&mut options.most_response, &[options.first_response]);
        self.one_of(&mut options.most_request, &[128 << 10]);
    }

    /// Bounds of a node.
    pub fn node(&mut self, options: &mut NodeOptions) {
        const KIB: usize = 1024;
        self.one_of(&mut options.tuning.max_drain, &[1, 2, 900, 64 * KIB]);
        self.one_of(
            &mut options.tuning.max_batch_drain,
            &[options.tuning.max_drain, options.tuning.max_drain + 1],
        );
        self.one_of(&mut options.tuning.seq_queue_ops, &[1, 2]);
        self.one_of(&mut options.tuning.seq_queue_bytes, &[0, 1, 64 * KIB]);
        self.one_of(&mut options.tuning.write_queue, &[1, 2, 2000]);
        self.one_of(&mut options.session_buffer, &[64 * KIB, 64 * KIB + 1]);
        self.one_of(&mut options.total_buffer, &[0, 1, 64 * KIB]);
        self.one_of(&mut options.tuning.udp_queue, &[1, 2]);
        self.one_of(&mut options.max_sessions, &[1, 2, 3]);
        self.one_of(&mut options.max_requests, &[1, 2, 3]);
        self.one_of(&mut options.longpoll, &[Duration::from_millis(1), Duration::from_secs(4)]);
        self.one_of(&mut options.tuning.active_drain, &[Duration::from_millis(1), Duration::from_millis(20)]);
        self.one_of(&mut options.max_level, &[Level::Legacy]);
        self.node_streams(&mut options.tuning.streams);
    }

    /// Bounds of a node at level 2.
    fn node_streams(&mut self, options: &mut NodeStreamOptions) {
        const KIB: u64 = 1024;
        self.one_of(&mut options.max_clients, &[1, 2]);
        self.one_of(&mut options.max_streams, &[1, 2, 3]);
        self.one_of(&mut options.uplink_window, &[64 * KIB, 64 * KIB + 1]);
        self.one_of(&mut options.uplink_total, &[64 * KIB, 64 * KIB + 1, 1024 * KIB]);
        self.one_of(&mut options.downlink_total, &[64 * KIB, 64 * KIB + 1, 1024 * KIB]);
        self.one_of(&mut options.uplink_memory, &[64 * KIB, 1024 * KIB]);
        self.one_of(&mut options.max_packet, &[128 << 10]);
        self.one_of(&mut options.max_hold, &[Duration::from_secs(1), Duration::from_secs(7)]);
        self.one_of(&mut options.max_held, &[1, 2, 3]);
        self.one_of(&mut options.settle, &[Duration::ZERO]);
        self.one_of(&mut options.ack_delay, &[Duration::ZERO]);
        self.one_of(&mut options.reorder_chunks, &[4096]);
    }
}
