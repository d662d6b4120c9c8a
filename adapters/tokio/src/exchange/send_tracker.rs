//! Proof that a request was not sent.
//!
//! A relay can act on a batch only when it has the whole body. So a request was not executed when
//!
//!  - the HTTP layer never took the last chunk of its body, whatever happened to its connection: that covers
//!    failed connects, waits for a connection that ended at the deadline, and interrupted uploads;
//!  - its connection has ended, and nothing was written to it since the last chunk was taken: that covers a
//!    pooled connection that the relay closed while the request was handed to it;
//!  - the peer says so ([`was_refused_unprocessed`]).

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request};
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};

use super::tracked_stream::Traffic;

/// Tells whether the last chunk of a [`TrackedBody`] may have been sent.
///
/// ```text
///            the last chunk is taken
///  WAITING ───────────────────────────▶ TAKEN
///     │  recall
///     └──────────▶ RECALLED
/// ```
/// Both transitions are one atomic step, so a request is never reported unsent while the HTTP layer takes its
/// last chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct SendTracker(Arc<SendState>);

#[derive(Debug, Default)]
struct SendState {
    state: AtomicU8,
    connection: OnceLock<CaptureConnection>,
    taken: OnceLock<Taken>,
}

/// The connection that the last chunk was taken for, and the bytes written to it before.
#[derive(Debug)]
struct Taken {
    traffic: Traffic,
    written: u64,
}

/// A request whose connection has ended fails at once, or is handed to a new connection, which takes less than this
/// unless the relay is far away. Recalling it then costs no more than another connect.
const STRANDED: Duration = Duration::from_secs(3);

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const RECALLED: u8 = 2;

impl SendTracker {
    /// Watches which connection the request is given to.
    pub(super) fn watch(&self, request: &mut Request<TrackedBody>) {
        // A tracker belongs to one body, and a body to one request, so this is the only call.
        let _ = self.0.connection.set(capture_connection(request));
    }

    /// Keeps the last chunk from being sent, if it was not taken yet. True when it is never sent; false when it may
    /// have been.
    pub(super) fn recall(&self) -> bool {
        let recalled = self.0.state.compare_exchange(WAITING, RECALLED, Ordering::AcqRel, Ordering::Acquire);
        let never_written =
            |taken: &Taken| taken.traffic.is_over() && taken.traffic.written() == taken.written;
        recalled.is_ok() || self.0.taken.get().is_some_and(never_written)
    }

    /// Waits until the request is found to be stranded, and recalls it: its connection has ended and it has not
    /// failed, as happens to a request that is handed to a connection at the moment of its end.
    pub(super) async fn stranded(&self) {
        if let Some(mut connection) = self.0.connection.get().cloned() {
            drop(connection.wait_for_connection_metadata().await);
        }
        if let Some(traffic) = self.traffic() {
            traffic.over().await;
            tokio::time::sleep(STRANDED).await;
            if self.recall() {
                return;
            }
        }
        pending().await
    }

    fn take(&self) -> Result<(), Recalled> {
        self.0
            .state
            .compare_exchange(WAITING, TAKEN, Ordering::AcqRel, Ordering::Acquire)
            .map_err(|_| Recalled)?;
        if let Some(traffic) = self.traffic() {
            // The state changes to TAKEN once.
            let _ = self.0.taken.set(Taken { written: traffic.written(), traffic });
        }
        Ok(())
    }

    fn traffic(&self) -> Option<Traffic> {
        let mut extras = Extensions::new();
        self.0.connection.get()?.connection_metadata().as_ref()?.get_extras(&mut extras);
        extras.remove()
    }
}

/// A request body in chunks, whose last chunk is tracked.
#[derive(Debug)]
pub(super) struct TrackedBody {
    rest: Bytes,
    tracker: SendTracker,
}

/// Bytes per chunk: large enough to cost nothing, small enough that an interrupted upload is rarely all taken.
const CHUNK: usize = 64 * 1024;

impl TrackedBody {
    pub(super) fn new(body: Bytes) -> (Self, SendTracker) {
        let tracker = SendTracker::default();
        (Self { rest: body, tracker: tracker.clone() }, tracker)
    }

    /// A request without a body.
    pub(super) fn empty() -> Self {
        Self::new(Bytes::new()).0
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = Recalled;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Recalled>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if self.rest.len() <= CHUNK
            && let Err(recalled) = self.tracker.take()
        {
            return Poll::Ready(Some(Err(recalled)));
        }
        let chunk = CHUNK.min(self.rest.len());
        let chunk = self.rest.split_to(chunk);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// The request was given up before its last chunk was sent.
#[derive(Debug)]
pub(super) struct Recalled;

impl fmt::Display for Recalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was recalled before it was sent")
    }
}

impl Error for Recalled {}

/// Whether the peer said that it did not process the request: RST_STREAM with REFUSED_STREAM, or a
/// GOAWAY that excludes the stream (RFC 9113 sections 6.8 and 8.7).
pub(super) fn was_refused_unprocessed(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            let refused = h2.is_reset() && h2.reason() == Some(h2::Reason::REFUSED_STREAM);
            return h2.is_remote() && (refused || h2.is_go_away());
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_arrives_whole() {
        let bytes = Bytes::from(vec![7; 3 * CHUNK + 1]);
        let (body, tracker) = TrackedBody::new(bytes.clone());
        assert_eq!(body.collect().await.unwrap().to_bytes(), bytes);
        assert!(!tracker.recall());
    }

    #[tokio::test]
    async fn a_body_can_be_recalled_until_its_last_chunk_is_taken() {
        let (mut body, tracker) = TrackedBody::new(Bytes::from(vec![7; 2 * CHUNK]));
        body.frame().await.unwrap().unwrap();
        assert!(tracker.recall());
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_recalled_body_stays_recalled() {
        let (mut body, tracker) = TrackedBody::new(Bytes::from_static(b"x"));
        assert!(tracker.recall());
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.unwrap().is_err());
    }
}
