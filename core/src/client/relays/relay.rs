//! One relay, with everything that is known of it.

use core::time::Duration;

use crate::client::action::ClientNotice;
use crate::client::relays::budget::Budget;
use crate::client::relays::destination::Destination;
use crate::client::relays::health::Health;
use crate::client::relays::hold::Hold;
use crate::client::relays::passes::{Passes, packet_form, wrapping};
use crate::client::relays::round_trip::RoundTrip;
use crate::client::relays::select::{Candidate, Path, Purpose, Standby};
use crate::config::{ClientOptions, RelayOptions};
use crate::id::RelayId;
use crate::time::{Instant, micros};
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::{BodyForm, Wrapping};

/// One relay.
#[derive(Clone, Debug)]
pub(in crate::client) struct Relay {
    id: RelayId,
    options: RelayOptions,
    timer: TimerSlot,
    in_flight: usize,
    health: Health,
    budget: Option<Budget>,
    round_trip: RoundTrip,
    hold: Hold,
    passes: Passes,
    destination: Destination,
}

impl Relay {
    pub(super) fn new(id: RelayId, options: RelayOptions, now: Instant) -> Self {
        let renews = now.saturating_add(options.budget_resets_in);
        Self {
            id,
            timer: TimerSlot::default(),
            in_flight: 0,
            health: Health::new(now),
            budget: options.daily_calls.map(|limit| Budget::new(limit, renews)),
            round_trip: RoundTrip::default(),
            hold: Hold::default(),
            passes: Passes::new(options.max_body),
            destination: Destination::new(),
            options,
        }
    }

    pub(in crate::client) const fn id(&self) -> RelayId {
        self.id
    }

    pub(in crate::client) const fn options(&self) -> &RelayOptions {
        &self.options
    }

    pub(in crate::client) const fn timer(&mut self) -> &mut TimerSlot {
        &mut self.timer
    }

    /// A call goes out. Returns a notice if it was the last one of the budget.
    pub(in crate::client) fn on_sent(&mut self, now: Instant) -> Option<ClientNotice> {
        self.on_timeout(now);
        self.in_flight = self.in_flight.saturating_add(1);
        let until = self.budget.as_mut()?.on_sent()?;
        Some(ClientNotice::BudgetSpent { relay: self.id, until })
    }

    /// A call has ended, in whatever way.
    pub(in crate::client) const fn on_ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A call brought a usable answer.
    pub(in crate::client) fn on_answer(&mut self, now: Instant) -> Option<ClientNotice> {
        self.health.on_answer(now).then_some(ClientNotice::RelayUp { relay: self.id })
    }

    /// A call failed by the relay's fault.
    pub(in crate::client) fn on_strike(
        &mut self,
        now: Instant,
        config: &ClientOptions,
    ) -> Option<ClientNotice> {
        let until = self.health.on_strike(now, config)?;
        Some(ClientNotice::RelayDown { relay: self.id, until })
    }

    /// The relay could not be reached.
    pub(in crate::client) fn on_unreachable(
        &mut self,
        now: Instant,
        config: &ClientOptions,
    ) -> Option<ClientNotice> {
        let until = self.health.on_unreachable(now, config)?;
        Some(ClientNotice::RelayDown { relay: self.id, until })
    }

    /// The relay refused a call for `pause`.
    pub(in crate::client) fn on_refused(
        &mut self,
        now: Instant,
        pause: Duration,
        config: &ClientOptions,
    ) -> Option<ClientNotice> {
        let until = self.health.on_refused(now, pause, config)?;
        Some(ClientNotice::RelayDown { relay: self.id, until })
    }

    /// The relay refused a body of `len` bytes.
    pub(in crate::client) fn on_too_large(&mut self, len: usize) -> Option<ClientNotice> {
        let limit = self.passes.on_too_large(len)?;
        Some(ClientNotice::BodyLimitLowered { relay: self.id, limit })
    }

    /// The relay's timer is due.
    pub(in crate::client) fn on_timeout(&mut self, now: Instant) {
        if let Some(budget) = &mut self.budget {
            budget.on_timeout(now);
        }
    }

    /// The next time at which it may become usable.
    pub(in crate::client) fn deadline(&self, now: Instant) -> Option<(Instant, TimerKind)> {
        let retry = self.health.retry_at().map(|at| (at, TimerKind::RelayRetry));
        let renewal = self.budget.as_ref().map(|budget| (budget.renews(), TimerKind::BudgetReset));
        // At the end of time a budget is not renewed any more.
        retry.into_iter().chain(renewal).filter(|(at, _)| *at > now).min()
    }

    /// Whether calls go to it.
    pub(in crate::client) const fn health(&self) -> &Health {
        &self.health
    }

    pub(in crate::client) const fn health_mut(&mut self) -> &mut Health {
        &mut self.health
    }

    pub(in crate::client) const fn round_trip(&self) -> &RoundTrip {
        &self.round_trip
    }

    pub(in crate::client) const fn round_trip_mut(&mut self) -> &mut RoundTrip {
        &mut self.round_trip
    }

    pub(in crate::client) const fn hold(&self) -> &Hold {
        &self.hold
    }

