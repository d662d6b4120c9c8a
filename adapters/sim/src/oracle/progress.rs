//! Progress after the heal (L1 to L5, S6): every live flow moves within a bound.

use std::time::Duration;

use crate::ends::{Ends, Flow};
use crate::latency::QUANTILES;
use crate::oracle::Oracle;
use crate::{Property, Time};

impl Oracle {
    /// Looks for flows that do not move, though relay `core` has passed calls since `healed`.
    pub(crate) fn check_progress(&mut self, ends: &Ends, core: usize, healed: Time) {
        let bound = self.longest_standstill();
        for (index, flow) in ends.flows.iter().enumerate().filter(|(_, flow)| flow.is_alive()) {
            if self.budget_pause(flow.client, core).is_some() || self.is_left_alone(flow.client, core) {
                continue;
            }
            let renewed = self.relays.get(&(flow.client, core as u32)).and_then(|relay| relay.renewed);
            let moved = flow.moved.max(healed).max(renewed.unwrap_or(Time::ZERO));
            if self.now.since(moved) > bound {
                let property = self.standstill(index, renewed.is_some_and(|at| at >= healed));
                let what = format!("flow {index} ({:?}) has not moved for {bound:?}", flow.script.kind);
                return self.violated(property, what);
            }
        }
    }

    /// When a flow that does not move from now on, or that opens now, exceeds the bound.
    pub(crate) fn next_alarm(&self, ends: &Ends, healed: Time) -> Time {
        let live = ends.flows.iter().filter(|flow| Flow::is_alive(flow));
        let moved = live.map(|flow| flow.moved.max(healed)).min().unwrap_or(self.now);
        moved.after(self.longest_standstill() + Duration::from_nanos(1))
    }

    /// The property that a flow violates that does not move.
    fn standstill(&self, flow: usize, renewed: bool) -> Property {
        let record = &self.flows[flow];
        if record.restarted {
            Property::S6
        } else if renewed {
            Property::L5
        } else if record.out == 0 && !self.is_stream(flow) {
            Property::L4
        } else if self.passes.len() > 1 {
            Property::L2
        } else {
            Property::L1
        }
    }

    /// How long a flow may stand still after the heal, from the configuration: one reply may have to be found
    /// overdue, its relay left alone, and another tried, each for as long as is configured.
    fn longest_standstill(&self) -> Duration {
        let options = &self.setup.client;
        options.reply_watchdog() * 2
            + options.tuning.relay_backoff_max * 2
            + options.tuning.refused_backoff * 2
            + options.half_close_quiet
            + self.setup.latency.at(QUANTILES - 1) * 20
    }
}
