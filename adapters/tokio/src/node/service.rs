//! The node's HTTP endpoints (protocol.md 1).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use seqlane::{Endpoint, Secret};
use tracing::debug;

use super::inbox::Inbox;
use super::zops::CompressedBatch;
use crate::http::answer::{self, Answer};
use crate::http::bearer;
use crate::http::body::{self, BodyError, BodyRoom, Share};
use crate::http::gzip;
use crate::http::server::{HangUp, Service};
use crate::sealing;

/// What requests meet.
#[derive(Clone)]
pub(crate) struct NodeService(pub(crate) Arc<Intake>);

/// How requests are read and where they go.
pub(crate) struct Intake {
    pub(crate) inbox: Inbox,
    pub(crate) room: BodyRoom,
    pub(crate) max_body: usize,
    pub(crate) body_deadline: Duration,
}

impl Service for NodeService {
    async fn call(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        Ok(self.0.route(request).await)
    }
}

impl Intake {
    async fn route(&self, request: Request<Incoming>) -> Answer {
        let endpoint = match request.uri().path() {
            "/tunnel/batch" => Endpoint::Batch,
            "/tunnel" => Endpoint::Single,
            "/tunnel/streams" => Endpoint::Streams { key: Secret::new(bearer::key(request.headers())) },
            "/health" => return health(request.method()),
            _ => return answer::empty(StatusCode::NOT_FOUND),
        };
        if request.method() != Method::POST {
            return wrong_method("POST");
        }
        // Deployed nodes look at the type on this path alone.
        if endpoint == Endpoint::Single && !is_json(request.headers()) {
            return answer::text(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the Content-Type must be application/json",
            );
        }
        self.tunnel(endpoint, request).await
    }

    async fn tunnel(&self, endpoint: Endpoint, request: Request<Incoming>) -> Answer {
        let (parts, incoming) = request.into_parts();
        let read = body::read(incoming, self.max_body, self.body_deadline, &self.room).await;
        let (body, share) = match read {
            Ok(read) => read,
            Err(error) => return refused_body(error),
        };
        // A packet is noise, which may begin like gzip, and which gzip does not shorten.
        let is_json = !matches!(endpoint, Endpoint::Streams { .. });
        let inflated = if is_json && (gzip::is_gzip(&body) || says_gzip(&parts.headers)) {
            let inflating = gzip::inflate_off_thread(body, self.max_body);
            self.inflate(share, inflating).await.map_err(|problem| format!("gzip decode: {problem}"))
        } else {
            Ok((body, share))
        };
        let plain = match inflated {
            Ok((body, share)) if endpoint == Endpoint::Batch => self.with_plain_ops(body, share).await,
            other => other,
        };
        let (body, share) = match plain {
            Ok(plain) => plain,
            Err(problem) => return undecodable(&endpoint, problem),
        };
        let Some(response) = self.inbox.ask(endpoint, body, share).await else {
            return answer::text(StatusCode::SERVICE_UNAVAILABLE, "the node is shutting down");
        };
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = HeaderValue::from_static(response.content_type);
        let gzip = is_json && gzip::accepts_gzip(&parts.headers);
        let Some(body) = sealing::into_bytes(response.body).await else {
            return answer::empty(StatusCode::INTERNAL_SERVER_ERROR);
        };
        answer::compressed(status, content_type, body, gzip).await
    }

    /// A batch as the machine reads it.
    async fn with_plain_ops(&self, body: Bytes, share: Share) -> Result<(Bytes, Share), String> {
        match CompressedBatch::find(&body) {
            None => Ok((body, share)),
            Some(Ok(batch)) => self.inflate(share, batch.inflate_off_thread(self.max_body)).await,
            Some(Err(problem)) => Err(problem.to_string()),
        }
    }

    /// Inflates a body, which may become as large as any other and has `share` until then.
    async fn inflate<E: ToString>(
        &self,
        share: Share,
        inflating: impl Future<Output = Result<Bytes, E>>,
    ) -> Result<(Bytes, Share), String> {
        let reserved = tokio::time::timeout(self.body_deadline, self.room.take(self.max_body)).await;
        let Ok(Some(mut reserved)) = reserved else { return Err("the node is out of memory".into()) };
        let inflated = inflating.await.map_err(|error| error.to_string())?;
        drop(share);
        reserved.shrink_to(inflated.len());
        Ok((inflated, reserved))
    }
}

fn health(method: &Method) -> Answer {
    if method == Method::GET || method == Method::HEAD {
        answer::text(StatusCode::OK, "ok")
    } else {
        wrong_method("GET, HEAD")
    }
}

fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer = answer::empty(StatusCode::METHOD_NOT_ALLOWED);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

fn says_gzip(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"))
}

fn refused_body(error: BodyError) -> Answer {
    debug!(?error, "a request body was not read");
    match error {
        // The wording of deployed nodes.
        BodyError::TooLarge => answer::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Failed to buffer the request body: length limit exceeded",
        ),
        BodyError::TooSlow => answer::text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        BodyError::Broken => answer::text(StatusCode::BAD_REQUEST, "the body broke off"),
    }
}

/// Each endpoint reports a body that cannot be inflated where it reports a body that is no JSON.
fn undecodable(endpoint: &Endpoint, problem: String) -> Answer {
    match endpoint {
        Endpoint::Batch => {
            let body = serde_json::json!({ "r": [{ "e": problem }] }).to_string();
            answer::with_body(StatusCode::OK, answer::JSON, body)
        }
        Endpoint::Single | Endpoint::Streams { .. } => answer::text(StatusCode::BAD_REQUEST, problem),
    }
}
