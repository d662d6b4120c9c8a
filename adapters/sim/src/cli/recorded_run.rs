//! A recorded run from a file: a bundle or a trace.

use std::path::Path;

use seqlane_sim::bundle::Bundle;
use seqlane_sim::trace::{self, Trace};
use seqlane_sim::{DecisionSource, Limits, Recording, Run, Scenario};

use crate::cli::verdict::CliError;

/// A run that can be made again.
#[derive(Debug)]
pub(crate) enum RecordedRun {
    /// From a bundle.
    Bundle(Box<Bundle>),
    /// From a trace.
    Trace(Box<Trace>),
}

impl RecordedRun {
    /// Reads either kind of file.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let text = std::fs::read_to_string(path).map_err(|error| CliError::file(path, error))?;
        let first = text.lines().next().unwrap_or_default();
        if first.contains(trace::FORMAT) {
            let trace = Trace::read(text.as_bytes()).map_err(|error| CliError::file(path, error))?;
            return Ok(Self::Trace(Box::new(trace)));
        }
        let bundle = Bundle::read(&text).map_err(|error| CliError::file(path, error))?;
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

    pub(crate) fn decisions(&self) -> DecisionSource {
        match self {
            Self::Bundle(bundle) => DecisionSource::List(bundle.decisions.clone()),
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
