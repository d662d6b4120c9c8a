//! A narrower scenario, without what the run does not use.

use std::time::Duration;

use crate::scenario::Span;
use crate::shrink::Shrinker;
use crate::{ClientHost, DecisionPoint, Fault, Scenario};

impl<H: ClientHost> Shrinker<'_, H> {
    /// Removes from the scenario what the run does not use, so that it needs fewer decisions.
    pub(super) fn narrow(&mut self) {
        let has = |point: DecisionPoint| self.decisions.iter().any(|decision| decision.point == point);
        let narrow = Scenario {
            odd_bounds: self.scenario.odd_bounds && has(DecisionPoint::Bound),
            ties: self.scenario.ties && has(DecisionPoint::Tie),
            ..self.scenario.clone()
        };
        let kept = |fault: &Fault| {
            let switch = fault.index() as u64;
            !narrow.swarm
                || self
                    .decisions
                    .iter()
                    .any(|decision| decision.point == DecisionPoint::FaultOn && decision.key == switch)
        };
        let net = narrow
            .net
            .iter()
            .filter(|(fault, _)| kept(fault))
            .map(|(fault, probability)| (*fault, *probability));
        let narrow = Scenario { swarm: false, net: net.collect(), ..narrow.clone() };
        self.try_scenario(narrow);
        self.narrow_spans();
        for fault in Fault::ALL {
            let mut fewer = self.scenario.clone();
            fewer.net.remove(fault);
            self.try_scenario(fewer);
        }
    }

    /// One client, one relay, one flow, where the scenario wants more.
    fn narrow_spans(&mut self) {
        const ONE: Span = Span::new(1, 1);
        let spans: [fn(&mut Scenario) -> &mut Span; 3] = [
            |scenario| &mut scenario.clients,
            |scenario| &mut scenario.flows,
            |scenario| &mut scenario.relays,
        ];
        for span in spans {
            let mut narrow = self.scenario.clone();
            *span(&mut narrow) = ONE;
            if narrow != self.scenario && !self.accept(&narrow, &self.decisions.clone()) {
                self.accept_moved(&narrow, &self.decisions.clone());
            }
        }
    }

    /// Lets the faults end sooner, so that less time passes in which nothing happens.
    pub(super) fn shorten(&mut self) {
        const SHORTEST: Duration = Duration::from_millis(100);
        while self.scenario.fault_phase > SHORTEST && !self.spent {
            let fault_phase = Duration::from_millis(self.scenario.fault_phase.as_millis() as u64 / 2);
            let before = self.scenario.fault_phase;
            self.try_scenario(Scenario { fault_phase, ..self.scenario.clone() });
            if self.scenario.fault_phase == before {
                break;
            }
        }
    }
}
