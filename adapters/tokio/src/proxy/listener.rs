//! The listening port of the proxy, where the first byte tells SOCKS5 from HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::{FlowKind, Target};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use super::associate::associate;
use super::bridge::bridge;
use super::refusal::Refusal;
use super::terms::Terms;
use super::{http_connect, socks};
use crate::client::flow::{Flow, Flows, NotOpened};

/// A running proxy. Dropping it closes every connection at once.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Serves the connections of `listener`.
    pub(crate) fn start(listener: TcpListener, flows: Flows, terms: Terms) -> io::Result<Self> {
        let address = listener.local_addr()?;
        info!(%address, "listening for applications");
        let task = AbortOnDropHandle::new(tokio::spawn(listen(listener, flows, terms)));
        Ok(Self { address, task })
    }

    /// The address, with the real port.
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it was stopped and every connection has ended.
    pub(crate) async fn finished(&mut self) {
        let _ = (&mut self.task).await;
    }
}

/// The pause after a failed accept, which is nearly always a temporary lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the stop, then waits for those that are open.
async fn listen(listener: TcpListener, flows: Flows, terms: Terms) {
    let slots = Arc::new(Semaphore::new(terms.max_connections));
    let terms = Arc::new(terms);
    let mut connections = JoinSet::new();
    while let Some((socket, slot)) = terms.stop.run_until_cancelled(accept(&listener, &slots)).await {
        let (flows, terms) = (flows.clone(), terms.clone());
        connections.spawn(async move {
            if let Err(error) = serve(socket, &flows, &terms).await {
                debug!(%error, "connection");
            }
            drop(slot);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a slot for it; until then it waits in the kernel's queue.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, impl Send + use<>) {
    let slot = slots.clone().acquire_owned().await;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return (socket, slot),
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
    let mut flow = flows.open(target, FlowKind::Tcp).await.map_err(|error: NotOpened| {
        debug!(?error, "flow not opened");
        Refusal::General
    })?;
    let credit = flow.opened().await?;
    Ok((flow, credit))
}
