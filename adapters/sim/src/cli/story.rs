//! A recorded run from a file: a bundle, or a trace.

use std::path::Path;

use seqlane_sim::bundle::Bundle;
use seqlane_sim::trace::{self, Trace};
use seqlane_sim::{Decisions, Limits, Recording, Run, Scenario};

use crate::cli::verdict::Failure;

/// A run that can be made again.
#[derive(Debug)]
pub(crate) enum Story {
    /// From a bundle.
    Bundle(Box<Bundle>),
    /// From a trace.
    Trace(Box<Trace>),
}

impl Story {
    /// Reads either kind of file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
        let first = text.lines().next().unwrap_or_default();
        if first.contains(trace::FORMAT) {
            let trace = Trace::read(text.as_bytes()).map_err(|error| Failure::file(path, error))?;
            return Ok(Self::Trace(Box::new(trace)));
        }
        let bundle = Bundle::read(&text).map_err(|error| Failure::file(path, error))?;
        Ok(Self::Bundle(Box::new(bundle)))
    }

    pub(crate) fn scenario(&self) -> &Scenario {
        match self {
            Self::Bundle(bundle) => &bundle.scenario,
            Self::Trace(trace) => &trace.header.config,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        match self {
            Self::Bundle(bundle) => bundle.limits,
            Self::Trace(trace) => trace.header.limits,
        }
    }

    pub(crate) fn decisions(&self) -> Decisions {
        match self {
            Self::Bundle(bundle) => Decisions::Picks(bundle.picks.clone()),
            Self::Trace(trace) => trace.decisions(),
        }
    }

    pub(crate) fn seed(&self) -> Option<u64> {
        match self {
            Self::Bundle(bundle) => bundle.seed,
            Self::Trace(trace) => trace.header.seed,
        }
    }

    /// Makes the run again.
    pub(crate) fn record(&self) -> Recording {
        Run::new(self.scenario()).within(self.limits()).record(&self.decisions())
    }

    /// As a bundle, of the run as it is now.
    pub(crate) fn into_bundle(self) -> Bundle {
        match self {
            Self::Bundle(bundle) => *bundle,
            Self::Trace(_) => {
                let run = Run::new(self.scenario()).within(self.limits());
                Bundle::new(&run, self.seed(), &run.record(&self.decisions()))
            }
        }
    }

    /// As a trace: the one that was read, or that of the run as it is now.
    pub(crate) fn into_trace(self) -> Trace {
        match self {
            Self::Trace(trace) => *trace,
            Self::Bundle(_) => {
                let (decisions, recording) = (self.decisions(), self.record());
                let mut trace =
                    Trace::new(&Run::new(self.scenario()).within(self.limits()), &decisions, &recording);
                trace.header.seed = self.seed();
                trace
            }
        }
    }
}
