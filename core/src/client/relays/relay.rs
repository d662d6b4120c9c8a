//! One relay, with everything that is known of it.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::client::action::ClientNotice;
use crate::client::context::{Context, TimerOwner};
use crate::client::relays::budget::Budget;
use crate::client::relays::destination::Destination;
use crate::client::relays::health::{Fault, Health};
use crate::client::relays::hold::Hold;
use crate::client::relays::passes::Passes;
use crate::client::relays::round_trip::RoundTrip;
use crate::client::relays::select::{Candidate, Path, Purpose, Standby};
use crate::config::{ClientOptions, RelayOptions};
use crate::id::RelayId;
use crate::time::{Instant, micros};
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::handshake::NodeId;
use crate::wire::packet::LEAST_PACKET;
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

impl Hash for Relay {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { in_flight, health, budget, round_trip, hold, passes, destination, .. } = self;
        (in_flight, health, budget, round_trip, hold, passes, destination).hash(state);
    }
}

impl Relay {
    pub(super) fn new(id: RelayId, options: RelayOptions, now: Instant) -> Self {
        let renews = now.saturating_add(options.budget_resets_in);
        Self {
            id,
            timer: TimerSlot::default(),
            in_flight: 0,
            health: Health::new(),
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

    /// A call goes out. Returns a notice if it was the last one of the budget.
    pub(in crate::client) fn on_sent(&mut self, now: Instant) -> Option<ClientNotice> {
        self.renew_budget(now);
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

    /// A call failed by a fault of the relay.
    pub(in crate::client) fn on_fault(
        &mut self,
        fault: Fault,
        now: Instant,
        config: &ClientOptions,
    ) -> Option<ClientNotice> {
        let until = self.health.on_fault(fault, now, config)?;
        Some(ClientNotice::RelayDown { relay: self.id, until })
    }

    /// The relay refused a body of `len` bytes.
    pub(in crate::client) fn on_too_large(&mut self, len: usize) -> Option<ClientNotice> {
        let limit = self.passes.on_too_large(len)?;
        Some(ClientNotice::BodyLimitLowered { relay: self.id, limit })
    }

    /// Sets its timer, after whatever may have changed its deadline. What became due while the host slept is done before it
    /// is forgotten.
    pub(super) fn rearm(&mut self, context: &mut Context) {
        let now = context.now();
        self.renew_budget(now);
        let retry = self.health.retry_at().map(|at| (at, TimerKind::RelayRetry));
        let renewal = self.budget.as_ref().map(|budget| (budget.renews(), TimerKind::BudgetReset));
        // At the end of time a budget is not renewed any more.
        let deadline = retry.into_iter().chain(renewal).filter(|(at, _)| *at > now).min();
        context.set_timer(&mut self.timer, TimerOwner::Relay(self.id), deadline);
    }

    fn renew_budget(&mut self, now: Instant) {
        if let Some(budget) = &mut self.budget {
            budget.on_timeout(now);
        }
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

    /// It leaves the connection to a node.
    pub(in crate::client) fn leave(&mut self, node: NodeId, now: Instant) {
        if self.destination.is(node) {
            self.destination.on_left(now);
        }
        self.health.forget_exchanges();
    }

    /// The form in which packets go through it.
    pub(in crate::client) const fn packet_form(&self) -> BodyForm {
        if self.options.binary { BodyForm::Packet } else { BodyForm::Json }
    }

    /// What a packet of this form is wrapped in.
    pub(in crate::client) fn wrapping(&self, form: BodyForm) -> Wrapping {
        match form {
            BodyForm::Packet => Wrapping::Raw,
            BodyForm::Json => Wrapping::Request(self.options.form, self.options.key.clone()),
        }
    }

    /// Bytes of the largest packet in a body that passes.
    pub(in crate::client) fn max_packet(&self) -> usize {
        let max_body = self.passes.max_body();
        match self.packet_form() {
            BodyForm::Packet => max_body,
            BodyForm::Json => {
                let around = self.wrapping(BodyForm::Json).len(0);
                (max_body.saturating_sub(around) / 4).saturating_mul(3)
            }
        }
    }

    /// Whether some chunk does not fit into a packet.
    pub(in crate::client) fn is_narrow(&self) -> bool {
        self.max_packet() < LEAST_PACKET
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

    /// Whether level 2 exchanges go through it before others that lead to the same node.
    pub(in crate::client) fn is_good(&self, now: Instant) -> bool {
        self.health.is_answering() && !self.health.is_backing_off(now)
    }

    /// When a call that is sent now should be answered, for comparison, in microseconds.
    pub(in crate::client) fn expected_answer(&self) -> u64 {
        let calls = u64::try_from(self.in_flight).unwrap_or(u64::MAX).saturating_add(1);
        micros(self.round_trip.smoothed().unwrap_or(Duration::ZERO)).saturating_mul(calls)
    }

    /// What it is to a call of this purpose, if it can take the call; `turns` away from the relay whose turn it is.
    pub(super) fn candidate(&self, now: Instant, purpose: Purpose, turns: usize) -> Option<Candidate> {
        if !self.can_take(now, purpose) || !purpose.path().rides_on(self.carries()) {
            return None;
        }
        // A poll is worth its call where it is held.
        let held = matches!(purpose, Purpose::Active(_)) || self.hold.holds(now);
        let standby = match self.health.is_up(now) {
            true if held => Standby::Preferred,
            true => Standby::Unheld,
            false => Standby::LastResort,
        };
        let (expected_answer, in_flight) = (self.expected_answer(), self.in_flight);
        Some(Candidate { id: self.id, standby, expected_answer, in_flight, turns })
    }

    /// Its daily budget, if it has one.
    pub(super) const fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_relay_is_narrow_when_a_chunk_does_not_fit_its_bodies() {
        for (max_body, through_binary, through_json) in
            [(1 << 20, false, false), (LEAST_PACKET, false, true), (LEAST_PACKET - 1, true, true)]
        {
            for (binary, narrow) in [(true, through_binary), (false, through_json)] {
                let options = RelayOptions { binary, max_body, ..RelayOptions::new(Secret::new("k")) };
                let relay = Relay::new(RelayId::new(0), options, Instant::ZERO);
                assert_eq!(relay.is_narrow(), narrow, "{max_body}, binary: {binary}");
            }
        }
    }
}
