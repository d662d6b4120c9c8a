//! The relays: everything that is known of each, and the choice of one for a call (protocol.md 2.5, 3.2 rules 10 and 12).

mod backoff;
mod budget;
mod destination;
mod health;
mod hold;
mod passes;
mod relay;
mod round_trip;
mod select;

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

pub(super) use destination::HelloDelays;
pub(super) use health::Fault;
pub(super) use hold::HOLD_THRESHOLD;
pub(super) use relay::Relay;
pub(super) use select::{Path, Purpose};

use crate::client::action::ClientNotice;
use crate::client::context::Context;
use crate::config::{Balance, ClientOptions};
use crate::id::RelayId;
use crate::time::Instant;
use crate::wire::handshake::NodeId;
use budget::Budget;
use select::{Standby, select};

/// All relays of a client.
#[derive(Clone, Debug)]
pub(super) struct Relays {
    relays: Vec<Relay>,
    balance: Balance,
    /// The place of the relay whose turn it is.
    cursor: usize,
}

impl Hash for Relays {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.relays, self.cursor).hash(state);
        if self.relays.len() > 1 {
            self.relays.iter().for_each(|relay| relay.health().evidence().hash(state));
        }
    }
}

impl Relays {
    pub(super) fn new(config: &ClientOptions, now: Instant) -> Self {
        let relays = (0..).zip(&config.relays);
        let relays = relays.map(|(place, options)| Relay::new(RelayId::new(place), options.clone(), now));
        Self { relays: relays.collect(), balance: config.balance, cursor: 0 }
    }

    pub(super) fn get(&self, id: RelayId) -> Option<&Relay> {
        self.relays.get(index(id))
    }

