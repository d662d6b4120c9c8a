//! Options of level 2 at both ends (protocol.md 3.3).

use core::time::Duration;

use super::{ConfigError, KIB, MIB, check, within};
use crate::wire::packet::MIN_RESPONSE;

options! {
    /// Options of a client at level 2. The node may grant less.
    ClientStreamOptions {
        /// Downlink bytes kept over all streams beyond the first 64 KiB of each, here and at the node. Default
        /// 128 MiB: a link of 10 MB/s with round trips of seconds and losses needs no more.
        downlink_total: u64 = 128 << 20,
        /// Downlink bytes that the node may send of a stream before its first WINDOW. Default 128 MiB, as much as the
        /// total, which bounds the memory; smaller windows only slow a single transfer down.
        downlink_window: u64 = 128 << 20,
        /// Uplink bytes kept per stream: read from the application and not acknowledged. Default 128 MiB, as much as
        /// nodes grant over all streams; `uplink_total` bounds the memory.
        uplink_window: usize = 128 * MIB,
        /// Exchanges in flight at a time. Default 32.
        max_depth: usize = 32,
        /// How long a request is held while nothing happens. Default 25 s: one call for each such time.
        idle_hold: Duration = Duration::from_secs(25),
        /// Bytes that the first request allows in its response. Default 768 KiB.
        first_response: u64 = 768 << 10,
        /// The least bytes that a request allows in its response. Default 128 KiB.
        least_response: u64 = 128 << 10,
        /// The most bytes that a request allows in its response. Default 16 MiB.
        most_response: u64 = 16 << 20,
        /// The most bytes of a request packet. Default 4 MiB; the relay's `max_body` may lie below it.
        most_request: usize = 4 * MIB,
        /// How long a node keeps a client that it does not hear of. Default 10 min; after half of it without streams,
        /// a hello comes before the next one.
        idle: Duration = Duration::from_secs(600),
    }
}

impl ClientStreamOptions {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (bytes, option) in [
            (self.downlink_total, "streams.downlink_total"),
            (self.downlink_window, "streams.downlink_window"),
        ] {
            within(&bytes, 64 << 10..=1 << 40, option, "must be 64 KiB to 1 TiB")?;
        }
        within(
            &self.uplink_window,
            64 * KIB..=1024 * MIB,
            "streams.uplink_window",
            "must be 64 KiB to 1 GiB",
        )?;
        within(&self.max_depth, 2..=256, "streams.max_depth", "must be 2 to 256 exchanges")?;
        within(
            &self.idle_hold,
            Duration::from_secs(1)..=Duration::from_secs(50),
            "streams.idle_hold",
            "must be 1 s to 50 s",
        )?;
        check(
            (MIN_RESPONSE..=self.first_response).contains(&self.least_response)
                && self.first_response <= self.most_response
                && self.most_response <= 256 << 20,
            "streams.first_response",
            "must be between least_response, at least 68 KiB, and most_response, at most 256 MiB",
        )?;
        within(
            &self.most_request,
            128 * KIB..=256 * MIB,
            "streams.most_request",
            "must be 128 KiB to 256 MiB",
        )?;
        check(self.idle > self.idle_hold, "streams.idle", "must be longer than streams.idle_hold")
    }
}

options! {
    /// Options of a node at level 2.
    NodeStreamOptions {
        /// Clients known at a time; beyond it, a hello is refused. Default 1024.
        max_clients: usize = 1024,
        /// Streams of one client at a time. Default 4096: as many sessions as a node has by default.
        max_streams: u32 = 4096,
        /// Uplink bytes that a new stream may send before its first WINDOW. Default 128 MiB, as much as
        /// `uplink_total`: that total and the 64 KiB of each stream bound the memory, and smaller windows only slow
        /// a single transfer down.
        uplink_window: u64 = 128 << 20,
        /// Uplink bytes that one client may keep here beyond 64 KiB a stream. Default 128 MiB: a link of 10 MB/s with
        /// round trips of seconds and losses needs no more.
        uplink_total: u64 = 128 << 20,
        /// Downlink bytes kept for one client beyond 64 KiB a stream, if the client allows as many. Default 128 MiB:
        /// a link of 10 MB/s with round trips of seconds and losses needs no more.
        downlink_total: u64 = 128 << 20,
        /// Uplink bytes promised to all clients together. A new client is promised at most a quarter of what is
        /// left. Default 1 GiB.
        uplink_memory: u64 = 1 << 30,
        /// Bytes of a packet. Default 16 MiB.
        max_packet: usize = 16 * MIB,
        /// How long a request is held at most, whatever its client asks for. Default 50 s: hosted relays end a call
        /// after 60 s.
        max_hold: Duration = Duration::from_secs(50),
        /// Requests of one client held at a time; beyond it, the first is answered. Default 64.
        max_held: u32 = 64,
        /// How long frames wait for more of them before a response carries them; 20 times as long while more keep
        /// coming. Default 10 ms, which is the most.
        settle: Duration = Duration::from_millis(10),
        /// How long an acknowledgement waits for bytes to share a response with. Default 50 ms.
        ack_delay: Duration = Duration::from_millis(50),
        /// A client that was not heard of for this long is dropped with its streams. Default 10 min.
        idle: Duration = Duration::from_secs(600),
        /// Chunks that wait, or are missing, in the reorder queues of one client over all its streams. Default
        /// 262 144, which takes 64 streams that are as far ahead as any may be.
        reorder_chunks: usize = 262_144,
    }
}

impl NodeStreamOptions {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within(&self.max_clients, 1..=1_000_000, "streams.max_clients", "must be 1 to 1000000")?;
        within(&self.max_streams, 1..=1_000_000, "streams.max_streams", "must be 1 to 1000000")?;
        for (bytes, option) in [
            (self.uplink_window, "streams.uplink_window"),
            (self.uplink_total, "streams.uplink_total"),
            (self.downlink_total, "streams.downlink_total"),
            (self.uplink_memory, "streams.uplink_memory"),
        ] {
            within(&bytes, 64 << 10..=1 << 40, option, "must be 64 KiB to 1 TiB")?;
        }
        let least = usize::try_from(MIN_RESPONSE).unwrap_or(usize::MAX).max(128 * KIB);
        within(&self.max_packet, least..=256 * MIB, "streams.max_packet", "must be 128 KiB to 256 MiB")?;
        within(
            &self.max_hold,
            Duration::from_secs(1)..=Duration::from_secs(50),
            "streams.max_hold",
            "must be 1 s to 50 s",
        )?;
        within(&self.max_held, 1..=1024, "streams.max_held", "must be 1 to 1024 requests")?;
        check(self.settle <= Duration::from_millis(10), "streams.settle", "must be at most 10 ms")?;
        check(self.ack_delay <= Duration::from_millis(50), "streams.ack_delay", "must be at most 50 ms")?;
        check(self.idle > self.max_hold, "streams.idle", "must be longer than streams.max_hold")?;
        check(self.reorder_chunks >= 4096, "streams.reorder_chunks", "must be at least 4096 chunks")
    }
}
