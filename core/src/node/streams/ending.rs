//! Ends of streams and clients, each with one notice (protocol.md 3.2 rules 11 and 14).

use alloc::vec::Vec;

use crate::connection::LastWord;
use crate::node::action::{ClientEnd, ClientFault, NodeNotice, SessionEnd, Shut};
use crate::node::context::{Context, Owner};
use crate::node::requests::PacketReply;
use crate::node::streams::hold::Load;
use crate::node::streams::stream::UpstreamStream;
use crate::node::streams::{Place, Streams};
use crate::node::upstreams::ConnectionId;
use crate::wire::reset::ResetCode;

impl Streams {
    /// Ends a stream. With a code, a RESET is sent; without one, the last ACK if it finished, and nothing if the client
    /// reset it.
    pub(super) fn end_stream(
        &mut self,
        cx: &mut Context,
        place: Place,
        why: SessionEnd,
        code: Option<ResetCode>,
    ) {
        let Place { id, number, upstream } = place;
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(id) else { return };
        let last = match code {
            Some(code) => LastWord::Reset(code),
            None if why == SessionEnd::Finished => LastWord::Finished,
            None => LastWord::Nothing,
        };
        let Some(mut stream) = connection.remove(number, last, cx.pool(), now) else { return };
        cx.set_timer(stream.timer_mut(), Owner::Upstream(upstream), None);
        cx.remove_upstream(upstream);
        self.part_stream(cx, place, &stream, why);
        self.feed_streams(cx, id);
        self.touch_connection(cx, id);
    }

    fn part_stream(&mut self, cx: &mut Context, place: Place, stream: &UpstreamStream, why: SessionEnd) {
        let upstream = place.upstream;
        if !stream.upstream().was_reset() {
            let how = if why == SessionEnd::Finished { Shut::Close } else { Shut::Reset };
            cx.shut(upstream, how);
        }
        if stream.is_open() {
            cx.count(|stats| &mut stats.sessions_ended, 1);
            cx.notice(NodeNotice::SessionEnded { upstream, why });
        }
    }

    /// A client broke the rules: it is dropped with its streams, and its requests are answered like packets that cannot be
    /// decrypted.
    pub(super) fn fail_client(&mut self, cx: &mut Context, id: ConnectionId, fault: ClientFault) {
        self.drop_client(cx, id, ClientEnd::Failed(fault));
    }

    /// A client was silent for too long.
    pub(super) fn drop_idle_client(&mut self, cx: &mut Context, id: ConnectionId) {
        self.drop_client(cx, id, ClientEnd::Idle);
    }

    fn drop_client(&mut self, cx: &mut Context, id: ConnectionId, why: ClientEnd) {
        self.end_streams(cx, id, SessionEnd::ClientLost, ResetCode::Gone);
        let Some(mut connection) = self.connections.remove(id) else { return };
        cx.set_timer(&mut connection.timer, Owner::Connection(id), None);
        for held in connection.held.values() {
            cx.reply_packet(held.at, PacketReply::BadPacket);
        }
        cx.notice(NodeNotice::ClientEnded { client: connection.shared.client(), why });
    }

    fn end_streams(&mut self, cx: &mut Context, id: ConnectionId, why: SessionEnd, code: ResetCode) {
        let first = |streams: &Self| {
            let (number, stream) = streams.connections.get(id)?.shared.streams().next()?;
            Some(Place { id, number, upstream: stream.upstream_id() })
        };
        while let Some(place) = first(self) {
            self.end_stream(cx, place, why, Some(code));
        }
    }

    /// The node closes: every stream is reset, and every held request is answered.
    pub(in crate::node) fn close(&mut self, cx: &mut Context) {
        let clients: Vec<ConnectionId> = self.connections.table.keys().copied().collect();
        for id in clients {
            self.end_streams(cx, id, SessionEnd::NodeClosed, ResetCode::Draining);
            while let Some(exchange) =
                self.connections.get(id).and_then(|connection| connection.held.keys().next().copied())
            {
                self.answer_held(cx, id, exchange, Load::Anything);
            }
            self.drop_client(cx, id, ClientEnd::NodeClosed);
        }
    }
}
