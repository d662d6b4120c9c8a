//! The connector that opens sockets.

use std::sync::Arc;

use seqlane::{ConnectFailure, FlowKind, Target};
use tracing::debug;

use super::access::Access;
use super::connect;
use super::connector::{Connector, Upstream};
use super::guard::Guard;
use super::resolve::Resolver;

/// Opens TCP and UDP sockets to targets: the [`Connector`] of nodes by default. Cheap to clone.
///
/// Names are resolved by the system. All addresses of a name are tried, the next beside one that is slow (RFC 8305).
#[derive(Clone, Debug)]
pub struct Sockets {
    resolver: Arc<Resolver>,
}

impl Sockets {
    /// Sockets to public addresses and, if allowed, to loopback, private, link-local, multicast and other special
    /// ranges. The check applies to the address that is connected to, after name resolution.
    pub fn new(allow_private: bool) -> Self {
        Self { resolver: Arc::new(Resolver::new(Guard::new(allow_private))) }
    }
}

impl Connector for Sockets {
    async fn connect(&self, target: Target, kind: FlowKind) -> Result<Upstream, ConnectFailure> {
        self.connect_within(target, kind, &Access::default()).await
    }

    async fn connect_within(
        &self,
        target: Target,
        kind: FlowKind,
        access: &Access,
    ) -> Result<Upstream, ConnectFailure> {
        let addresses = self.resolver.resolve(&target, access).await?;
        match kind {
            FlowKind::Tcp => {
                let stream = connect::tcp(addresses).await?;
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "cannot turn off Nagle's algorithm");
                }
                Ok(stream.into())
            }
            FlowKind::Udp => Ok(connect::udp(addresses).await?.into()),
        }
    }
}
