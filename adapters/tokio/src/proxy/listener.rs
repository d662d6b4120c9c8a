//! The one listening port: SOCKS5 or HTTP, told apart by the first byte.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::{FlowKind, Target};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::answer::Refusal;
use super::associate::associate;
use super::bridge::bridge;
use super::credentials::Credentials;
use super::flow::{Flow, Flows, OpenError};
use super::{http_connect, socks};

/// How a listener treats those who connect.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) credentials: Option<Credentials>,
    pub(super) handshake_deadline: Duration,
    pub(super) max_connections: usize,
    pub(super) udp_targets: usize,
    /// Cancelled when the client is to stop.
    pub(super) stop: CancellationToken,
}

/// After a failed accept: nearly always a lack of file descriptors, which time may cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the stop, then waits for those that are open. Dropped, it drops them.
pub(super) async fn listen(listener: TcpListener, flows: Flows, terms: Terms) {
    let places = Arc::new(Semaphore::new(terms.max_connections));
    let terms = Arc::new(terms);
    let mut connections = JoinSet::new();
    while let Some((socket, place)) = terms.stop.run_until_cancelled(accept(&listener, &places)).await {
        let (flows, terms) = (flows.clone(), terms.clone());
        connections.spawn(async move {
            if let Err(error) = serve(socket, &flows, &terms).await {
                debug!(%error, "connection");
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it; until then it waits in the kernel's queue.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, impl Send + use<>) {
    let place = places.clone().acquire_owned().await;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return (socket, place),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(socket: TcpStream, flows: &Flows, terms: &Terms) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let deadline = Instant::now() + terms.handshake_deadline;
    let mut first = [0];
    if timeout_at(deadline, socket.peek(&mut first)).await?? == 0 {
        return Ok(());
    }
    match first[0] {
        5 => serve_socks(socket, flows, terms, deadline).await,
        b'A'..=b'Z' | b'a'..=b'z' => {
            http_connect::serve(socket, flows, terms).await;
            Ok(())
        }
        other => {
            debug!(first = other, "neither SOCKS5 nor HTTP");
            Ok(())
        }
    }
}

async fn serve_socks(
    mut socket: TcpStream,
    flows: &Flows,
    terms: &Terms,
    deadline: Instant,
) -> io::Result<()> {
    let negotiation = socks::negotiate(&mut socket, terms.credentials.as_ref());
    match timeout_at(deadline, negotiation).await? {
        Ok(socks::Request::Connect(target)) => connect(socket, flows, target, &terms.stop).await,
        Ok(socks::Request::UdpAssociate) => associate(socket, flows.clone(), terms.udp_targets).await,
        Err(error) => {
            debug!(%error, "SOCKS5 handshake");
            Ok(())
        }
    }
}

async fn connect(
    mut socket: TcpStream,
    flows: &Flows,
    target: Target,
    stop: &CancellationToken,
) -> io::Result<()> {
    match open(flows, target).await {
        Ok((flow, credit)) => {
            socks::reply(&mut socket, socks::SUCCEEDED).await?;
            bridge(socket, flow, credit, Bytes::new(), stop).await;
            Ok(())
        }
        Err(refusal) => socks::reply(&mut socket, refusal.socks_code()).await,
    }
}

async fn open(flows: &Flows, target: Target) -> Result<(Flow, usize), Refusal> {
    let mut flow = flows.open(target, FlowKind::Tcp).await.map_err(|error: OpenError| {
        debug!(?error, "no flow");
        Refusal::General
    })?;
    let credit = flow.opened().await?;
    Ok((flow, credit))
}
