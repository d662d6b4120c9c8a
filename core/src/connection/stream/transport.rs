//! Payload of one stream: two numbered directions, or datagrams (protocol.md 3.2 rules 1 and 3).

use crate::connection::stream::recv::{RecvHalf, RecvState};
use crate::connection::stream::send::{SendHalf, SendState};
use crate::datagrams::DatagramQueue;
use crate::target::FlowKind;

/// The payload of one stream, at either end.
#[derive(Clone, Debug, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every stream is TCP, and a box costs a step for each chunk"
)]
pub(crate) enum Transport {
    Tcp { send: SendHalf, recv: RecvHalf },
    Udp(Datagrams),
}

impl Transport {
    pub(crate) const fn kind(&self) -> FlowKind {
        match self {
            Self::Tcp { .. } => FlowKind::Tcp,
            Self::Udp(_) => FlowKind::Udp,
        }
    }

    /// Bytes that could be sent now.
    pub(crate) fn sendable(&self) -> usize {
        match self {
            Self::Tcp { send, .. } => send.sendable(),
            Self::Udp(datagrams) => datagrams.sending.bytes(),
        }
    }

    /// Whether anything could be sent now, an end without bytes included.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Tcp { send, .. } => send.is_ready(),
            Self::Udp(datagrams) => !datagrams.sending.is_empty(),
        }
    }

    /// The length of the next chunk or datagram.
    pub(crate) fn next_len(&self) -> usize {
        match self {
            Self::Tcp { send, .. } => send.next_len(),
            Self::Udp(datagrams) => datagrams.sending.next_len().unwrap_or(0),
        }
    }

    /// Whether there are bytes that are blocked on flow control.
    pub(crate) fn is_blocked(&self) -> bool {
        match self {
            Self::Tcp { send, .. } => send.is_blocked(),
            Self::Udp(_) => false,
        }
    }

    /// Whether both directions came to their end.
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Tcp { send, recv } => {
                send.state() == SendState::Finished && matches!(recv.state(), RecvState::Finished(_))
            }
            Self::Udp(_) => false,
        }
    }

    /// Received bytes that are buffered: in the reorder queue, or delivered and not taken.
    pub(crate) fn buffered_in(&self) -> usize {
        match self {
            Self::Tcp { recv, .. } => recv.waiting().saturating_add(recv.untaken()),
            Self::Udp(datagrams) => datagrams.received.bytes(),
        }
    }

    /// Bytes to send that are buffered.
    pub(crate) const fn buffered_out(&self) -> usize {
        match self {
            Self::Tcp { send, .. } => send.buffered(),
            Self::Udp(datagrams) => datagrams.sending.bytes(),
        }
    }

    /// Places of the reorder queue in use.
    pub(crate) fn span(&self) -> usize {
        match self {
            Self::Tcp { recv, .. } => recv.span(),
            Self::Udp(_) => 0,
        }
    }
}

/// The datagrams of one stream.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Datagrams {
    /// From the peer, until the socket is open.
    pub(crate) received: DatagramQueue,
    /// To the peer.
    pub(crate) sending: DatagramQueue,
}
