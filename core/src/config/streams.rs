//! The bounds and waits of level 2 (protocol.md 3.3).

use core::time::Duration;

use crate::config::{ConfigError, KIB, MIB, check, within};
use crate::wire::packet::MIN_RESPONSE;

/// What a client bounds at level 2. `default()` has every default; the node may grant less.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct ClientStreamOptions {
    /// Downlink bytes kept over all streams beyond the first 64 KiB of each, here and at the node. Default 128 MiB: a
    /// link of 10 MB/s with round trips of seconds and losses needs no more.
    pub downlink_total: u64,
    /// Downlink bytes that the node may send of a stream before its first WINDOW. Default 128 MiB, as much as the
    /// total, which bounds the memory; smaller windows only slow a single transfer down.
    pub window: u64,
    /// Uplink bytes kept per stream: read from the application and not acknowledged. Default 128 MiB, as much as nodes
    /// grant over all streams; `uplink_total` bounds the memory.
    pub uplink_window: usize,
    /// Exchanges out at a time. Default 32.
    pub max_depth: usize,
    /// How long a request is held while nothing happens. Default 25 s: one call for each such time.
    pub idle_hold: Duration,
    /// Bytes that are first asked for in a response. Default 768 KiB.
    pub first_response: u64,
    /// The least bytes that are asked for in a response. Default 128 KiB.
    pub least_response: u64,
    /// The most bytes that are asked for in a response. Default 16 MiB.
    pub most_response: u64,
    /// The most bytes of a request packet. Default 4 MiB; the relay's `max_body` may lie below it.
    pub most_request: usize,
    /// How long the node is taken to remember a client that it does not hear of. Default 10 min; after half of it
    /// without streams, a hello comes before the next one.
    pub idle: Duration,
}

impl Default for ClientStreamOptions {
    fn default() -> Self {
        Self {
            downlink_total: 128 << 20,
            window: 128 << 20,
            uplink_window: 128 * MIB,
            max_depth: 32,
            idle_hold: Duration::from_secs(25),
            first_response: 768 << 10,
            least_response: 128 << 10,
            most_response: 16 << 20,
            most_request: 4 * MIB,
            idle: Duration::from_secs(600),
        }
    }
}

impl ClientStreamOptions {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (bytes, option) in
            [(self.downlink_total, "streams.downlink_total"), (self.window, "streams.window")]
        {
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

/// What a node bounds at level 2. `default()` has every default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct NodeStreamOptions {
    /// Clients known at a time; beyond it, a hello is refused. Default 1024.
    pub max_clients: usize,
    /// Streams of one client at a time. Default 4096: as many sessions as a node has by default.
    pub max_streams: u32,
    /// Uplink bytes that a new stream may send before its first WINDOW. Default 128 MiB, as much as
    /// `uplink_total`: that total and the 64 KiB of each stream bound the memory, and smaller windows only slow
    /// a single transfer down.
    pub window: u64,
    /// Uplink bytes that one client may keep here beyond 64 KiB a stream. Default 128 MiB: a link of 10 MB/s with
    /// round trips of seconds and losses needs no more.
    pub uplink_total: u64,
    /// Downlink bytes kept for one client beyond 64 KiB a stream, if the client allows as many. Default 128 MiB:
    /// a link of 10 MB/s with round trips of seconds and losses needs no more.
    pub downlink_total: u64,
    /// Uplink bytes promised to all clients together. A new client is promised at most a quarter of what is
    /// left. Default 1 GiB.
    pub uplink_memory: u64,
    /// Bytes of a packet. Default 16 MiB.
    pub max_packet: usize,
    /// How long a request is held at most, whatever its client asks for. Default 50 s: hosted relays end a call
    /// after 60 s.
    pub max_hold: Duration,
    /// Requests of one client held at a time; beyond it, the first is answered. Default 64.
    pub max_held: u32,
    /// How long frames wait for more of them before an answer carries them; 20 times as long where more keep coming.
    /// Default 10 ms, which is the most.
    pub settle: Duration,
    /// How long an acknowledgement waits for bytes to share an answer with. Default 50 ms.
    pub ack_delay: Duration,
    /// A client that was not heard of for this long is dropped with its streams. Default 10 min.
    pub idle: Duration,
    /// Chunks that wait, or are missing, in the reorder queues of one client over all its streams. Default
    /// 262 144, which takes 64 streams that are as far ahead as any may be.
    pub reorder_chunks: usize,
}

impl Default for NodeStreamOptions {
    fn default() -> Self {
        Self {
            max_clients: 1024,
            max_streams: 4096,
            window: 128 << 20,
            uplink_total: 128 << 20,
            downlink_total: 128 << 20,
            uplink_memory: 1 << 30,
            max_packet: 16 * MIB,
            max_hold: Duration::from_secs(50),
            max_held: 64,
            settle: Duration::from_millis(10),
            ack_delay: Duration::from_millis(50),
            idle: Duration::from_secs(600),
            reorder_chunks: 262_144,
        }
    }
}

impl NodeStreamOptions {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within(&self.max_clients, 1..=1_000_000, "streams.max_clients", "must be 1 to 1000000")?;
        within(&self.max_streams, 1..=1_000_000, "streams.max_streams", "must be 1 to 1000000")?;
        for (bytes, option) in [
            (self.window, "streams.window"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        ClientStreamOptions::default().check().unwrap();
        NodeStreamOptions::default().check().unwrap();
    }

    #[test]
    fn a_bad_value_is_named() {
        let long = Duration::from_secs(51);
        let node = NodeStreamOptions { max_hold: long, ..NodeStreamOptions::default() };
        assert_eq!(node.check().unwrap_err().option, "streams.max_hold");
    }
}
