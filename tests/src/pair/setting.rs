//! The two machines of a pair, with bounds so small that a short run meets them.

use std::time::Duration;

use seqlane::{
    Balance, Client, ClientOptions, ClientTuning, Form, Instant, Level, Node, NodeOptions, NodeTuning,
    RelayOptions, Secret,
};

/// Settings of the two machines and the network between them.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The highest level of the client.
    pub client: Level,
    /// The highest level of the node.
    pub node: Level,
    /// How the client chooses among its two relays.
    pub balance: Balance,
    /// Whether the second relay strips `seq`.
    pub second_strips: bool,
}

impl Setting {
    /// Both machines of this level, and two relays that pass everything on.
    pub const fn plain(level: Level) -> Self {
        Self { client: level, node: level, balance: Balance::Fastest, second_strips: false }
    }

    /// Whether TCP flows speak level 1: the client finds the relay that keeps `seq`.
    pub fn is_sequenced(&self) -> bool {
        self.client.min(self.node) >= Level::Sequenced
    }

    pub(super) fn client(&self, now: Instant) -> Client {
        let relay = RelayOptions::new(Secret::new("key")).form(Form::Node);
        let options = ClientOptions::new(vec![relay; 2])
            .max_level(self.client)
            .balance(self.balance)
            .uplink_window(WINDOW)
            .uplink_total(TOTAL)
            .downlink_window(10_000)
            .max_depth(4)
            .tuning(
                ClientTuning::new()
                    .max_op_payload(MAX_OP)
                    .max_batch_payload(3 * MAX_OP)
                    .reorder_replies(REORDER)
                    .udp_queue(UDP_QUEUE)
                    // A relay that was refused or lost must not keep a short run from going on.
                    .relay_backoff(Duration::from_millis(500)),
            );
        Client::new(options.validate().expect("valid options"), [1; 32], now)
    }

    pub(super) fn node(&self, now: Instant) -> Node {
        let options = NodeOptions::new(Secret::new("key"))
            .max_level(self.node)
            .session_buffer(WINDOW)
            .total_buffer(TOTAL)
            .tuning(
                NodeTuning::new()
                    .write_queue(WRITE_QUEUE)
                    .seq_queue_bytes(SEQ_QUEUE)
                    .max_drain(MAX_DRAIN)
                    .max_batch_drain(5_000)
                    .udp_queue(UDP_QUEUE),
            );
        Node::new(options.validate().expect("valid options"), [2; 32], now)
    }
}

const MAX_OP: usize = 4_000;
const MAX_DRAIN: usize = 3_000;
const REORDER: usize = 8;
const UDP_QUEUE: usize = 2;
const WRITE_QUEUE: usize = 8_000;
const SEQ_QUEUE: usize = 16_000;
const WINDOW: usize = 128 * 1024;
const TOTAL: usize = 50_000;

/// What every flow may keep whatever the others do.
const FLOOR: usize = 64 * 1024;

/// The longest datagram that a test sends.
pub(super) const MAX_DATAGRAM: usize = 1_500;

/// S6: the bytes that a client with so many flows may buffer: the floors, the shared pool, replies that wait
/// for an earlier one, and datagrams.
pub(super) const fn client_bound(flows: usize) -> usize {
    TOTAL + flows * (FLOOR + REORDER * MAX_DRAIN + UDP_QUEUE * MAX_DATAGRAM)
}

/// S6: the bytes that a node with so many upstreams may buffer: the floors, the shared pool, and per upstream
/// the bytes to be written and those of ops out of order, each with the op that exceeds the bound.
pub(super) const fn node_bound(upstreams: usize) -> usize {
    let written = WRITE_QUEUE + SEQ_QUEUE + MAX_OP;
    let queued = SEQ_QUEUE + MAX_OP;
    TOTAL + upstreams * (FLOOR + written + queued)
}
