//! What goes into a request packet (protocol.md 3.2 rules 3, 5 and 8): what was lost is asked for first, then sparse, or
//! bulk by deficit round robin.

use alloc::vec::Vec;
use core::ops::Bound;

use crate::client::streams::connection::NodeConnection;
use crate::client::streams::sent::{Progress, RequestPayload, SentFrame};
use crate::client::streams::stream::{Phase, Stream};
use crate::connection::closing::Word;
use crate::connection::pending::Pending;
use crate::connection::stream::flow::Flow;
use crate::connection::stream::traffic::Class;
use crate::time::Instant;
use crate::wire::frame::{Frame, MAX_DATA_OVERHEAD};
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::{PacketWriter, RequestHeader};
use crate::wire::seal::Unsealed;

/// A packet of sparse data has at most this many bytes (protocol.md 3.2 rule 8).
const SPARSE_PACKET: usize = 64 * 1024;

/// The most that a frame without payload and without a target takes.
const FACT: usize = 32;

/// What a stream may send in its turn.
const QUANTUM: usize = 64 * 1024;

/// A chunk is not cut shorter than this because a packet is nearly full.
const LEAST_CUT: usize = 4 * 1024;

/// Things that one request carries.
const MAX_ITEMS: usize = 4_096;

/// A request that is being written.
struct Packing {
    writer: PacketWriter,
    by: ExchangeNumber,
    limit: usize,
    frames: Vec<SentFrame>,
    payload: usize,
}

/// A request whose frames are complete.
pub(super) struct Packed {
    pub(super) packet: Unsealed,
    pub(super) frames: Vec<SentFrame>,
    pub(super) resends: Vec<ExchangeNumber>,
    /// Payload bytes.
    pub(super) payload: usize,
    /// Bytes of the packet, sealed.
    pub(super) len: usize,
}

impl Packing {
    fn room(&self) -> usize {
        let full = self.frames.len() >= MAX_ITEMS;
        if full { 0 } else { self.limit.saturating_sub(self.writer.sealed_len()) }
    }

    fn data_room(&self) -> usize {
        self.room().saturating_sub(MAX_DATA_OVERHEAD)
    }

    fn fact(&mut self, frame: &Frame, item: SentFrame) {
        self.writer.push(frame);
        self.frames.push(item);
    }

    /// Whether the OPEN of a stream of which the node may not have heard is in this packet, as it must be before any
    /// other frame of it.
    fn opens(&mut self, number: StreamNumber, stream: &mut Stream) -> bool {
        if stream.phase != Phase::Unconfirmed || stream.open == Pending::InFlight(self.by) {
            return true;
        }
        let open = Frame::Open {
            stream: number,
            kind: stream.traffic.flow.kind(),
            window: stream.window,
            target: stream.target.clone(),
        };
        if self.room() < open.encoded_len().saturating_add(FACT) {
            return false;
        }
        self.fact(&open, SentFrame::Open(number));
        stream.open.send_in(self.by);
        true
    }

    /// Appends what a stream sends next, of at most `room` bytes; says how many bytes that were.
    fn data(&mut self, number: StreamNumber, stream: &mut Stream, room: usize) -> Option<usize> {
        if !self.opens(number, stream) || self.room() < MAX_DATA_OVERHEAD {
            return None;
        }
        let room = room.min(self.data_room());
        let len = match &mut stream.traffic.flow {
            Flow::Tcp { send, .. } => {
                let chunk = send.next(self.by, room)?;
                self.frames.push(SentFrame::Chunk(number, chunk.seq));
                let len = chunk.len;
                self.writer.push_data(chunk.head(number), len, chunk.slices);
                len
            }
            Flow::Udp(datagrams) => {
                let bytes = datagrams.sending.pop_within(room)?;
                let len = bytes.len();
                self.writer.push(&Frame::Datagram { stream: number, bytes });
                len
            }
        };
        self.payload = self.payload.saturating_add(len);
        stream.traffic.sent(len);
        Some(len)
    }
}

impl NodeConnection {
    /// Writes the request `by`, of at most `limit` bytes.
    pub(super) fn pack(
        &mut self,
        header: &RequestHeader,
        by: ExchangeNumber,
        load: RequestPayload,
        limit: usize,
        now: Instant,
    ) -> Packed {
        let limit = match load {
            RequestPayload::Bulk(_) => {
                limit.min(usize::try_from(self.request_size.bytes()).unwrap_or(usize::MAX))
            }
            RequestPayload::Bare | RequestPayload::Probe | RequestPayload::Sparse => limit.min(SPARSE_PACKET),
        };
        let bulk = matches!(load, RequestPayload::Bulk(_));
        let capacity =
            if bulk { self.scheduler.sums.sendable.saturating_add(LEAST_CUT).min(limit) } else { 0 };
        let writer = PacketWriter::request(header, capacity);
        let mut packing = Packing { writer, by, limit, frames: Vec::new(), payload: 0 };
        let mut resends = Vec::new();
        if load != RequestPayload::Probe {
            resends = self.fill_resends(&mut packing);
            self.fill_closing(&mut packing);
            if load == RequestPayload::Sparse {
                self.fill_sparse(&mut packing, now);
            }
            self.fill_acks(&mut packing, now);
        }
        if bulk {
            self.fill_bulk(&mut packing, now);
        }
        let len = packing.writer.sealed_len();
        let Packing { writer, frames, payload, .. } = packing;
        Packed { packet: writer.finish(), frames, resends, payload, len }
    }

