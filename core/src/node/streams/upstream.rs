//! What upstreams do for streams: bytes come and go, and time passes.

use bytes::Bytes;

use crate::connection::Side;
use crate::connection::stream::recv::RecvHalf;
use crate::error::ConnectFailure;
use crate::node::action::{NodeNotice, SessionEnd};
use crate::node::context::{Context, Owner};
use crate::node::event::UpstreamEvent;
use crate::node::streams::stream::UpstreamStream;
use crate::node::streams::{Place, Streams};
use crate::node::upstreams::{ConnectionId, StreamRef};
use crate::target::FlowKind;
use crate::wire::reset::ResetCode;

impl Streams {
    pub(super) fn stream(&self, at: StreamRef) -> Option<&UpstreamStream> {
        self.connections.get(at.connection)?.shared.stream(at.number)
    }

    fn stream_mut(&mut self, at: StreamRef) -> Option<&mut UpstreamStream> {
        self.connections.get_mut(at.connection)?.shared.stream_mut(at.number)
    }

    /// A stream whose upstream may say more.
    fn live_stream(&mut self, at: StreamRef) -> Option<&mut UpstreamStream> {
        self.stream_mut(at).filter(|stream| stream.upstream().is_live())
    }

    /// Something happened to a stream's upstream; the contract was checked.
    pub(in crate::node) fn on_upstream(&mut self, cx: &mut Context, at: StreamRef, event: UpstreamEvent) {
        let stream = self.stream(at).filter(|stream| !stream.upstream().was_reset());
        let Some(upstream) = stream.map(|stream| stream.upstream_id()) else { return };
        let place = Place { id: at.connection, number: at.number, upstream };
        match event {
            UpstreamEvent::Opened => self.on_stream_opened(cx, at, place),
            UpstreamEvent::Failed(failure) => self.on_stream_failed(cx, place, failure),
            UpstreamEvent::Data(bytes) => self.on_stream_data(cx, at, place, bytes),
            UpstreamEvent::Datagram(datagram) => self.on_stream_datagram(cx, at, place, datagram),
            UpstreamEvent::Fin => self.on_stream_fin(cx, at, place),
            UpstreamEvent::Reset => self.on_stream_reset(cx, at, place),
            UpstreamEvent::Written(bytes) => self.on_stream_written(cx, at, place, bytes),
        }
    }

    fn on_stream_opened(&mut self, cx: &mut Context, at: StreamRef, place: Place) {
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(at.connection) else { return };
        let Some(stream) = connection.shared.stream_mut(at.number) else { return };
        let kind = stream.kind();
        let Some(target) = stream.set_open() else { return };
        stream.upstream_mut().touch(now);
        connection.shared.queue_opening(at.number);
        cx.count(|stats| &mut stats.sessions_opened, 1);
        cx.notice(NodeNotice::SessionOpened { upstream: place.upstream, target, kind });
        self.send_waiting_datagrams(cx, at, place);
        self.deliver(cx, place);
    }

    fn send_waiting_datagrams(&mut self, cx: &mut Context, at: StreamRef, place: Place) {
        while let Some((datagrams, _)) = self.stream_mut(at).and_then(UpstreamStream::datagrams_mut)
            && let Some(bytes) = datagrams.received.pop()
        {
            cx.write(place.upstream, bytes);
        }
    }

    fn on_stream_failed(&mut self, cx: &mut Context, place: Place, failure: ConnectFailure) {
        let at = StreamRef { connection: place.id, number: place.number };
        let target = self.stream_mut(at).and_then(|stream| {
            // The driver has nothing left to shut.
            stream.upstream_mut().reset();
            stream.connecting().cloned()
        });
        if let Some(target) = target {
            cx.notice(NodeNotice::ConnectFailed { upstream: place.upstream, target, failure });
        }
        self.end_stream(cx, place, SessionEnd::Reset, Some(ResetCode::Connect(failure)));
    }

    fn on_stream_data(&mut self, cx: &mut Context, at: StreamRef, place: Place, bytes: Bytes) {
        let now = cx.now();
        let Some(stream) = self.live_stream(at) else { return };
        if stream.kind() == FlowKind::Tcp
            && stream.upstream_mut().arrive(bytes.len(), now)
            && stream.send_half_mut().is_some_and(|send| send.write(bytes).is_ok())
        {
            self.settle_stream(cx, place);
        }
    }

    fn on_stream_datagram(&mut self, cx: &mut Context, at: StreamRef, place: Place, datagram: Bytes) {
        let now = cx.now();
        let most = cx.config().tuning.udp_queue;
        let Some(connection) = self.connections.get_mut(at.connection) else { return };
        let Some((stream, mut pools)) = connection.shared.with_pools(at.number, cx.pool()) else { return };
        stream.upstream_mut().touch(now);
        let Some((datagrams, socket)) = stream.datagrams_mut() else { return };
        let (before, dropped) =
            datagrams.sending.push_with_credit(datagram, most, socket.credit_mut(), &mut pools);
        cx.datagrams_dropped(place.upstream, before, dropped);
        self.settle_stream(cx, place);
    }

