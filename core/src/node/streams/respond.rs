//! Responses to held requests of level 2 (protocol.md 3.2 rules 2, 5 and 7).

use alloc::vec::Vec;

use crate::connection::Connection;
use crate::connection::assemble::{Assembler, SPARSE_PACKET};
use crate::node::context::{Context, Owner};
use crate::node::requests::{PacketReply, Part};
use crate::node::streams::client::ClientConnection;
use crate::node::streams::hold::{Held, Load, Verdict};
use crate::node::streams::stream::UpstreamSocket;
use crate::node::streams::{Streams, largest_packet};
use crate::node::upstreams::ConnectionId;
use crate::time::Instant;
use crate::timer::TimerKind;
use crate::wire::Sealing;
use crate::wire::frame::Frame;
use crate::wire::number::{AnswerNumber, ExchangeNumber};
use crate::wire::packet::{Epoch, Flags, PacketWriter, RequestHeader, ResponseHeader, ResponseRoom};
use crate::wire::seal::TAG_LEN;
use crate::wire::varint;

/// An answer of at most this many bytes is repeated when it is not confirmed.
const SMALL: usize = 16 * 1024;

/// How often the wait for the next repeat doubles.
const MAX_DOUBLINGS: u32 = 3;

/// Statuses that an answer tells: together less than the 4 KiB that a response has beside its largest chunk. No client
/// has as many exchanges out.
const MAX_TOLD: usize = 1500;

/// Bulk is spread over the requests that are there for it, in answers of at least this size.
const LEAST_SHARE: usize = 256 * 1024;

/// What an answer has around its payload, when its length is guessed.
const AROUND: usize = 2 * 1024;

/// Records of what answers carried, over all exchanges of a client: beyond it, answers carry a header alone until the
/// client has done with some.
const MAX_RECORDS: usize = 262_144;

impl Streams {
    /// Puts a client into the work queue.
    pub(super) fn touch_connection(&mut self, cx: &mut Context, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !connection.listed
        {
            connection.listed = true;
            cx.queue_connection(id);
        }
    }

    /// Answers what is to be answered, and sets the client's timer.
    pub(in crate::node) fn respond(&mut self, cx: &mut Context, id: ConnectionId) {
        loop {
            let Some(connection) = self.connections.get_mut(id) else { return };
            connection.listed = false;
            match connection.circumstances().verdict(cx.now(), connection.patience(cx.config())) {
                Verdict::Answer(_, Load::Repeat(old)) if !connection.shared.needs_repeat(old) => {
                    connection.unconfirmed.pop_first();
                }
                Verdict::Answer(exchange, load) => self.answer_held(cx, id, exchange, load),
                Verdict::Wait(at) => {
                    let idle = (connection.idle_deadline(cx.config()), TimerKind::IdleClient);
                    let at = at.map_or(idle, |at| at.min(idle));
                    return cx.set_timer(&mut connection.timer, Owner::Connection(id), Some(at));
                }
            }
        }
    }

    /// The client's deadline has passed.
    pub(in crate::node) fn on_connection_deadline(&mut self, cx: &mut Context, id: ConnectionId) {
        let idle = self
            .connections
            .get(id)
            .is_some_and(|connection| connection.idle_deadline(cx.config()) <= cx.now());
        if idle { self.drop_idle_client(cx, id) } else { self.touch_connection(cx, id) }
    }

