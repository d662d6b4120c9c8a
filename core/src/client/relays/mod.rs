//! The relay table: what the client knows of each relay, and which one to use next.

pub(super) mod path;

use alloc::vec::Vec;
use core::time::Duration;

use crate::client::action::ClientNotice;
use crate::config::{Balance, ClientConfig, RelayOptions};
#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;
use crate::id::RelayId;
use crate::time::{Instant, micros};
use crate::timer::{TimerKind, TimerSlot};

/// How long a relay is taken for one that does not hold polls after it answered one early.
const NO_HOLD_MEMORY: Duration = Duration::from_secs(60);

/// An empty poll that is answered sooner than this was not held.
pub(super) const HOLD_THRESHOLD: Duration = Duration::from_millis(1500);

/// The first pause after a relay could not be reached; doubled each time.
const UNREACHABLE_BACKOFF: Duration = Duration::from_millis(250);

/// The longest that a relay is left alone because it asked for it: absurd values lose it for no longer, and
/// one call an hour costs nothing.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(60 * 60);

/// The smallest body limit that refusals can lower a relay to.
const SMALLEST_BODY: usize = 64 * 1024;

/// One relay.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    pub(super) id: RelayId,
    pub(super) options: RelayOptions,
    /// Largest request body, lowered when the relay refuses one.
    pub(super) max_body: usize,
    pub(super) seq: SeqPath,
    /// Whether `connect_data` passes; false once it was refused.
    pub(super) connect_data: bool,
    pub(super) timer: TimerSlot,
    health: Health,
    /// How often in a row the relay was taken out.
    setbacks: u32,
    in_flight: usize,
    round_trip: Option<Duration>,
    budget: Option<Budget>,
    not_holding_until: Option<Instant>,
    /// Whether an observer was told that the relay loses `seq`.
    told_lost: bool,
}

/// Whether `seq` survives the way through a relay.
///
/// ```text
///             echo came back
///   Unknown ───────────────────▶ Kept
///      │  ▲ probe lost            │
///      ▼  │                       │ a reply without seq
///   Probing ────────────────────▶ Lost  (for good: protocol.md 2)
///             came back without
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SeqPath {
    Unknown,
    Probing,
    Kept,
    Lost,
}

