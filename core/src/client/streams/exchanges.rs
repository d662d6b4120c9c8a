//! Exchanges of a client, from the first that the node still has to remember (protocol.md 3.1, 3.2 rules 4 and 5).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::client::streams::round_trips::Size;
use crate::connection::pending::Pending;
use crate::id::RelayId;
use crate::time::Instant;
use crate::wire::number::ExchangeNumber;

/// State of an exchange's answer.
///
/// ```text
///         status: answered
///   Out ───────────────────▶ Reported
///    │ ╲                       │  │
///    │  └──── loss ──┐ ┌─ loss ┘  │ answer
///    │               ▼ ▼          │
///    │ answer       Lost ── answer, or a carrier of its RESEND arrived ──┐
///    ▼               │                                                   ▼
///   Done ◀───────────┴───────────────────────────────────────────────── Done
/// ```
/// An exchange that allowed a header only is done when it is sent: its answer is never asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    /// It is in flight.
    Out,
    /// The node has answered it, with `size` times 64 KiB, as the client learned at this time.
    Reported { at: Instant, size: u32 },
    /// Its answer is lost. `resend` is the RESEND that asks for its frames.
    Lost { resend: Pending, size: u32 },
    /// Nothing of it is needed any more.
    Done,
}

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RequestPayload {
    /// Neither payload nor an end.
    Bare,
    /// A hello, or a header that probes a relay.
    Probe,
    /// Sparse payload, OPEN, RESET, WINDOW.
    Sparse,
    /// So many bytes of payload in bulk.
    Bulk(usize),
}

/// One exchange.
#[derive(Clone, Debug, Hash)]
pub(super) struct Record {
    pub(super) relay: RelayId,
    pub(super) sent: Instant,
    /// When its hold ends at the latest, not counting the way to the node.
    pub(super) held_until: Instant,
    pub(super) size: Size,
    /// Bytes of the request or, if that is more, of the largest answer.
    pub(super) bytes: u64,
    /// Bytes of the largest response to it.
    pub(super) max_response: u64,
    /// Bytes of the largest request that it could have been in bulk.
    pub(super) max_request: u64,
    pub(super) payload: RequestPayload,
    /// The exchanges whose answers it asks for again.
    pub(super) resends: Vec<ExchangeNumber>,
    pub(super) progress: Progress,
    /// Whether the node is known to have it.
    pub(super) arrived: bool,
    /// Whether others were in flight when it was sent, which can acknowledge its payload.
    pub(super) accompanied: bool,
    /// Whether its answer has begun to come.
    pub(super) answering: bool,
}

impl Record {
    /// A request for nothing but a header.
    pub(super) const fn header_only(relay: RelayId, now: Instant) -> Self {
        Self {
            relay,
            sent: now,
            held_until: now,
            size: Size::Small,
            bytes: 0,
            max_response: 0,
            max_request: 0,
            payload: RequestPayload::Probe,
            resends: Vec::new(),
            progress: Progress::Out,
            arrived: false,
            accompanied: false,
            answering: false,
        }
    }

    /// Whether the node may be holding it.
    pub(super) const fn waits(&self) -> bool {
        matches!(self.progress, Progress::Out) && !matches!(self.payload, RequestPayload::Probe)
    }

    /// Whether a RESEND of it is to be sent.
    pub(super) const fn is_resend_due(&self) -> bool {
        matches!(self.progress, Progress::Lost { resend: Pending::Queued, .. })
    }

    /// Whether its answer is still expected.
    pub(super) const fn is_out(&self) -> bool {
        matches!(self.progress, Progress::Out | Progress::Reported { .. })
    }

    /// Whether `done` may pass it.
    const fn is_passed(&self) -> bool {
        matches!((self.progress, self.payload), (Progress::Done, _) | (_, RequestPayload::Probe))
    }
}

