//! A connected UDP upstream: datagrams both ways, none waited for.

use std::io;

use bytes::{Bytes, BytesMut};
use seqlane::{Shut, UpstreamEvent};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::Events;

/// Room for the largest datagram there is.
const LARGEST_DATAGRAM: usize = 65_535;

/// Carries datagrams until the upstream is shut or fails.
pub(super) async fn carry(
    socket: &UdpSocket,
    mut queue: mpsc::Receiver<Bytes>,
    mut shutting: oneshot::Receiver<Shut>,
    events: &Events,
) {
    loop {
        let carried = tokio::select! {
            how = &mut shutting => {
                if how == Ok(Shut::Close) {
                    flush(socket, &mut queue);
                }
                return;
            }
            Some(datagram) = queue.recv() => send(socket, &datagram).await,
            received = receive(socket) => match received {
                Ok(datagram) => {
                    events.report(UpstreamEvent::Datagram(datagram)).await;
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        if carried.is_err() {
            events.report(UpstreamEvent::Reset).await;
            return;
        }
    }
}

/// Sends one datagram. Only an answer from the target's host is the flow's end; a datagram that the system
/// cannot send is lost, as any may be.
async fn send(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    match socket.send(datagram).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(error),
        Err(error) => {
            debug!(%error, "a datagram was not sent");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// The next datagram.
async fn receive(socket: &UdpSocket) -> io::Result<Bytes> {
    loop {
        // Waiting costs no buffer: quiet flows are many. An answer that nobody listens there shows as an
        // error alone, without anything to read.
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error() {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            // The error went to a send. Forgetting it here is what makes the next wait a wait.
            let _ = socket.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
        let mut buffer = BytesMut::with_capacity(LARGEST_DATAGRAM);
        match socket.try_recv_buf(&mut buffer) {
            Ok(_) => return Ok(Bytes::copy_from_slice(&buffer)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends what was queued before the close, as far as the socket takes it at once.
fn flush(socket: &UdpSocket, queue: &mut mpsc::Receiver<Bytes>) {
    while let Ok(datagram) = queue.try_recv() {
        if socket.try_send(&datagram).is_err() {
            return;
        }
    }
}
