//! Responses to held requests of level 2 (protocol.md 3.2 rules 2, 5, 7 and 8).

use alloc::vec::Vec;
use core::time::Duration;

use crate::connection::Connection;
use crate::connection::assemble::{Assembler, SPARSE_PACKET};
use crate::node::context::{Context, Owner};
use crate::node::packets::largest_packet;
use crate::node::socket::Socket;
use crate::node::streams::client::ClientConnection;
use crate::node::streams::hold::{Decision, HeldExchange, ResponsePayload};
use crate::time::{Deadline, Instant};
use crate::timer::TimerKind;
use crate::wire::end::EndCode;
use crate::wire::frame::Frame;
use crate::wire::number::{AnswerNumber, ExchangeNumber};
use crate::wire::packet::{Flags, ResponseHeader, ResponseRoom, Unsealed};
use crate::wire::seal::TAG_LEN;
use crate::wire::varint;

/// An answer of at most this many bytes is repeated when it is not confirmed.
const SMALL: usize = 16 * 1024;

/// How often the wait for the next repeat doubles.
const MAX_DOUBLINGS: u32 = 3;

/// Statuses in one answer: together less than the 4 KiB that a response has beside its largest chunk. No client
/// has as many exchanges out.
const MAX_SENT_STATUSES: usize = 1500;

/// Bulk is spread over the held requests, in answers of at least this size.
const LEAST_SHARE: usize = 256 * 1024;

/// Estimate of what an answer has around its payload.
const AROUND: usize = 2 * 1024;

/// Frames in flight over all exchanges of a client. Beyond it, answers carry a header only.
const MAX_IN_FLIGHT: usize = 262_144;

/// The answer to a request of a connection that the node has ended.
pub(in crate::node::streams) fn end_packet(
    exchange: ExchangeNumber,
    code: EndCode,
    text: &str,
    cx: &Context,
) -> Unsealed {
    let header = ResponseHeader {
        exchange,
        answer: AnswerNumber::ZERO,
        seen: exchange,
        statuses: Vec::new(),
        held: Duration::ZERO,
        flags: Flags { draining: cx.is_draining(), blocked: false },
    };
    let mut writer = Unsealed::response(&header, 0);
    writer.push(&Frame::End { code, text: text.into() });
    writer
}

impl ClientConnection {
    /// Answers the held requests for which it is time, and sets the timer.
    pub(in crate::node::streams) fn respond(&mut self, cx: &mut Context) {
        self.queued = false;
        loop {
            match self.inputs().decide(cx.now(), self.delays(cx.config())) {
                Decision::Answer(_, ResponsePayload::Repeat(old)) if !self.shared.needs_repeat(old) => {
                    self.unconfirmed.pop_first();
                }
                Decision::Answer(exchange, payload) => self.answer_held(exchange, payload, cx),
                Decision::Wait(at) => {
                    let idle = (self.lapses_at(cx.config()), TimerKind::IdleClient);
                    let at = at.map_or(idle, |at| at.min(idle));
                    return cx.set_timer(&mut self.timer, Owner::Connection(self.id), Some(at));
                }
            }
        }
    }

    /// Answers a held request now.
    pub(super) fn answer_held(
        &mut self,
        exchange: ExchangeNumber,
        payload: ResponsePayload,
        cx: &mut Context,
    ) {
        let now = cx.now();
        let Some(held) = self.held.remove(&exchange) else { return };
        // What this answer says of itself: that it was given.
        self.exchanges.answered(exchange, 0, 0);
        let header = self.header(exchange, &held, cx);
        let limit = held.max_response.limit(largest_packet(cx.config()));
        let sendable = self.shared.scheduler().sums().sendable;
        let writer = Unsealed::response(&header, sendable.saturating_add(AROUND).min(limit));
        let mut packet = Connection::<Socket>::assemble(writer, exchange, limit, cx.pool());
        let repeats = self.fill(payload, &mut packet, limit, now);
        let packet = packet.finish();
        let writer = self.with_backlog(packet.writer);
        let size = writer.sealed_len();
        self.exchanges.answered(exchange, size, repeats);
        self.shared.on_sent(exchange, packet.frames, ExchangeNumber::ZERO);
        if packet.vital
            && size <= SMALL
            && let Some(confirm) = self.confirm
        {
            let wait = confirm.saturating_mul(1 << repeats);
            self.unconfirmed.insert((Deadline(now.saturating_add(wait)), exchange));
        }
        cx.count_downlink(&self.name, packet.first);
        cx.count(|stats| &mut stats.repeated_bytes, packet.again);
        cx.reply_packet(held.at, writer, &self.down);
    }

