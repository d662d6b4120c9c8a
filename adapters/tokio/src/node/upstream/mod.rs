//! Upstreams: one task each, controlled through an [`UpstreamHandle`], which reports to the driver.

mod datagrams;
mod reports;
mod stream;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::{FlowKind, Shut, Target, UpstreamEvent};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::debug;

pub(super) use self::reports::Reports;
use self::stream::{Write, WriteQueue};
use super::connector::{Dial, Kind, Upstream};

/// Datagrams that wait for a socket; beyond it they are dropped, as networks do.
const DATAGRAM_QUEUE: usize = 256;

/// The driver's hold on one upstream. Dropping it resets the upstream.
#[derive(Debug)]
pub(super) struct UpstreamHandle {
    shut: oneshot::Sender<Shut>,
    outlet: Outlet,
}

/// The driver's side of the queues.
#[derive(Debug)]
enum Outlet {
    /// The queue is unbounded in type and bounded by the machine: it hands out no more than `write_queue`
    /// and one op per session before it has heard `Written`. The driver must never wait here.
    Stream { writes: mpsc::UnboundedSender<Write>, credit: Arc<Semaphore> },
    /// Bounded here, because datagrams are written without a report.
    Datagrams { writes: mpsc::Sender<Bytes> },
}

impl UpstreamHandle {
    /// An upstream, and the task that opens it and carries its bytes.
    pub(super) fn open(
        target: Target,
        kind: FlowKind,
        dial: Dial,
        reports: Reports,
        flush: Duration,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (shut, shutting) = oneshot::channel();
        let (outlet, inlet) = match kind {
            FlowKind::Tcp => {
                let (writes, queue) = mpsc::unbounded_channel();
                let credit = Arc::new(Semaphore::new(0));
                let inlet = Inlet::Stream { queue: WriteQueue::new(queue), credit: Arc::clone(&credit) };
                (Outlet::Stream { writes, credit }, inlet)
            }
            FlowKind::Udp => {
                let (writes, queue) = mpsc::channel(DATAGRAM_QUEUE);
                (Outlet::Datagrams { writes }, Inlet::Datagrams { queue })
            }
        };
        let task = Task { inlet, shutting, reports, flush };
        (Self { outlet, shut }, task.run(target, kind, dial))
    }

    /// Queues bytes behind those before; for UDP, one datagram.
    pub(super) fn write(&self, bytes: Bytes) {
        match &self.outlet {
            // A task that has ended has reported it, or is being shut.
            Outlet::Stream { writes, .. } => drop(writes.send(Write::Bytes(bytes))),
            Outlet::Datagrams { writes } => {
                if let Err(mpsc::error::TrySendError::Full(_)) = writes.try_send(bytes) {
                    debug!("datagram dropped: the target does not take them fast enough");
                }
            }
        }
    }

    /// Ends the sending direction, behind what was queued. Datagrams have no end.
    pub(super) fn finish(&self) {
        if let Outlet::Stream { writes, .. } = &self.outlet {
            drop(writes.send(Write::Fin));
        }
    }

    /// Lets this many more bytes be read.
    pub(super) fn credit(&self, bytes: usize) {
        if let Outlet::Stream { credit, .. } = &self.outlet {
            credit.add_permits(bytes);
        }
    }

    /// Ends the upstream.
    pub(super) fn shut(self, how: Shut) {
        // A task that has ended needs no telling.
        let _ = self.shut.send(how);
    }
}

/// The task of an upstream.
struct Task {
    inlet: Inlet,
    shutting: oneshot::Receiver<Shut>,
    reports: Reports,
    flush: Duration,
}

/// The task's side of the queues.
enum Inlet {
    Stream { queue: WriteQueue, credit: Arc<Semaphore> },
    Datagrams { queue: mpsc::Receiver<Bytes> },
}

impl Task {
    async fn run(mut self, target: Target, kind: FlowKind, dial: Dial) {
        let opened = tokio::select! {
            opened = dial.connect(target, kind) => opened,
            _ = &mut self.shutting => return,
        };
        match opened {
            Ok(upstream) => self.carry(upstream).await,
            Err(failure) => self.reports.send(UpstreamEvent::Failed(failure)).await,
        }
    }

    async fn carry(self, Upstream(kind): Upstream) {
        let Self { inlet, shutting, reports, flush } = self;
        reports.send(UpstreamEvent::Opened).await;
        match (inlet, kind) {
            (Inlet::Stream { queue, credit }, Kind::Tcp(tcp)) => {
                stream::carry_tcp(tcp, queue, &credit, shutting, &reports, flush).await;
            }
            (Inlet::Stream { queue, credit }, Kind::Stream(stream)) => {
                stream::carry_any(stream, queue, &credit, shutting, &reports, flush).await;
            }
            (Inlet::Datagrams { queue }, Kind::Udp(socket)) => {
                datagrams::carry_udp(&socket, queue, shutting, &reports).await;
            }
            (Inlet::Datagrams { queue }, Kind::Datagrams(channels)) => {
                datagrams::carry_channels(channels, queue, shutting, &reports).await;
            }
            (Inlet::Stream { .. }, Kind::Udp(_) | Kind::Datagrams(_))
            | (Inlet::Datagrams { .. }, Kind::Tcp(_) | Kind::Stream(_)) => {
                tracing::error!("the connector opened an upstream of the wrong kind");
                reports.send(UpstreamEvent::Reset).await;
            }
        }
    }
}
