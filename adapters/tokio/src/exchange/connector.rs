//! Connections to relays: TCP without Nagle's algorithm, TLS with ALPN, one deadline for both.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tower_service::Service;

use super::tracked_stream::TrackedStream;

/// The longest time for name resolution, TCP and TLS together. A slower relay counts as unreachable, and its calls go
/// to another one.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Idle connections are probed after this time, so that one that a middlebox has dropped is noticed before use.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// Makes connections for hyper-util's pool.
#[derive(Clone)]
pub(super) struct RelayConnector(HttpsConnector<TrackedConnector>);

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl RelayConnector {
    pub(super) fn new(tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        tcp.set_connect_timeout(Some(CONNECT_DEADLINE));
        Self(
            HttpsConnectorBuilder::new()
                .with_tls_config(tls)
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(TrackedConnector(tcp)),
        )
    }
}

impl Service<Uri> for RelayConnector {
    type Response = MaybeHttpsStream<TokioIo<TrackedStream>>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let connecting = self.0.call(destination);
        Box::pin(async move {
            tokio::time::timeout(CONNECT_DEADLINE, connecting)
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

/// Makes [`TrackedStream`]s.
#[derive(Clone)]
pub(super) struct TrackedConnector(HttpConnector);

impl Service<Uri> for TrackedConnector {
    type Response = TokioIo<TrackedStream>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let connecting = self.0.call(destination);
        Box::pin(async move { Ok(TokioIo::new(TrackedStream::new(connecting.await?.into_inner()))) })
    }
}
