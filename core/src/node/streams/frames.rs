//! Frames of a request (protocol.md 3.2 rules 3, 5, 6 and 11).

use bytes::Bytes;

use crate::credit::FLOOR;
use crate::node::action::{ClientFault, NodeNotice, SessionEnd};
use crate::node::context::Context;
use crate::node::streams::hold::Load;
use crate::node::streams::stream::UpstreamStream;
use crate::node::streams::{Place, Streams};
use crate::node::upstreams::{Carrier, ConnectionId, StreamRef};
use crate::pin::compact;
use crate::seq::Seq;
use crate::target::{FlowKind, Target};
use crate::wire::frame::Frame;
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::reset::ResetCode;

/// A chunk of a stream.
struct Chunk {
    seq: Seq,
    fin: bool,
    bytes: Bytes,
}

impl Streams {
    /// Takes one frame of the request of `exchange`, which is `fresh` when it has not come before, out of a packet
    /// of `len` bytes.
    pub(super) fn on_frame(
        &mut self,
        cx: &mut Context,
        id: ConnectionId,
        exchange: ExchangeNumber,
        frame: Frame,
        fresh: bool,
        len: usize,
    ) -> Result<(), ClientFault> {
        match frame {
            Frame::Open { stream, kind, window, target } => {
                self.on_open(cx, id, stream, kind, window, target)
            }
            Frame::Data { stream, seq, fin, bytes } => {
                self.on_chunk(cx, id, stream, Chunk { seq, fin, bytes: compact(bytes, len) }, fresh)?;
            }
            Frame::Ack { stream, next } => self.on_ack(cx, id, stream, next)?,
            Frame::Window { stream, limit } => self.on_window(cx, id, stream, limit),
            Frame::Reset { stream, .. } => self.on_reset(cx, id, stream),
            Frame::Datagram { stream, bytes } if fresh || planted!(DatagramAgain) => {
                self.on_datagram_frame(cx, id, stream, compact(bytes, len))
            }
            Frame::Datagram { .. } => {}
            Frame::Resend { exchange: lost } if lost >= exchange => return Err(ClientFault::ResendOfFuture),
            Frame::Resend { exchange: lost } => self.on_resend(cx, id, lost),
            // These only go down; a packet with one of them was refused.
            Frame::Opened { .. } | Frame::Backlog { .. } | Frame::Gone { .. } => {}
        }
        self.connections.get(id).map_or(Ok(()), |connection| connection.check(cx.config()))
    }

    /// A stream that is known, or has ended, is not opened again.
    fn on_open(
        &mut self,
        cx: &mut Context,
        id: ConnectionId,
        number: StreamNumber,
        kind: FlowKind,
        window: u64,
        target: Target,
    ) {
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.shared.stream(number).is_some() || connection.ended.contains(number) {
            return;
        }
        let at = StreamRef { connection: id, number };
        let full = !connection.shared.has_place();
        let upstream = if full { None } else { cx.open_upstream(Carrier::Stream(at), target.clone(), kind) };
        let Some(upstream) = upstream else {
            connection.refuse(number, ResetCode::TooManyStreams, now);
            let limit = if full { "streams.max_streams" } else { "max_sessions" };
            return cx.notice(NodeNotice::LimitReached { limit });
        };
        let stream = UpstreamStream::open(upstream, target, kind, window, cx.config(), now);
        connection.shared.insert(number, stream);
        self.arm(cx, at);
    }

    fn on_chunk(
        &mut self,
        cx: &mut Context,
        id: ConnectionId,
        number: StreamNumber,
        chunk: Chunk,
        fresh: bool,
    ) -> Result<(), ClientFault> {
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        let Some(stream) = connection.shared.stream_mut(number) else {
            if fresh {
                connection.on_stray_chunk(number, now);
            }
            return Ok(());
        };
        let Some(recv) = stream.recv_half_mut() else { return Err(ClientFault::DataOnDatagrams) };
        // A repeated request must not make the node answer new ones.
        if fresh {
            recv.receive(chunk.seq, chunk.fin, chunk.bytes)?;
        } else {
            recv.receive_copy(chunk.seq, chunk.fin, chunk.bytes)?;
        }
        stream.upstream_mut().touch(now);
        let upstream = stream.upstream_id();
        self.deliver(cx, Place { id, number, upstream });
        Ok(())
    }

    fn on_ack(
        &mut self,
        cx: &mut Context,
        id: ConnectionId,
        number: StreamNumber,
        next: Seq,
    ) -> Result<(), ClientFault> {
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        if connection.shared.on_ack(number, next, cx.pool())?.is_none() {
            return Ok(());
        }
        if let Some(upstream) = connection.upstream(number) {
            self.settle_stream(cx, Place { id, number, upstream });
        }
        self.feed_streams(cx, id);
        Ok(())
    }

    fn on_window(&mut self, cx: &mut Context, id: ConnectionId, number: StreamNumber, limit: u64) {
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.shared.on_window(number, limit);
        connection.shared.refresh(number, now);
    }

    /// The client resets a stream, and is told nothing more of it. An unknown stream is never opened.
    fn on_reset(&mut self, cx: &mut Context, id: ConnectionId, number: StreamNumber) {
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(id) else { return };
        match connection.upstream(number) {
            Some(upstream) => self.end_stream(cx, Place { id, number, upstream }, SessionEnd::Closed, None),
            None if planted!(ResetForgotten) => {}
            None => connection.forget(number, now),
        }
    }

    fn on_datagram_frame(&mut self, cx: &mut Context, id: ConnectionId, number: StreamNumber, bytes: Bytes) {
        let stream = self.connections.get_mut(id).and_then(|connection| connection.shared.stream_mut(number));
        let Some(stream) = stream else { return };
        let (upstream, open) = (stream.upstream_id(), stream.is_open());
        let Some((datagrams, _)) = stream.datagrams_mut() else { return };
        if open {
            cx.write(upstream, bytes);
        } else {
            datagrams.received.push(bytes, cx.config().tuning.udp_queue, FLOOR);
        }
        stream.upstream_mut().touch(cx.now());
        cx.queue_upstream(upstream);
    }

    /// A held request that is named in a RESEND is answered by a header: the client will not ask for more.
    fn on_resend(&mut self, cx: &mut Context, id: ConnectionId, exchange: ExchangeNumber) {
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(id) else { return };
        if planted!(NamedRefilled) && connection.held.contains_key(&exchange) {
            return self.answer_held(cx, id, exchange, Load::Anything);
        }
        if let Some(held) = connection.resend(exchange, now) {
            connection.exchanges.answered(exchange, 0, 0);
            self.answer_bare(cx, id, exchange, held, false);
        }
    }
}