    /// Answers a held request now.
    pub(super) fn answer_held(
        &mut self,
        cx: &mut Context,
        id: ConnectionId,
        exchange: ExchangeNumber,
        load: Load,
    ) {
        let draining = cx.is_closed();
        let largest = largest_packet(cx.config());
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(held) = connection.held.remove(&exchange) else { return };
        // What this answer says of itself: that it was given.
        connection.exchanges.answered(exchange, 0, 0);
        let header = connection.header(exchange, &held, now, draining);
        let limit = held.room.limit(largest);
        let sendable = connection.shared.scheduler().sums().sendable;
        let writer = PacketWriter::response(&header, sendable.saturating_add(AROUND).min(limit));
        let mut packet = Connection::<UpstreamSocket>::assemble(writer, exchange, limit, cx.pool());
        let repeats = match load {
            _ if connection.shared.frames_in_flight() > MAX_RECORDS => 0,
            Load::Repeat(old) => {
                connection.unconfirmed.pop_first();
                let repeats = connection.exchanges.get(old).map_or(0, |record| record.repeats);
                connection.shared.fill_repeat(old, &mut packet, now);
                connection.fill_prompt(&mut packet, now);
                repeats.saturating_add(1).min(MAX_DOUBLINGS)
            }
            Load::Anything if connection.shared.scheduler().is_prompt() => {
                connection.fill_prompt(&mut packet, now);
                0
            }
            Load::Anything | Load::Bulk => {
                packet.narrow(connection.share(limit));
                connection.shared.fill_acks(&mut packet, now);
                connection.shared.fill_bulk(&mut packet, now);
                0
            }
        };
        let packet = packet.finish();
        let writer = connection.with_backlog(packet.writer);
        let size = writer.sealed_len();
        connection.exchanges.answered(exchange, size, repeats);
        connection.shared.on_sent(exchange, packet.frames, ExchangeNumber::ZERO);
        if packet.vital
            && size <= SMALL
            && let Some(confirm) = connection.confirm
        {
            let wait = confirm.saturating_mul(1 << repeats);
            connection.unconfirmed.insert((now.saturating_add(wait), exchange));
        }
        cx.count(|stats| &mut stats.downlink_bytes, packet.first);
        cx.count(|stats| &mut stats.repeated_bytes, packet.again);
        self.send_packet(cx, held.at, writer);
    }

    /// Answers another copy of a request with what its answer carried.
    pub(super) fn answer_again(
        &mut self,
        cx: &mut Context,
        id: ConnectionId,
        exchange: ExchangeNumber,
        copy: Held,
    ) {
        let draining = cx.is_closed();
        let largest = largest_packet(cx.config());
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(id) else { return };
        let header = connection.header(exchange, &copy, now, draining);
        let (writer, limit) = (PacketWriter::response(&header, 0), copy.room.limit(largest));
        let mut packet = Connection::<UpstreamSocket>::assemble(writer, exchange, limit, cx.pool());
        connection.shared.fill_again(&mut packet, now);
        let packet = packet.finish();
        let writer = connection.with_backlog(packet.writer);
        cx.count(|stats| &mut stats.repeated_bytes, packet.again);
        self.send_packet(cx, copy.at, writer);
    }

    /// Answers a copy of a request with a header, and what the node grants if it was a hello.
    pub(super) fn answer_bare(
        &mut self,
        cx: &mut Context,
        id: ConnectionId,
        exchange: ExchangeNumber,
        copy: Held,
        hello: bool,
    ) {
        let draining = cx.is_closed();
        let now = cx.now();
        let Some(connection) = self.connections.get_mut(id) else { return };
        let mut header = connection.header(exchange, &copy, now, draining);
        header.grants = Some(*connection.shared.grants()).filter(|_| hello);
        self.send_packet(cx, copy.at, PacketWriter::response(&header, 0));
    }

    /// Answers a packet of an epoch that the node does not know. Nothing of it counted.
    pub(super) fn answer_unknown(
        &mut self,
        cx: &mut Context,
        at: Part,
        header: &RequestHeader,
        epoch: Epoch,
    ) {
        let header = ResponseHeader {
            client: header.client,
            epoch,
            exchange: header.exchange,
            answer: AnswerNumber::ZERO,
            seen: header.exchange,
            statuses: Vec::new(),
            held: core::time::Duration::ZERO,
            flags: Flags { unknown: true, draining: cx.is_closed(), blocked: false },
            grants: None,
        };
        let writer = PacketWriter::response(&header, 0);
        self.send_packet(cx, at, writer);
    }

    fn send_packet(&mut self, cx: &mut Context, at: Part, writer: PacketWriter) {
        let packet = Sealing::new(writer.finish(), &self.down, self.nonces.next());
        cx.reply_packet(at, PacketReply::Packet(packet));
    }
}

impl ClientConnection {
    /// The header of an answer that is given now.
    fn header(
        &mut self,
        exchange: ExchangeNumber,
        copy: &Held,
        now: Instant,
        draining: bool,
    ) -> ResponseHeader {
        let answer = self.answers;
        self.answers = answer.next();
        ResponseHeader {
            client: self.shared.client(),
            epoch: self.shared.epoch(),
            exchange,
            answer,
            seen: self.exchanges.seen(),
            statuses: self.exchanges.statuses(MAX_TOLD),
            held: now.saturating_since(copy.arrived),
            flags: Flags { draining, blocked: self.shared.scheduler().sums().blocked > 0, unknown: false },
            grants: None,
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
    fn with_backlog(&self, mut writer: PacketWriter) -> PacketWriter {
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

const _: () = assert!(MAX_TOLD * 2 + TAG_LEN < 4 * 1024);
