//! Settings of the proxy.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::credentials::Credentials;

/// How the proxy treats applications.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) handshake_deadline: Duration,
    pub(crate) max_connections: usize,
    pub(crate) udp_targets: usize,
    /// Cancelled when the client stops.
    pub(crate) stop: CancellationToken,
}
