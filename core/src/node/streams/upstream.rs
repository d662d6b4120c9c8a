//! What upstreams do for streams: bytes come and go, and time passes.

use bytes::Bytes;

use crate::connection::stream::flow::Flow;
use crate::credit::Within;
use crate::error::ConnectFailure;
use crate::node::action::{NodeNotice, SessionEnd};
use crate::node::context::{Context, Owner};
use crate::node::event::UpstreamEvent;
use crate::node::streams::client::ClientConnection;
use crate::node::streams::stream::{Link, Stream};
use crate::node::streams::{Place, Streams};
use crate::node::upstreams::{ConnectionId, StreamRef};
use crate::wire::reset::ResetCode;

impl Streams {
    pub(super) fn stream(&self, at: StreamRef) -> Option<&Stream> {
        self.connections.get(at.connection)?.streams.get(&at.number)
    }

    fn stream_mut(&mut self, at: StreamRef) -> Option<&mut Stream> {
        self.connections.get_mut(at.connection)?.streams.get_mut(&at.number)
    }

    /// Something happened to a stream's upstream; the contract was checked.
    pub(in crate::node) fn on_upstream(&mut self, cx: &mut Context, at: StreamRef, event: UpstreamEvent) {
        let stream = self.stream(at).filter(|stream| !stream.socket.was_reset());
        let Some(upstream) = stream.map(|stream| stream.socket.upstream()) else { return };
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
        let Some(stream) = self.stream_mut(at) else { return };
        let Link::Connecting { target, .. } = core::mem::replace(&mut stream.link, Link::Open) else {
            return;
        };
        stream.opened.queue();
        stream.socket.touch(now);
        let kind = stream.traffic.flow.kind();
        cx.count(|stats| &mut stats.sessions_opened, 1);
        cx.notice(NodeNotice::SessionOpened { upstream: place.upstream, target, kind });
        self.send_waiting_datagrams(cx, at, place);
        self.deliver(cx, place);
    }

    fn send_waiting_datagrams(&mut self, cx: &mut Context, at: StreamRef, place: Place) {
        while let Some(Flow::Udp(datagrams)) = self.stream_mut(at).map(|stream| &mut stream.traffic.flow)
            && let Some(bytes) = datagrams.received.pop()
        {
            cx.write(place.upstream, bytes);
        }
    }

    fn on_stream_failed(&mut self, cx: &mut Context, place: Place, failure: ConnectFailure) {
        let at = StreamRef { connection: place.id, number: place.number };
        let link = self.stream_mut(at).map(|stream| {
            // The driver has nothing left to shut.
            stream.socket.reset();
            stream.link.clone()
        });
        if let Some(Link::Connecting { target, .. }) = link {
            cx.notice(NodeNotice::ConnectFailed { upstream: place.upstream, target, failure });
        }
        self.end_stream(cx, place, SessionEnd::Reset, Some(ResetCode::Connect(failure)));
    }

    fn on_stream_data(&mut self, cx: &mut Context, at: StreamRef, place: Place, bytes: Bytes) {
        let now = cx.now();
        let Some(stream) = self.stream_mut(at).filter(|stream| stream.socket.is_live()) else { return };
        if let Flow::Tcp { send, .. } = &mut stream.traffic.flow
            && stream.socket.arrive(bytes.len(), now)
            && send.write(bytes).is_ok()
        {
            self.settle_stream(cx, place);
        }
    }

    fn on_stream_datagram(&mut self, cx: &mut Context, at: StreamRef, place: Place, datagram: Bytes) {
        let Some(ClientConnection { streams, pool: own, .. }) = self.connections.get_mut(at.connection)
        else {
            return;
        };
        let Some(stream) = streams.get_mut(&at.number) else { return };
        let Flow::Udp(datagrams) = &mut stream.traffic.flow else { return };
        let most = cx.config().tuning.udp_queue;
        let mut pools = Within { inner: own, outer: cx.pool() };
        let (before, dropped) =
            datagrams.sending.push_with_credit(datagram, most, stream.socket.credit(), &mut pools);
        stream.socket.touch(cx.now());
        cx.datagrams_dropped(place.upstream, before, dropped);
        self.settle_stream(cx, place);
    }

    fn on_stream_fin(&mut self, cx: &mut Context, at: StreamRef, place: Place) {
        let Some(stream) = self.stream_mut(at).filter(|stream| stream.socket.is_live()) else { return };
        stream.socket.finish();
        match &mut stream.traffic.flow {
            Flow::Tcp { send, .. } => {
                let _ = send.finish(); // it was not finished before: the source was live
                self.settle_stream(cx, place);
            }
            Flow::Udp(_) => self.end_stream(cx, place, SessionEnd::Finished, Some(ResetCode::Aborted)),
        }
    }

