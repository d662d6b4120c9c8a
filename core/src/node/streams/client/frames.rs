//! Frames of a request (protocol.md 3.2 rules 3, 5, 6 and 11).

use alloc::sync::Arc;

use bytes::Bytes;

use crate::connection::stream::Stream;
use crate::connection::stream::violation::Violation;
use crate::credit::FLOOR;
use crate::node::action::{ClientFault, NodeNotice, SessionEnd};
use crate::node::context::Context;
use crate::node::socket::Socket;
use crate::node::streams::client::ClientConnection;
use crate::node::streams::client::request::RequestCopy;
use crate::node::streams::stream::buffers;
use crate::node::upstreams::{Carrier, StreamRef};
use crate::pin::compact;
use crate::seq::Seq;
use crate::target::{FlowKind, Target};
use crate::wire::frame::Frame;
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::reset::ResetCode;

/// Streams that a client may have however few places are left. Beyond, it takes no more than half of what is left for all.
const FREE_STREAMS: usize = 64;

impl ClientConnection {
    /// Takes one frame of a request, which is `fresh` when it has not come before.
    pub(super) fn on_frame(
        &mut self,
        request: RequestCopy<'_>,
        frame: Frame,
        fresh: bool,
        cx: &mut Context,
    ) -> Result<(), ClientFault> {
        let exchange = request.header.exchange;
        match frame {
            Frame::Open { stream, kind, window, target } => self.on_open(stream, kind, window, target, cx),
            Frame::Data { stream, seq, fin, bytes } => {
                self.on_chunk(stream, (seq, fin, compact(bytes, request.len)), fresh, cx)?;
            }
            Frame::Ack { stream, next } => self.on_ack(stream, next, cx)?,
            Frame::Window { stream, limit } => {
                self.shared.on_window(stream, limit);
                self.shared.refresh(stream, cx.now());
            }
            Frame::Reset { stream, .. } => self.on_reset(stream, cx),
            Frame::Datagram { stream, bytes } if fresh => {
                self.on_datagram_frame(stream, compact(bytes, request.len), cx);
            }
            Frame::Datagram { .. } => {}
            Frame::Resend { exchange: lost } if lost >= exchange => return Err(ClientFault::ResendOfFuture),
            Frame::Resend { exchange: lost } => self.on_resend(lost, cx),
            // These only go down; a packet with one of them was refused.
            Frame::Opened { .. }
            | Frame::Backlog { .. }
            | Frame::Gone { .. }
            | Frame::End { .. }
            | Frame::Goodbye => {}
        }
        self.check_bounds(cx.config())
    }

    /// A stream that is known, or has ended, is not opened again.
    fn on_open(
        &mut self,
        number: StreamNumber,
        kind: FlowKind,
        window: u64,
        target: Target,
        cx: &mut Context,
    ) {
        let now = cx.now();
        if self.shared.stream(number).is_some() || self.ended.contains(number) {
            return;
        }
        let carrier = Carrier::Stream(StreamRef { connection: self.id, number });
        let left = cx.upstreams().places_left(cx.config().max_sessions);
        let full = !self.shared.has_place();
        let greedy = self.shared.len() >= left.max(FREE_STREAMS);
        let window_kept = buffers(kind, window, cx.config());
        let socket = if full || greedy {
            None
        } else {
            Socket::open(carrier, Arc::clone(&self.name), target, kind, window_kept, cx)
        };
        let Some(socket) = socket else {
            self.ended.insert(number);
            self.shared.refuse(number, ResetCode::TooManyStreams, now);
            let limit = if full { "streams.max_streams" } else { "max_sessions" };
            return cx.notice(NodeNotice::LimitReached { limit });
        };
        self.shared.insert(number, Stream::open(socket, window, cx.config(), now));
        self.arm(number, cx);
    }

    fn on_chunk(
        &mut self,
        number: StreamNumber,
        (seq, fin, bytes): (Seq, bool, Bytes),
        fresh: bool,
        cx: &mut Context,
    ) -> Result<(), ClientFault> {
        let Some(stream) = self.shared.stream_mut(number) else {
            let known = !fresh || self.shared.on_stray_chunk(number, cx.now()) || self.ended.contains(number);
            if !known {
                self.shared.queue_gone(number, cx.now());
            }
            return Ok(());
        };
        let Some(recv) = stream.recv_half_mut() else { return Err(ClientFault::DataOnDatagrams) };
        // Whoever repeats old requests shall not make the node answer new ones.
        let received =
            if fresh { recv.receive(seq, fin, bytes).map(drop) } else { recv.receive_copy(seq, fin, bytes) };
        if let Err(violation) = received {
            return self.on_violation(number, violation, cx);
        }
        stream.socket_mut().touch(cx.now());
        self.deliver(number, cx);
        Ok(())
    }

    fn on_ack(&mut self, number: StreamNumber, next: Seq, cx: &mut Context) -> Result<(), ClientFault> {
        match self.shared.on_ack(number, next, cx.pool()) {
            Ok(Some(_)) => {
                self.settle_stream(number, cx);
                self.grant_blocked(cx);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(violation) => self.on_violation(number, violation, cx),
        }
    }

    /// A rule of a stream was broken. What takes room that was not granted fails the client, and anything else its stream.
    fn on_violation(
        &mut self,
        number: StreamNumber,
        violation: Violation,
        cx: &mut Context,
    ) -> Result<(), ClientFault> {
        match violation {
            Violation::CreditExceeded | Violation::TooFarAhead => Err(violation.into()),
            Violation::EndMoved | Violation::AckOfUnsent => {
                self.end_stream(number, SessionEnd::ClientLost, Some(ResetCode::Violation), cx);
                Ok(())
            }
        }
    }

    /// The client resets a stream, and is told nothing more of it. An unknown stream is never opened.
    fn on_reset(&mut self, number: StreamNumber, cx: &mut Context) {
        if self.shared.stream(number).is_some() {
            self.end_stream(number, SessionEnd::Closed, None, cx);
        } else {
            self.ended.insert(number);
            self.shared.forget(number, cx.now());
        }
    }

    fn on_datagram_frame(&mut self, number: StreamNumber, bytes: Bytes, cx: &mut Context) {
        let Some(stream) = self.shared.stream_mut(number) else { return };
        let (upstream, open) = (stream.socket().upstream(), stream.socket().is_open());
        let Some((datagrams, _)) = stream.datagrams_mut() else { return };
        if open {
            stream.socket_mut().write(bytes, cx);
        } else {
            datagrams.received.push(bytes, cx.config().tuning.udp_queue, FLOOR);
        }
        stream.socket_mut().touch(cx.now());
        cx.queue_upstream(upstream);
    }

    /// A held request that is named in a RESEND is answered by a header: the client will not ask for more.
    fn on_resend(&mut self, exchange: ExchangeNumber, cx: &mut Context) {
        if let Some(held) = self.resend(exchange, cx.now()) {
            self.exchanges.answered(exchange, 0, 0);
            self.answer_bare(exchange, held, cx);
        }
    }
}
