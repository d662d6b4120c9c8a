//! Calls of the relay to its node.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use seqlane::ConfigError;
use tracing::debug;

use super::script::Path;
use crate::http::answer::{JSON, PACKET};

/// The deadline of a call, as in hosted relays.
const DEADLINE: Duration = Duration::from_secs(60);

/// The largest answer, as in hosted relays.
const MAX_ANSWER: usize = 50 * 1024 * 1024;

/// Connections to the node that are kept for the next call; shorter than nodes keep them, so that none is
/// taken that is just being closed.
const IDLE: Duration = Duration::from_secs(15);

/// Makes calls to the node.
#[derive(Clone, Debug)]
pub(super) struct NodeCalls {
    base: String,
    /// The header of packets; none where they are not forwarded.
    authorization: Option<HeaderValue>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// The answer of the node.
pub(super) struct Fetched {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// The node gave no answer.
pub(super) struct Unreachable;

impl NodeCalls {
    /// The node at an `http://` address.
    pub(super) fn new(url: &str, authorization: Option<HeaderValue>) -> Result<Self, ConfigError> {
        let bad = ConfigError {
            option: "node_url",
            reason: "must be an http:// address, such as http://host:8080",
        };
        let uri: Uri = url.parse().map_err(|_| bad.clone())?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() || uri.query().is_some() {
            return Err(bad);
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self { base: url.trim_end_matches('/').to_owned(), authorization, client })
    }

    /// Posts a body to the node.
    pub(super) async fn post(&self, path: Path, body: Bytes) -> Result<Fetched, Unreachable> {
        match tokio::time::timeout(DEADLINE, self.exchange(path, body)).await {
            Ok(Ok(fetched)) => Ok(fetched),
            Ok(Err(error)) => {
                debug!(%error, "node gave no answer");
                Err(Unreachable)
            }
            Err(_) => {
                debug!("node gave no answer in time");
                Err(Unreachable)
            }
        }
    }

    async fn exchange(
        &self,
        path: Path,
        body: Bytes,
    ) -> Result<Fetched, Box<dyn std::error::Error + Send + Sync>> {
        let content_type = if path == Path::Streams { PACKET } else { JSON };
        let mut request = Request::post(format!("{}{}", self.base, path.as_str()))
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(body))?;
        if let (Path::Streams, Some(authorization)) = (path, &self.authorization) {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes();
        Ok(Fetched { status, body })
    }
}
