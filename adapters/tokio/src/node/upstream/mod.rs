//! Upstream sockets: one task each, spoken to through an [`Upstream`], heard through [`Events`].

mod tcp;
mod udp;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::{ConnectFailure, FlowKind, Shut, Target, UpstreamEvent, UpstreamId};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::debug;

use super::connect;
use super::driver::Input;
use super::resolve::Resolver;

/// Datagrams that wait for a socket; beyond it they are dropped, as networks do.
const DATAGRAM_QUEUE: usize = 256;

/// The driver's hold on one upstream socket. Dropping it resets the socket.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Before the outlet, which is let go of later: the end of the writes alone is a half-close.
    shut: oneshot::Sender<Shut>,
    outlet: Outlet,
}

#[derive(Debug)]
enum Outlet {
    /// The queue is unbounded in type and bounded by the machine: it hands out no more than `write_queue`
    /// and one op per session before it has heard `Written`. The driver must never wait here.
    /// None after a half-close.
    Tcp { writes: Option<mpsc::UnboundedSender<Bytes>>, credit: Arc<Semaphore> },
    /// Bounded here, because datagrams are written without a report.
    Udp { writes: mpsc::Sender<Bytes> },
}

impl Upstream {
    /// An upstream, and the task that opens it and carries its bytes.
    pub(crate) fn open(
        target: Target,
        kind: FlowKind,
        resolver: Arc<Resolver>,
        events: Events,
        flush: Duration,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (shut, shutting) = oneshot::channel();
        let (outlet, inlet) = match kind {
            FlowKind::Tcp => {
                let (writes, queue) = mpsc::unbounded_channel();
                let credit = Arc::new(Semaphore::new(0));
                let inlet = Inlet::Tcp { queue: tcp::WriteQueue::new(queue), credit: Arc::clone(&credit) };
                (Outlet::Tcp { writes: Some(writes), credit }, inlet)
            }
            FlowKind::Udp => {
                let (writes, queue) = mpsc::channel(DATAGRAM_QUEUE);
                (Outlet::Udp { writes }, Inlet::Udp { queue })
            }
        };
        (Self { outlet, shut }, carry(target, inlet, shutting, resolver, events, flush))
    }

    /// Queues bytes behind those before; for UDP, one datagram.
    pub(crate) fn write(&self, bytes: Bytes) {
        // A task that has ended has said so, or is being shut.
        match &self.outlet {
            Outlet::Tcp { writes: Some(writes), .. } => drop(writes.send(bytes)),
            Outlet::Tcp { writes: None, .. } => {}
            Outlet::Udp { writes } => {
                if let Err(mpsc::error::TrySendError::Full(_)) = writes.try_send(bytes) {
                    debug!("a datagram was dropped: the socket is not taking them fast enough");
                }
            }
        }
    }

    /// Ends the sending direction, behind what was queued. Datagrams have no end.
    pub(crate) fn finish(&mut self) {
        if let Outlet::Tcp { writes, .. } = &mut self.outlet {
            *writes = None;
        }
    }

    /// Lets this many more bytes be read.
    pub(crate) fn credit(&self, bytes: usize) {
        if let Outlet::Tcp { credit, .. } = &self.outlet {
            credit.add_permits(bytes);
        }
    }

    /// Ends the upstream.
    pub(crate) fn shut(self, how: Shut) {
        // A task that has ended needs no telling.
        let _ = self.shut.send(how);
    }
}

/// The task's side of an [`Outlet`].
enum Inlet {
    Tcp { queue: tcp::WriteQueue, credit: Arc<Semaphore> },
    Udp { queue: mpsc::Receiver<Bytes> },
}

/// Where an upstream's task reports what happens.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    upstream: UpstreamId,
    inputs: mpsc::Sender<Input>,
}

impl Events {
    pub(crate) const fn new(upstream: UpstreamId, inputs: mpsc::Sender<Input>) -> Self {
        Self { upstream, inputs }
    }

    async fn report(&self, event: UpstreamEvent) {
        // A driver that has ended needs no reports.
        drop(self.inputs.send(Input::Upstream { upstream: self.upstream, event }).await);
    }
}

async fn carry(
    target: Target,
    inlet: Inlet,
    mut shutting: oneshot::Receiver<Shut>,
    resolver: Arc<Resolver>,
    events: Events,
    flush: Duration,
) {
    let opening = open(target, inlet, &resolver);
    let opened = tokio::select! {
        opened = opening => opened,
        _ = &mut shutting => return,
    };
    match opened {
        Ok(Open::Tcp { stream, queue, credit }) => {
            events.report(UpstreamEvent::Opened).await;
            tcp::carry(stream, queue, &credit, shutting, &events, flush).await;
        }
        Ok(Open::Udp { socket, queue }) => {
            events.report(UpstreamEvent::Opened).await;
            udp::carry(&socket, queue, shutting, &events).await;
        }
        Err(failure) => events.report(UpstreamEvent::Failed(failure)).await,
    }
}

enum Open {
    Tcp { stream: tokio::net::TcpStream, queue: tcp::WriteQueue, credit: Arc<Semaphore> },
    Udp { socket: tokio::net::UdpSocket, queue: mpsc::Receiver<Bytes> },
}

async fn open(target: Target, inlet: Inlet, resolver: &Resolver) -> Result<Open, ConnectFailure> {
    let addresses = resolver.resolve(&target).await?;
    match inlet {
        Inlet::Tcp { queue, credit } => {
            let stream = connect::tcp(addresses).await?;
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "cannot turn off Nagle's algorithm");
            }
            Ok(Open::Tcp { stream, queue, credit })
        }
        Inlet::Udp { queue } => Ok(Open::Udp { socket: connect::udp(addresses).await?, queue }),
    }
}
