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
pub(crate) mod violation;

use core::time::Duration;

use crate::connection::pending::Pending;
use crate::connection::stream::recv::{RecvHalf, RecvState};
use crate::connection::stream::send::{SendHalf, SendState};
use crate::credit::FLOOR;
use crate::datagrams::DatagramQueue;
use crate::target::FlowKind;
use crate::time::Instant;

/// A stream that sent less than this since it was last quiet is sparse (protocol.md 3.2 rule 8). With the overhead of a
/// packet it is less than 64 KiB, so that all of it fits into one packet.
const SPARSE: usize = 60 * 1024;

/// A stream that had nothing to send for this long begins a new burst.
const QUIET: Duration = Duration::from_secs(1);

/// What a stream may send in its turn: one whole chunk.
const QUANTUM: usize = 64 * 1024;

/// The payload of one stream: two numbered directions, or datagrams (protocol.md 3.2 rules 1 and 3).
#[derive(Clone, Debug, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every stream is TCP, and a box costs a step for each chunk"
)]
pub(crate) enum Transport {
    Tcp { send: SendHalf, recv: RecvHalf },
    Udp(Datagrams),
}

/// The datagrams of one stream.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Datagrams {
    /// From the peer, until the socket is open.
    pub(crate) received: DatagramQueue,
    /// To the peer.
    pub(crate) sending: DatagramQueue,
}

/// How the payload of a stream travels (protocol.md 3.2 rule 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// In packets of at most 64 KiB.
    Sparse,
    /// In packets of any size, with others.
    Bulk,
}

/// What one stream has, or all streams of a connection together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sums {
    /// Bytes that could be sent now.
    pub(crate) sendable: usize,
    /// Streams that are blocked on flow control.
    pub(crate) blocked: usize,
    /// Received bytes buffered beyond the floor of each stream.
    pub(crate) beyond: usize,
    /// Places of the reorder queues.
    pub(crate) span: usize,
}

/// One stream, with `S`, what an end knows of its own socket.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Stream<S> {
    transport: Transport,
    /// Bytes sent since the stream was last quiet.
    burst: usize,
    /// Since when it has had nothing to send.
    dry_since: Option<Instant>,
    /// Bytes of its turn that are left in deficit round robin.
    deficit: usize,
    /// What the sums of its connection contain of it.
    counted: Sums,
    /// OPEN at the client, OPENED at the node.
    opening: Pending,
    socket: S,
}

impl<S> Stream<S> {
    /// A stream with nothing on its way.
    pub(crate) fn new(transport: Transport, opening: Pending, socket: S, now: Instant) -> Self {
        let (dry_since, counted) = (Some(now), Sums::default());
        Self { transport, burst: 0, dry_since, deficit: 0, counted, opening, socket }
    }

    /// TCP or UDP.
    pub(crate) const fn kind(&self) -> FlowKind {
        match self.transport {
            Transport::Tcp { .. } => FlowKind::Tcp,
            Transport::Udp(_) => FlowKind::Udp,
        }
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
        if let Transport::Tcp { send, .. } = &self.transport { Some(send) } else { None }
    }

    /// What is sent of a TCP stream, to be changed.
    pub(crate) const fn send_half_mut(&mut self) -> Option<&mut SendHalf> {
        if let Transport::Tcp { send, .. } = &mut self.transport { Some(send) } else { None }
    }

    /// What is received of a TCP stream.
    pub(crate) const fn recv_half(&self) -> Option<&RecvHalf> {
        if let Transport::Tcp { recv, .. } = &self.transport { Some(recv) } else { None }
    }

    /// What is received of a TCP stream, to be changed.
    pub(crate) const fn recv_half_mut(&mut self) -> Option<&mut RecvHalf> {
        if let Transport::Tcp { recv, .. } = &mut self.transport { Some(recv) } else { None }
    }

    /// The datagrams of a UDP stream, and its socket.
    pub(crate) const fn datagrams_mut(&mut self) -> Option<(&mut Datagrams, &mut S)> {
        let Self { transport, socket, .. } = self;
        if let Transport::Udp(datagrams) = transport { Some((datagrams, socket)) } else { None }
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
        match &self.transport {
            Transport::Tcp { send, recv } => {
                send.state() == SendState::Finished && matches!(recv.state(), RecvState::Finished(_))
            }
            Transport::Udp(_) => false,
        }
    }

