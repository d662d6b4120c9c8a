//! Contents of response packets: statuses and frames (protocol.md 3.2 rules 4 to 6).

use bytes::Bytes;
use core::time::Duration;

use crate::client::action::{ClientAction, ClientNotice, EndReason};
use crate::client::context::Context;
use crate::client::relays::Relays;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::controllers::Answered;
use crate::client::streams::exchanges::{Progress, RequestPayload};
use crate::client::streams::peer_credit::PeerCredit;
use crate::config::OpenMode;
use crate::connection::stream::recv::RecvHalf;
use crate::connection::stream::violation::Violation;
use crate::id::RelayId;
use crate::level::Level;
use crate::pin::compact;
use crate::seq::Seq;
use crate::target::FlowKind;
use crate::time::{Instant, micros, share};
use crate::wire::frame::{Frame, Frames};
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::{ResponseHeader, Status};
use crate::wire::reset::ResetCode;

/// A response packet of the connection's client and epoch.
#[derive(Debug)]
pub(in crate::client::streams) struct Answer<'h> {
    pub(in crate::client::streams) number: ExchangeNumber,
    pub(in crate::client::streams) relay: RelayId,
    pub(in crate::client::streams) sent: Instant,
    pub(in crate::client::streams) header: &'h ResponseHeader,
    /// Bytes of the packet.
    pub(in crate::client::streams) len: usize,
}

impl NodeConnection {
    /// An exchange was answered.
    pub(in crate::client::streams) fn on_answer(
        &mut self,
        answer: &Answer<'_>,
        frames: Frames,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let now = context.now();
        let elapsed = now.saturating_since(answer.sent);
        let round_trip = elapsed.saturating_sub(answer.header.held);
        self.measure(answer, round_trip, relays, now);
        self.heard = now;
        if let Some(relay) = relays.get_mut(answer.relay) {
            relay.health_mut().on_exchange_answered(answer.sent);
        }
        self.on_arrived(answer.number, now);
        self.exchanges.change(answer.number, |record| record.progress = Progress::Done);
        let newest = self.newest.is_none_or(|newest| newest < answer.header.answer);
        // A status is already half a round trip old.
        let way_down = round_trip.saturating_sub(share(self.controllers.rtt().p50, 1, 2));
        let written = Instant::from_micros(now.as_micros().saturating_sub(micros(way_down)));
        self.take_statuses(answer.header, newest, written, relays, now);
        if newest {
            self.newest = Some(answer.header.answer);
            self.backlog = 0;
            let after = self.reported.is_some_and(|reported| answer.number > reported);
            self.peer_credit = PeerCredit::reported(answer.header.flags.blocked, after);
            self.draining = answer.header.flags.draining;
        }
        for frame in frames {
            if let Frame::Backlog { bytes } = frame {
                self.backlog = if newest { bytes } else { self.backlog };
            } else {
                self.on_frame(frame, answer.len, context);
            }
        }
        self.feed(context);
    }

    /// What an answer says of the path, once for each exchange.
    fn measure(&mut self, answer: &Answer<'_>, round_trip: Duration, relays: &mut Relays, now: Instant) {
        let record = self.exchanges.get(answer.number).filter(|record| record.progress != Progress::Done);
        let Some(record) = record else { return };
        let bulk = match record.payload {
            RequestPayload::Bulk(bytes) => Some(u64::try_from(bytes).unwrap_or(u64::MAX)),
            RequestPayload::Bare | RequestPayload::Probe | RequestPayload::Sparse => None,
        };
        let exchange = Answered {
            size: record.size,
            round_trip,
            was_lost: matches!(record.progress, Progress::Lost { .. }),
            response: u64::try_from(answer.len).unwrap_or(u64::MAX),
            max_response: record.max_response,
            bulk,
            max_request: record.max_request,
        };
        if let Some(relay) = relays.get_mut(answer.relay) {
            relay.round_trip_mut().on_exchange(record.size, round_trip);
        }
        self.controllers.on_answered(&exchange, now);
    }

