//! Contents of request packets: RESEND first, then sparse data, or bulk (protocol.md 3.2 rules 3, 5 and 8).

use alloc::vec::Vec;
use core::time::Duration;

use crate::client::context::Context;
use crate::client::relays::{Path, Purpose, Relay, Relays};
use crate::client::streams::calls::{BULK, Outgoing};
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::exchanges::{Progress, Record, RequestPayload};
use crate::client::streams::next_request::{NextRequest, RequestPurpose};
use crate::client::streams::round_trips::Size;
use crate::client::streams::stream::{LEAST_CUT, LEAST_ROOM, LocalSocket};
use crate::connection::Connection;
use crate::connection::assemble::{Assembled, Assembler, SPARSE_PACKET};
use crate::credit::Pool;
use crate::id::RelayId;
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{RequestHeader, ResponseRoom, Unsealed};

impl NodeConnection {
    /// The next request, if there is one to make, and a relay for it.
    pub(in crate::client::streams) fn request(
        &mut self,
        relays: &mut Relays,
        context: &mut Context,
    ) -> Option<Outgoing> {
        let (now, config) = (context.now(), context.config());
        let next = self.inputs(self.relays.len(), relays.is_tight(now), config, now).next_request()?;
        let relay = self.choose_relay(next.purpose, relays, now)?;
        Some(self.request_through(relays.get(relay)?, next, context))
    }

    /// A probe of a silent relay, if one is due.
    pub(in crate::client::streams) fn probe(
        &mut self,
        relays: &mut Relays,
        context: &Context,
    ) -> Option<Outgoing> {
        let now = context.now();
        // An idle client has no use for it, and calls are dear.
        if !self.is_in_use() || !self.inputs(0, false, context.config(), now).is_active() {
            return None;
        }
        let relay = relays.iter_mut().find(|relay| {
            self.relays.contains(&relay.id())
                && !self.is_doubtful(relay.id())
                && relay.health().probe_at().is_some_and(|at| at <= now)
                && relay.can_take(now, Purpose::Active(Path::Any))
        })?;
        relay.health_mut().on_probe(now);
        let id = relay.id();
        Some(Outgoing::header_only(id, self.header_only(id, context)))
    }

    /// The header of a request through `relay` that allows a header only.
    pub(in crate::client::streams) fn header_only(
        &mut self,
        relay: RelayId,
        context: &Context,
    ) -> RequestHeader {
        let header = self.header(context);
        self.exchanges.push(Record::header_only(relay, context.now()));
        header
    }

    fn header(&self, context: &Context) -> RequestHeader {
        RequestHeader {
            exchange: self.exchanges.next(),
            done: self.exchanges.done(),
            hold: Duration::ZERO,
            max_held: 1,
            max_response: ResponseRoom::HeaderOnly,
            total: context.config().tuning.streams.downlink_total,
            confirm: None,
        }
    }

    /// The relay for a request: for repair another one than what was lost went through.
    fn choose_relay(&self, made_for: RequestPurpose, relays: &mut Relays, now: Instant) -> Option<RelayId> {
        let mut due = self.exchanges.iter().map(|(_, record)| record).filter(|record| record.is_resend_due());
        let lost = due.next().filter(|_| made_for == RequestPurpose::Repair);
        let avoid = lost.map(|record| record.relay);
        let purpose = match made_for {
            RequestPurpose::Poll | RequestPurpose::Report => Purpose::Poll(Path::Any),
            RequestPurpose::Repair | RequestPurpose::Sparse | RequestPurpose::Bulk => {
                Purpose::Active(Path::Any)
            }
        };
        let of = |id| self.relays.contains(&id) && !self.is_doubtful(id);
        relays.choose_for_exchange(now, purpose, (of, made_for == RequestPurpose::Bulk), avoid)
    }

