//! Decision on answering held requests of level 2 (protocol.md 3.2 rules 7 and 8), a pure function of instants and counts.

use core::time::Duration;

use crate::connection::scheduler::WaitTimes;
use crate::node::requests::Part;
use crate::time::{Instant, share};
use crate::timer::TimerKind;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::ResponseRoom;

/// One copy of a request that is not answered yet.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct HeldExchange {
    /// Where it is answered.
    pub(super) at: Part,
    /// When it came.
    pub(super) arrived: Instant,
    /// When it is answered at the latest.
    pub(super) until: Instant,
    /// How large its answer may be.
    pub(super) max_response: ResponseRoom,
}

/// What an answer carries beside acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponsePayload {
    /// Everything that waits, sparse data before bulk.
    Anything,
    /// Data in bulk.
    Bulk,
    /// The frames of this exchange, repeated.
    Repeat(ExchangeNumber),
}

/// Decision on the held requests of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Answer this exchange.
    Answer(ExchangeNumber, ResponsePayload),
    /// Wait until this time, or for an event.
    Wait(Option<(Instant, TimerKind)>),
}

/// Inputs of the decision.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HoldInputs {
    /// How many requests are held, and how many may be.
    pub(super) held: usize,
    pub(super) max_held: usize,
    /// How many of them bulk leaves for sparse data.
    pub(super) reserve: usize,
    /// The lowest exchange that is held.
    pub(super) lowest: Option<ExchangeNumber>,
    /// The held exchange whose hold ends first, and when.
    pub(super) ends: Option<(Instant, ExchangeNumber)>,
    /// How long something of each kind has waited.
    pub(super) prompt: Option<WaitTimes>,
    pub(super) bulk: Option<WaitTimes>,
    pub(super) acks: Option<Instant>,
    /// Whether the bulk fills the lowest request, or is of several streams, which do not wait for each other.
    pub(super) ready: bool,
    /// The small answer that is first to be repeated, and when.
    pub(super) repeat: Option<(Instant, ExchangeNumber)>,
}

/// How long frames wait for others to share an answer with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delays {
    /// After the last bytes.
    pub(super) settle: Duration,
    /// While bytes keep coming.
    pub(super) fill: Duration,
    /// Acknowledgements, for bytes to travel with.
    pub(super) acks: Duration,
}

impl Delays {
    /// Until when sparse data waits.
    fn sparse(&self, waiting: WaitTimes) -> Instant {
        let fill = waiting.since.saturating_add(self.fill.max(self.settle));
        waiting.grew.saturating_add(self.settle).min(fill)
    }

    /// Until when bulk waits. Where it is not ready to go, a little longer for the next bytes, so that these need no round
    /// trip of their own.
    fn bulk(&self, waiting: WaitTimes, ready: bool) -> Instant {
        let gap = share(self.fill, 1, 4).max(self.settle);
        let settled = waiting.since.saturating_add(self.settle);
        if ready { settled } else { Self { settle: gap, ..*self }.sparse(waiting) }
    }
}

