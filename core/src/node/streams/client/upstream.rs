//! Events, credit and deadlines of the upstreams of streams (protocol.md 3.2 rules 6, 11 and 13).

use bytes::Bytes;

use crate::connection::Side;
use crate::connection::stream::recv::RecvHalf;
use crate::error::ConnectFailure;
use crate::node::action::SessionEnd;
use crate::node::context::Context;
use crate::node::event::UpstreamEvent;
use crate::node::streams::client::ClientConnection;
use crate::target::FlowKind;
use crate::timer::TimerKind;
use crate::wire::number::StreamNumber;
use crate::wire::reset::ResetCode;

impl ClientConnection {
    /// Something happened to a stream's upstream; the contract was checked.
    pub(in crate::node::streams) fn on_upstream(
        &mut self,
        number: StreamNumber,
        event: UpstreamEvent,
        cx: &mut Context,
    ) {
        let stream = self.shared.stream_mut(number);
        let Some(stream) = stream.filter(|stream| !stream.socket().was_reset()) else { return };
        match event {
            UpstreamEvent::Opened => self.on_opened(number, cx),
            UpstreamEvent::Failed(failure) => {
                // The driver has nothing left to shut.
                stream.socket_mut().reset();
                self.on_failed(number, failure, SessionEnd::Reset, cx);
            }
            UpstreamEvent::Data(bytes) => self.on_data(number, bytes, cx),
            UpstreamEvent::Datagram(datagram) => self.on_datagram(number, datagram, cx),
            UpstreamEvent::Fin => self.on_fin(number, cx),
            UpstreamEvent::Reset => {
                stream.socket_mut().reset();
                self.end_stream(number, SessionEnd::Reset, Some(ResetCode::Aborted), cx);
            }
            UpstreamEvent::Written(bytes) => {
                stream.socket_mut().written(bytes, cx.now());
                if let Some(recv) = stream.recv_half_mut() {
                    let _ = recv.take(bytes); // the contract was checked: no more than was handed out
                }
                self.settle_stream(number, cx);
            }
        }
    }

    fn on_opened(&mut self, number: StreamNumber, cx: &mut Context) {
        let first = self.grants().uplink_window;
        let Some(stream) = self.shared.stream_mut(number) else { return };
        stream.socket_mut().opened(cx);
        // Only now is it known that there is a reader.
        if let Some(recv) = stream.recv_half_mut() {
            recv.widen(first);
        }
        while let Some((datagrams, _)) = stream.datagrams_mut()
            && let Some(bytes) = datagrams.received.pop()
        {
            stream.socket_mut().write(bytes, cx);
        }
        self.shared.queue_opening(number);
        self.deliver(number, cx);
    }

    fn on_failed(
        &mut self,
        number: StreamNumber,
        failure: ConnectFailure,
        why: SessionEnd,
        cx: &mut Context,
    ) {
        if let Some(stream) = self.shared.stream(number) {
            stream.socket().failed(failure, cx);
        }
        self.end_stream(number, why, Some(ResetCode::Connect(failure)), cx);
    }

    fn on_data(&mut self, number: StreamNumber, bytes: Bytes, cx: &mut Context) {
        let Some(stream) = self.shared.stream_mut(number) else { return };
        if stream.kind() == FlowKind::Tcp
            && stream.socket_mut().arrive(bytes.len(), cx.now())
            && stream.send_half_mut().is_some_and(|send| send.write(bytes).is_ok())
        {
            self.settle_stream(number, cx);
        }
    }

    fn on_datagram(&mut self, number: StreamNumber, datagram: Bytes, cx: &mut Context) {
        let (now, most) = (cx.now(), cx.config().tuning.udp_queue);
        let Some((stream, mut pools)) = self.shared.with_pools(number, cx.pool()) else { return };
        let upstream = stream.socket().upstream();
        stream.socket_mut().touch(now);
        let Some((datagrams, socket)) = stream.datagrams_mut() else { return };
        let (before, dropped) =
            datagrams.sending.push_with_credit(datagram, most, socket.credit_mut(), &mut pools);
        cx.datagrams_dropped(upstream, before, dropped);
        self.settle_stream(number, cx);
    }

