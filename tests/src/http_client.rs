//! An HTTP client that shows answers as they come: compressed, redirected, cut.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::deadline::soon;

/// A client with its connections.
#[derive(Clone, Debug)]
pub struct HttpClient(Client<HttpConnector, Full<Bytes>>);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it came.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text body")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// A header's value; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text header"))
    }
}

impl HttpClient {
    /// A client that speaks HTTP/1.1.
    pub fn http1() -> Self {
        Self(Client::builder(TokioExecutor::new()).build(connector()))
    }

    /// A client that speaks HTTP/2 without asking.
    pub fn http2() -> Self {
        Self(Client::builder(TokioExecutor::new()).http2_only(true).build(connector()))
    }

    /// Sends a request; an error if no whole answer came.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).map_err(|error| error.to_string())?;
        soon(async {
            let response = self.0.request(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        })
        .await
    }

    /// Posts JSON and gives the answer.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn post(&self, url: &str, body: impl Into<Bytes>) -> Answer {
        let sent = self.send(Method::POST, url, &[("content-type", "application/json")], body).await;
        sent.unwrap_or_else(|error| panic!("no answer from {url}: {error}"))
    }

    /// Gets an address.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn get(&self, url: &str) -> Answer {
        let sent = self.send(Method::GET, url, &[], Bytes::new()).await;
        sent.unwrap_or_else(|error| panic!("no answer from {url}: {error}"))
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}
