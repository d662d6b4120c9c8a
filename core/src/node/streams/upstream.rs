//! What upstreams do for streams: bytes come and go, and time passes.

use bytes::Bytes;

use crate::connection::stream::flow::Flow;
use crate::credit::Within;
use crate::error::ConnectFailure;
use crate::id::UpstreamId;
use crate::node::Node;
use crate::node::action::{NodeAction, NodeNotice, SessionEnd};
use crate::node::event::UpstreamEvent;
use crate::node::sessions::session::Source;
use crate::node::sessions::traffic::{DROPS_PER_NOTICE, ENOUGH_CREDIT};
use crate::node::streams::client::{ClientConnection, ConnectionId};
use crate::node::streams::stream::{Link, Stream};
use crate::node::streams::{Place, StreamRef};
use crate::wire::reset::ResetCode;

impl Node {
    fn stream(&self, at: StreamRef) -> Option<&Stream> {
        self.connections.get(at.connection)?.streams.get(&at.number)
    }

    fn stream_mut(&mut self, at: StreamRef) -> Option<&mut Stream> {
        self.connections.get_mut(at.connection)?.streams.get_mut(&at.number)
    }

    /// The stream of an upstream, for the checks of the contract.
    pub(in crate::node) fn stream_of(&self, at: StreamRef) -> Option<&Stream> {
        self.stream(at)
    }

    /// Something happened to a stream's upstream; the contract was checked.
    pub(in crate::node) fn on_stream_event(
        &mut self,
        upstream: UpstreamId,
        at: StreamRef,
        event: UpstreamEvent,
    ) {
        let place = Place { id: at.connection, number: at.number, upstream };
        if self.stream(at).is_none_or(|stream| stream.source == Source::Reset) {
            return;
        }
        match event {
            UpstreamEvent::Opened => self.on_stream_opened(at, place),
            UpstreamEvent::Failed(failure) => self.on_stream_failed(place, failure),
            UpstreamEvent::Data(bytes) => self.on_stream_data(at, place, bytes),
            UpstreamEvent::Datagram(datagram) => self.on_stream_datagram(at, place, datagram),
            UpstreamEvent::Fin => self.on_stream_fin(at, place),
            UpstreamEvent::Reset => self.on_stream_reset(at, place),
            UpstreamEvent::Written(bytes) => self.on_stream_written(at, place, bytes),
        }
    }

    fn on_stream_opened(&mut self, at: StreamRef, place: Place) {
        let now = self.now;
        let Some(stream) = self.stream_mut(at) else { return };
        let Link::Connecting { target, .. } = core::mem::replace(&mut stream.link, Link::Open) else {
            return;
        };
        stream.opened.queue();
        stream.last_active = now;
        let kind = stream.traffic.flow.kind();
        self.stats.sessions_opened = self.stats.sessions_opened.saturating_add(1);
        self.notice(NodeNotice::SessionOpened { upstream: place.upstream, target, kind });
        self.send_waiting_datagrams(at, place);
        self.deliver(place);
    }

    fn send_waiting_datagrams(&mut self, at: StreamRef, place: Place) {
        while let Some(Flow::Udp(datagrams)) = self.stream_mut(at).map(|stream| &mut stream.traffic.flow)
            && let Some(bytes) = datagrams.received.pop()
        {
            let written = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.stats.uplink_bytes = self.stats.uplink_bytes.saturating_add(written);
            self.actions.push_back(NodeAction::WriteUpstream { upstream: place.upstream, bytes });
        }
    }

    fn on_stream_failed(&mut self, place: Place, failure: ConnectFailure) {
        let at = StreamRef { connection: place.id, number: place.number };
        let link = self.stream_mut(at).map(|stream| {
            // The driver has nothing left to shut.
            stream.source = Source::Reset;
            stream.link.clone()
        });
        if let Some(Link::Connecting { target, .. }) = link {
            self.notice(NodeNotice::ConnectFailed { upstream: place.upstream, target, failure });
        }
        self.end_stream(place, SessionEnd::Reset, Some(ResetCode::Connect(failure)));
    }

    fn on_stream_data(&mut self, at: StreamRef, place: Place, bytes: Bytes) {
        let now = self.now;
        let Some(stream) = self.stream_mut(at).filter(|stream| stream.source == Source::Live) else { return };
        if let Flow::Tcp { send, .. } = &mut stream.traffic.flow
            && stream.credit.arrive(bytes.len()).is_ok()
            && send.write(bytes).is_ok()
        {
            stream.last_active = now;
            self.settle_stream(place);
        }
    }

    fn on_stream_datagram(&mut self, at: StreamRef, place: Place, datagram: Bytes) {
        let Self { config, connections, pool, stats, now, .. } = self;
        let Some(ClientConnection { streams, pool: own, .. }) = connections.get_mut(at.connection) else {
            return;
        };
        let Some(stream) = streams.get_mut(&at.number) else { return };
        let Flow::Udp(datagrams) = &mut stream.traffic.flow else { return };
        let mut pools = Within { inner: own, outer: pool };
        let (before, dropped) = datagrams.sending.push_with_credit(
            datagram,
            config.tuning.udp_queue,
            &mut stream.credit,
            &mut pools,
        );
        stream.last_active = *now;
        stats.datagrams_dropped = stats.datagrams_dropped.saturating_add(dropped.saturating_sub(before));
        if dropped > before && (before == 0 || before / DROPS_PER_NOTICE < dropped / DROPS_PER_NOTICE) {
            self.notice(NodeNotice::DatagramsDropped { upstream: place.upstream, dropped });
        }
        self.settle_stream(place);
    }

