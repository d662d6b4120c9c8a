//! Contents of request packets: RESEND first, then sparse data, or bulk (protocol.md 3.2 rules 3, 5 and 8).

use alloc::vec::Vec;

use crate::client::streams::connection::NodeConnection;
use crate::client::streams::exchanges::{Progress, RequestPayload};
use crate::client::streams::stream::{LEAST_CUT, LEAST_ROOM, LocalSocket};
use crate::connection::Connection;
use crate::connection::assemble::{Assembler, SPARSE_PACKET};
use crate::connection::sent::SentFrame;
use crate::credit::Pool;
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{PacketWriter, RequestHeader};
use crate::wire::seal::Unsealed;

/// A request whose frames are complete.
pub(super) struct RequestPacket {
    pub(super) packet: Unsealed,
    pub(super) frames: Vec<SentFrame>,
    pub(super) resends: Vec<ExchangeNumber>,
    /// Payload bytes.
    pub(super) payload: usize,
    /// Bytes of the packet, sealed.
    pub(super) len: usize,
}

impl NodeConnection {
    /// Writes the request `by`, of at most `limit` bytes.
    pub(super) fn pack(
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
                if planted!(DoneOnNaming) {
                    record.progress = Progress::Done;
                }
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