    pub(super) fn get_mut(&mut self, id: RelayId) -> Option<&mut Relay> {
        self.relays.get_mut(index(id))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Relay> {
        self.relays.iter_mut()
    }

    /// Sets the timers of all relays.
    pub(super) fn rearm(&mut self, context: &mut Context) {
        self.relays.iter_mut().for_each(|relay| relay.rearm(context));
    }

    /// The relay for a call of this purpose, if one can take it now.
    pub(super) fn choose(&mut self, now: Instant, purpose: Purpose) -> Option<RelayId> {
        self.choose_among(now, purpose, |_| true)
    }

    /// The same among those that are `eligible`.
    pub(super) fn choose_among(
        &mut self,
        now: Instant,
        purpose: Purpose,
        eligible: impl Fn(&Relay) -> bool,
    ) -> Option<RelayId> {
        let count = self.relays.len();
        let candidates = self.relays.iter().enumerate().filter(|(_, relay)| eligible(relay));
        let candidates = candidates.filter_map(|(place, relay)| {
            let ahead = place.saturating_add(count).saturating_sub(self.cursor);
            relay.candidate(now, purpose, ahead.checked_rem(count)?)
        });
        let chosen = select(candidates, self.balance)?;
        self.cursor = index(chosen).saturating_add(1).checked_rem(count)?;
        Some(chosen)
    }

    /// The relay for a level 2 exchange, if one `of` them can take it now: a good one, if possible not the one to `avoid`.
    /// What is lost on the way through a silent relay has to be repaired, so a good one that is only full is worth waiting
    /// for. Bulk has chunks, which need a relay that is not narrow; what ends streams that found no way is small enough for
    /// any.
    pub(super) fn choose_for_exchange(
        &mut self,
        now: Instant,
        purpose: Purpose,
        (of, bulk): (impl Fn(RelayId) -> bool, bool),
        avoid: Option<RelayId>,
    ) -> Option<RelayId> {
        let is_way = |relay: &Relay| of(relay.id()) && !relay.destination().is_narrow();
        let good = |relay: &Relay| is_way(relay) && relay.is_good(now);
        let chosen = self
            .choose_among(now, purpose, |relay| good(relay) && Some(relay.id()) != avoid)
            .or_else(|| self.choose_among(now, purpose, good));
        if chosen.is_some() || self.relays.iter().any(|relay| good(relay) && relay.is_usable(now)) {
            return chosen;
        }
        let here = bulk || self.may_reach_node();
        let leads = |relay: &Relay| if here { is_way(relay) } else { of(relay.id()) };
        self.choose_among(now, purpose, |relay| leads(relay) && !relay.health().is_backing_off(now))
    }

    /// Whether some relay can take a call of this purpose now, leaving aside whether it keeps `seq`.
    pub(super) fn has_room(&self, now: Instant, purpose: Purpose) -> bool {
        self.relays.iter().any(|relay| relay.can_take(now, purpose))
    }

    /// Whether no other relay can be used now.
    pub(super) fn is_last(&self, now: Instant, id: RelayId) -> bool {
        !self.relays.iter().any(|relay| relay.id() != id && relay.is_usable(now))
    }

    /// Whether calls are short on every relay.
    pub(super) fn is_short(&self) -> bool {
        self.relays.iter().all(|relay| relay.budget().is_some_and(Budget::is_short))
    }

    /// Whether the calls that are left would not last until there are new ones, even with an idle client: then fewer and
    /// larger answers are asked for.
    pub(super) fn is_tight(&self, now: Instant) -> bool {
        self.relays.iter().all(|relay| relay.budget().is_some_and(|budget| budget.is_tight(now)))
    }

    /// Whether no relay that can be used for this holds polls, so that polling while idle only burns calls.
    pub(super) fn none_holds(&self, now: Instant, path: Path) -> bool {
        let candidates = self.relays.iter().filter_map(|relay| relay.candidate(now, Purpose::Poll(path), 0));
        match candidates.map(|candidate| candidate.standby).min() {
            Some(Standby::Preferred) => false,
            Some(Standby::Unheld) => true,
            Some(Standby::LastResort) | None => self.relays.iter().all(|relay| !relay.hold().holds(now)),
        }
    }

    /// The shortest known round trip.
    pub(super) fn shortest_round_trip(&self) -> Option<Duration> {
        self.relays.iter().filter_map(|relay| relay.round_trip().smoothed()).min()
    }

    /// A relay whose `seq` support is unknown and that can be asked now.
    pub(super) fn seq_unknown(&self, now: Instant) -> Option<RelayId> {
        let unknown = |relay: &&Relay| {
            relay.passes().is_seq_unknown()
                && relay.health().is_up(now)
                && relay.can_take(now, Purpose::Poll(Path::Any))
        };
        self.relays.iter().find(unknown).map(Relay::id)
    }

    /// Whether level 1 can be used at all: some relay is not known to lose `seq`.
    pub(super) fn can_sequence(&self) -> bool {
        self.relays.iter().any(|relay| !relay.passes().loses_seq())
    }

    /// Relays that lead to a node are asked where else they lead.
    pub(super) fn ask_again(&mut self, ids: impl Iterator<Item = RelayId>, node: NodeId, now: Instant) {
        for id in ids {
            if let Some(relay) = self.get_mut(id).filter(|relay| relay.destination().is(node)) {
                relay.destination_mut().on_invited(Duration::ZERO, now);
            }
        }
    }

    /// Reports the relays through which there is no level 2, each once.
    pub(super) fn report_refusals(&mut self, context: &mut Context) {
        for relay in &mut self.relays {
            if relay.destination_mut().take_refusal() {
                context.notice(ClientNotice::StreamsUnsupported { relay: relay.id() });
            }
        }
    }

    /// The relays that lose `seq` and were not named here before.
    pub(super) fn take_seq_losses(&mut self) -> impl Iterator<Item = RelayId> {
        self.relays.iter_mut().filter_map(|relay| {
            let id = relay.id();
            relay.passes_mut().take_loss_report().then_some(id)
        })
    }

    /// Whether chunks have or may have a way to some node.
    pub(super) fn may_reach_node(&self) -> bool {
        self.relays.iter().any(|relay| relay.destination().may_reach_node())
    }
}

fn index(id: RelayId) -> usize {
    usize::try_from(id.index()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::config::{ClientOptions, RelayOptions};
    use crate::secret::Secret;

    const NOW: Instant = Instant::from_micros(1_000_000);
    #[test]
    fn round_robin_takes_the_next_relay_each_time_and_passes_over_what_is_not_eligible() {
        let options = ClientOptions {
            balance: Balance::RoundRobin,
            ..ClientOptions::new(vec![RelayOptions::new(Secret::new("k")); 3])
        };
        let mut relays = Relays::new(&options, NOW);
        let next = |not: u32| {
            let purpose = Purpose::Active(Path::Any);
            relays.choose_among(NOW, purpose, |relay| relay.id().index() != not).map(RelayId::index)
        };
        assert_eq!([9, 9, 9, 9, 1, 9].map(next), [Some(0), Some(1), Some(2), Some(0), Some(2), Some(0)]);
    }
}
