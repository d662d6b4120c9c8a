//! What a stream carries: two numbered directions, or datagrams.

use alloc::collections::VecDeque;
use core::fmt;

use bytes::Bytes;

use crate::flow::{Credit, Lender};
use crate::stream::recv::{RecvHalf, RecvState};
use crate::stream::send::{SendHalf, SendState};
use crate::target::FlowKind;

/// The payload of one stream.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every stream is TCP, and a box costs a step for each chunk"
)]
pub(super) enum Flow {
    Tcp { send: SendHalf, recv: RecvHalf },
    Udp(Datagrams),
}

impl Flow {
    pub(super) const fn kind(&self) -> FlowKind {
        match self {
            Self::Tcp { .. } => FlowKind::Tcp,
            Self::Udp(_) => FlowKind::Udp,
        }
    }

    /// Bytes that could go down now.
    pub(super) fn sendable(&self) -> usize {
        match self {
            Self::Tcp { send, .. } => send.sendable(),
            Self::Udp(datagrams) => datagrams.down.bytes,
        }
    }

    /// Whether anything could go down now, an end without bytes included.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Tcp { send, .. } => send.is_ready(),
            Self::Udp(datagrams) => !datagrams.down.queue.is_empty(),
        }
    }

    /// The length of what goes next.
    pub(super) fn next_len(&self) -> usize {
        match self {
            Self::Tcp { send, .. } => send.next_len(),
            Self::Udp(datagrams) => datagrams.down.queue.front().map_or(0, Bytes::len),
        }
    }

    /// Whether there are bytes that only lack the client's credit.
    pub(super) fn is_blocked(&self) -> bool {
        match self {
            Self::Tcp { send, .. } => send.is_blocked(),
            Self::Udp(_) => false,
        }
    }

    /// Whether both directions came to their end.
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Tcp { send, recv } => {
                send.state() == SendState::Finished && matches!(recv.state(), RecvState::Finished(_))
            }
            Self::Udp(_) => false,
        }
    }

    /// Uplink bytes that are kept: in the reorder queue, or with the upstream and not reported written.
    pub(super) fn kept_up(&self) -> usize {
        match self {
            Self::Tcp { recv, .. } => recv.waiting().saturating_add(recv.untaken()),
            Self::Udp(datagrams) => datagrams.up.bytes,
        }
    }

    /// Downlink bytes that are kept.
    pub(super) const fn kept_down(&self) -> usize {
        match self {
            Self::Tcp { send, .. } => send.kept(),
            Self::Udp(datagrams) => datagrams.down.bytes,
        }
    }

    /// Places of the uplink's reorder queue in use.
    pub(super) fn span(&self) -> usize {
        match self {
            Self::Tcp { recv, .. } => recv.span(),
            Self::Udp(_) => 0,
        }
    }
}

/// The datagrams of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Datagrams {
    /// On their way to an upstream that is not open yet.
    pub(super) up: Queue,
    /// On their way to the client.
    pub(super) down: Queue,
}

/// Datagrams in order, the oldest of which make room for the newest.
#[derive(Clone, Default)]
pub(super) struct Queue {
    queue: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    /// Appends a datagram of the client's; at most `most` of them wait, with `room` bytes.
    pub(super) fn push(&mut self, datagram: Bytes, most: usize, room: usize) {
        while self.queue.len() >= most || self.bytes.saturating_add(datagram.len()) > room {
            if self.drop_oldest().is_none() {
                break;
            }
        }
        self.append(datagram);
    }

    /// Appends a datagram from upstream; at most `most` of them wait, with as many bytes as there is credit for.
    /// Says how many were dropped before and after.
    pub(super) fn arrive(
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
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let oldest = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(oldest.len());
        Some(oldest)
    }

    /// Takes the oldest if it has at most `room` bytes.
    pub(super) fn pop_within(&mut self, room: usize) -> Option<Bytes> {
        let fits = self.queue.front().is_some_and(|oldest| oldest.len() <= room);
        if fits { self.pop() } else { None }
    }

    /// The datagrams, for a fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.queue.iter()
    }
}

/// Never shows the bytes.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} datagrams of {} bytes, {} dropped", self.queue.len(), self.bytes, self.dropped)
    }
}
