//! A client's exchanges, from the first that it still speaks of (protocol.md 3.1, 3.2 rules 2 and 5).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::seq::Seq;
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::{MAX_STATUSES, Status};

/// Something that went into an answer and is to be repaired if that is lost. Of a fact (OPENED, RESET, ACK,
/// WINDOW) its owner knows whether it is still owed, and to which exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SentFrame {
    Chunk(StreamNumber, Seq),
    Ack(StreamNumber),
    Window(StreamNumber),
    Opened(StreamNumber),
    Reset(StreamNumber),
}

/// What became of an exchange.
///
/// ```text
///  Missing ──arrives──▶ Held ──▶ Answered ──below `done`──▶ (forgotten)
///     └── arrives, with nothing to wait for ──▶ ┘
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    /// It has not arrived.
    #[default]
    Missing,
    /// Its request is held.
    Held,
    /// It was answered; what the client is told of that.
    Answered(Status),
}

/// One exchange.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) progress: Progress,
    /// It was named in a RESEND: its answers carry nothing that needs repair, ever.
    pub(super) named: bool,
    /// What its answer carried.
    pub(super) frames: Vec<SentFrame>,
    /// How often its contents were repeated already before they went into it, as far as that still counts.
    pub(super) repeats: u32,
}

/// An exchange that has arrived, as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Below `done`: nobody will ask for it any more.
    Below,
    /// For the first time; it may have been named before.
    First,
    /// Another copy of a request that is held.
    Held,
    /// Another copy of a request that was answered.
    Answered,
}

/// The number is further from `done` than any may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooFar;

/// The exchanges from `done` to `seen`.
#[derive(Clone, Debug)]
pub(super) struct Exchanges {
    done: ExchangeNumber,
    records: VecDeque<Record>,
    /// Items in all of them.
    items: usize,
}

impl Exchanges {
    /// The exchanges of a client that has done with those below `done`.
    pub(super) const fn new(done: ExchangeNumber) -> Self {
        Self { done, records: VecDeque::new(), items: 0 }
    }

    pub(super) const fn done(&self) -> ExchangeNumber {
        self.done
    }

    /// Items that are remembered, over all exchanges.
    pub(super) const fn items(&self) -> usize {
        self.items
    }

    /// The highest exchange that has arrived.
    pub(super) fn seen(&self) -> ExchangeNumber {
        let ahead = u64::try_from(self.records.len()).unwrap_or(u64::MAX);
        ExchangeNumber::new(self.done.get().saturating_add(ahead).saturating_sub(1))
    }

    pub(super) fn get(&self, exchange: ExchangeNumber) -> Option<&Record> {
        self.records.get(self.place(exchange)?)
    }

    pub(super) fn get_mut(&mut self, exchange: ExchangeNumber) -> Option<&mut Record> {
        let place = self.place(exchange)?;
        self.records.get_mut(place)
    }

    fn place(&self, exchange: ExchangeNumber) -> Option<usize> {
        usize::try_from(exchange.get().checked_sub(self.done.get())?).ok()
    }

    /// A request of this exchange has come.
    pub(super) fn arrive(&mut self, exchange: ExchangeNumber) -> Result<Arrival, TooFar> {
        let Some(place) = self.place(exchange) else { return Ok(Arrival::Below) };
        if place >= MAX_STATUSES {
            return Err(TooFar);
        }
        while self.records.len() <= place {
            self.records.push_back(Record::default());
        }
        Ok(match self.records.get(place).map(|record| record.progress) {
            None | Some(Progress::Missing) => Arrival::First,
            Some(Progress::Held) => Arrival::Held,
            Some(Progress::Answered(_)) => Arrival::Answered,
        })
    }

    /// Forgets the exchange at the front if it lies below `done`, and gives it.
    pub(super) fn forget(&mut self, done: ExchangeNumber) -> Option<(ExchangeNumber, Record)> {
        if self.done >= done {
            return None;
        }
        let exchange = self.done;
        if let Some(record) = self.records.pop_front() {
            self.done = exchange.next();
            self.items = self.items.saturating_sub(record.frames.len());
            Some((exchange, record))
        } else {
            self.done = done;
            None
        }
    }

    /// The answer to `exchange` has gone, with these contents.
    pub(super) fn answered(
        &mut self,
        exchange: ExchangeNumber,
        size: usize,
        frames: Vec<SentFrame>,
        repeats: u32,
    ) {
        let count = frames.len();
        if let Some(record) = self.get_mut(exchange) {
            record.progress = Progress::Answered(Status::answered(size));
            record.frames = frames;
            record.repeats = repeats;
            self.items = self.items.saturating_add(count);
        }
    }

    /// Takes what the answer to `exchange` carried.
    pub(super) fn take_frames(&mut self, exchange: ExchangeNumber) -> Vec<SentFrame> {
        let frames = self.get_mut(exchange).map(|record| core::mem::take(&mut record.frames));
        let frames = frames.unwrap_or_default();
        self.items = self.items.saturating_sub(frames.len());
        frames
    }

    /// Puts back what was taken, or a part of it.
    pub(super) fn put_frames(&mut self, exchange: ExchangeNumber, frames: Vec<SentFrame>) {
        let items = frames.len();
        if let Some(record) = self.get_mut(exchange) {
            record.frames = frames;
            self.items = self.items.saturating_add(items);
        }
    }

    /// What became of the newest exchanges up to `seen`, at most `most` of them.
    pub(super) fn statuses(&self, most: usize) -> Vec<Status> {
        let first = self.records.len().saturating_sub(most);
        let told = self.records.iter().skip(first).map(|record| match record.progress {
            Progress::Missing => Status::Missing,
            Progress::Held => Status::Held,
            Progress::Answered(status) => status,
        });
        told.collect()
    }

    /// The records, for a fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.records.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn number(number: u64) -> ExchangeNumber {
        ExchangeNumber::new(number)
    }

    #[test]
    fn an_exchange_that_was_overtaken_is_missing() {
        let mut exchanges = Exchanges::new(number(3));
        assert_eq!(exchanges.arrive(number(5)), Ok(Arrival::First));
        exchanges.answered(number(5), 70_000, Vec::new(), 0);
        assert_eq!(exchanges.seen(), number(5));
        let answered = Status::Answered { size: 1 };
        assert_eq!(exchanges.statuses(9), [Status::Missing, Status::Missing, answered]);
        assert_eq!(exchanges.statuses(1), [answered]);
        assert_eq!(exchanges.arrive(number(2)), Ok(Arrival::Below));
        assert_eq!(exchanges.arrive(number(5)), Ok(Arrival::Answered));
    }

    #[test]
    fn what_is_done_is_forgotten_in_order() {
        let mut exchanges = Exchanges::new(number(0));
        exchanges.arrive(number(1)).unwrap();
        exchanges.answered(number(0), 1, alloc::vec![SentFrame::Ack(StreamNumber::ZERO)], 0);
        assert_eq!(exchanges.items(), 1);
        assert_eq!(exchanges.forget(number(1)).map(|(exchange, _)| exchange), Some(number(0)));
        assert_eq!(exchanges.items(), 0);
        assert!(exchanges.forget(number(1)).is_none());
        assert_eq!((exchanges.done(), exchanges.seen()), (number(1), number(1)));
    }

    #[test]
    fn nobody_has_more_exchanges_than_a_response_can_tell_of() {
        let mut exchanges = Exchanges::new(number(1));
        assert_eq!(exchanges.arrive(number(4097)), Err(TooFar));
        assert_eq!(exchanges.arrive(number(4096)), Ok(Arrival::First));
    }
}
