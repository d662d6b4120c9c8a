//! Whole request bodies, bounded in size and time.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory for the request bodies of all connections of one server.
#[derive(Clone, Debug)]
pub(crate) struct BodyRoom {
    bytes: Arc<Semaphore>,
}

/// A share of a [`BodyRoom`], given back on drop.
#[derive(Debug)]
pub(crate) struct Share(OwnedSemaphorePermit);

impl BodyRoom {
    /// Room for `bytes` in all; a single body of more can never be read.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))) }
    }

    /// Waits for room for `bytes` more.
    pub(crate) async fn take(&self, bytes: usize) -> Option<Share> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok().map(Share)
    }
}

impl Share {
    fn add(&mut self, more: Self) {
        self.0.merge(more.0);
    }

    /// Keeps `bytes` and gives the rest back.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        drop(self.0.split(self.0.num_permits().saturating_sub(bytes)));
    }
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than the limit.
    TooLarge,
    /// It did not arrive, or found no room, in time.
    TooSlow,
    /// The connection broke.
    Broken,
}

/// Reads a whole body of at most `limit` bytes before `deadline` has passed.
pub(crate) async fn read<B: Body<Data = Bytes>>(
    body: B,
    limit: usize,
    deadline: Duration,
    room: &BodyRoom,
) -> Result<(Bytes, Share), BodyError> {
    let body = pin!(body);
    tokio::time::timeout(deadline, collect(body, limit, room)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    limit: usize,
    room: &BodyRoom,
) -> Result<(Bytes, Share), BodyError> {
    let announced = body.size_hint().exact().map(|len| usize::try_from(len).unwrap_or(usize::MAX));
    if announced.is_some_and(|len| len > limit) {
        discard(body, limit).await;
        return Err(BodyError::TooLarge);
    }
    let announced = announced.unwrap_or(0);
    let mut share = room.take(announced).await.ok_or(BodyError::TooLarge)?;
    let mut whole = BytesMut::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let len = whole.len().saturating_add(data.len());
        if len > limit {
            discard(body, limit).await;
            return Err(BodyError::TooLarge);
        }
        if len > announced {
            share.add(room.take(data.len()).await.ok_or(BodyError::TooLarge)?);
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole.freeze(), share))
}

/// Reads on after a body was rejected: a peer that is still sending when the connection closes would be reset, and
/// would never see the answer.
async fn discard<B: Body<Data = Bytes>>(mut body: Pin<&mut B>, limit: usize) {
    let mut budget = limit.saturating_mul(4);
    while budget > 0 {
        match body.frame().await {
            Some(Ok(frame)) => budget = budget.saturating_sub(frame.data_ref().map_or(1, Bytes::len).max(1)),
            Some(Err(_)) | None => return,
        }
    }
}