    /// Fills an answer. Says how often what is in it was repeated, as far as that counts.
    fn fill(
        &mut self,
        payload: ResponsePayload,
        packet: &mut Assembler<'_>,
        limit: usize,
        now: Instant,
    ) -> u32 {
        match payload {
            _ if self.shared.frames_in_flight() > MAX_IN_FLIGHT => 0,
            ResponsePayload::Repeat(old) => {
                self.unconfirmed.pop_first();
                let repeats = self.exchanges.repeats(old);
                self.shared.fill_repeat(old, packet, now);
                self.fill_prompt(packet, now);
                repeats.saturating_add(1).min(MAX_DOUBLINGS)
            }
            ResponsePayload::Anything if self.shared.scheduler().is_prompt() => {
                self.fill_prompt(packet, now);
                0
            }
            ResponsePayload::Anything | ResponsePayload::Bulk => {
                packet.narrow(self.share(limit));
                self.shared.fill_acks(packet, now);
                self.shared.fill_bulk(packet, now);
                0
            }
        }
    }

    /// Answers another copy of a request with what its answer carried.
    pub(super) fn answer_again(&mut self, exchange: ExchangeNumber, copy: HeldExchange, cx: &mut Context) {
        let header = self.header(exchange, &copy, cx);
        let limit = copy.max_response.limit(largest_packet(cx.config()));
        let writer = Unsealed::response(&header, 0);
        let now = cx.now();
        let mut packet = Connection::<Socket>::assemble(writer, exchange, limit, cx.pool());
        self.shared.fill_again(&mut packet, now);
        let packet = packet.finish();
        let writer = self.with_backlog(packet.writer);
        cx.count(|stats| &mut stats.repeated_bytes, packet.again);
        cx.reply_packet(copy.at, writer, &self.down);
    }

    /// Answers a copy of a request with a header.
    pub(super) fn answer_bare(&mut self, exchange: ExchangeNumber, copy: HeldExchange, cx: &mut Context) {
        let header = self.header(exchange, &copy, cx);
        cx.reply_packet(copy.at, Unsealed::response(&header, 0), &self.down);
    }

    /// The header of an answer that is given now.
    pub(super) fn header(
        &mut self,
        exchange: ExchangeNumber,
        copy: &HeldExchange,
        cx: &Context,
    ) -> ResponseHeader {
        let answer = self.answers;
        self.answers = answer.next();
        let blocked = self.shared.scheduler().sums().blocked > 0;
        ResponseHeader {
            exchange,
            answer,
            seen: self.exchanges.seen(),
            statuses: self.exchanges.statuses(MAX_SENT_STATUSES),
            held: cx.now().saturating_since(copy.arrived),
            flags: Flags { draining: cx.is_draining(), blocked },
        }
    }

    /// Everything that is not bulk, and acknowledgements.
    fn fill_prompt(&mut self, packet: &mut Assembler<'_>, now: Instant) {
        packet.narrow(SPARSE_PACKET);
        self.shared.fill_closing(packet);
        self.shared.fill_sparse(packet, now);
        self.shared.fill_acks(packet, now);
    }

    /// Tells what is left in the last frame of a packet.
    fn with_backlog(&self, mut writer: Unsealed) -> Unsealed {
        let backlog = self.shared.scheduler().sums().sendable;
        if backlog > 0 {
            let bytes = u64::try_from(backlog).unwrap_or(u64::MAX).min(varint::MAX);
            writer.push(&Frame::Backlog { bytes });
        }
        writer
    }

    /// What one answer takes of the bulk, so that all requests that are there for it get a share.
    fn share(&self, limit: usize) -> usize {
        let others = self.held.len().saturating_sub(self.reserve());
        let requests = others.saturating_add(1);
        let share = self.shared.scheduler().sums().sendable.checked_div(requests).unwrap_or(limit);
        share.max(LEAST_SHARE).saturating_add(AROUND).min(limit)
    }
}

impl ResponseRoom {
    /// The longest packet.
    fn limit(self, largest: usize) -> usize {
        usize::try_from(self.get()).unwrap_or(usize::MAX).min(largest)
    }
}

const _: () = assert!(MAX_SENT_STATUSES * 2 + TAG_LEN < 4 * 1024);