    fn fill_resends(&mut self, packing: &mut Packing) -> Vec<ExchangeNumber> {
        let is_queued = |progress| matches!(progress, Progress::Lost { resend, .. } if resend.is_queued());
        let due: Vec<ExchangeNumber> = self
            .exchanges
            .iter()
            .filter(|(_, record)| is_queued(record.progress))
            .map(|(number, _)| number)
            .take(packing.room() / FACT)
            .collect();
        for exchange in &due {
            packing.writer.push(&Frame::Resend { exchange: *exchange });
            self.exchanges.change(*exchange, |record| {
                if planted!(DoneOnNaming) {
                    record.progress = Progress::Done;
                }
                if let Progress::Lost { resend, .. } = &mut record.progress {
                    resend.send_in(packing.by);
                }
            });
        }
        due
    }

    fn fill_closing(&mut self, packing: &mut Packing) {
        while let Some(stream) = self.scheduler.closing.first().copied() {
            if packing.room() < FACT {
                break;
            }
            self.scheduler.closing.remove(&stream);
            let Some(closing) = self.closing.get_mut(&stream) else { continue };
            match closing.word {
                Word::Ack(next) => packing.fact(&Frame::Ack { stream, next }, SentFrame::Ack(stream)),
                Word::Reset(code) => packing.fact(&Frame::Reset { stream, code }, SentFrame::Reset(stream)),
            }
            closing.pending.send_in(packing.by);
        }
    }

    fn fill_sparse(&mut self, packing: &mut Packing, now: Instant) {
        let mut next = self.scheduler.sparse.first().copied();
        while let Some(number) = next {
            self.fill_sparse_stream(number, packing, now);
            next = self.scheduler.sparse.range((Bound::Excluded(number), Bound::Unbounded)).next().copied();
        }
    }

    fn fill_sparse_stream(&mut self, number: StreamNumber, packing: &mut Packing, now: Instant) {
        let Self { streams, scheduler, .. } = self;
        let Some(stream) = streams.get_mut(&number) else { return };
        if packing.room() < FACT || !packing.opens(number, stream) {
            return;
        }
        let by = packing.by;
        if let Flow::Tcp { recv, .. } = &mut stream.traffic.flow
            && recv.is_window_due()
            && packing.room() >= FACT
        {
            let limit = recv.put_window(by);
            packing.fact(&Frame::Window { stream: number, limit }, SentFrame::Window(number));
        }
        while stream.traffic.class() == Some(Class::Sparse) {
            let room = stream.traffic.sparse_cut();
            if packing.data(number, stream, room).is_none() {
                break;
            }
        }
        scheduler.refresh(number, &mut stream.traffic, stream.open.is_queued(), now);
    }

    fn fill_acks(&mut self, packing: &mut Packing, now: Instant) {
        let Self { streams, scheduler, .. } = self;
        while let Some(number) = scheduler.acks.first().copied() {
            let Some(stream) = streams.get_mut(&number) else { break };
            if packing.room() < FACT || !packing.opens(number, stream) {
                return;
            }
            let Flow::Tcp { recv, .. } = &mut stream.traffic.flow else { break };
            let next = recv.put_ack(packing.by);
            packing.fact(&Frame::Ack { stream: number, next }, SentFrame::Ack(number));
            scheduler.refresh(number, &mut stream.traffic, stream.open.is_queued(), now);
        }
        scheduler.note(now);
        if core::mem::take(&mut self.unreported) > 0 {
            self.reported = Some(packing.by);
            self.peer_credit = self.peer_credit.on_report();
        }
    }

    fn fill_bulk(&mut self, packing: &mut Packing, now: Instant) {
        let Self { streams, scheduler, .. } = self;
        while let Some(number) = scheduler.bulk.front().copied() {
            let Some(stream) = streams.get_mut(&number) else { break };
            let next = stream.traffic.flow.next_len();
            if stream.traffic.deficit < next {
                stream.traffic.deficit = stream.traffic.deficit.saturating_add(QUANTUM);
            }
            let room = packing.data_room();
            if room < next.min(LEAST_CUT) {
                break;
            }
            let turn = room.min(stream.traffic.deficit);
            let Some(sent) = packing.data(number, stream, turn) else { break };
            stream.traffic.deficit = stream.traffic.deficit.saturating_sub(sent);
            let turn_is_over = stream.traffic.deficit < stream.traffic.flow.next_len();
            scheduler.refresh(number, &mut stream.traffic, stream.open.is_queued(), now);
            if turn_is_over && scheduler.bulk.front() == Some(&number) {
                scheduler.pass_turn();
            }
        }
        scheduler.note(now);
    }
}
