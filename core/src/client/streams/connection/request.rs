//! Contents of request packets: RESEND first, then sparse data, or bulk (protocol.md 3.2 rules 3, 5 and 8).

use alloc::vec::Vec;

use crate::client::context::Context;
use crate::client::relays::{Path, Purpose, Relay, Relays};
use crate::client::streams::calls::{BULK, Outgoing};
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::exchanges::{Progress, Record, RequestPayload};
use crate::client::streams::next_request::{NextRequest, RequestPurpose};
use crate::client::streams::round_trips::Size;
use crate::client::streams::stream::{LEAST_CUT, LEAST_ROOM, LocalSocket};
use crate::connection::Connection;
use crate::connection::assemble::{Assembler, SPARSE_PACKET};
use crate::connection::sent::SentFrame;
use crate::credit::Pool;
use crate::id::RelayId;
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{PacketWriter, RequestHeader, ResponseRoom};
use crate::wire::seal::Unsealed;

/// A request whose frames are complete.
pub(in crate::client::streams) struct RequestPacket {
    pub(in crate::client::streams) packet: Unsealed,
    pub(in crate::client::streams) frames: Vec<SentFrame>,
    pub(in crate::client::streams) resends: Vec<ExchangeNumber>,
    /// Payload bytes.
    pub(in crate::client::streams) payload: usize,
    /// Bytes of the packet, sealed.
    pub(in crate::client::streams) len: usize,
}

impl NodeConnection {
    /// The next request, if there is one to make, and a relay for it.
    pub(in crate::client::streams) fn request(
        &mut self,
        relays: &mut Relays,
        context: &mut Context,
    ) -> Option<Outgoing> {
        let (now, config) = (context.now(), context.config());
        let here = relays.iter().filter(|relay| relay.destination().is_here()).count();
        let next = self.inputs(here, relays.is_tight(now), config, now).next_request()?;
        let relay = self.choose_relay(next.purpose, relays, now)?;
        let total = config.tuning.streams.downlink_total;
        let (outgoing, payload) = self.request_through(relays.get(relay)?, next, total, now, context.pool());
        context.add(|stats| &mut stats.uplink_bytes, payload);
        Some(outgoing)
    }

    /// The relay for a request: for repair another one than what was lost went through.
    fn choose_relay(&self, made_for: RequestPurpose, relays: &mut Relays, now: Instant) -> Option<RelayId> {
        let due =
            |record: &&Record| matches!(record.progress, Progress::Lost { resend, .. } if resend.is_queued());
        let lost = self.exchanges.iter().map(|(_, record)| record).find(due).map(|record| record.relay);
        let avoid = lost.filter(|_| made_for == RequestPurpose::Repair);
        let purpose = match made_for {
            RequestPurpose::Poll | RequestPurpose::Report => Purpose::Poll(Path::Any),
            RequestPurpose::Repair | RequestPurpose::Sparse | RequestPurpose::Bulk => {
                Purpose::Active(Path::Any)
            }
        };
        relays.choose_for_exchange(now, purpose, made_for == RequestPurpose::Bulk, avoid)
    }

