//! Contents of response packets: statuses and frames (protocol.md 3.2 rules 4 to 6).

use bytes::Bytes;

use crate::client::action::{ClientAction, ClientNotice, EndReason};
use crate::client::calls::CallFacts;
use crate::client::context::Context;
use crate::client::relays::Relays;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::exchanges::Progress;
use crate::client::streams::peer_credit::PeerCredit;
use crate::config::OpenMode;
use crate::connection::stream::recv::RecvHalf;
use crate::level::Level;
use crate::pin::compact;
use crate::seq::Seq;
use crate::target::FlowKind;
use crate::time::{Instant, micros, share};
use crate::wire::frame::{Frame, Frames};
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::{ResponseHeader, Status};
use crate::wire::reset::ResetCode;

impl NodeConnection {
    /// The exchange that a call carried was answered with these contents, in a packet of `len` bytes.
    pub(in crate::client::streams) fn on_answer(
        &mut self,
        call: &CallFacts,
        number: ExchangeNumber,
        (header, frames, len): (ResponseHeader, Frames, usize),
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let now = context.now();
        let round_trip = now.saturating_since(call.sent).saturating_sub(header.held);
        let record = self.exchanges.get(number).filter(|record| record.progress != Progress::Done);
        if let Some(relay) = relays.get_mut(call.relay) {
            relay.health_mut().on_exchange_answered(call.sent);
            if let Some(record) = record {
                relay.round_trip_mut().on_exchange(record.size, round_trip);
            }
        }
        if let Some(record) = record {
            self.controllers.on_answered(record, len, round_trip, now);
        }
        self.heard = now;
        // What was sent before something that is lost says nothing of the node since.
        self.silent_since.take_if(|since| call.sent >= *since);
        self.on_arrived(number, now);
        self.exchanges.change(number, |record| record.progress = Progress::Done);
        let newest = self.newest.is_none_or(|newest| newest < header.answer);
        // A status is already half a round trip old.
        let way_down = round_trip.saturating_sub(share(self.controllers.loss().rtt().p50, 1, 2));
        let written = Instant::from_micros(now.as_micros().saturating_sub(micros(way_down)));
        self.take_statuses(&header, newest, written, relays, now);
        if newest {
            self.newest = Some(header.answer);
            self.backlog = 0;
            let after = self.reported.is_some_and(|reported| number > reported);
            self.peer_credit = PeerCredit::reported(header.flags.blocked, after);
            self.draining = header.flags.draining;
        }
        for frame in frames {
            if let Frame::Backlog { bytes } = frame {
                self.backlog = if newest { bytes } else { self.backlog };
            } else {
                self.on_frame(frame, len, context);
            }
        }
        self.feed(context);
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
                    self.exchanges.change(number, |record| {
                        if record.progress == Progress::Out {
                            record.progress = Progress::Reported { at: now, size };
                        }
                    });
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
            Frame::Open { .. }
            | Frame::Opened { .. }
            | Frame::Resend { .. }
            | Frame::Backlog { .. }
            | Frame::Goodbye
            | Frame::End { .. } => {}
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
        let received = stream.recv_half_mut().map(|recv| recv.receive(seq, fin, bytes));
        if !matches!(received, Some(Ok(_))) {
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
