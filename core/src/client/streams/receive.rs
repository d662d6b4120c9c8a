//! Response packets: what they say of the exchanges, and the frames that they bring.

use bytes::Bytes;
use core::time::Duration;

use crate::client::action::{ClientAction, ClientNotice, EndReason};
use crate::client::context::Outbox;
use crate::client::relays::Relays;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::peer_credit::PeerCredit;
use crate::client::streams::round_trips::Size;
use crate::client::streams::sent::{Progress, RequestPayload};
use crate::client::streams::stream::Phase;
use crate::config::{ClientOptions, OpenMode};
use crate::connection::stream::Violation;
use crate::connection::stream::flow::Flow;
use crate::credit::Within;
use crate::id::RelayId;
use crate::level::Level;
use crate::pin::compact;
use crate::seq::Seq;
use crate::time::{Instant, micros, share};
use crate::wire::frame::{Frame, Frames};
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::{MIN_RESPONSE, ResponseHeader, Status};
use crate::wire::reset::ResetCode;

/// A response packet of the connection's client and epoch.
#[derive(Debug)]
pub(super) struct Answer<'h> {
    pub(super) number: ExchangeNumber,
    pub(super) relay: RelayId,
    pub(super) sent: Instant,
    pub(super) header: &'h ResponseHeader,
    /// Bytes of the packet.
    pub(super) len: usize,
}

impl NodeConnection {
    /// An exchange was answered.
    pub(super) fn on_answer(
        &mut self,
        answer: &Answer<'_>,
        frames: Frames,
        relays: &mut Relays,
        config: &ClientOptions,
        now: Instant,
        out: &mut Outbox,
    ) {
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
        // News are as old as their own way down.
        let way_down = round_trip.saturating_sub(share(self.loss.rtt().p50, 1, 2));
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
                self.on_frame(frame, answer.len, config, now, out);
            }
        }
        self.feed(out);
    }

    /// What an answer says of the path.
    fn measure(&mut self, answer: &Answer<'_>, round_trip: Duration, relays: &mut Relays, now: Instant) {
        let Some(record) = self.exchanges.get(answer.number) else { return };
        let (size, room, up_room, load) = (record.size, record.room, record.up_room, record.load);
        let late = matches!(record.progress, Progress::Lost { .. });
        if record.progress == Progress::Done {
            return;
        }
        let p50 = self.loss.rtt().p50;
        if let Some(relay) = relays.get_mut(answer.relay) {
            relay.round_trip_mut().on_exchange(size, round_trip);
        }
        self.loss.on_answer(size, round_trip, late, now);
        let len = u64::try_from(answer.len).unwrap_or(u64::MAX);
        self.slow_start.on_answer(len, now, p50);
        if size == Size::Bulk {
            let full = len.saturating_add(MIN_RESPONSE) >= room;
            self.response_size.on_round_trip(room, full, round_trip, self.response_window.sizing_rtt(p50));
            self.response_window.on_arrival(len, now, p50);
        }
        if let RequestPayload::Bulk(bytes) = load {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let full = bytes.saturating_add(MIN_RESPONSE) >= up_room;
            self.request_size.on_round_trip(up_room, full, round_trip, self.request_window.sizing_rtt(p50));
            self.request_window.on_arrival(bytes, now, p50);
        }
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

    fn on_frame(&mut self, frame: Frame, len: usize, config: &ClientOptions, now: Instant, out: &mut Outbox) {
        if let Some(number) = frame.stream() {
            let open = matches!(frame, Frame::Opened { .. } | Frame::Data { .. } | Frame::Datagram { .. });
            if open {
                self.on_open(number, config, out);
            } else {
                self.on_heard(number, Phase::Heard);
            }
        }
        match frame {
            Frame::Data { stream, seq, fin, bytes } => {
                self.traffic = now;
                self.on_chunk(stream, seq, fin, compact(bytes, len), now, out);
            }
            Frame::Ack { stream, next } => self.on_ack(stream, next, now, out),
            Frame::Window { stream, limit } => {
                if let Some(Flow::Tcp { send, .. }) = self.flow_mut(stream) {
                    send.window(limit);
                }
                self.refresh(stream, now);
            }
            Frame::Reset { stream, code } => self.end(stream, reason(code)),
            // The node says that the client broke the protocol: it does not know a stream that it was told of.
            Frame::Gone { stream } => self.end(stream, EndReason::Reset(ResetCode::Gone)),
            Frame::Datagram { stream, bytes } => {
                self.traffic = now;
                if let Some(known) = self.streams.get_mut(&stream)
                    && matches!(known.traffic.flow, Flow::Udp(_))
                {
                    known.last_active = now;
                    out.deliver(known.id, compact(bytes, len));
                }
            }
            // These only go up, or were taken before.
            Frame::Open { .. } | Frame::Opened { .. } | Frame::Resend { .. } | Frame::Backlog { .. } => {}
        }
    }

    /// The upstream is open.
    fn on_open(&mut self, number: StreamNumber, config: &ClientOptions, out: &mut Outbox) {
        let Some(stream) = self.streams.get(&number).filter(|stream| stream.phase != Phase::Open) else {
            return;
        };
        let id = stream.id;
        self.on_heard(number, Phase::Open);
        if config.open == OpenMode::Confirmed {
            out.actions.push_back(ClientAction::Opened { flow: id });
        }
        out.notice(ClientNotice::Connected { flow: id, level: Level::Streams });
        self.grant(number, out);
    }

    fn on_chunk(
        &mut self,
        number: StreamNumber,
        seq: Seq,
        fin: bool,
        bytes: Bytes,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&number) else {
            // The node may not have heard how the stream ended.
            if let Some(closing) = self.closing.get_mut(&number).filter(|_| !planted!(FarewellOnce)) {
                closing.pending.queue();
                self.scheduler.closing.insert(number);
            }
            return;
        };
        let id = stream.id;
        let received = match &mut stream.traffic.flow {
            Flow::Tcp { recv, .. } => recv.receive(seq, fin, bytes),
            Flow::Udp(_) => Err(Violation::EndMoved),
        };
        if received.is_err() {
            // The node broke the rules of this stream; the others are none the worse.
            return self.ended.push((id, EndReason::NodeError));
        }
        stream.last_active = now;
        if let Flow::Tcp { recv, .. } = &mut stream.traffic.flow {
            while let Some(delivery) = recv.deliver() {
                if !delivery.bytes.is_empty() {
                    out.deliver(id, delivery.bytes);
                }
                if delivery.fin {
                    out.actions.push_back(ClientAction::Fin { flow: id });
                }
            }
        }
        self.refresh(number, now);
    }

    fn on_ack(&mut self, number: StreamNumber, next: Seq, now: Instant, out: &mut Outbox) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let id = stream.id;
        let Flow::Tcp { send, .. } = &mut stream.traffic.flow else { return };
        match send.acknowledge(next) {
            Ok(freed) => {
                if freed > 0 {
                    self.traffic = now;
                }
                stream.credit.release(freed, &mut Within { inner: &mut self.pool, outer: &mut out.pool });
                self.grant(number, out);
                self.refresh(number, now);
            }
            Err(_) => self.ended.push((id, EndReason::NodeError)),
        }
    }

    /// The node ended a stream.
    fn end(&mut self, number: StreamNumber, why: EndReason) {
        if let Some(stream) = self.streams.get(&number) {
            self.ended.push((stream.id, why));
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
