//! Sealing and base64, off the tasks of the machines.

use bytes::Bytes;
use seqlane::wire::Body;

/// Bodies from this size on are made on a thread that may block, where it harms nobody that they take a while.
const OWN_THREAD: usize = 64 * 1024;

/// The bytes of a body; none when the runtime stops before they are there.
pub(crate) async fn into_bytes(body: Body) -> Option<Bytes> {
    if body.is_ready() || body.len() < OWN_THREAD {
        return Some(body.into_bytes());
    }
    tokio::task::spawn_blocking(|| body.into_bytes()).await.ok()
}
