//! HTTP CONNECT on the listening port (RFC 9110 section 9.3.6).

use std::convert::Infallible;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::{TokioIo, TokioTimer};
use seqlane::{FlowKind, Target};
use tokio::net::TcpStream;
use tracing::debug;

use super::bridge::bridge;
use super::credentials::Credentials;
use super::refusal::Refusal;
use super::terms::Terms;
use crate::client::flow::{Flow, Flows};

/// Bytes of one request's header.
const MAX_HEADER: usize = 8 * 1024;

/// An open flow, reported to the application.
struct Tunnel {
    flow: Flow,
    credit: usize,
    upgrade: OnUpgrade,
}

/// Serves one connection: requests until one opens a flow, and then the flow.
pub(super) async fn serve(socket: TcpStream, flows: &Flows, terms: &Terms) {
    let opened = Mutex::new(None);
    let service = service_fn(|request| async {
        let response = match answer(request, flows, terms.credentials.as_ref()).await {
            Ok(tunnel) => {
                // No request follows a CONNECT that succeeds.
                *opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(tunnel);
                Response::new(Full::default())
            }
            Err(rejection) => rejection.response(),
        };
        Ok::<_, Infallible>(response)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(terms.handshake_deadline)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        debug!(%error, "HTTP connection");
    }
    let opened = opened.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(Tunnel { flow, credit, upgrade }) = opened
        && let Ok(upgraded) = upgrade.await
        && let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<TcpStream>>()
    {
        bridge(io.into_inner(), flow, credit, read_buf, &terms.stop).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    flows: &Flows,
    credentials: Option<&Credentials>,
) -> Result<Tunnel, Rejection> {
    if let Some(credentials) = credentials
        && !is_authorized(request.headers(), credentials)
    {
        return Err(Rejection::Unauthorized);
    }
    if request.method() != Method::CONNECT {
        return Err(Rejection::Method);
    }
    let target = request.uri().authority().and_then(target).ok_or(Rejection::Target)?;
    let mut flow = flows.open(target, FlowKind::Tcp).await.map_err(|_| Rejection::Busy)?;
    let credit = flow.opened().await.map_err(|why| Rejection::Refused(why.into()))?;
    Ok(Tunnel { flow, credit, upgrade: hyper::upgrade::on(request) })
}

fn target(authority: &Authority) -> Option<Target> {
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Target::new(host, authority.port_u16()?).ok()
}

/// `Proxy-Authorization: Basic` (RFC 9110 section 11.7.2, RFC 7617).
fn is_authorized(headers: &HeaderMap, credentials: &Credentials) -> bool {
    let shown = || {
        let value = headers.get(PROXY_AUTHORIZATION)?.as_bytes();
        let (scheme, encoded) = value.split_at_checked(6)?;
        let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
        scheme.eq_ignore_ascii_case(b"basic ").then_some(decoded)
    };
    shown().is_some_and(|decoded| {
        let mut parts = decoded.splitn(2, |byte| *byte == b':');
        let (user, password) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        credentials.matches(user, password)
    })
}

/// Why a request opens no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rejection {
    Method,
    Target,
    Unauthorized,
    Busy,
    Refused(Refusal),
}

impl Rejection {
    fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_static(self.text().as_bytes())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("CONNECT"));
            }
            Self::Unauthorized => {
                let challenge = HeaderValue::from_static("Basic realm=\"seqlane\", charset=\"UTF-8\"");
                headers.insert(PROXY_AUTHENTICATE, challenge);
            }
            Self::Target | Self::Busy | Self::Refused(_) => {}
        }
        response
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Target => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(refusal) => refusal.http_status(),
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Method => {
                "This proxy takes CONNECT only; set it as the proxy for https:// or use SOCKS5.\n"
            }
            Self::Target => "CONNECT needs a host and a port, such as CONNECT example.org:443.\n",
            Self::Unauthorized => "This proxy requires a user name and password.\n",
            Self::Busy => "This proxy has reached its limit of connections.\n",
            Self::Refused(Refusal::NotAllowed) => "The node does not allow this target.\n",
            Self::Refused(Refusal::NetworkUnreachable | Refusal::HostUnreachable) => {
                "The target cannot be reached.\n"
            }
            Self::Refused(Refusal::Refused) => "The target refused the connection.\n",
            Self::Refused(Refusal::TimedOut) => "The target did not answer in time.\n",
            Self::Refused(Refusal::General) => "The connection failed.\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(authority: &str) -> Option<String> {
        target(&authority.parse().unwrap()).map(|target| target.to_string())
    }

    #[test]
    fn an_authority_is_a_host_and_a_port() {
        assert_eq!(parsed("example.org:443").as_deref(), Some("example.org:443"));
        assert_eq!(parsed("[2001:db8::1]:80").as_deref(), Some("[2001:db8::1]:80"));
        assert_eq!(parsed("example.org"), None);
        assert_eq!(parsed("example.org:0"), None);
    }

    #[test]
    fn basic_credentials_are_compared_whole() {
        let credentials = Credentials::new("ann", "a:b").unwrap();
        let shown = |value: &str| HeaderMap::from_iter([(PROXY_AUTHORIZATION, value.parse().unwrap())]);
        assert!(is_authorized(&shown("Basic YW5uOmE6Yg=="), &credentials));
        assert!(is_authorized(&shown("bAsIc  YW5uOmE6Yg=="), &credentials));
        for wrong in ["", "Basic", "Basic YW5uOmE=", "Basic !", "Bearer YW5uOmE6Yg==", "Basic YW5u"] {
            assert!(!is_authorized(&shown(wrong), &credentials), "{wrong}");
        }
        assert!(!is_authorized(&HeaderMap::new(), &credentials));
    }
}