impl HoldInputs {
    /// The decision at `now`.
    pub(super) fn decide(&self, now: Instant, delays: Delays) -> Decision {
        let Some(lowest) = self.lowest else { return Decision::Wait(None) };
        if let Some((until, exchange)) = self.ends
            && until <= now
        {
            return Decision::Answer(exchange, ResponsePayload::Anything);
        }
        if self.held > self.max_held {
            return Decision::Answer(lowest, ResponsePayload::Anything);
        }
        // From here on no more are held than the client wants.
        let bulk = self.bulk.filter(|_| self.held > self.reserve);
        let due = [
            self.repeat.map(|(at, exchange)| (at, TimerKind::Confirm, ResponsePayload::Repeat(exchange))),
            self.prompt.map(|waiting| (delays.sparse(waiting), TimerKind::Settle, ResponsePayload::Anything)),
            bulk.map(|waiting| (delays.bulk(waiting, self.ready), TimerKind::Settle, ResponsePayload::Bulk)),
            self.acks.map(|since| {
                (since.saturating_add(delays.acks), TimerKind::AckDelay, ResponsePayload::Anything)
            }),
        ];
        let due = || due.iter().flatten();
        if let Some((_, _, payload)) = due().find(|(at, _, _)| *at <= now) {
            return Decision::Answer(lowest, *payload);
        }
        let ends = self.ends.map(|(until, _)| (until, TimerKind::Hold));
        Decision::Wait(due().map(|(at, timer, _)| (*at, *timer)).chain(ends).min())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Delays = Delays {
        settle: Duration::from_micros(10),
        fill: Duration::from_micros(80),
        acks: Duration::from_micros(50),
    };
    const LOW: ExchangeNumber = ExchangeNumber::new(3);
    const HIGH: ExchangeNumber = ExchangeNumber::new(4);

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    /// Two requests are held, the higher of which ends first, at 100; two may be.
    fn two() -> HoldInputs {
        let ends = Some((at(100), HIGH));
        HoldInputs { held: 2, max_held: 2, reserve: 1, lowest: Some(LOW), ends, ..HoldInputs::default() }
    }

    fn waiting(since: u64, grew: u64) -> Option<WaitTimes> {
        Some(WaitTimes { since: at(since), grew: at(grew) })
    }

    fn decide(inputs: HoldInputs, now: u64) -> Decision {
        inputs.decide(at(now), DELAYS)
    }

    const fn wait(until: u64, timer: TimerKind) -> Decision {
        Decision::Wait(Some((Instant::from_micros(until), timer)))
    }

    #[test]
    fn a_hold_that_ends_is_answered_whichever_it_is() {
        assert_eq!(decide(two(), 99), wait(100, TimerKind::Hold));
        assert_eq!(decide(two(), 100), Decision::Answer(HIGH, ResponsePayload::Anything));
    }

    #[test]
    fn beyond_max_held_the_lowest_is_answered_at_once() {
        let three = HoldInputs { held: 3, ..two() };
        assert_eq!(decide(three, 0), Decision::Answer(LOW, ResponsePayload::Anything));
    }

    #[test]
    fn frames_wait_for_a_settle_and_acknowledgements_longer() {
        let prompt = HoldInputs { prompt: waiting(5, 5), acks: Some(at(0)), ..two() };
        assert_eq!(decide(prompt, 14), wait(15, TimerKind::Settle));
        assert_eq!(decide(prompt, 15), Decision::Answer(LOW, ResponsePayload::Anything));
        let acks = HoldInputs { acks: Some(at(5)), ..two() };
        assert_eq!(decide(acks, 54), wait(55, TimerKind::AckDelay));
        assert_eq!(decide(acks, 55), Decision::Answer(LOW, ResponsePayload::Anything));
    }

    #[test]
    fn bulk_leaves_the_reserve_for_sparse_data() {
        let bulk = HoldInputs { bulk: waiting(0, 0), ready: true, ..two() };
        assert_eq!(decide(bulk, 10), Decision::Answer(LOW, ResponsePayload::Bulk));
        assert_eq!(decide(HoldInputs { held: 1, ..bulk }, 10), wait(100, TimerKind::Hold));
        let only = HoldInputs { held: 1, reserve: 0, ..bulk };
        assert_eq!(decide(only, 10), Decision::Answer(LOW, ResponsePayload::Bulk));
    }

    #[test]
    fn sparse_data_waits_for_as_long_as_more_comes_but_not_for_long() {
        let coming = |grew| HoldInputs { prompt: waiting(0, grew), ..two() };
        assert_eq!(decide(coming(9), 10), wait(19, TimerKind::Settle));
        assert_eq!(decide(coming(75), 79), wait(80, TimerKind::Settle));
        assert_eq!(decide(coming(75), 80), Decision::Answer(LOW, ResponsePayload::Anything));
    }

    #[test]
    fn bulk_that_does_not_fill_its_answer_waits_longer_for_the_next_bytes() {
        let coming = |grew| HoldInputs { bulk: waiting(0, grew), ..two() };
        assert_eq!(decide(coming(9), 19), wait(29, TimerKind::Settle));
        assert_eq!(decide(coming(75), 79), wait(80, TimerKind::Settle));
        assert_eq!(decide(coming(9), 29), Decision::Answer(LOW, ResponsePayload::Bulk));
        assert_eq!(
            decide(HoldInputs { ready: true, ..coming(9) }, 19),
            Decision::Answer(LOW, ResponsePayload::Bulk)
        );
    }

    #[test]
    fn a_small_answer_is_repeated_in_the_lowest_that_is_held() {
        let repeat = HoldInputs { repeat: Some((at(20), ExchangeNumber::ZERO)), ..two() };
        assert_eq!(decide(repeat, 19), wait(20, TimerKind::Confirm));
        assert_eq!(decide(repeat, 20), Decision::Answer(LOW, ResponsePayload::Repeat(ExchangeNumber::ZERO)));
        let none = HoldInputs { held: 0, lowest: None, ends: None, ..repeat };
        assert_eq!(decide(none, 20), Decision::Wait(None));
    }
}
