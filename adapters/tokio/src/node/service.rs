//! The node's HTTP endpoints (protocol.md 1).

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::{Body, Incoming};
use seqlane::{Endpoint, Secret};
use tracing::debug;

use super::requests::Requests;
use super::zops::CompressedBatch;
use crate::http::answer::{self, Answer};
use crate::http::bearer;
use crate::http::body::{self, BodyError, BodyRoom, Share};
use crate::http::gzip;
use crate::http::server::{HangUp, Service};
use crate::sealing;

/// A node as a service for HTTP requests, from [`Node::service`](super::Node::service): mount it at a path of your own
/// server. It implements `Service` of `tower-service`, so hyper, axum and others take it. Cheap to clone.
///
/// | request | answer |
/// |---|---|
/// | `POST /tunnel/batch` | a batch of ops (levels 0, 1 and 2) |
/// | `POST /tunnel/streams` | a packet of level 2 |
/// | `POST /tunnel` | a single op |
/// | `GET /health` | `ok` |
///
/// Everything else gets status 404, and so does a wrong key. `examples/mounted_node.rs` has a node in a hyper server.
#[derive(Clone, Debug)]
pub struct NodeService {
    intake: Arc<Intake>,
    prefix: Arc<str>,
}

impl NodeService {
    pub(super) fn new(intake: Intake) -> Self {
        Self { intake: Arc::new(intake), prefix: "".into() }
    }

    /// The same service with its paths below `prefix`: with `/hidden`, batches go to `/hidden/tunnel/batch`. For
    /// servers that do not strip the prefix themselves.
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').into(), ..self }
    }

    async fn route<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Answer {
        let path = request.uri().path().strip_prefix(&*self.prefix);
        let endpoint = match path {
            Some("/tunnel/batch") => Endpoint::Batch,
            Some("/tunnel") => Endpoint::Single,
            Some("/tunnel/streams") => Endpoint::Streams { key: Secret::new(bearer::key(request.headers())) },
            Some("/health") => return health(request.method()),
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
        self.intake.tunnel(endpoint, request).await
    }
}

impl Service for NodeService {
    async fn call(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        Ok(self.route(request).await)
    }
}

impl<B> tower_service::Service<Request<B>> for NodeService
where
    B: Body<Data = Bytes, Error: Send> + Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.route(request).await) })
    }
}

/// Reads requests and hands them to the driver.
pub(super) struct Intake {
    pub(super) requests: Requests,
    pub(super) room: BodyRoom,
    pub(super) max_body: usize,
    pub(super) body_deadline: Duration,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("max_body", &self.max_body)
            .field("body_deadline", &self.body_deadline)
            .finish_non_exhaustive()
    }
}

impl Intake {
    async fn tunnel<B: Body<Data = Bytes>>(&self, endpoint: Endpoint, request: Request<B>) -> Answer {
        let (parts, body) = request.into_parts();
        let read = body::read(body, self.max_body, self.body_deadline, &self.room).await;
        let (body, share) = match read {
            Ok(read) => read,
            Err(error) => return refused_body(error),
        };
        // A packet is encrypted: it may begin like gzip by chance, and gzip does not shorten it.
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
        let Some(response) = self.requests.ask(endpoint, body, share).await else {
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

    /// The batch with plain ops, as the machine reads it.
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
    debug!(?error, "request body not read");
    match error {
        // The wording of deployed nodes.
        BodyError::TooLarge => answer::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Failed to buffer the request body: length limit exceeded",
        ),
        BodyError::TooSlow => answer::text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        BodyError::Broken => answer::text(StatusCode::BAD_REQUEST, "the connection ended within the body"),
    }
}

/// The answer to a body that cannot be inflated: the same as each endpoint gives to a body that is not JSON.
fn undecodable(endpoint: &Endpoint, problem: String) -> Answer {
    match endpoint {
        Endpoint::Batch => {
            let body = serde_json::json!({ "r": [{ "e": problem }] }).to_string();
            answer::with_body(StatusCode::OK, answer::JSON, body)
        }
        Endpoint::Single | Endpoint::Streams { .. } => answer::text(StatusCode::BAD_REQUEST, problem),
    }
}