    /// Payload bytes that are buffered.
    pub(crate) fn buffered(&self) -> usize {
        let sending = match &self.transport {
            Transport::Tcp { send, .. } => send.buffered(),
            Transport::Udp(datagrams) => datagrams.sending.bytes(),
        };
        self.received().saturating_add(sending)
    }

    /// Received bytes that are buffered: in the reorder queue, or delivered and not taken.
    fn received(&self) -> usize {
        match &self.transport {
            Transport::Tcp { recv, .. } => recv.waiting().saturating_add(recv.untaken()),
            Transport::Udp(datagrams) => datagrams.received.bytes(),
        }
    }

    /// Whether anything could be sent now, an end without bytes included.
    fn is_ready(&self) -> bool {
        match &self.transport {
            Transport::Tcp { send, .. } => send.is_ready(),
            Transport::Udp(datagrams) => !datagrams.sending.is_empty(),
        }
    }

    /// The length of the next chunk or datagram.
    fn next_len(&self) -> usize {
        match &self.transport {
            Transport::Tcp { send, .. } => send.next_len(),
            Transport::Udp(datagrams) => datagrams.sending.next_len().unwrap_or(0),
        }
    }

    /// How its payload travels, if it has any.
    pub(super) fn class(&self) -> Option<Class> {
        if !self.is_ready() {
            None
        } else if self.sparse_room() > 0 && (self.is_cut_next() || self.next_len() <= SPARSE) {
            Some(Class::Sparse)
        } else {
            Some(Class::Bulk)
        }
    }

    /// Whether the next chunk is yet to be cut.
    fn is_cut_next(&self) -> bool {
        self.send_half().is_some_and(|send| !send.has_lost())
    }

    /// How long the next chunk of a sparse stream may be. A chunk that was cut before is not cut again.
    pub(super) fn sparse_cut(&self) -> usize {
        if self.is_cut_next() { self.sparse_room() } else { SPARSE }
    }

    /// Bytes that it may still send as a sparse stream.
    const fn sparse_room(&self) -> usize {
        SPARSE.saturating_sub(self.burst)
    }

    /// `bytes` were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.burst = self.burst.saturating_add(bytes).min(SPARSE);
    }

    /// The length of the next chunk in bulk. A turn that is too short for it begins anew.
    pub(super) fn next_in_turn(&mut self) -> usize {
        let next = self.next_len();
        if self.deficit < next {
            self.deficit = self.deficit.saturating_add(QUANTUM);
        }
        next
    }

    /// Bytes of its turn that are left.
    pub(super) const fn turn(&self) -> usize {
        self.deficit
    }

    /// `bytes` were sent in its turn. Returns whether the turn is over.
    pub(super) fn spend_turn(&mut self, bytes: usize) -> bool {
        self.deficit = self.deficit.saturating_sub(bytes);
        self.deficit < self.next_len()
    }

    /// It has nothing in bulk any more.
    pub(super) const fn end_turn(&mut self) {
        self.deficit = 0;
    }

    /// What the sums contain of it.
    pub(super) const fn counted(&self) -> Sums {
        self.counted
    }

    /// Notes whether there is anything to send, and counts it anew. A stream whose bytes only wait for a packet is not
    /// quiet.
    pub(super) fn recount(&mut self, now: Instant) {
        if !self.is_ready() {
            self.dry_since.get_or_insert(now);
        } else if self.dry_since.take().is_some_and(|since| now.saturating_since(since) >= QUIET) {
            self.burst = 0;
        }
        let beyond = self.received().saturating_sub(FLOOR);
        self.counted = match &self.transport {
            Transport::Tcp { send, recv } => Sums {
                sendable: send.sendable(),
                blocked: usize::from(send.is_blocked()),
                beyond,
                span: recv.span(),
            },
            Transport::Udp(datagrams) => {
                Sums { sendable: datagrams.sending.bytes(), beyond, ..Sums::default() }
            }
        };
    }
}