    fn on_stream_fin(&mut self, cx: &mut Context, at: StreamRef, place: Place) {
        let Some(stream) = self.live_stream(at) else { return };
        stream.upstream_mut().finish();
        match stream.send_half_mut() {
            Some(send) => {
                let _ = send.finish(); // it was not finished before: the source was live
                self.settle_stream(cx, place);
            }
            None => self.end_stream(cx, place, SessionEnd::Finished, Some(ResetCode::Aborted)),
        }
    }

    fn on_stream_reset(&mut self, cx: &mut Context, at: StreamRef, place: Place) {
        if let Some(stream) = self.stream_mut(at) {
            stream.upstream_mut().reset();
            self.end_stream(cx, place, SessionEnd::Reset, Some(ResetCode::Aborted));
        }
    }

    fn on_stream_written(&mut self, cx: &mut Context, at: StreamRef, place: Place, bytes: usize) {
        let now = cx.now();
        let Some(stream) = self.stream_mut(at) else { return };
        stream.upstream_mut().written(bytes, now);
        if let Some(recv) = stream.recv_half_mut() {
            let _ = recv.take(bytes); // the contract was checked: no more than was handed out
        }
        self.settle_stream(cx, place);
    }

    /// Hands what is in order to the upstream, once that is open.
    pub(super) fn deliver(&mut self, cx: &mut Context, place: Place) {
        let Place { id, number, upstream } = place;
        let stream = self.stream_mut(StreamRef { connection: id, number });
        let Some(stream) = stream.filter(|stream| stream.is_open()) else {
            return self.settle_stream(cx, place);
        };
        while let Some(delivery) = stream.recv_half_mut().and_then(RecvHalf::deliver) {
            if !delivery.bytes.is_empty() {
                stream.upstream_mut().write(delivery.bytes, cx);
            }
            if delivery.fin {
                cx.finish(upstream);
            }
        }
        self.settle_stream(cx, place);
    }

    /// A stream has changed: it may be finished, and its client may have something to hear.
    pub(super) fn settle_stream(&mut self, cx: &mut Context, place: Place) {
        let now = cx.now();
        let Place { id, number, upstream } = place;
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.shared.stream(number).is_none() {
            return;
        }
        if connection.shared.refresh(number, now) {
            return self.end_stream(cx, place, SessionEnd::Finished, None);
        }
        cx.queue_upstream(upstream);
        self.touch_connection(cx, id);
    }

    /// Gives the reader of a stream's upstream what credit there is.
    pub(in crate::node) fn grant(&mut self, cx: &mut Context, at: StreamRef) {
        let Some(connection) = self.connections.get_mut(at.connection) else { return };
        let Some((stream, mut pools)) = connection.shared.with_pools(at.number, cx.pool()) else { return };
        if !stream.is_open() {
            return;
        }
        let bytes = stream.upstream_mut().grant(&mut pools);
        let (upstream, blocked) = (stream.upstream_id(), stream.upstream().is_blocked());
        cx.credit(upstream, bytes);
        if blocked {
            if connection.shared.has_credit() {
                cx.block(upstream);
            } else {
                connection.shared.block(at.number);
            }
        }
    }

    /// Gives credit to streams that got none while their client's pool was empty, the oldest first.
    pub(super) fn feed_streams(&mut self, cx: &mut Context, id: ConnectionId) {
        while let Some(connection) = self.connections.get_mut(id)
            && let Some(number) = connection.shared.next_blocked()
        {
            self.grant(cx, StreamRef { connection: id, number });
        }
    }

    /// Sets the timer of a stream.
    pub(super) fn arm(&mut self, cx: &mut Context, at: StreamRef) {
        if let Some(stream) = self.stream_mut(at) {
            let deadline = stream.deadline(cx.config());
            let upstream = stream.upstream_id();
            cx.set_timer(stream.timer_mut(), Owner::Upstream(upstream), deadline);
        }
    }

    /// A deadline of a stream's upstream has passed.
    pub(in crate::node) fn on_upstream_deadline(&mut self, cx: &mut Context, at: StreamRef) {
        let (config, now) = (cx.config(), cx.now());
        let Some(stream) = self.stream(at) else { return };
        let upstream = stream.upstream_id();
        let place = Place { id: at.connection, number: at.number, upstream };
        if let Some(target) = stream.connecting() {
            let (target, failure) = (target.clone(), ConnectFailure::TimedOut);
            cx.notice(NodeNotice::ConnectFailed { upstream, target, failure });
            self.end_stream(cx, place, SessionEnd::Abandoned, Some(ResetCode::Connect(failure)));
        } else if stream.upstream().write_deadline(config).is_some_and(|at| at <= now) {
            self.end_stream(cx, place, SessionEnd::WriteTimedOut, Some(ResetCode::Stalled));
        } else if stream.idle_deadline(config).is_some_and(|at| at <= now) {
            self.end_stream(cx, place, SessionEnd::Idle, Some(ResetCode::Idle));
        } else {
            cx.queue_upstream(upstream);
        }
    }
}