    fn on_fin(&mut self, number: StreamNumber, cx: &mut Context) {
        let Some(stream) = self.shared.stream_mut(number) else { return };
        if !stream.socket().is_live() {
            return;
        }
        stream.socket_mut().finish();
        match stream.send_half_mut() {
            Some(send) => {
                let _ = send.finish(); // it was not finished before: the source was live
                self.settle_stream(number, cx);
            }
            None => self.end_stream(number, SessionEnd::Finished, Some(ResetCode::Aborted), cx),
        }
    }

    /// Hands what is in order to the upstream, once that is open.
    pub(super) fn deliver(&mut self, number: StreamNumber, cx: &mut Context) {
        if let Some(stream) = self.shared.stream_mut(number)
            && stream.socket().is_open()
        {
            while let Some(delivery) = stream.recv_half_mut().and_then(RecvHalf::deliver) {
                if !delivery.bytes.is_empty() {
                    stream.socket_mut().write(delivery.bytes, cx);
                }
                if delivery.fin {
                    cx.finish(stream.socket().upstream());
                }
            }
        }
        self.settle_stream(number, cx);
    }

    /// A stream has changed: it may be finished, and there may be something to send.
    pub(super) fn settle_stream(&mut self, number: StreamNumber, cx: &mut Context) {
        let Some(stream) = self.shared.stream(number) else { return };
        let upstream = stream.socket().upstream();
        if self.shared.refresh(number, cx.now()) {
            return self.end_stream(number, SessionEnd::Finished, None, cx);
        }
        cx.queue_upstream(upstream);
        self.queue(cx);
    }

    /// Gives the reader of a stream's upstream what credit there is.
    pub(in crate::node::streams) fn grant(&mut self, number: StreamNumber, cx: &mut Context) {
        let Some((stream, mut pools)) = self.shared.with_pools(number, cx.pool()) else { return };
        if !stream.socket().is_open() {
            return;
        }
        let bytes = stream.socket_mut().grant(&mut pools);
        let (upstream, blocked) = (stream.socket().upstream(), stream.socket().is_blocked());
        cx.credit(upstream, bytes);
        if !blocked {
            return;
        }
        if self.shared.has_credit() {
            cx.block(upstream);
        } else {
            self.shared.block(number);
        }
    }

    /// Gives credit to streams that got none while the pool of the connection was empty, the oldest first.
    pub(super) fn grant_blocked(&mut self, cx: &mut Context) {
        while let Some(number) = self.shared.next_blocked() {
            self.grant(number, cx);
        }
    }

    /// Sets the timer of a stream.
    pub(in crate::node::streams) fn arm(&mut self, number: StreamNumber, cx: &mut Context) {
        if let Some(stream) = self.shared.stream_mut(number) {
            let deadline = stream.socket().deadline(stream.may_idle(), cx.config());
            stream.socket_mut().set_timer(deadline, cx);
        }
    }

    /// A deadline of a stream's upstream has passed.
    pub(in crate::node::streams) fn on_upstream_deadline(&mut self, number: StreamNumber, cx: &mut Context) {
        let Some(stream) = self.shared.stream(number) else { return };
        match stream.socket().due(stream.may_idle(), cx) {
            Some(TimerKind::Connect) => {
                self.on_failed(number, ConnectFailure::TimedOut, SessionEnd::Abandoned, cx);
            }
            Some(TimerKind::Write) => {
                self.end_stream(number, SessionEnd::WriteTimedOut, Some(ResetCode::Stalled), cx);
            }
            Some(_) => self.end_stream(number, SessionEnd::Idle, Some(ResetCode::Idle), cx),
            None => cx.queue_upstream(stream.socket().upstream()),
        }
    }
}
