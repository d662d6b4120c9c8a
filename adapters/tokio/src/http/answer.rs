//! Answers of the HTTP servers: one whole body, compressed where that makes it smaller.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::gzip;

/// An HTTP answer with its whole body.
pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const PACKET: HeaderValue = HeaderValue::from_static("application/octet-stream");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

/// An answer with this body, uncompressed.
pub(crate) fn with_body(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    with_body(status, TEXT, body)
}

/// An answer with this body, compressed if the peer accepts it and the body becomes smaller.
pub(crate) async fn compressed(
    status: StatusCode,
    content_type: HeaderValue,
    body: Bytes,
    accepts_gzip: bool,
) -> Answer {
    let smaller = if !accepts_gzip {
        None
    } else if body.len() < gzip::OFFLOAD {
        gzip::deflate(&body)
    } else {
        let body = body.clone();
        tokio::task::spawn_blocking(move || gzip::deflate(&body)).await.unwrap_or(None)
    };
    let mut answer = match smaller {
        Some(smaller) => {
            let mut answer = with_body(status, content_type, smaller);
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer
        }
        None => with_body(status, content_type, body),
    };
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    answer
}
