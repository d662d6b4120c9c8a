//! Encryption and base64 of packets, off the tasks of the machines.

use bytes::Bytes;
use seqlane::wire::Body;
use seqlane::{ClientEvent, Decryptor, ExchangeFailure, ExchangeId};

/// Bodies from this size on, which take 0.1 ms, are sealed and opened on a blocking thread.
const BLOCKING_THREAD: usize = 64 * 1024;

/// The bytes of a body; none when the runtime stops first.
pub(crate) async fn into_bytes(body: Body) -> Option<Bytes> {
    if !body.is_packet() || body.len() < BLOCKING_THREAD {
        return Some(body.into_bytes());
    }
    tokio::task::spawn_blocking(|| body.into_bytes()).await.ok()
}

/// The event for an answer to a call that had a packet of a connection.
pub(crate) async fn open(decryptor: Decryptor, exchange: ExchangeId, body: Bytes) -> ClientEvent {
    if body.len() < BLOCKING_THREAD {
        return decryptor.event(exchange, body);
    }
    let opening = tokio::task::spawn_blocking(move || decryptor.event(exchange, body));
    opening.await.unwrap_or(ClientEvent::ExchangeFailed { exchange, why: ExchangeFailure::Unknown })
}
