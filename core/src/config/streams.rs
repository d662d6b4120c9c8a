//! Options of level 2 at both ends (protocol.md 3.4).

use core::time::Duration;

use super::{ConfigError, KIB, MIB, check};
use crate::wire::packet::MIN_RESPONSE;

options! {
    "streams."
    /// Options of a client at level 2. The node may grant less.
    ClientStreamOptions {
        /// Downlink bytes kept over all streams beyond the first 64 KiB of each, here and at the node. Default
        /// 128 MiB: a link of 10 MB/s with round trips of seconds and losses needs no more.
        downlink_total: u64 = 128 << 20, within 64 << 10..=1 << 40, "must be 64 KiB to 1 TiB";
        /// Downlink bytes that the node may send of a stream before its first WINDOW. Default 128 MiB, as much as the
        /// total, which bounds the memory; smaller windows only slow a single transfer down.
        downlink_window: u64 = 128 << 20, within 64 << 10..=1 << 40, "must be 64 KiB to 1 TiB";
        /// Uplink bytes kept per stream: read from the application and not acknowledged. Default 128 MiB, as much as
        /// nodes grant over all streams; `uplink_total` bounds the memory.
        uplink_window: usize = 128 * MIB, within 64 * KIB..=1024 * MIB, "must be 64 KiB to 1 GiB";
        /// Exchanges in flight at a time. Default 32.
        max_depth: usize = 32, within 2..=256, "must be 2 to 256 exchanges";
        /// How long a request is held while nothing happens. Default 25 s: one call for each such time.
        idle_hold: Duration = Duration::from_secs(25),
            within Duration::from_secs(1)..=Duration::from_secs(50), "must be 1 s to 50 s";
        /// Bytes that the first request allows in its response. Default 768 KiB.
        first_response: u64 = 768 << 10;
        /// The least bytes that a request allows in its response. Default 128 KiB.
        least_response: u64 = 128 << 10;
        /// The most bytes that a request allows in its response. Default 16 MiB.
        most_response: u64 = 16 << 20;
        /// The most bytes of a request packet. Default 4 MiB; the relay's `max_body` may lie below it.
        most_request: usize = 4 * MIB, within 128 * KIB..=256 * MIB, "must be 128 KiB to 256 MiB";
        /// How long a node keeps a client that it does not hear of. Default 10 min; after half of it without streams,
        /// a hello comes before the next one.
        idle: Duration = Duration::from_secs(600);
    }
}

impl ClientStreamOptions {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_bounds()?;
        check(
            (MIN_RESPONSE..=self.first_response).contains(&self.least_response)
                && self.first_response <= self.most_response
                && self.most_response <= 256 << 20,
            "streams.first_response",
            "must be between least_response, at least 68 KiB, and most_response, at most 256 MiB",
        )?;
        check(self.idle > self.idle_hold, "streams.idle", "must be longer than streams.idle_hold")
    }
}

options! {
    "streams."
    /// Options of a node at level 2.
    NodeStreamOptions {
        /// Clients known at a time; beyond it, a hello is refused. Default 1024.
        max_clients: usize = 1024, within 1..=1_000_000, "must be 1 to 1000000";
        /// Streams of one client at a time. Default 4096: as many sessions as a node has by default.
        max_streams: u32 = 4096, within 1..=1_000_000, "must be 1 to 1000000";
        /// Uplink bytes that a new stream may send before its first WINDOW. Default 128 MiB, as much as
        /// `uplink_total`: that total and the 64 KiB of each stream bound the memory, and smaller windows only slow
        /// a single transfer down.
        uplink_window: u64 = 128 << 20, within 64 << 10..=1 << 40, "must be 64 KiB to 1 TiB";
        /// Uplink bytes that one client may keep here beyond 64 KiB a stream. Default 128 MiB: a link of 10 MB/s with
        /// round trips of seconds and losses needs no more.
        uplink_total: u64 = 128 << 20, within 64 << 10..=1 << 40, "must be 64 KiB to 1 TiB";
        /// Downlink bytes kept for one client beyond 64 KiB a stream, if the client allows as many. Default 128 MiB:
        /// a link of 10 MB/s with round trips of seconds and losses needs no more.
        downlink_total: u64 = 128 << 20, within 64 << 10..=1 << 40, "must be 64 KiB to 1 TiB";
        /// Uplink bytes promised to all clients together. A new client is promised at most a quarter of what is
        /// left. Default 1 GiB.
        uplink_memory: u64 = 1 << 30, within 64 << 10..=1 << 40, "must be 64 KiB to 1 TiB";
        /// Bytes of a packet. Default 16 MiB.
        max_packet: usize = 16 * MIB, within 128 * KIB..=256 * MIB, "must be 128 KiB to 256 MiB";
        /// How long a request is held at most, whatever its client asks for. Default 50 s: hosted relays end a call
        /// after 60 s.
        max_hold: Duration = Duration::from_secs(50),
            within Duration::from_secs(1)..=Duration::from_secs(50), "must be 1 s to 50 s";
        /// Requests of one client held at a time; beyond it, the first is answered. Default 64.
        max_held: u32 = 64, within 1..=1024, "must be 1 to 1024 requests";
        /// How long frames wait for more of them before a response carries them; 20 times as long while more keep
        /// coming. Default 10 ms, which is the most.
        settle: Duration = Duration::from_millis(10),
            within ..=Duration::from_millis(10), "must be at most 10 ms";
        /// How long an acknowledgement waits for bytes to share a response with. Default 50 ms.
        ack_delay: Duration = Duration::from_millis(50),
            within ..=Duration::from_millis(50), "must be at most 50 ms";
        /// A client that was not heard of for this long is dropped with its streams. Default 10 min.
        idle: Duration = Duration::from_secs(600);
        /// Chunks that wait, or are missing, in the reorder queues of one client over all its streams. Default
        /// 262 144, which takes 64 streams that are as far ahead as any may be.
        reorder_chunks: usize = 262_144, within 4096.., "must be at least 4096 chunks";
    }
}

impl NodeStreamOptions {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_bounds()?;
        check(self.idle > self.max_hold, "streams.idle", "must be longer than streams.max_hold")
    }
}
