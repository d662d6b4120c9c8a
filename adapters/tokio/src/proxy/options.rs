//! How a proxy client is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use seqlane::ClientOptions;

use super::client::ProxyClient;
use super::credentials::Credentials;
use crate::exchange::{RelayUrl, TlsRoots};
use crate::start::StartError;

/// Everything that a [`ProxyClient`] can be told. Made by [`ProxyClient::builder`].
#[derive(Clone, Debug)]
pub struct ProxyClientBuilder {
    pub(super) client: ClientOptions,
    pub(super) relays: Vec<RelayUrl>,
    pub(super) listen: SocketAddr,
    pub(super) credentials: Option<Credentials>,
    pub(super) roots: TlsRoots,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) handshake_deadline: Duration,
    pub(super) max_connections: usize,
    pub(super) udp_targets: usize,
    pub(super) shutdown_grace: Duration,
    pub(super) record: Option<PathBuf>,
}

impl ProxyClientBuilder {
    pub(super) fn new(client: ClientOptions, relays: Vec<RelayUrl>) -> Self {
        Self {
            client,
            relays,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1080)),
            credentials: None,
            roots: TlsRoots::default(),
            ca_file: None,
            handshake_deadline: Duration::from_secs(10),
            max_connections: 4096,
            udp_targets: 256,
            shutdown_grace: Duration::from_secs(10),
            record: None,
        }
    }

    /// Where to listen. Default `127.0.0.1:1080`, the port of SOCKS; port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// What applications must show, by SOCKS5 and HTTP alike. Default: nothing.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Whom to trust behind `https://`. Default: the roots of the web.
    #[must_use]
    pub fn tls_roots(mut self, roots: TlsRoots) -> Self {
        self.roots = roots;
        self
    }

    /// A PEM file with certificate authorities to trust besides the roots of the web; read at the start.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// How long an application may take from its connection to its request. Default 10 s.
    #[must_use]
    pub fn handshake_deadline(mut self, deadline: Duration) -> Self {
        self.handshake_deadline = deadline;
        self
    }

    /// Local TCP connections at a time, at least 1; more wait in the kernel's queue. Default 4096, as many as
    /// the machine has streams by default.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self
    }

    /// Targets at a time per UDP association, at least 1; the one used longest ago makes room. Default 256.
    #[must_use]
    pub fn udp_targets(mut self, targets: usize) -> Self {
        self.udp_targets = targets.max(1);
        self
    }

    /// How long [`ProxyClient::shutdown`] lets flows finish by themselves. Default 10 s.
    #[must_use]
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// A new file for everything that the machine is told and wants done, to be replayed by `seqlane-sim replay`. It
    /// has **everything in it that is carried**, so only its owner may read it. Keys and secrets are not in it. It ends
    /// at 1 GiB, or when it cannot be written as fast as things happen; neither disturbs anything else.
    #[must_use]
    pub fn record(mut self, path: impl Into<PathBuf>) -> Self {
        self.record = Some(path.into());
        self
    }

    /// Binds the port and starts the tasks.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong with the options, or why the port cannot be had.
    pub async fn start(self) -> Result<ProxyClient, StartError> {
        ProxyClient::start(self).await
    }
}