/// ```text
///   Up ── strikes, unreachable, refused ──▶ Down ── an answer; after a refusal not before `until` ──▶ Up
///    └──◀── old strikes expire ──┘           └──▶ tried again when `until` has come
/// ```
#[derive(Clone, Debug)]
enum Health {
    Up { strikes: u32, since: Instant },
    Down { until: Instant, why: Down },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Down {
    /// It times out or answers garbage: used all the same when nothing else is left.
    Failing,
    /// It cannot be reached: not used before its time, unless an answer shows that it can.
    Unreachable,
    /// It asked to be left alone: not used before its time, whatever calls that were out already bring.
    Refusing,
}

#[derive(Clone, Debug)]
struct Budget {
    limit: u64,
    spent: u64,
    renews: Instant,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Relay {
    fn new(id: RelayId, options: RelayOptions, now: Instant) -> Self {
        let budget = options.daily_calls.map(|limit| Budget {
            limit,
            spent: 0,
            renews: now.saturating_add(options.budget_resets_in),
        });
        Self {
            id,
            max_body: options.max_body,
            options,
            seq: SeqPath::Unknown,
            connect_data: true,
            timer: TimerSlot::default(),
            health: Health::Up { strikes: 0, since: now },
            setbacks: 0,
            in_flight: 0,
            round_trip: None,
            budget,
            not_holding_until: None,
            told_lost: false,
        }
    }

    /// A call goes out. Tells when it was the last one of the budget.
    pub(super) fn on_sent(&mut self, now: Instant) -> Option<ClientNotice> {
        self.on_timeout(now);
        self.in_flight = self.in_flight.saturating_add(1);
        let budget = self.budget.as_mut()?;
        budget.spent = budget.spent.saturating_add(1);
        (budget.spent >= budget.limit)
            .then_some(ClientNotice::BudgetSpent { relay: self.id, until: budget.renews })
    }

    /// A call has ended, in whatever way.
    pub(super) fn on_ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A call brought usable replies. Tells when that ends a time out.
    pub(super) fn on_answer(&mut self, now: Instant) -> Option<ClientNotice> {
        if self.is_refusing(now) {
            return None;
        }
        let was_down = matches!(self.health, Health::Down { .. });
        self.health = Health::Up { strikes: 0, since: now };
        self.setbacks = if planted!(BackoffGrows) { self.setbacks } else { 0 };
        was_down.then_some(ClientNotice::RelayUp { relay: self.id })
    }

    /// A measured round trip without the node's hold.
    pub(super) fn on_round_trip(&mut self, sample: Duration) {
        self.round_trip = Some(match self.round_trip {
            None => sample,
            // RFC 6298 section 2: one eighth of the new sample.
            Some(old) => {
                Duration::from_micros((micros(old).saturating_mul(7) / 8).saturating_add(micros(sample) / 8))
            }
        });
    }

    /// A rough round trip, for as long as there is no better one.
    pub(super) fn on_first_round_trip(&mut self, sample: Duration) {
        self.round_trip.get_or_insert(sample);
    }

    /// A call failed in a way that is the relay's fault. Tells when the relay is taken out for it.
    pub(super) fn on_strike(&mut self, now: Instant, config: &ClientConfig) -> Option<ClientNotice> {
        match &mut self.health {
            Health::Up { strikes, since } => {
                if now.saturating_since(*since) > config.strike_window {
                    *strikes = 0;
                }
                if *strikes == 0 {
                    *since = now;
                }
                *strikes = strikes.saturating_add(1);
                if *strikes < config.strikes {
                    return None;
                }
            }
            // One pause for all the calls that were in flight when it went out.
            Health::Down { until, .. } if now < *until => return None,
            Health::Down { .. } => {}
        }
        let pause = self.backoff(config.relay_backoff, config.relay_backoff_max);
        self.take_out(now, pause, Down::Failing)
    }

    /// The relay could not be reached at all.
    pub(super) fn on_unreachable(&mut self, now: Instant, config: &ClientConfig) -> Option<ClientNotice> {
        let known = matches!(self.health, Health::Down { until, why: Down::Unreachable } if now < until);
        if known || self.is_refusing(now) {
            return None;
        }
        let pause = self.backoff(UNREACHABLE_BACKOFF, config.relay_backoff_max);
        self.take_out(now, pause, Down::Unreachable)
    }

    /// The relay refused a call, and is left alone for `pause`. Of several refusals, the one that lasts longest counts.
    pub(super) fn on_refused(
        &mut self,
        now: Instant,
        pause: Duration,
        config: &ClientConfig,
    ) -> Option<ClientNotice> {
        if planted!(RefusedAtOnce) {
            return None;
        }
        let pause = pause.clamp(UNREACHABLE_BACKOFF, config.refused_backoff.max(RETRY_AFTER_MOST));
        match self.health {
            Health::Down { until, why: Down::Refusing } if now.saturating_add(pause) <= until => None,
            Health::Up { .. } | Health::Down { .. } => self.take_out(now, pause, Down::Refusing),
        }
    }

    /// The relay refused a body of `len` bytes. Three quarters of it still hold each half of a batch of two.
    pub(super) fn on_too_large(&mut self, len: usize) -> Option<ClientNotice> {
        let limit = (len / 4).saturating_mul(3).max(SMALLEST_BODY);
        (limit < self.max_body).then(|| {
            self.max_body = limit;
            ClientNotice::BodyLimitLowered { relay: self.id, limit }
        })
    }

    /// An empty poll came back without having been held, or was held after all.
    pub(super) fn on_hold_observed(&mut self, now: Instant, held: bool) {
        self.not_holding_until = (!held).then(|| now.saturating_add(NO_HOLD_MEMORY));
    }

    /// The relay's own timer.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        if let Some(budget) = &mut self.budget
            && budget.renews <= now
        {
            budget.spent = if planted!(NeverRenewed) { budget.spent } else { 0 };
            budget.renews = now.saturating_add(DAY);
        }
    }

