//! A narrower scenario: what the run makes no use of is taken out of it.

use std::time::Duration;

use crate::chooser::Pick;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::run::Run;
use crate::scenario::{Scenario, Span};
use crate::shrink::{Progress, Shrinker};
use crate::site::Site;
use crate::world::Outcome;

impl<H, T, G> Shrinker<'_, H, T, G>
where
    H: ClientHost,
    T: FnMut(&Run<'_, H>, &[Pick]) -> (Outcome, Vec<Pick>),
    G: FnMut(Progress) -> bool,
{
    /// Takes out of the scenario what the run makes no use of, so that it needs fewer picks to say the same.
    pub(super) fn narrow(&mut self) {
        let has = |site: Site| self.picks.iter().any(|pick| pick.site == site);
        let narrow = Scenario {
            odd_bounds: self.scenario.odd_bounds && has(Site::Bound),
            ties: self.scenario.ties && has(Site::Tie),
            ..self.scenario.clone()
        };
        let kept = |fault: &Fault| {
            let switch = fault.index() as u64;
            !narrow.swarm || self.picks.iter().any(|pick| pick.site == Site::FaultOn && pick.key == switch)
        };
        let net = narrow.net.iter().filter(|(fault, _)| kept(fault)).map(|(fault, odds)| (*fault, *odds));
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
            if narrow != self.scenario && !self.accept(&narrow, &self.picks.clone()) {
                self.accept_moved(&narrow, &self.picks.clone());
            }
        }
    }

    /// Lets the faults end sooner, so that less time passes in which nothing happens.
    pub(super) fn shorten(&mut self) {
        const SHORTEST: Duration = Duration::from_millis(100);
        while self.scenario.storm > SHORTEST && !self.spent {
            let storm = Duration::from_millis(self.scenario.storm.as_millis() as u64 / 2);
            let before = self.scenario.storm;
            self.try_scenario(Scenario { storm, ..self.scenario.clone() });
            if self.scenario.storm == before {
                break;
            }
        }
    }
}