    pub(in crate::client) const fn hold_mut(&mut self) -> &mut Hold {
        &mut self.hold
    }

    pub(in crate::client) const fn passes(&self) -> &Passes {
        &self.passes
    }

    pub(in crate::client) const fn passes_mut(&mut self) -> &mut Passes {
        &mut self.passes
    }

    pub(in crate::client) const fn destination(&self) -> &Destination {
        &self.destination
    }

    pub(in crate::client) const fn destination_mut(&mut self) -> &mut Destination {
        &mut self.destination
    }

    /// Whether its round trip is known, for a fingerprint.
    #[cfg(feature = "model")]
    pub(in crate::client) fn knows_round_trip(&self) -> bool {
        self.round_trip.smoothed().is_some()
    }

    /// Everything known of the node behind it is void.
    pub(super) fn forget_node(&mut self) {
        self.destination.forget_node();
        self.health.forget_exchanges();
    }

    /// The form in which packets go through it.
    pub(in crate::client) const fn packet_form(&self) -> BodyForm {
        packet_form(&self.options)
    }

    /// What a packet of this form is wrapped in.
    pub(in crate::client) fn wrapping(&self, form: BodyForm) -> Wrapping {
        wrapping(&self.options, form)
    }

    /// What ops may go through it.
    pub(in crate::client) fn carries(&self) -> Path {
        if self.passes.keeps_seq() { Path::Sequenced } else { Path::Any }
    }

    /// Whether so many calls are in flight that some should be saved.
    pub(in crate::client) const fn is_crowded(&self) -> bool {
        self.in_flight > self.options.max_concurrent / 2
    }

    /// Whether it can be used now, as soon as it has room.
    pub(in crate::client) fn is_usable(&self, now: Instant) -> bool {
        self.has_calls() && (self.health.is_up(now) || self.health.is_last_resort())
    }

    /// Whether it can take a call of this purpose now, leaving aside whether it keeps `seq`.
    pub(in crate::client) fn can_take(&self, now: Instant, purpose: Purpose) -> bool {
        self.has_room(purpose) && self.is_usable(now)
    }

    /// Whether level 2 exchanges go through it before others.
    pub(in crate::client) fn is_good(&self, now: Instant) -> bool {
        self.destination.is_here() && self.health.is_answering() && !self.health.is_backing_off(now)
    }

    /// Whether it could be asked now whether `seq` passes, and is to be.
    pub(super) fn wants_seq_probe(&self, now: Instant) -> bool {
        self.passes.is_seq_unknown()
            && self.health.is_up(now)
            && self.has_calls()
            && self.has_room(Purpose::Poll(Path::Any))
    }

    /// Whether polls that need this path can go through it without being its last resort.
    pub(super) fn takes_polls(&self, now: Instant, path: Path) -> bool {
        self.health.is_up(now)
            && self.has_calls()
            && path.rides_on(self.carries())
            && self.has_room(Purpose::Poll(path))
    }

    /// What it is to a call of this purpose, if it can take the call; `turns` away from the relay whose turn it is.
    pub(super) fn candidate(&self, now: Instant, purpose: Purpose, turns: usize) -> Option<Candidate> {
        if !self.has_room(purpose) || !self.has_calls() || !purpose.path().rides_on(self.carries()) {
            return None;
        }
        // A poll is worth its call where it is held.
        let held = matches!(purpose, Purpose::Active(_)) || self.hold.holds(now);
        let standby = match self.health.is_up(now) {
            true if held => Standby::Preferred,
            true => Standby::Unheld,
            false if self.health.is_last_resort() => Standby::LastResort,
            false => return None,
        };
        let calls = u64::try_from(self.in_flight).unwrap_or(u64::MAX).saturating_add(1);
        let round_trip = micros(self.round_trip.smoothed().unwrap_or(Duration::ZERO));
        let expected_answer = round_trip.saturating_mul(calls);
        Some(Candidate { id: self.id, standby, expected_answer, in_flight: self.in_flight, turns })
    }

    /// Whether less than a tenth of the budget is left.
    pub(super) fn is_short(&self) -> bool {
        self.budget.as_ref().is_some_and(Budget::is_short)
    }

    /// Whether the budget would not last until its renewal with a client that idles.
    pub(super) fn is_tight(&self, now: Instant) -> bool {
        self.budget.as_ref().is_some_and(|budget| budget.is_tight(now))
    }

    fn has_calls(&self) -> bool {
        self.budget.as_ref().is_none_or(Budget::has_calls)
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
        self.in_flight < most
    }

    /// The relay's part of a state's fingerprint. Without `rivals` it is never judged by what other relays do.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(
        &self,
        rivals: bool,
        config: &ClientOptions,
        print: &mut crate::fingerprint::Fingerprint<'_>,
    ) {
        print.value(self.in_flight);
        self.health.fingerprint(rivals, config, print);
        print.value(&self.round_trip);
        print.value(self.hold);
        print.value(self.passes);
        print.value(&self.destination);
        if let Some(budget) = &self.budget {
            print.value(budget);
        }
    }
}
