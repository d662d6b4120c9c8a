//! One stream at either end (protocol.md 3.2).
//!
//! ```text
//!   write ─▶ SendHalf ── chunks, in packets ──▶ RecvHalf ─▶ deliver
//!               ▲                                  │
//!               └──── ACK, WINDOW, in packets ─────┘
//! ```
//!
//! The halves know nothing of relays, holds or time. The connection decides what goes into which packet, remembers it, and
//! says what became of the packet; a half knows which of its frames that concerns.

pub(crate) mod recv;
pub(crate) mod send;
#[cfg(test)]
mod tests;
pub(crate) mod traffic;
pub(crate) mod transport;
pub(crate) mod violation;

use crate::connection::pending::Pending;
use crate::connection::stream::recv::RecvHalf;
use crate::connection::stream::send::SendHalf;
use crate::connection::stream::traffic::Traffic;
use crate::connection::stream::transport::{Datagrams, Transport};
use crate::target::FlowKind;
use crate::time::Instant;

/// One stream, with `S`, what an end knows of its own socket.
#[derive(Clone, Debug)]
pub(crate) struct Stream<S> {
    traffic: Traffic,
    /// OPEN at the client, OPENED at the node.
    opening: Pending,
    socket: S,
}

impl<S> Stream<S> {
    /// A stream with nothing on its way.
    pub(crate) fn new(transport: Transport, opening: Pending, socket: S, now: Instant) -> Self {
        Self { traffic: Traffic::new(transport, now), opening, socket }
    }

    /// TCP or UDP.
    pub(crate) const fn kind(&self) -> FlowKind {
        self.traffic.transport().kind()
    }

    /// What the end knows of its socket.
    pub(crate) const fn socket(&self) -> &S {
        &self.socket
    }

    /// What the end knows of its socket, to be changed.
    pub(crate) const fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// What is sent of a TCP stream.
    pub(crate) const fn send_half(&self) -> Option<&SendHalf> {
        match self.traffic.transport() {
            Transport::Tcp { send, .. } => Some(send),
            Transport::Udp(_) => None,
        }
    }

    /// What is sent of a TCP stream, to be changed.
    pub(crate) const fn send_half_mut(&mut self) -> Option<&mut SendHalf> {
        match self.traffic.transport_mut() {
            Transport::Tcp { send, .. } => Some(send),
            Transport::Udp(_) => None,
        }
    }

    /// What is received of a TCP stream.
    pub(crate) const fn recv_half(&self) -> Option<&RecvHalf> {
        match self.traffic.transport() {
            Transport::Tcp { recv, .. } => Some(recv),
            Transport::Udp(_) => None,
        }
    }

    /// What is received of a TCP stream, to be changed.
    pub(crate) const fn recv_half_mut(&mut self) -> Option<&mut RecvHalf> {
        match self.traffic.transport_mut() {
            Transport::Tcp { recv, .. } => Some(recv),
            Transport::Udp(_) => None,
        }
    }

    /// The datagrams of a UDP stream, and its socket.
    pub(crate) const fn datagrams_mut(&mut self) -> Option<(&mut Datagrams, &mut S)> {
        match self.traffic.transport_mut() {
            Transport::Tcp { .. } => None,
            Transport::Udp(datagrams) => Some((datagrams, &mut self.socket)),
        }
    }

    /// The payload, with what decides how it travels.
    pub(super) const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The payload, to be changed.
    pub(super) const fn traffic_mut(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    /// Whether the peer has OPEN or OPENED.
    pub(crate) const fn opening(&self) -> Pending {
        self.opening
    }

    /// Whether the peer has OPEN or OPENED, to be changed.
    pub(super) const fn opening_mut(&mut self) -> &mut Pending {
        &mut self.opening
    }

    /// Whether both directions came to their end.
    pub(crate) fn is_finished(&self) -> bool {
        self.traffic.transport().is_finished()
    }

    /// Payload bytes that are buffered.
    pub(crate) fn buffered(&self) -> usize {
        self.traffic.buffered()
    }

    /// The stream's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(&self, print: &mut crate::fingerprint::Fingerprint<'_>) {
        print.value(self.opening);
        print.value(&self.traffic);
    }
}
