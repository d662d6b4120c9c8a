//! What the frames of a request do.

use bytes::Bytes;

use crate::connection::stream::flow::Flow;
use crate::credit::{FLOOR, Within};
use crate::id::UpstreamId;
use crate::node::Node;
use crate::node::action::{NodeAction, NodeNotice, SessionEnd};
use crate::node::streams::client::{ClientConnection, ClientFault, ConnectionId};
use crate::node::streams::hold::Load;
use crate::node::streams::stream::Stream;
use crate::node::streams::{Place, StreamRef};
use crate::node::upstreams::{State, Upstream};
use crate::pin::compact;
use crate::seq::Seq;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::reset::ResetCode;

/// GONE frames that wait for an answer; a client that needs one has broken the protocol.
const MAX_GONE: usize = 64;

/// A chunk of a stream.
struct Chunk {
    seq: Seq,
    fin: bool,
    bytes: Bytes,
}

impl Node {
    /// Takes one frame of the request of `exchange`, which is `fresh` when it has not come before, out of a packet
    /// of `len` bytes.
    pub(super) fn on_frame(
        &mut self,
        id: ConnectionId,
        exchange: ExchangeNumber,
        frame: Frame,
        fresh: bool,
        len: usize,
    ) -> Result<(), ClientFault> {
        match frame {
            Frame::Open { stream, kind, window, target } => self.on_open(id, stream, kind, window, target),
            Frame::Data { stream, seq, fin, bytes } => {
                self.on_chunk(id, stream, Chunk { seq, fin, bytes: compact(bytes, len) }, fresh)?;
            }
            Frame::Ack { stream, next } => self.on_ack(id, stream, next)?,
            Frame::Window { stream, limit } => self.on_window(id, stream, limit),
            Frame::Reset { stream, .. } => self.on_reset(id, stream),
            Frame::Datagram { stream, bytes } if fresh || planted!(DatagramAgain) => {
                self.on_datagram_frame(id, stream, compact(bytes, len))
            }
            Frame::Datagram { .. } => {}
            Frame::Resend { exchange: lost } if lost >= exchange => return Err(ClientFault::ResendOfFuture),
            Frame::Resend { exchange: lost } => self.on_resend(id, lost),
            // These only go down; a packet with one of them was refused.
            Frame::Opened { .. } | Frame::Backlog { .. } | Frame::Gone { .. } => {}
        }
        self.connections.get(id).map_or(Ok(()), |connection| connection.check(&self.config))
    }