/// Counters over the exchanges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tally {
    /// Those that the node may be holding.
    pub(super) waiting: usize,
    /// Those that the node has answered, and whose answer has not arrived.
    pub(super) under_way: usize,
    /// Lost ones whose RESEND is queued.
    pub(super) resends_due: usize,
    /// Lost ones that are not done.
    pub(super) lost: usize,
    /// What their answers had, in units of 64 KiB.
    pub(super) lost_size: usize,
    /// With sparse payload, neither lost nor known to have arrived.
    pub(super) sparse: usize,
    /// With bulk, likewise; and their payload.
    pub(super) bulk: usize,
    pub(super) bulk_bytes: usize,
}

impl Tally {
    fn count(&mut self, record: &Record, step: impl Fn(usize, usize) -> usize) {
        let add = |counter: &mut usize, more: usize| *counter = step(*counter, more);
        add(&mut self.waiting, usize::from(record.waits()));
        add(&mut self.resends_due, usize::from(record.is_resend_due()));
        match record.progress {
            Progress::Out | Progress::Done => {}
            Progress::Reported { .. } => add(&mut self.under_way, 1),
            Progress::Lost { size, .. } => {
                add(&mut self.lost, 1);
                add(&mut self.lost_size, usize::try_from(size).unwrap_or(usize::MAX));
            }
        }
        match record.payload {
            _ if record.arrived || !record.is_out() => {}
            RequestPayload::Bare | RequestPayload::Probe => {}
            RequestPayload::Sparse => add(&mut self.sparse, 1),
            RequestPayload::Bulk(bytes) => {
                add(&mut self.bulk, 1);
                add(&mut self.bulk_bytes, bytes);
            }
        }
    }
}

/// The exchanges of a connection.
#[derive(Clone, Debug, Hash)]
pub(super) struct Exchanges {
    /// The number of the first record.
    first: ExchangeNumber,
    records: VecDeque<Record>,
    done: ExchangeNumber,
    tally: Tally,
}

impl Exchanges {
    /// Exchanges from `next` on; those before it were hellos.
    pub(super) fn new(next: ExchangeNumber) -> Self {
        Self { first: next, records: VecDeque::new(), done: next, tally: Tally::default() }
    }

    /// The number of the next one.
    pub(super) fn next(&self) -> ExchangeNumber {
        let count = u64::try_from(self.records.len()).unwrap_or(u64::MAX);
        ExchangeNumber::new(self.first.get().saturating_add(count))
    }

    /// The first that is remembered.
    pub(super) const fn oldest(&self) -> ExchangeNumber {
        self.first
    }

    /// The node may forget every exchange below.
    pub(super) const fn done(&self) -> ExchangeNumber {
        self.done
    }

    /// How many there are from `done` on.
    pub(super) fn span(&self) -> u64 {
        self.next().get().saturating_sub(self.done.get())
    }

    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn get(&self, number: ExchangeNumber) -> Option<&Record> {
        self.records.get(self.index(number)?)
    }

    fn index(&self, number: ExchangeNumber) -> Option<usize> {
        usize::try_from(number.get().checked_sub(self.first.get())?).ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ExchangeNumber, &Record)> {
        (self.first.get()..).map(ExchangeNumber::new).zip(&self.records)
    }

    /// An exchange is sent.
    pub(super) fn push(&mut self, record: Record) {
        self.tally.count(&record, usize::saturating_add);
        self.records.push_back(record);
        self.pass();
    }

    /// The one place in which a record changes.
    pub(super) fn change<T>(
        &mut self,
        number: ExchangeNumber,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Option<T> {
        let index = self.index(number)?;
        let record = self.records.get_mut(index)?;
        self.tally.count(record, usize::saturating_sub);
        let result = change(record);
        self.tally.count(record, usize::saturating_add);
        self.pass();
        Some(result)
    }

    /// Advances `done`, and forgets exchanges below it.
    fn pass(&mut self) {
        while self.get(self.done).is_some_and(Record::is_passed) {
            self.done = self.done.next();
        }
        while self.first < self.done
            && self.records.front().is_some_and(|record| record.progress == Progress::Done)
        {
            self.records.pop_front();
            self.first = self.first.next();
        }
    }
}
