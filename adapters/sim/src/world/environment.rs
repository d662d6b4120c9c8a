//! Environment changes: restarts, relay states and clock faults, and the heal that ends them.

use std::time::Duration;

use crate::chooser::key;
use crate::clock::HostClock;
use crate::scenario::Outage;
use crate::trace::{Actor, Sink, What};
use crate::world::event::{Change, Event, RelayState};
use crate::world::{Phase, World};
use crate::{Chooser, ClientHost, DecisionPoint, Fault, Time};

/// How often the watchdog looks, at most.
const WATCH: Duration = Duration::from_secs(20);

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// Schedules the environment changes of the run.
    pub(super) fn forecast(&mut self) {
        self.forecast_known();
        self.forecast_restarts();
        for relay in 0..self.network.relays.len() {
            self.forecast_pauses(relay);
            self.forecast_partitions(relay);
            if let Some(after) = self.network.relays[relay].setup.renews_in {
                self.change_at(Time::ZERO.after(after), Change::Renew(relay));
            }
            // From 1 on, so that no key is that of a relay itself, for which the setup asked.
            if self.strikes(Fault::Mixed, DecisionPoint::Mixed, key(relay as u64 + 1, 1), 3) == 1 {
                let at = self.some_time(key(relay as u64, 100));
                self.change_at(at, Change::Route(relay));
            }
        }
        for host in 0..self.clients.len() + 1 {
            self.forecast_clock(host);
        }
    }

    fn change_at(&mut self, at: Time, change: Change) {
        self.at(at, Event::Environment(change));
    }

    /// A time in the fault phase.
    fn some_time(&mut self, key: u64) -> Time {
        let share = self.chooser.decide(DecisionPoint::When, key, 1000);
        Time::ZERO.after(self.setup.fault_phase * share / 1000)
    }

    fn some_seconds(&mut self, key: u64) -> Duration {
        Duration::from_millis(1000 + u64::from(self.chooser.decide(DecisionPoint::Duration, key, 29_000)))
    }

    /// Schedules the outages and restarts of the setup.
    fn forecast_known(&mut self) {
        for Outage { relay, from, until } in self.setup.outages.clone() {
            self.change_at(Time::ZERO.after(from), Change::Relay(relay, RelayState::CutUp));
            if let Some(until) = until {
                self.change_at(Time::ZERO.after(until), Change::Relay(relay, RelayState::Well));
            }
        }
        for at in self.setup.restarts.clone() {
            self.change_at(Time::ZERO.after(at), Change::Restart);
        }
    }

    fn forecast_restarts(&mut self) {
        for nth in 0..u64::from(self.strikes(Fault::Restart, DecisionPoint::Restart, 0, 2)) {
            let at = self.some_time(key(nth, 200));
            self.change_at(at, Change::Restart);
        }
    }

    fn forecast_pauses(&mut self, relay: usize) {
        let way = self.strikes(Fault::Pause, DecisionPoint::Pause, relay as u64, 3);
        if way == 0 {
            return;
        }
        let from = self.some_time(key(relay as u64, 300));
        let until = from.after(self.some_seconds(key(relay as u64, 301)));
        match way {
            1 => self.spell(relay, from, until, RelayState::Paused),
            2 => self.spell(relay, from, until, RelayState::Slow),
            // It dies, and stays dead until the fault phase is over.
            _ => self.change_at(from, Change::Relay(relay, RelayState::CutUp)),
        }
    }

    fn forecast_partitions(&mut self, relay: usize) {
        let way = self.strikes(Fault::Partition, DecisionPoint::Partition, relay as u64, 5);
        let state = match way {
            0 => return,
            1 | 4 => RelayState::CutUp,
            2 => RelayState::CutDown,
            _ => RelayState::Unreachable,
        };
        let mut from = self.some_time(key(relay as u64, 400));
        let spells = if way >= 4 { 5 } else { 1 };
        for spell in 0..spells {
            let length = self.some_seconds(key(relay as u64, 401 + spell)) / spells as u32;
            let until = from.after(length);
            self.spell(relay, from, until, state);
            from = until.after(length / 2);
        }
    }

    fn spell(&mut self, relay: usize, from: Time, until: Time, state: RelayState) {
        self.change_at(from, Change::Relay(relay, state));
        self.change_at(until, Change::Relay(relay, RelayState::Well));
    }

    fn forecast_clock(&mut self, host: usize) {
        let way = self.strikes(Fault::Clock, DecisionPoint::Clock, host as u64, 6);
        if way == 0 {
            return;
        }
        let at = self.some_time(key(host as u64, 500));
        match way {
            1 | 2 => {
                let ppm = if way == 1 { 500 } else { -500 };
                self.change_clock(host, |clock| {
                    let origin = clock.read(Time::ZERO).saturating_since(seqlane::Instant::ZERO);
                    *clock = HostClock::new(origin, ppm);
                });
                self.count_fault(Fault::Clock);
            }
            3 => self.change_at(at, Change::Leap(host, 10)),
            4 => self.change_at(at, Change::Leap(host, 8 * 3600)),
            _ => {
                let until = at.after(self.some_seconds(key(host as u64, 501)));
                self.change_at(at, Change::Stall(host));
                self.change_at(until, Change::Resume(host));
            }
        }
    }

    pub(super) fn on_environment_change(&mut self, change: Change) {
        if self.phase != Phase::Faults {
            return;
        }
        match change {
            Change::Restart => {
                self.count_fault(Fault::Restart);
                self.restart_node(0, Fault::Restart);
            }
            Change::Relay(relay, state) => self.turn(relay, state),
            Change::Renew(relay) => self.network.relays[relay].taken = 0,
            Change::Route(relay) => {
                let relay = &mut self.network.relays[relay];
                relay.node = 1 - relay.node;
            }
            Change::Leap(host, seconds) => {
                let by = Duration::from_secs(u64::from(seconds));
                self.disturb_clock(host, "a clock leaps", |clock, now| clock.leap(now, by));
            }
            Change::Stall(host) => {
                self.disturb_clock(host, "a clock stands", HostClock::stall);
            }
            Change::Resume(host) => {
                self.oracle.on_clock_fault(&self.ends, host);
                self.resume_clock(host);
            }
        }
    }

    /// F13: a clock leaps or stands.
    fn disturb_clock(&mut self, host: usize, how: &'static str, change: impl FnOnce(&mut HostClock, Time)) {
        self.oracle.on_clock_fault(&self.ends, host);
        self.count_fault(Fault::Clock);
        self.tell(Actor::World, What::Environment { fault: Fault::Clock, how });
        let now = self.now;
        self.change_clock(host, |clock| change(clock, now));
    }

    fn resume_clock(&mut self, host: usize) {
        let now = self.now;
        self.change_clock(host, |clock| clock.resume(now));
    }

    /// A relay's state changes.
    fn turn(&mut self, relay: usize, state: RelayState) {
        let (fault, how) = match state {
            RelayState::Well => (Fault::Partition, "the relay is well"),
            RelayState::Paused => (Fault::Pause, "the relay pauses"),
            RelayState::Slow => (Fault::Pause, "the relay is slow"),
            RelayState::CutUp => (Fault::Partition, "requests vanish"),
            RelayState::CutDown => (Fault::Partition, "answers vanish"),
            RelayState::Unreachable => (Fault::Partition, "the relay cannot be reached"),
            RelayState::Pages => (Fault::Garbage, "the relay answers with pages"),
            RelayState::Refuses => (Fault::Refuse, "the relay refuses everything"),
        };
        if state != RelayState::Well {
            self.count_fault(fault);
        }
        self.tell(Actor::Relay(relay as u32), What::Environment { fault, how });
        self.network.relays[relay].state = state;
        self.oracle.on_relay_state(relay, state == RelayState::Well);
        if state == RelayState::CutDown {
            self.hang_up(relay);
        }
        self.admit_queued(relay);
    }

    /// The fault phase is over: one relay and all hosts are well, the other relays stay broken.
    pub(super) fn on_heal(&mut self) {
        let relays = self.network.relays.len();
        let core = self.chooser.decide(DecisionPoint::Core, 0, relays as u32) as usize;
        self.tell(Actor::World, What::Heal { core: core as u32 });
        self.phase = Phase::Calm { core, since: self.now };
        let faulty = !self.setup.is_calm();
        for relay in 0..relays {
            let ruin = if relay == core || !faulty {
                0
            } else {
                self.chooser.decide(DecisionPoint::Ruin, relay as u64, 6)
            };
            const RUINS: [RelayState; 6] = [
                RelayState::Well,
                RelayState::CutUp,
                RelayState::Unreachable,
                RelayState::Pages,
                RelayState::Slow,
                RelayState::Refuses,
            ];
            let healed = &mut self.network.relays[relay];
            healed.setup.queues = true;
            if relay == core {
                healed.node = 0;
                healed.setup.daily_calls = None;
            }
            healed.state = RUINS[ruin as usize % RUINS.len()];
            self.oracle.on_relay_state(relay, healed.state == RelayState::Well);
            self.admit_queued(relay);
        }
        for host in 0..=self.clients.len() {
            self.resume_clock(host);
        }
        for flow in 0..self.ends.flows.len() {
            self.read_local(flow);
        }
        for upstream in 0..self.ends.upstreams.len() {
            self.read_upstream(upstream);
        }
        for node in 0..self.nodes.len() {
            self.drain_node(node);
        }
        for client in 0..self.clients.len() {
            self.drain_client(client);
        }
        self.watch_on(self.now);
        self.rest_if_done();
    }

    /// Looks for flows that do not move, though they could (L1 to L4).
    pub(super) fn on_watch(&mut self) {
        if let Phase::Calm { core, since } = self.phase {
            self.oracle.check_progress(&self.ends, core, since);
            self.watch_on(since);
        }
    }

    /// The watchdog sleeps until it could have something to say.
    fn watch_on(&mut self, healed: Time) {
        let at = self.oracle.next_alarm(&self.ends, healed).max(self.now.after(WATCH));
        self.at(at, Event::Watch);
    }
}
