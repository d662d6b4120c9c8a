//! Exchanges of a client, from the first that is not done (protocol.md 3.1, 3.2 rules 2 and 5).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::node::action::ClientFault;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{MAX_STATUSES, Status};

/// State of an exchange.
///
/// ```text
///  Missing ──arrives──▶ Held ──▶ Answered ──below `done`──▶ (forgotten)
///     └── arrives, with nothing to wait for ──▶ ┘
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    /// It has not arrived; it may have been named in a RESEND before.
    #[default]
    Missing,
    /// Its request is held.
    Held,
    /// It was answered, with this status.
    Answered(Status),
}

/// One exchange.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Record {
    progress: Progress,
    /// It was named in a RESEND: its answers carry a header only.
    named: bool,
    /// How often its frames had been repeated before they went into it.
    repeats: u32,
}

/// The exchanges from `done` to `seen`.
#[derive(Clone, Debug, Hash)]
pub(super) struct Exchanges {
    done: ExchangeNumber,
    records: VecDeque<Record>,
}

impl Exchanges {
    /// The exchanges of a client that has done with those below `done`.
    pub(super) const fn new(done: ExchangeNumber) -> Self {
        Self { done, records: VecDeque::new() }
    }

    pub(super) const fn done(&self) -> ExchangeNumber {
        self.done
    }

    /// The highest exchange that has arrived.
    pub(super) fn seen(&self) -> ExchangeNumber {
        let ahead = u64::try_from(self.records.len()).unwrap_or(u64::MAX);
        ExchangeNumber::new(self.done.get().saturating_add(ahead).saturating_sub(1))
    }

    /// The client names an exchange in a RESEND. None if it is not among these.
    pub(super) fn name(&mut self, exchange: ExchangeNumber) -> Option<()> {
        self.get_mut(exchange)?.named = true;
        Some(())
    }

    /// Whether an exchange was named in a RESEND: its answers carry a header only.
    pub(super) fn is_named(&self, exchange: ExchangeNumber) -> bool {
        self.get(exchange).is_some_and(|record| record.named)
    }

    /// How often the frames of an exchange had been repeated before they went into it.
    pub(super) fn repeats(&self, exchange: ExchangeNumber) -> u32 {
        self.get(exchange).map_or(0, |record| record.repeats)
    }

    fn get(&self, exchange: ExchangeNumber) -> Option<&Record> {
        self.records.get(self.index(exchange)?)
    }

    fn get_mut(&mut self, exchange: ExchangeNumber) -> Option<&mut Record> {
        let index = self.index(exchange)?;
        self.records.get_mut(index)
    }

    fn index(&self, exchange: ExchangeNumber) -> Option<usize> {
        usize::try_from(exchange.get().checked_sub(self.done.get())?).ok()
    }

    /// A request of this exchange has arrived: the state before. None below `done`: the client will not ask for it any
    /// more.
    pub(super) fn arrive(&mut self, exchange: ExchangeNumber) -> Result<Option<Progress>, ClientFault> {
        let Some(index) = self.index(exchange) else { return Ok(None) };
        if index >= MAX_STATUSES {
            return Err(ClientFault::TooManyExchanges);
        }
        while self.records.len() <= index {
            self.records.push_back(Record::default());
        }
        Ok(self.records.get(index).map(|record| record.progress))
    }

    /// Forgets the exchanges below `done`.
    pub(super) fn forget_below(&mut self, done: ExchangeNumber) {
        while self.done < done {
            self.done = if self.records.pop_front().is_some() { self.done.next() } else { done };
        }
    }

    /// The request of `exchange` is held.
    pub(super) fn hold(&mut self, exchange: ExchangeNumber) {
        if let Some(record) = self.get_mut(exchange) {
            record.progress = Progress::Held;
        }
    }

    /// The exchange is answered.
    pub(super) fn answered(&mut self, exchange: ExchangeNumber, size: usize, repeats: u32) {
        if let Some(record) = self.get_mut(exchange) {
            record.progress = Progress::Answered(Status::answered(size));
            record.repeats = repeats;
        }
    }

    /// The statuses of the newest exchanges up to `seen`, at most `most` of them.
    pub(super) fn statuses(&self, most: usize) -> Vec<Status> {
        let first = self.records.len().saturating_sub(most);
        let statuses = self.records.iter().skip(first).map(|record| match record.progress {
            Progress::Missing => Status::Missing,
            Progress::Held => Status::Held,
            Progress::Answered(status) => status,
        });
        statuses.collect()
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
        assert_eq!(exchanges.arrive(number(5)), Ok(Some(Progress::Missing)));
        exchanges.answered(number(5), 70_000, 0);
        assert_eq!(exchanges.seen(), number(5));
        let answered = Status::Answered { size: 1 };
        assert_eq!(exchanges.statuses(9), [Status::Missing, Status::Missing, answered]);
        assert_eq!(exchanges.statuses(1), [answered]);
        assert_eq!(exchanges.arrive(number(2)), Ok(None));
        assert!(matches!(exchanges.arrive(number(5)), Ok(Some(Progress::Answered(_)))));
    }

    #[test]
    fn what_is_done_is_forgotten() {
        let mut exchanges = Exchanges::new(number(0));
        exchanges.arrive(number(1)).unwrap();
        exchanges.forget_below(number(1));
        assert!(exchanges.get(number(0)).is_none());
        assert_eq!((exchanges.done(), exchanges.seen()), (number(1), number(1)));
        exchanges.forget_below(number(9));
        assert_eq!(exchanges.done(), number(9));
    }

    #[test]
    fn a_client_has_no_more_exchanges_than_a_response_has_statuses() {
        let mut exchanges = Exchanges::new(number(1));
        assert_eq!(exchanges.arrive(number(4097)), Err(ClientFault::TooManyExchanges));
        assert_eq!(exchanges.arrive(number(4096)), Ok(Some(Progress::Missing)));
    }
}