    /// Writes the next request through a relay, and the record of it. Returns how many bytes of payload it has.
    fn request_through(
        &mut self,
        relay: &Relay,
        next: NextRequest,
        total: u64,
        now: Instant,
        pool: &mut Pool,
    ) -> (Outgoing, usize) {
        let hold = next.hold.min(relay.hold().ceiling(now));
        let header = RequestHeader {
            client: self.client(),
            epoch: Some(self.shared.epoch()),
            exchange: self.exchanges.next(),
            done: self.exchanges.done(),
            hold,
            keep: u32::try_from(next.max_held).unwrap_or(u32::MAX),
            room: ResponseRoom::Bytes(next.max_response),
            total,
            confirm: Some(next.confirm),
        };
        let granted = usize::try_from(self.shared.grants().max_packet).unwrap_or(usize::MAX);
        let limit = granted.min(relay.passes().max_packet(relay.options()));
        let max_request = self.controllers.request_size();
        let packed = self.pack(&header, header.exchange, next.payload, limit, now, pool);
        let payload = match next.payload {
            RequestPayload::Bulk(_) if packed.payload > 0 => RequestPayload::Bulk(packed.payload),
            RequestPayload::Bulk(_) => RequestPayload::Bare,
            RequestPayload::Bare | RequestPayload::Probe | RequestPayload::Sparse => next.payload,
        };
        if packed.payload > 0 {
            self.traffic = now;
        }
        let backlog = self.backlog > 0;
        let bulk = packed.len > BULK || backlog;
        let expected = if backlog { next.max_response } else { 0 };
        let accompanied = self.exchanges.tally().waiting > 0;
        self.exchanges.push(Record {
            relay: relay.id(),
            sent: now,
            held_until: now.saturating_add(hold),
            size: if bulk { Size::Bulk } else { Size::Small },
            bytes: expected.max(u64::try_from(packed.len).unwrap_or(u64::MAX)),
            max_response: next.max_response,
            max_request,
            payload,
            resends: packed.resends,
            progress: Progress::Out,
            arrived: false,
            accompanied,
            answering: false,
        });
        self.shared.on_sent(header.exchange, packed.frames, self.exchanges.oldest());
        let outgoing = Outgoing::request(relay.id(), header, packed.packet);
        (outgoing, packed.payload)
    }

    /// Writes the request `by`, of at most `limit` bytes.
    pub(in crate::client::streams) fn pack(
        &mut self,
        header: &RequestHeader,
        by: ExchangeNumber,
        payload: RequestPayload,
        limit: usize,
        now: Instant,
        pool: &mut Pool,
    ) -> RequestPacket {
        let bulk = matches!(payload, RequestPayload::Bulk(_));
        let most = if bulk {
            usize::try_from(self.controllers.request_size()).unwrap_or(usize::MAX)
        } else {
            SPARSE_PACKET
        };
        let limit = limit.min(most);
        let sendable = self.shared.scheduler().sums().sendable;
        let capacity = if bulk { sendable.saturating_add(LEAST_CUT).min(limit) } else { 0 };
        let writer = PacketWriter::request(header, capacity);
        let mut packet = Connection::<LocalSocket>::assemble(writer, by, limit, pool);
        let mut resends = Vec::new();
        if payload != RequestPayload::Probe {
            resends = self.fill_resends(by, &mut packet);
            self.shared.fill_closing(&mut packet);
            if payload == RequestPayload::Sparse {
                self.shared.fill_sparse(&mut packet, now);
            }
            if self.shared.fill_acks(&mut packet, now) {
                self.on_report(by);
            }
        }
        if bulk {
            self.shared.fill_bulk(&mut packet, now);
        }
        let packet = packet.finish();
        RequestPacket {
            len: packet.writer.sealed_len(),
            packet: packet.writer.finish(),
            frames: packet.frames,
            resends,
            payload: packet.first.saturating_add(packet.again),
        }
    }

    fn fill_resends(&mut self, by: ExchangeNumber, packet: &mut Assembler<'_>) -> Vec<ExchangeNumber> {
        let is_queued = |progress| matches!(progress, Progress::Lost { resend, .. } if resend.is_queued());
        let due: Vec<ExchangeNumber> = self
            .exchanges
            .iter()
            .filter(|(_, record)| is_queued(record.progress))
            .map(|(number, _)| number)
            .take(packet.room() / LEAST_ROOM)
            .collect();
        for exchange in &due {
            packet.put(|| Frame::Resend { exchange: *exchange }, None);
            self.exchanges.change(*exchange, |record| {
                if let Progress::Lost { resend, .. } = &mut record.progress {
                    resend.send_in(by);
                }
            });
        }
        due
    }

    /// The request `by` reports everything that was taken.
    fn on_report(&mut self, by: ExchangeNumber) {
        if core::mem::take(&mut self.unreported) > 0 {
            self.reported = Some(by);
            self.peer_credit = self.peer_credit.on_report();
        }
    }
}