    /// The next time at which this relay may become usable.
    pub(super) fn deadline(&self, now: Instant) -> Option<(Instant, TimerKind)> {
        let retry = match self.health {
            Health::Down { until, .. } => Some((until, TimerKind::RelayRetry)),
            Health::Up { .. } => None,
        };
        let renewal = self.budget.as_ref().map(|budget| (budget.renews, TimerKind::BudgetReset));
        // At the end of time a budget is not renewed any more.
        retry.into_iter().chain(renewal).filter(|(at, _)| *at > now).min()
    }

    /// The relay's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(&self, config: &ClientConfig, print: &mut Fingerprint<'_>) {
        print.value((self.max_body, self.seq, self.connect_data, self.setbacks, self.in_flight));
        print.value((self.round_trip, self.told_lost));
        match self.health {
            Health::Up { strikes, since } => {
                print.value((0_u8, strikes));
                // Without strikes it does not matter since when.
                if strikes > 0 {
                    print.since(since, config.strike_window);
                }
            }
            Health::Down { until, why } => {
                print.value((1_u8, why));
                print.deadline(until);
            }
        }
        if let Some(budget) = &self.budget {
            print.value(budget.spent);
            print.time(budget.renews);
        }
        print.deadline(self.not_holding_until.unwrap_or(Instant::ZERO));
    }

    fn backoff(&self, first: Duration, longest: Duration) -> Duration {
        first.saturating_mul(1_u32.checked_shl(self.setbacks).unwrap_or(u32::MAX)).min(longest)
    }

    fn take_out(&mut self, now: Instant, pause: Duration, why: Down) -> Option<ClientNotice> {
        let until = now.saturating_add(pause);
        self.setbacks = self.setbacks.saturating_add(1);
        self.health = Health::Down { until, why };
        Some(ClientNotice::RelayDown { relay: self.id, until })
    }

    fn is_rested(&self, now: Instant) -> bool {
        match self.health {
            Health::Up { .. } => true,
            Health::Down { until, .. } => until <= now,
        }
    }

    /// Whether it asked to be left alone, and the time is not over.
    fn is_refusing(&self, now: Instant) -> bool {
        matches!(self.health, Health::Down { until, why: Down::Refusing } if now < until)
    }

    fn is_last_resort(&self) -> bool {
        matches!(self.health, Health::Down { why: Down::Failing, .. })
    }

    fn has_calls(&self) -> bool {
        self.budget.as_ref().is_none_or(|budget| {
            budget.spent < budget.limit || planted!(OneCallMore) && budget.spent == budget.limit
        })
    }

    /// Less than a tenth of the daily budget is left: calls go to what cannot wait.
    fn is_short(&self) -> bool {
        self.budget
            .as_ref()
            .is_some_and(|budget| budget.limit.saturating_sub(budget.spent) < budget.limit / 10)
    }

    /// Less is left than twice what a client that only waits needs until the budget is renewed.
    fn is_tight(&self, now: Instant) -> bool {
        /// One call for each idle hold, and its round trip.
        const IDLE_CALL: Duration = Duration::from_secs(25);
        self.budget.as_ref().is_some_and(|budget| {
            let left = micros(budget.renews.saturating_since(now));
            let idle = left.checked_div(micros(IDLE_CALL)).unwrap_or_default();
            budget.limit.saturating_sub(budget.spent) < idle.saturating_mul(2)
        })
    }

    fn carries(&self, path: Path) -> bool {
        path == Path::Any || self.seq == SeqPath::Kept
    }

    fn holds(&self, now: Instant) -> bool {
        self.not_holding_until.is_none_or(|until| until <= now)
    }

    fn has_room(&self, purpose: Purpose) -> bool {
        let most = match purpose {
            Purpose::Active(_) => self.options.max_concurrent,
            // Polls, which may be held, never take the last places: payload must find one at once.
            Purpose::Poll(_) => {
                let kept_free = (self.options.max_concurrent / 5).max(1);
                self.options.max_concurrent.saturating_sub(kept_free).max(1)
            }
        };
        self.in_flight < most.saturating_add(usize::from(planted!(CallsCrowd)))
    }