    fn on_stream_reset(&mut self, cx: &mut Context, at: StreamRef, place: Place) {
        if let Some(stream) = self.stream_mut(at) {
            stream.socket.reset();
            self.end_stream(cx, place, SessionEnd::Reset, Some(ResetCode::Aborted));
        }
    }

    fn on_stream_written(&mut self, cx: &mut Context, at: StreamRef, place: Place, bytes: usize) {
        let now = cx.now();
        let Some(stream) = self.stream_mut(at) else { return };
        stream.socket.written(bytes, now);
        if let Flow::Tcp { recv, .. } = &mut stream.traffic.flow {
            let _ = recv.take(bytes); // the contract was checked: no more than was handed out
        }
        self.settle_stream(cx, place);
    }

    /// Hands what is in order to the upstream, once that is open.
    pub(super) fn deliver(&mut self, cx: &mut Context, place: Place) {
        let Place { id, number, upstream } = place;
        let stream = self.connections.get_mut(id).and_then(|connection| connection.streams.get_mut(&number));
        let Some(stream) = stream else { return };
        if let Stream { traffic, link: Link::Open, socket, .. } = stream
            && let Flow::Tcp { recv, .. } = &mut traffic.flow
        {
            while let Some(delivery) = recv.deliver() {
                if !delivery.bytes.is_empty() {
                    socket.write(delivery.bytes, cx);
                }
                if delivery.fin {
                    cx.finish(upstream);
                }
            }
        }
        self.settle_stream(cx, place);
    }

    /// A stream has changed: it may be finished, and its client may have something to hear.
    pub(super) fn settle_stream(&mut self, cx: &mut Context, place: Place) {
        let now = cx.now();
        let Place { id, number, upstream } = place;
        let Some(ClientConnection { streams, scheduler, .. }) = self.connections.get_mut(id) else { return };
        let Some(stream) = streams.get_mut(&number) else { return };
        if stream.traffic.flow.is_finished() {
            return self.end_stream(cx, place, SessionEnd::Finished, None);
        }
        scheduler.refresh(number, &mut stream.traffic, stream.opened.is_queued(), now);
        cx.queue_upstream(upstream);
        self.touch_connection(cx, id);
    }

    /// Gives the reader of a stream's upstream what credit there is.
    pub(in crate::node) fn grant(&mut self, cx: &mut Context, at: StreamRef) {
        let Some(connection) = self.connections.get_mut(at.connection) else { return };
        let Some(stream) = connection.streams.get_mut(&at.number) else { return };
        if !stream.is_open() {
            return;
        }
        let upstream = stream.socket.upstream();
        let bytes = stream.socket.grant(&mut Within { inner: &mut connection.pool, outer: cx.pool() });
        cx.credit(upstream, bytes);
        if stream.socket.is_blocked() {
            if connection.pool.has_room() {
                cx.block(upstream);
            } else {
                connection.blocked.insert(at.number);
            }
        }
    }

    /// Gives credit to streams that got none while their client's pool was empty, the oldest first.
    pub(super) fn feed_streams(&mut self, cx: &mut Context, id: ConnectionId) {
        while let Some(connection) = self.connections.get_mut(id)
            && connection.pool.has_room()
            && let Some(number) = connection.blocked.pop_first()
        {
            self.grant(cx, StreamRef { connection: id, number });
        }
    }

    /// Sets the timer of a stream.
    pub(super) fn arm(&mut self, cx: &mut Context, at: StreamRef) {
        if let Some(stream) = self.stream_mut(at) {
            let deadline = stream.deadline(cx.config());
            cx.set_timer(&mut stream.timer, Owner::Upstream(stream.socket.upstream()), deadline);
        }
    }

    /// A deadline of a stream's upstream has passed.
    pub(in crate::node) fn on_upstream_deadline(&mut self, cx: &mut Context, at: StreamRef) {
        let (config, now) = (cx.config(), cx.now());
        let Some(stream) = self.stream(at) else { return };
        let upstream = stream.socket.upstream();
        let place = Place { id: at.connection, number: at.number, upstream };
        if let Link::Connecting { target, .. } = &stream.link {
            let (target, failure) = (target.clone(), ConnectFailure::TimedOut);
            cx.notice(NodeNotice::ConnectFailed { upstream, target, failure });
            self.end_stream(cx, place, SessionEnd::Abandoned, Some(ResetCode::Connect(failure)));
        } else if stream.socket.write_deadline(config).is_some_and(|at| at <= now) {
            self.end_stream(cx, place, SessionEnd::WriteTimedOut, Some(ResetCode::Stalled));
        } else if stream.idle_deadline(config).is_some_and(|at| at <= now) {
            self.end_stream(cx, place, SessionEnd::Idle, Some(ResetCode::Idle));
        } else {
            cx.queue_upstream(upstream);
        }
    }
}
