//! Bodies of answers: collected within a limit, and inflated.

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use seqlane::ExchangeFailure;
use tokio::time::timeout;

/// Memory reserved for an announced length; beyond it, memory grows with the received bytes.
const TRUSTED_LENGTH: usize = 4 * 1024 * 1024;

/// Bodies from this size on are inflated on a blocking thread, so that they do not stall other tasks.
const BLOCKING_THREAD: usize = 256 * 1024;

/// The whole body of a 200, at most `limit` bytes on the wire and at most `limit` inflated.
pub(super) async fn read(response: Response<Incoming>, limit: usize) -> Result<Bytes, ExchangeFailure> {
    let gzip = is_gzip(response.headers());
    let body = collect(response.into_body(), limit).await?;
    if !gzip {
        return Ok(body);
    }
    if body.len() < BLOCKING_THREAD {
        return inflate(body, limit);
    }
    tokio::task::spawn_blocking(move || inflate(body, limit)).await.unwrap_or(Err(ExchangeFailure::Unknown))
}

/// Reads an unneeded body, if it is short and arrives at once, so that its connection can be reused.
pub(super) async fn discard(body: Incoming) {
    const SHORT: usize = 64 * 1024;
    const AT_ONCE: Duration = Duration::from_millis(500);
    // A connection that was not read to the end is closed.
    let _ = timeout(AT_ONCE, collect(body, SHORT)).await;
}

fn is_gzip(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"))
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, ExchangeFailure> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > limit {
        return Err(ExchangeFailure::Garbage);
    }
    // A body of one piece, the common case, is handed on without a copy.
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ExchangeFailure::Unknown)?.into_data() else {
            continue;
        };
        if data.len() > limit - first.len() - whole.len() {
            return Err(ExchangeFailure::Garbage);
        }
        if whole.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(expected.min(TRUSTED_LENGTH));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// The inflated body. A body that is labelled gzip and is not is taken as it is, as the deployed clients do: some
/// proxies inflate a body and leave the label.
fn inflate(body: Bytes, limit: usize) -> Result<Bytes, ExchangeFailure> {
    let mut inflated = Vec::with_capacity(body.len().saturating_mul(2).min(limit));
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match GzDecoder::new(&body[..]).take(bound).read_to_end(&mut inflated) {
        Ok(length) if length > limit => Err(ExchangeFailure::Garbage),
        Ok(_) => Ok(inflated.into()),
        Err(_) => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(body: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn gzip_inflates_up_to_the_limit_and_no_further() {
        let zeros = vec![0; 100_000];
        assert_eq!(inflate(gzip(&zeros), 100_000).unwrap(), zeros);
        assert_eq!(inflate(gzip(&zeros), 99_999), Err(ExchangeFailure::Garbage));
    }

    #[test]
    fn a_body_that_is_only_labelled_gzip_is_taken_as_it_is() {
        let plain = Bytes::from_static(b"{\"r\":[]}");
        assert_eq!(inflate(plain.clone(), 100).unwrap(), plain);
        let cut = gzip(b"{\"r\":[]}").slice(..12);
        assert_eq!(inflate(cut.clone(), 100).unwrap(), cut);
    }

    #[test]
    fn only_gzip_is_inflated() {
        for (encoding, expected) in [("gzip", true), ("GZIP", true), ("identity", false), ("br", false)] {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, encoding.parse().unwrap())]);
            assert_eq!(is_gzip(&headers), expected, "{encoding}");
        }
        assert!(!is_gzip(&HeaderMap::new()));
    }
}
