//! Answers of the relay.

use bytes::Bytes;
use http::HeaderValue;

use super::script;
use crate::http::answer;

/// An answer before it is sent.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: HeaderValue,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn json(body: impl Into<Bytes>) -> Self {
        Self { status: 200, content_type: answer::JSON, body: body.into() }
    }

    pub(super) fn packet(body: Bytes) -> Self {
        Self { status: 200, content_type: answer::PACKET, body }
    }

    /// The page for rejected calls and errors.
    pub(super) fn page() -> Self {
        const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
        Self { status: 200, content_type: HTML, body: Bytes::from_static(script::DECOY.as_bytes()) }
    }
}