    /// A stream that is known, or has ended, is not opened again.
    fn on_open(
        &mut self,
        id: ConnectionId,
        number: StreamNumber,
        kind: FlowKind,
        window: u64,
        target: Target,
    ) {
        let Self { config, connections, upstreams, now, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        if connection.streams.contains_key(&number) || connection.ended.contains(number) {
            return;
        }
        let limit = if connection.streams.len()
            >= usize::try_from(connection.grants.max_streams).unwrap_or(usize::MAX)
        {
            Some("streams.max_streams")
        } else if upstreams.len() >= config.max_sessions {
            Some("max_sessions")
        } else {
            None
        };
        if let Some(limit) = limit {
            connection.refuse(number, ResetCode::TooManyStreams, *now);
            return self.notice(NodeNotice::LimitReached { limit });
        }
        let upstream = UpstreamId::new(self.opened.next());
        let stream = Stream::new(upstream, target.clone(), kind, window, config, *now);
        connection.streams.insert(number, stream);
        let at = StreamRef { connection: id, number };
        upstreams.insert(upstream, Upstream::new(State::Stream(at)));
        self.arm(upstream);
        let deadline = self.now.saturating_add(self.config.connect_deadline);
        self.actions.push_back(NodeAction::OpenUpstream { upstream, target, kind, deadline });
    }

    fn on_chunk(
        &mut self,
        id: ConnectionId,
        number: StreamNumber,
        chunk: Chunk,
        fresh: bool,
    ) -> Result<(), ClientFault> {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        let Some(stream) = connection.streams.get_mut(&number) else {
            if fresh {
                connection.on_stray_chunk(number, now);
            }
            return Ok(());
        };
        let Flow::Tcp { recv, .. } = &mut stream.traffic.flow else {
            return Err(ClientFault::DataOnDatagrams);
        };
        // Whoever repeats old requests shall not make the node answer new ones.
        if fresh {
            recv.receive(chunk.seq, chunk.fin, chunk.bytes)?;
        } else {
            recv.receive_copy(chunk.seq, chunk.fin, chunk.bytes)?;
        }
        stream.last_active = now;
        let upstream = stream.upstream;
        self.deliver(Place { id, number, upstream });
        Ok(())
    }

    fn on_ack(&mut self, id: ConnectionId, number: StreamNumber, next: Seq) -> Result<(), ClientFault> {
        let Self { connections, pool, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return Ok(()) };
        let ClientConnection { streams, pool: own, .. } = connection;
        let Some(stream) = streams.get_mut(&number) else { return Ok(()) };
        let Flow::Tcp { send, .. } = &mut stream.traffic.flow else { return Ok(()) };
        let freed = send.acknowledge(next)?;
        stream.credit.release(freed, &mut Within { inner: own, outer: pool });
        let upstream = stream.upstream;
        self.settle_stream(Place { id, number, upstream });
        self.feed_streams(id);
        Ok(())
    }

    fn on_window(&mut self, id: ConnectionId, number: StreamNumber, limit: u64) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let ClientConnection { streams, scheduler, .. } = connection;
        let Some(stream) = streams.get_mut(&number) else { return };
        if let Flow::Tcp { send, .. } = &mut stream.traffic.flow {
            send.window(limit);
            scheduler.refresh(number, &mut stream.traffic, stream.opened.is_queued(), now);
        }
    }

    /// The client has no use for the stream any more, and needs no word about it; one that nobody knows never
    /// opens.
    fn on_reset(&mut self, id: ConnectionId, number: StreamNumber) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id) else { return };
        match connection.streams.get(&number).map(|stream| stream.upstream) {
            Some(upstream) => self.end_stream(Place { id, number, upstream }, SessionEnd::Closed, None),
            None if planted!(ResetForgotten) => {}
            None => connection.close_stream(number, None, now),
        }
    }

    fn on_datagram_frame(&mut self, id: ConnectionId, number: StreamNumber, bytes: Bytes) {
        let Self { config, connections, stats, actions, now, .. } = self;
        let Some(stream) = connections.get_mut(id).and_then(|connection| connection.streams.get_mut(&number))
        else {
            return;
        };
        let (upstream, open) = (stream.upstream, stream.is_open());
        let Flow::Udp(datagrams) = &mut stream.traffic.flow else { return };
        stream.last_active = *now;
        if open {
            let written = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            stats.uplink_bytes = stats.uplink_bytes.saturating_add(written);
            actions.push_back(NodeAction::WriteUpstream { upstream, bytes });
        } else {
            datagrams.received.push(bytes, config.tuning.udp_queue, FLOOR);
        }
        self.touch(upstream);
    }

    /// A held request that is named is answered by a header: nobody would ask for what it carried.
    fn on_resend(&mut self, id: ConnectionId, exchange: ExchangeNumber) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id) else { return };
        if planted!(NamedRefilled) && connection.held.contains_key(&exchange) {
            return self.answer_held(id, exchange, Load::Anything);
        }
        if let Some(held) = connection.resend(exchange, now) {
            connection.exchanges.answered(exchange, 0, alloc::vec::Vec::new(), 0);
            self.answer_bare(id, exchange, held, false);
        }
    }
}

impl ClientConnection {
    /// DATA of a stream that is not there. If it has ended, the client may not have heard.
    fn on_stray_chunk(&mut self, number: StreamNumber, now: Instant) {
        if let Some(closing) = self.closing.get_mut(&number) {
            if planted!(FarewellOnce) {
                return;
            }
            closing.pending.queue();
            self.scheduler.closing.insert(number);
        } else if !self.ended.contains(number) && self.scheduler.gone.len() < MAX_GONE {
            self.scheduler.gone.insert(number);
        }
        self.scheduler.note(now);
    }
}
