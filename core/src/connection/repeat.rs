//! Repetition of frames that are in flight (protocol.md 3.2 rules 2 and 7).

use alloc::vec::Vec;

use crate::connection::assemble::{Assembler, SPARSE_PACKET};
use crate::connection::pending::Pending;
use crate::connection::sent::SentFrame;
use crate::connection::{Connection, Side};
use crate::seq::Seq;
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::number::{ExchangeNumber, StreamNumber};

impl<S: Side> Connection<S> {
    /// Writes the frames of an exchange into another packet of the same exchange. Its header may have grown since: frames
    /// that find no room are sent in another exchange.
    pub(crate) fn fill_again(&mut self, packet: &mut Assembler<'_>, now: Instant) {
        let exchange = packet.by();
        let frames = self.sent.take(exchange);
        let (put, left): (Vec<SentFrame>, Vec<SentFrame>) =
            frames.into_iter().partition(|frame| self.put_again(*frame, packet));
        // What was left out is not acknowledged with the exchange.
        self.sent.insert(exchange, put);
        for frame in left {
            self.frame_lost(frame, exchange, now);
        }
    }

    /// Appends a frame that was sent before, as far as it still counts. Whether there was room.
    fn put_again(&self, frame: SentFrame, packet: &mut Assembler<'_>) -> bool {
        let stream = frame.stream();
        let known = self.streams.get(&stream);
        match (frame, known) {
            (SentFrame::Chunk(_, seq), Some(known)) => {
                let Some(chunk) = known.send_half().and_then(|send| send.again(seq)) else { return true };
                if chunk.len > packet.data_room() {
                    return false;
                }
                packet.put_chunk(stream, chunk, false);
                true
            }
            (SentFrame::Opening(_), Some(known)) => {
                packet.put(|| known.socket().opening(stream, known.kind()), None)
            }
            (SentFrame::Window(_), Some(known)) => known
                .recv_half()
                .is_none_or(|recv| packet.put(|| Frame::Window { stream, limit: recv.limit() }, None)),
            (SentFrame::Ack(_), Some(known)) => known
                .recv_half()
                .is_none_or(|recv| packet.put(|| Frame::Ack { stream, next: recv.taken() }, None)),
            (SentFrame::Ack(_) | SentFrame::Reset(_), None) => {
                self.closing.get(&stream).is_none_or(|closing| packet.put(|| closing.frame(stream).0, None))
            }
            (SentFrame::Chunk(..) | SentFrame::Opening(_) | SentFrame::Window(_), None)
            | (SentFrame::Reset(_), Some(_)) => true,
        }
    }

    /// Whether anything vital that the packet of `exchange` carried is still in flight with it.
    pub(crate) fn needs_repeat(&self, exchange: ExchangeNumber) -> bool {
        let carried = Pending::InFlight(exchange);
        self.sent.frames(exchange).iter().any(|frame| {
            let stream = self.streams.get(&frame.stream());
            match *frame {
                SentFrame::Chunk(_, seq) => {
                    let send = stream.and_then(|stream| stream.send_half());
                    send.is_some_and(|send| send.carrier(seq) == Some(exchange))
                }
                SentFrame::Opening(_) => stream.is_some_and(|stream| stream.opening() == carried),
                SentFrame::Reset(number) => {
                    self.closing.get(&number).is_some_and(|closing| closing.pending() == carried)
                }
                SentFrame::Ack(_) | SentFrame::Window(_) => false,
            }
        })
    }

    /// The chunks of the packet of `exchange` once more. The other frames of it are queued again.
    pub(crate) fn fill_repeat(&mut self, exchange: ExchangeNumber, packet: &mut Assembler<'_>, now: Instant) {
        packet.narrow(SPARSE_PACKET);
        for frame in self.sent.frames(exchange).to_vec() {
            match frame {
                SentFrame::Chunk(number, seq) => {
                    self.repeat_chunk(number, seq, exchange, packet);
                    self.refresh(number, now);
                }
                SentFrame::Opening(_) | SentFrame::Reset(_) | SentFrame::Ack(_) | SentFrame::Window(_) => {
                    self.frame_lost(frame, exchange, now);
                }
            }
        }
    }

    fn repeat_chunk(
        &mut self,
        number: StreamNumber,
        seq: Seq,
        exchange: ExchangeNumber,
        packet: &mut Assembler<'_>,
    ) {
        let (by, room) = (packet.by(), packet.data_room());
        if let Some(send) = self.streams.get_mut(&number).and_then(|stream| stream.send_half_mut())
            && send.carrier(seq) == Some(exchange)
            && let Some(chunk) = send.repeat(seq, by, room)
        {
            packet.put_chunk(number, chunk, true);
        }
    }
}