    fn take_statuses(
        &mut self,
        header: &ResponseHeader,
        newest: bool,
        written: Instant,
        relays: &mut Relays,
        now: Instant,
    ) {
        for (number, status) in header.statuses() {
            match status {
                Status::Held => self.on_arrived(number, now),
                Status::Answered { size } => {
                    self.on_arrived(number, now);
                    if self.exchanges.get(number).is_some_and(|record| record.progress == Progress::Out) {
                        let progress = Progress::Reported { at: now, size };
                        self.exchanges.change(number, |record| record.progress = progress);
                    }
                }
                Status::Missing if newest => self.on_missing(number, written, relays, now),
                Status::Missing => {}
            }
        }
    }

    fn on_frame(&mut self, frame: Frame, len: usize, context: &mut Context) {
        let now = context.now();
        if let Some(number) = frame.stream() {
            self.shared.confirm_opening(number);
            if matches!(frame, Frame::Opened { .. } | Frame::Data { .. } | Frame::Datagram { .. }) {
                self.on_open(number, context);
            }
        }
        match frame {
            Frame::Data { stream, seq, fin, bytes } => {
                self.traffic = now;
                self.on_chunk(stream, seq, fin, compact(bytes, len), context);
            }
            Frame::Ack { stream, next } => self.on_ack(stream, next, context),
            Frame::Window { stream, limit } => {
                self.shared.on_window(stream, limit);
                self.refresh(stream, now);
            }
            Frame::Reset { stream, code } => self.end(stream, reason(code)),
            // The node does not know a stream that it was told of.
            Frame::Gone { stream } => self.end(stream, EndReason::Reset(ResetCode::Gone)),
            Frame::Datagram { stream, bytes } => {
                self.traffic = now;
                if let Some(known) =
                    self.shared.stream_mut(stream).filter(|known| known.kind() == FlowKind::Udp)
                {
                    known.socket_mut().touch(now);
                    context.deliver(known.socket().flow(), compact(bytes, len));
                }
            }
            // These only go up, or were taken before.
            Frame::Open { .. } | Frame::Opened { .. } | Frame::Resend { .. } | Frame::Backlog { .. } => {}
        }
    }

    /// The upstream is open.
    fn on_open(&mut self, number: StreamNumber, context: &mut Context) {
        let Some(stream) = self.shared.stream_mut(number) else { return };
        let flow = stream.socket().flow();
        if !stream.socket_mut().set_open() {
            return;
        }
        if context.config().open == OpenMode::Confirmed {
            context.push(ClientAction::Opened { flow });
        }
        context.notice(ClientNotice::Connected { flow, level: Level::Streams });
        self.grant(number, context);
    }

    fn on_chunk(&mut self, number: StreamNumber, seq: Seq, fin: bool, bytes: Bytes, context: &mut Context) {
        let now = context.now();
        let Some(stream) = self.shared.stream_mut(number) else {
            self.shared.on_stray_chunk(number, now);
            return;
        };
        let flow = stream.socket().flow();
        let received = match stream.recv_half_mut() {
            Some(recv) => recv.receive(seq, fin, bytes),
            None => Err(Violation::EndMoved),
        };
        if received.is_err() {
            // The node broke the rules of this stream. The others go on.
            return self.end(number, EndReason::NodeError);
        }
        stream.socket_mut().touch(now);
        while let Some(delivery) = stream.recv_half_mut().and_then(RecvHalf::deliver) {
            if !delivery.bytes.is_empty() {
                context.deliver(flow, delivery.bytes);
            }
            if delivery.fin {
                context.push(ClientAction::Fin { flow });
            }
        }
        self.refresh(number, now);
    }

    fn on_ack(&mut self, number: StreamNumber, next: Seq, context: &mut Context) {
        let now = context.now();
        match self.shared.on_ack(number, next, context.pool()) {
            Ok(Some(freed)) => {
                if freed > 0 {
                    self.traffic = now;
                }
                self.grant(number, context);
                self.refresh(number, now);
            }
            Ok(None) => {}
            Err(_) => self.end(number, EndReason::NodeError),
        }
    }
}

/// Why a flow ended that the node reset.
fn reason(code: ResetCode) -> EndReason {
    match code {
        ResetCode::Connect(failure) => EndReason::ConnectFailed(failure),
        ResetCode::Idle => EndReason::Idle,
        ResetCode::Aborted
        | ResetCode::Stalled
        | ResetCode::Gone
        | ResetCode::Draining
        | ResetCode::TooManyStreams
        | ResetCode::Violation => EndReason::Reset(code),
    }
}
