//! An open UDP upstream: datagrams both ways, none waited for.

use std::io;

use bytes::{Bytes, BytesMut};
use seqlane::{Shut, UpstreamEvent};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::reports::Reports;
use crate::node::connector::Datagrams;

/// Room for the largest datagram there is.
const MAX_DATAGRAM: usize = 65_535;

/// Carries the datagrams of a socket until the upstream is shut or fails.
pub(super) async fn carry_udp(
    socket: &UdpSocket,
    mut queue: mpsc::Receiver<Bytes>,
    mut shutting: oneshot::Receiver<Shut>,
    reports: &Reports,
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
                    reports.send(UpstreamEvent::Datagram(datagram)).await;
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        if carried.is_err() {
            reports.send(UpstreamEvent::Reset).await;
            return;
        }
    }
}

/// Carries the datagrams of a target inside the program.
pub(super) async fn carry_channels(
    channels: Datagrams,
    mut queue: mpsc::Receiver<Bytes>,
    mut shutting: oneshot::Receiver<Shut>,
    reports: &Reports,
) {
    let Datagrams { to_target, mut from_target } = channels;
    loop {
        tokio::select! {
            how = &mut shutting => {
                while let Ok(datagram) = queue.try_recv()
                    && how == Ok(Shut::Close)
                    && to_target.try_send(datagram).is_ok()
                {}
                return;
            }
            Some(datagram) = queue.recv() => {
                if to_target.try_send(datagram).is_err() {
                    debug!("datagram dropped: the target does not take them fast enough");
                }
            }
            received = from_target.recv() => match received {
                Some(datagram) if datagram.len() > MAX_DATAGRAM => debug!("datagram dropped: too large"),
                Some(datagram) => reports.send(UpstreamEvent::Datagram(datagram)).await,
                None => {
                    reports.send(UpstreamEvent::Reset).await;
                    return;
                }
            },
        }
    }
}

/// Sends one datagram. Only an error report from the target's host ends the flow; a datagram that the system cannot
/// send is lost, as any may be.
async fn send(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    match socket.send(datagram).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(error),
        Err(error) => {
            debug!(%error, "datagram not sent");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// The next datagram.
async fn receive(socket: &UdpSocket) -> io::Result<Bytes> {
    loop {
        // Waiting costs no buffer: idle flows are many. A target port that is closed shows as an error
        // alone, without anything to read.
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error() {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            // The error went to a send. Clearing the readiness here lets the next wait wait.
            let _ = socket.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
        let mut buffer = BytesMut::with_capacity(MAX_DATAGRAM);
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
