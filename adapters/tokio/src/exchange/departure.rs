//! The proof that a request never left.
//!
//! A relay can act on a batch only when it has the whole body. So a request cannot have been executed when
//!
//!  - its last piece was never taken by the HTTP layer, whatever happened to its connection: that covers
//!    failed connects, waits for a connection that ended at the deadline, and uploads cut half way;
//!  - its connection is over, and nothing was written to it since the last piece was taken: that covers a
//!    pooled connection that the relay closed while the request was on its way into it;
//!  - the peer itself says so ([`was_refused_unprocessed`]).

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

use super::link::Traffic;

/// Whether the last piece of a [`Parcel`] may have left.
///
/// ```text
///            the last piece is taken
///  WAITING ───────────────────────────▶ TAKEN
///     │  recall
///     └──────────▶ RECALLED
/// ```
/// Both transitions are one atomic step, so a request is never called unsent while the HTTP layer takes its
/// last piece.
#[derive(Clone, Debug, Default)]
pub(super) struct Departure(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    state: AtomicU8,
    connection: OnceLock<CaptureConnection>,
    taken: OnceLock<Taken>,
}

/// The link that the last piece was taken for, and the bytes that it had written before.
#[derive(Debug)]
struct Taken {
    traffic: Traffic,
    written: u64,
}

/// A request whose connection is over fails at once, or is handed to a new connection, which takes less than
/// this unless the relay is far. Recalling it then costs no more than connecting again.
const STRANDED: Duration = Duration::from_secs(3);

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const RECALLED: u8 = 2;

impl Departure {
    /// Watches which connection the request is given to.
    pub(super) fn watch(&self, request: &mut Request<Parcel>) {
        // A departure belongs to one parcel, and a parcel to one request: there is no second watch to lose.
        let _ = self.0.connection.set(capture_connection(request));
    }

    /// Keeps the last piece from leaving, if it has not left yet. True when it never leaves; false when it
    /// may have.
    pub(super) fn recall(&self) -> bool {
        let recalled = self.0.state.compare_exchange(WAITING, RECALLED, Ordering::AcqRel, Ordering::Acquire);
        let never_written =
            |taken: &Taken| taken.traffic.is_over() && taken.traffic.written() == taken.written;
        recalled.is_ok() || self.0.taken.get().is_some_and(never_written)
    }

    /// Waits until the request is found to be stranded, and recalls it: its connection is over, and still it
    /// has not failed, as a request does that is handed to a connection in the moment in which that ends.
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
            // The state lets nobody in here twice.
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

/// A request body in pieces, the last of which leaves only once.
#[derive(Debug)]
pub(super) struct Parcel {
    rest: Bytes,
    departure: Departure,
}

/// Bytes per piece: large enough to cost nothing, small enough that a cut upload is rarely all taken.
const PIECE: usize = 64 * 1024;

impl Parcel {
    pub(super) fn new(body: Bytes) -> (Self, Departure) {
        let departure = Departure::default();
        (Self { rest: body, departure: departure.clone() }, departure)
    }

    /// A request without a body.
    pub(super) fn empty() -> Self {
        Self::new(Bytes::new()).0
    }
}

impl Body for Parcel {
    type Data = Bytes;
    type Error = Recalled;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Recalled>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if self.rest.len() <= PIECE
            && let Err(recalled) = self.departure.take()
        {
            return Poll::Ready(Some(Err(recalled)));
        }
        let piece = PIECE.min(self.rest.len());
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// The request was given up before its last piece left.
#[derive(Debug)]
pub(super) struct Recalled;

impl fmt::Display for Recalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was recalled before it had left")
    }
}

impl Error for Recalled {}

/// Whether the peer itself said that it never processed the request: RST_STREAM with REFUSED_STREAM, or a
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
    async fn a_parcel_arrives_whole() {
        let body = Bytes::from(vec![7; 3 * PIECE + 1]);
        let (parcel, departure) = Parcel::new(body.clone());
        assert_eq!(parcel.collect().await.unwrap().to_bytes(), body);
        assert!(!departure.recall());
    }

    #[tokio::test]
    async fn a_parcel_can_be_recalled_until_its_last_piece_is_taken() {
        let (mut parcel, departure) = Parcel::new(Bytes::from(vec![7; 2 * PIECE]));
        parcel.frame().await.unwrap().unwrap();
        assert!(departure.recall());
        assert!(parcel.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_recalled_parcel_stays_recalled() {
        let (mut parcel, departure) = Parcel::new(Bytes::from_static(b"x"));
        assert!(departure.recall());
        assert!(parcel.frame().await.unwrap().is_err());
        assert!(parcel.frame().await.unwrap().is_err());
    }
}
