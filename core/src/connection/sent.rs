//! Packets in flight, and the frames that each of them carried (protocol.md 3.2 rule 5).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::seq::Seq;
use crate::wire::number::{ExchangeNumber, StreamNumber};

/// A frame that is sent again if its packet is lost. Whether it still has to be is known where its value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SentFrame {
    /// OPEN at the client, OPENED at the node.
    Opening(StreamNumber),
    /// DATA.
    Chunk(StreamNumber, Seq),
    /// ACK.
    Ack(StreamNumber),
    /// WINDOW.
    Window(StreamNumber),
    /// RESET.
    Reset(StreamNumber),
}

impl SentFrame {
    /// The stream that it belongs to.
    pub(crate) const fn stream(self) -> StreamNumber {
        match self {
            Self::Opening(stream)
            | Self::Chunk(stream, _)
            | Self::Ack(stream)
            | Self::Window(stream)
            | Self::Reset(stream) => stream,
        }
    }
}

/// The frames of every packet that may still turn out to be lost.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct SentPackets {
    packets: BTreeMap<ExchangeNumber, Vec<SentFrame>>,
    /// Frames in all of them.
    frames: usize,
}

impl SentPackets {
    /// The packet of `exchange` carries these frames.
    pub(super) fn insert(&mut self, exchange: ExchangeNumber, frames: Vec<SentFrame>) {
        if !frames.is_empty() {
            self.frames = self.frames.saturating_add(frames.len());
            let before = self.packets.insert(exchange, frames);
            self.frames = self.frames.saturating_sub(before.map_or(0, |frames| frames.len()));
        }
    }

    /// What the packet of `exchange` carried.
    pub(super) fn frames(&self, exchange: ExchangeNumber) -> &[SentFrame] {
        self.packets.get(&exchange).map_or(&[], Vec::as_slice)
    }

    /// Takes what the packet of `exchange` carried: it has arrived, or it is lost.
    pub(super) fn take(&mut self, exchange: ExchangeNumber) -> Vec<SentFrame> {
        let frames = self.packets.remove(&exchange).unwrap_or_default();
        self.frames = self.frames.saturating_sub(frames.len());
        frames
    }

    /// Takes the frames of the first packet below `exchange`, if there is one.
    pub(super) fn take_below(
        &mut self,
        exchange: ExchangeNumber,
    ) -> Option<(ExchangeNumber, Vec<SentFrame>)> {
        let first = *self.packets.first_key_value()?.0;
        (first < exchange).then(|| (first, self.take(first)))
    }

    /// How many frames there are in all packets.
    pub(super) const fn len(&self) -> usize {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn number(number: u64) -> ExchangeNumber {
        ExchangeNumber::new(number)
    }

    #[test]
    fn frames_are_given_back_once() {
        let mut sent = SentPackets::default();
        let ack = SentFrame::Ack(StreamNumber::ZERO);
        sent.insert(number(3), alloc::vec![ack; 2]);
        sent.insert(number(4), alloc::vec![ack]);
        assert_eq!((sent.len(), sent.frames(number(3)).len()), (3, 2));
        assert_eq!(sent.take(number(3)), [ack; 2]);
        assert_eq!((sent.len(), sent.take(number(3)).len()), (1, 0));
    }

    #[test]
    fn packets_below_a_number_are_given_in_order() {
        let mut sent = SentPackets::default();
        for exchange in [5, 2, 9] {
            sent.insert(number(exchange), alloc::vec![SentFrame::Ack(StreamNumber::ZERO)]);
        }
        let below = core::iter::from_fn(|| sent.take_below(number(6))).map(|(exchange, _)| exchange);
        assert_eq!(below.collect::<Vec<_>>(), [number(2), number(5)]);
        assert_eq!(sent.len(), 1);
    }
}