    /// Writes the next request through a relay, and the record of it.
    fn request_through(&mut self, relay: &Relay, next: NextRequest, context: &mut Context) -> Outgoing {
        let now = context.now();
        let header = RequestHeader {
            hold: next.hold.min(relay.hold().ceiling(now)),
            max_held: u32::try_from(next.max_held).unwrap_or(u32::MAX),
            max_response: ResponseRoom::Bytes(next.max_response),
            confirm: Some(next.confirm),
            ..self.header(context)
        };
        let granted = usize::try_from(self.shared.grants().max_packet).unwrap_or(usize::MAX);
        let most = match next.payload {
            RequestPayload::Bulk(_) => usize::try_from(next.max_request).unwrap_or(usize::MAX),
            RequestPayload::Bare | RequestPayload::Probe | RequestPayload::Sparse => SPARSE_PACKET,
        };
        let limit = relay.max_packet().min(granted).min(most);
        let (packet, resends) = self.pack(&header, next.payload, limit, now, context.pool());
        let (len, bytes) = (packet.writer.sealed_len(), packet.first.saturating_add(packet.again));
        let payload = match next.payload {
            RequestPayload::Bulk(_) if bytes > 0 => RequestPayload::Bulk(bytes),
            RequestPayload::Bulk(_) => RequestPayload::Bare,
            RequestPayload::Bare | RequestPayload::Probe | RequestPayload::Sparse => next.payload,
        };
        if bytes > 0 {
            self.traffic = now;
        }
        context.add(|stats| &mut stats.uplink_bytes, bytes);
        let backlog = self.backlog > 0;
        let expected = if backlog { next.max_response } else { 0 };
        self.exchanges.push(Record {
            held_until: now.saturating_add(header.hold),
            size: if len > BULK || backlog { Size::Bulk } else { Size::Small },
            bytes: expected.max(u64::try_from(len).unwrap_or(u64::MAX)),
            max_response: next.max_response,
            max_request: next.max_request,
            payload,
            resends,
            accompanied: self.exchanges.tally().waiting > 0,
            ..Record::header_only(relay.id(), now)
        });
        self.shared.on_sent(header.exchange, packet.frames, self.exchanges.oldest());
        Outgoing { relay: relay.id(), exchange: header.exchange, hold: header.hold, packet: packet.writer }
    }

    /// Writes a request of at most `limit` bytes. Returns also the exchanges that it asks for again.
    pub(in crate::client::streams) fn pack(
        &mut self,
        header: &RequestHeader,
        payload: RequestPayload,
        limit: usize,
        now: Instant,
        pool: &mut Pool,
    ) -> (Assembled, Vec<ExchangeNumber>) {
        let by = header.exchange;
        let bulk = matches!(payload, RequestPayload::Bulk(_));
        let sendable = self.shared.scheduler().sums().sendable;
        let capacity = if bulk { sendable.saturating_add(LEAST_CUT).min(limit) } else { 0 };
        let writer = Unsealed::request(header, capacity);
        let mut packet = Connection::<LocalSocket>::assemble(writer, by, limit, pool);
        let resends = self.fill_resends(by, &mut packet);
        self.shared.fill_closing(&mut packet);
        if payload == RequestPayload::Sparse {
            self.shared.fill_sparse(&mut packet, now);
        }
        // With acknowledgements, everything that was taken is reported.
        if self.shared.fill_acks(&mut packet, now) && core::mem::take(&mut self.unreported) > 0 {
            self.reported = Some(by);
            self.peer_credit = self.peer_credit.on_report();
        }
        if bulk {
            self.shared.fill_bulk(&mut packet, now);
        }
        (packet.finish(), resends)
    }

    fn fill_resends(&mut self, by: ExchangeNumber, packet: &mut Assembler<'_>) -> Vec<ExchangeNumber> {
        let due = self.exchanges.iter().filter(|(_, record)| record.is_resend_due());
        let due: Vec<ExchangeNumber> =
            due.map(|(number, _)| number).take(packet.room() / LEAST_ROOM).collect();
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
}
