//! What a stream carries, at either end: two numbered directions, or datagrams.

use alloc::collections::VecDeque;
use core::fmt;

use bytes::Bytes;

use crate::connection::stream::recv::{RecvHalf, RecvState};
use crate::connection::stream::send::{SendHalf, SendState};
use crate::credit::{Credit, Lender};
use crate::target::FlowKind;

/// The payload of one stream.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every stream is TCP, and a box costs a step for each chunk"
)]
pub(crate) enum Flow {
    Tcp { send: SendHalf, recv: RecvHalf },
    Udp(Datagrams),
}

impl Flow {
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
            Self::Udp(datagrams) => datagrams.sending.bytes,
        }
    }

    /// Whether anything could be sent now, an end without bytes included.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Tcp { send, .. } => send.is_ready(),
            Self::Udp(datagrams) => !datagrams.sending.queue.is_empty(),
        }
    }

    /// The length of what goes next.
    pub(crate) fn next_len(&self) -> usize {
        match self {
            Self::Tcp { send, .. } => send.next_len(),
            Self::Udp(datagrams) => datagrams.sending.queue.front().map_or(0, Bytes::len),
        }
    }

    /// Whether there are bytes that only lack the peer's credit.
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

    /// Received bytes that are kept: in the reorder queue, or delivered and not taken.
    pub(crate) fn kept_in(&self) -> usize {
        match self {
            Self::Tcp { recv, .. } => recv.waiting().saturating_add(recv.untaken()),
            Self::Udp(datagrams) => datagrams.received.bytes,
        }
    }

    /// Bytes to send that are kept.
    pub(crate) const fn kept_out(&self) -> usize {
        match self {
            Self::Tcp { send, .. } => send.kept(),
            Self::Udp(datagrams) => datagrams.sending.bytes,
        }
    }

    /// Places of the reorder queue in use.
    pub(crate) fn span(&self) -> usize {
        match self {
            Self::Tcp { recv, .. } => recv.span(),
            Self::Udp(_) => 0,
        }
    }

    #[cfg(feature = "model")]
    pub(crate) fn fingerprint(&self, print: &mut crate::fingerprint::Fingerprint<'_>) {
        match self {
            Self::Tcp { send, recv } => {
                print.value(0_u8);
                send.fingerprint(print);
                recv.fingerprint(print);
            }
            Self::Udp(datagrams) => {
                print.value(1_u8);
                for queue in [&datagrams.received, &datagrams.sending] {
                    print.each(queue.iter(), |print, datagram| print.value(datagram));
                }
            }
        }
    }
}

/// The datagrams of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Datagrams {
    /// From the peer, on their way to a socket that does not take them yet.
    pub(crate) received: Queue,
    /// On their way to the peer.
    pub(crate) sending: Queue,
}

/// Datagrams in order, the oldest of which make room for the newest.
#[derive(Clone, Default)]
pub(crate) struct Queue {
    queue: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    /// Appends a datagram; at most `most` of them wait, with `room` bytes. Says how many were dropped for it.
    pub(crate) fn push(&mut self, datagram: Bytes, most: usize, room: usize) -> u64 {
        let before = self.dropped;
        while self.queue.len() >= most || self.bytes.saturating_add(datagram.len()) > room {
            if self.drop_oldest().is_none() {
                break;
            }
        }
        self.append(datagram);
        self.dropped.saturating_sub(before)
    }

    /// Appends a datagram from the socket; at most `most` of them wait, with as many bytes as there is credit for.
    /// Says how many were dropped before and after.
    pub(crate) fn arrive(
        &mut self,
        datagram: Bytes,
        most: usize,
        credit: &mut Credit,
        pool: &mut impl Lender,
    ) -> (u64, u64) {
        let before = self.dropped;
        while self.queue.len() >= most
            && let Some(bytes) = self.drop_oldest()
        {
            credit.release(bytes, pool);
        }
        // An empty queue always has room: the floor of a stream's credit is larger than any datagram.
        while credit.arrive(datagram.len()).is_err() {
            if credit.grant(pool) == 0 {
                let Some(bytes) = self.drop_oldest() else { break };
                credit.release(bytes, pool);
            }
        }
        self.append(datagram);
        (before, self.dropped)
    }

    fn append(&mut self, datagram: Bytes) {
        self.bytes = self.bytes.saturating_add(datagram.len());
        self.queue.push_back(datagram);
    }

    fn drop_oldest(&mut self) -> Option<usize> {
        let bytes = self.pop()?.len();
        self.dropped = self.dropped.saturating_add(1);
        Some(bytes)
    }

    /// Takes the oldest.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let oldest = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(oldest.len());
        Some(oldest)
    }

    /// Takes the oldest if it has at most `room` bytes.
    pub(crate) fn pop_within(&mut self, room: usize) -> Option<Bytes> {
        let fits = self.queue.front().is_some_and(|oldest| oldest.len() <= room);
        if fits { self.pop() } else { None }
    }

    /// The datagrams, for a fingerprint.
    #[cfg(feature = "model")]
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.queue.iter()
    }
}

/// Never shows the bytes.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} datagrams of {} bytes, {} dropped", self.queue.len(), self.bytes, self.dropped)
    }
}