    /// Whether calls should be saved because not many more fit.
    pub(super) fn is_crowded(&self) -> bool {
        self.in_flight > self.options.max_concurrent / 2
    }

    /// When a call sent now should be answered, for comparing relays.
    fn expected_answer(&self) -> u64 {
        let calls = u64::try_from(self.in_flight).unwrap_or(u64::MAX).saturating_add(1);
        micros(self.round_trip.unwrap_or(Duration::ZERO)).saturating_mul(calls)
    }
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Something that somebody waits for.
    Active(Path),
    /// Polls.
    Poll(Path),
}

/// What the way must be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Anything: no op has a `seq`.
    Any,
    /// Ops with `seq`.
    Sequenced,
}

impl Path {
    /// Whether ops that need this way may go through a relay that is good for `carries`.
    pub(super) fn rides_on(self, carries: Self) -> bool {
        self == Self::Any || carries == Self::Sequenced
    }
}

/// All relays of a client.
#[derive(Clone, Debug)]
pub(super) struct RelayTable {
    relays: Vec<Relay>,
    balance: Balance,
    next: usize,
}

impl RelayTable {
    pub(super) fn new(config: &ClientConfig, now: Instant) -> Self {
        let relays = (0..).zip(&config.relays);
        let relays = relays.map(|(place, options)| Relay::new(RelayId::new(place), options.clone(), now));
        Self { relays: relays.collect(), balance: config.balance, next: 0 }
    }

    pub(super) fn get(&self, id: RelayId) -> Option<&Relay> {
        usize::try_from(id.index()).ok().and_then(|place| self.relays.get(place))
    }

    pub(super) fn get_mut(&mut self, id: RelayId) -> Option<&mut Relay> {
        usize::try_from(id.index()).ok().and_then(|place| self.relays.get_mut(place))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter()
    }

    /// Whether some relay can take a call of this purpose now, leaving aside whether it keeps `seq`.
    pub(super) fn has_room(&self, now: Instant, purpose: Purpose) -> bool {
        let usable = |relay: &Relay| relay.is_rested(now) || relay.is_last_resort();
        self.relays.iter().any(|relay| relay.has_room(purpose) && relay.has_calls() && usable(relay))
    }

    /// Whether this relay can be used now, as soon as it has room.
    pub(super) fn is_usable(&self, now: Instant, id: RelayId) -> bool {
        let usable = |relay: &Relay| relay.is_rested(now) || relay.is_last_resort();
        self.get(id).is_some_and(|relay| relay.has_calls() && usable(relay))
    }

    /// Whether no relay but this one can be used now.
    pub(super) fn is_last(&self, now: Instant, id: RelayId) -> bool {
        !self.relays.iter().any(|relay| relay.id != id && self.is_usable(now, relay.id))
    }

    /// Whether this relay can take a call of this purpose now.
    pub(super) fn could_take(&self, now: Instant, id: RelayId, purpose: Purpose) -> bool {
        let usable = |relay: &Relay| relay.is_rested(now) || relay.is_last_resort();
        self.get(id).is_some_and(|relay| relay.has_room(purpose) && relay.has_calls() && usable(relay))
    }

    /// Whether so few calls are left that they would not last until there are new ones, with a client that only waits:
    /// then what is asked for comes in fewer and larger answers.
    pub(super) fn is_tight(&self, now: Instant) -> bool {
        self.relays.iter().all(|relay| relay.is_tight(now))
    }

    /// The relay for a call of this purpose, if one can take it now.
    pub(super) fn choose(&mut self, now: Instant, purpose: Purpose) -> Option<RelayId> {
        self.choose_among(now, purpose, |_| true)
    }