    fn on_stream_fin(&mut self, at: StreamRef, place: Place) {
        let Some(stream) = self.stream_mut(at).filter(|stream| stream.source == Source::Live) else { return };
        stream.source = Source::Finished;
        match &mut stream.traffic.flow {
            Flow::Tcp { send, .. } => {
                let _ = send.finish(); // it was not finished before: the source was live
                self.settle_stream(place);
            }
            Flow::Udp(_) => self.end_stream(place, SessionEnd::Finished, Some(ResetCode::Aborted)),
        }
    }

    fn on_stream_reset(&mut self, at: StreamRef, place: Place) {
        if let Some(stream) = self.stream_mut(at) {
            stream.source = Source::Reset;
            stream.uplink.clear();
            self.end_stream(place, SessionEnd::Reset, Some(ResetCode::Aborted));
        }
    }

    fn on_stream_written(&mut self, at: StreamRef, place: Place, bytes: usize) {
        let now = self.now;
        let Some(stream) = self.stream_mut(at) else { return };
        stream.uplink.written(bytes, now);
        stream.last_active = now;
        if let Flow::Tcp { recv, .. } = &mut stream.traffic.flow {
            let _ = recv.take(bytes); // the contract was checked: no more than was handed out
        }
        self.settle_stream(place);
    }

    /// Hands what is in order to the upstream, once that is open.
    pub(super) fn deliver(&mut self, place: Place) {
        let Self { connections, stats, actions, now, .. } = self;
        let Place { id, number, upstream } = place;
        let stream = connections.get_mut(id).and_then(|connection| connection.streams.get_mut(&number));
        let Some(stream) = stream else { return };
        if let Stream { traffic, link: Link::Open, uplink, .. } = stream
            && let Flow::Tcp { recv, .. } = &mut traffic.flow
        {
            while let Some(delivery) = recv.deliver() {
                let len = delivery.bytes.len();
                if len > 0 {
                    uplink.push(len, *now);
                    stats.uplink_bytes =
                        stats.uplink_bytes.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
                    actions.push_back(NodeAction::WriteUpstream { upstream, bytes: delivery.bytes });
                }
                if delivery.fin {
                    actions.push_back(NodeAction::FinishUpstream { upstream });
                }
            }
        }
        self.settle_stream(place);
    }

    /// A stream has changed: it may be finished, and its client may have something to hear.
    pub(super) fn settle_stream(&mut self, place: Place) {
        let now = self.now;
        let Place { id, number, upstream } = place;
        let Some(ClientConnection { streams, scheduler, .. }) = self.connections.get_mut(id) else { return };
        let Some(stream) = streams.get_mut(&number) else { return };
        if stream.traffic.flow.is_finished() {
            return self.end_stream(place, SessionEnd::Finished, None);
        }
        scheduler.refresh(number, &mut stream.traffic, stream.opened.is_queued(), now);
        self.touch(upstream);
        self.touch_connection(id);
    }

    /// Gives the reader of a stream's upstream what credit there is.
    pub(in crate::node) fn grant_stream(&mut self, upstream: UpstreamId, at: StreamRef) {
        let Self { connections, pool, starved, actions, .. } = self;
        let Some(connection) = connections.get_mut(at.connection) else { return };
        let Some(stream) = connection.streams.get_mut(&at.number) else { return };
        let reads = stream.is_open()
            && stream.source == Source::Live
            && matches!(stream.traffic.flow, Flow::Tcp { .. });
        if !reads || stream.credit.promised() >= ENOUGH_CREDIT {
            return;
        }
        let bytes = stream.credit.grant(&mut Within { inner: &mut connection.pool, outer: pool });
        if bytes > 0 {
            actions.push_back(NodeAction::Credit { upstream, bytes });
        }
        if stream.credit.is_blocked() {
            if connection.pool.has_room() {
                starved.insert(upstream);
            } else {
                connection.blocked.insert(at.number);
            }
        }
    }

    /// Gives credit to streams that got none while their client's pool was empty, the oldest first.
    pub(super) fn feed_streams(&mut self, id: ConnectionId) {
        while let Some(connection) = self.connections.get_mut(id)
            && connection.pool.has_room()
            && let Some(number) = connection.blocked.pop_first()
        {
            let upstream = connection.streams.get(&number).map(|stream| stream.upstream);
            if let Some(upstream) = upstream {
                self.grant_stream(upstream, StreamRef { connection: id, number });
            }
        }
    }

    /// A deadline of a stream's upstream has passed.
    pub(in crate::node) fn on_stream_deadline(&mut self, upstream: UpstreamId, at: StreamRef) {
        let Self { config, now, .. } = self;
        let (config, now) = (&*config, *now);
        let Some(stream) =
            self.connections.get(at.connection).and_then(|connection| connection.streams.get(&at.number))
        else {
            return;
        };
        let place = Place { id: at.connection, number: at.number, upstream };
        if let Link::Connecting { target, .. } = &stream.link {
            let (target, failure) = (target.clone(), ConnectFailure::TimedOut);
            self.notice(NodeNotice::ConnectFailed { upstream, target, failure });
            self.end_stream(place, SessionEnd::Abandoned, Some(ResetCode::Connect(failure)));
        } else if stream.uplink.deadline(config).is_some_and(|at| at <= now) {
            self.end_stream(place, SessionEnd::WriteTimedOut, Some(ResetCode::Stalled));
        } else if stream.idle_deadline(config).is_some_and(|at| at <= now) {
            self.end_stream(place, SessionEnd::Idle, Some(ResetCode::Idle));
        } else {
            self.touch(upstream);
        }
    }
}