    /// The relay for a call of this purpose, among those that are `eligible`, if one can take it now.
    pub(super) fn choose_among(
        &mut self,
        now: Instant,
        purpose: Purpose,
        eligible: impl Fn(RelayId) -> bool,
    ) -> Option<RelayId> {
        let (Purpose::Active(path) | Purpose::Poll(path)) = purpose;
        let fits = |relay: &&Relay| {
            eligible(relay.id) && relay.has_room(purpose) && relay.has_calls() && relay.carries(path)
        };
        let rested = |relay: &&Relay| relay.is_rested(now);
        let turn = self.next;
        let count = self.relays.len();
        let best = |candidates: &mut dyn Iterator<Item = &Relay>| match self.balance {
            Balance::Fastest => candidates
                .min_by_key(|relay| (relay.expected_answer(), relay.in_flight))
                .map(|relay| relay.id),
            Balance::RoundRobin => candidates
                .min_by_key(|relay| {
                    let place = usize::try_from(relay.id.index()).unwrap_or_default();
                    place.saturating_add(count).saturating_sub(turn).checked_rem(count)
                })
                .map(|relay| relay.id),
        };
        // A poll is worth its call where it is held.
        let held = |relay: &&Relay| matches!(purpose, Purpose::Active(_)) || relay.holds(now);
        let chosen = best(&mut self.relays.iter().filter(fits).filter(rested).filter(held))
            .or_else(|| best(&mut self.relays.iter().filter(fits).filter(rested)))
            .or_else(|| best(&mut self.relays.iter().filter(fits).filter(|relay| relay.is_last_resort())))?;
        let place = usize::try_from(chosen.index()).unwrap_or_default();
        self.next = place.saturating_add(1).checked_rem(count).unwrap_or_default();
        Some(chosen)
    }

    /// The table's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(&self, config: &ClientConfig, print: &mut Fingerprint<'_>) {
        print.value(self.next);
        print.each(self.relays.iter(), |print, relay| relay.fingerprint(config, print));
    }

    /// Whether this relay's round trip is known, for a fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn knows_round_trip(&self, id: RelayId) -> bool {
        self.relays.iter().any(|relay| relay.id == id && relay.round_trip.is_some())
    }

    /// A relay of which nobody knows yet whether `seq` passes, and that could be asked now.
    pub(super) fn unproven(&self, now: Instant) -> Option<RelayId> {
        self.relays
            .iter()
            .find(|relay| {
                relay.seq == SeqPath::Unknown
                    && relay.is_rested(now)
                    && relay.has_calls()
                    && relay.has_room(Purpose::Poll(Path::Any))
            })
            .map(|relay| relay.id)
    }

    /// Whether level 1 can be used at all: some relay is not known to lose `seq`.
    pub(super) fn can_sequence(&self) -> bool {
        self.relays.iter().any(|relay| relay.seq != SeqPath::Lost)
    }

    /// The relays that lose `seq` and were not named here before.
    pub(super) fn newly_lost(&mut self) -> impl Iterator<Item = RelayId> {
        let lost = self.relays.iter_mut().filter(|relay| relay.seq == SeqPath::Lost && !relay.told_lost);
        lost.map(|relay| {
            relay.told_lost = true;
            relay.id
        })
    }

    /// Whether calls are short on every relay.
    pub(super) fn is_short(&self) -> bool {
        self.relays.iter().all(Relay::is_short)
    }

    /// Whether no relay that can be used for this holds polls, so that polling while idle only burns calls.
    pub(super) fn none_holds(&self, now: Instant, path: Path) -> bool {
        let usable = |relay: &&Relay| {
            relay.is_rested(now)
                && relay.has_calls()
                && relay.carries(path)
                && relay.has_room(Purpose::Poll(path))
        };
        let mut any = false;
        let held = self.relays.iter().filter(usable).inspect(|_| any = true).any(|relay| relay.holds(now));
        !held && (any || self.relays.iter().all(|relay| !relay.holds(now)))
    }

    /// The shortest known round trip.
    pub(super) fn shortest_round_trip(&self) -> Option<Duration> {
        self.relays.iter().filter_map(|relay| relay.round_trip).min()
    }
}
