//! A recorded run from a file: a bundle or a trace.

use std::path::Path;

use seqlane_sim::origin::Origin;
use seqlane_sim::trace::{self, Trace};
use seqlane_sim::{Bundle, DecisionSource, Limits, Recording, Run, Scenario};

use crate::cli::verdict::CliError;

/// A run that can be repeated.
#[derive(Debug)]
pub(crate) struct RecordedRun {
    pub(crate) scenario: Scenario,
    pub(crate) limits: Limits,
    pub(crate) decisions: DecisionSource,
    pub(crate) seed: Option<u64>,
    pub(crate) origin: Origin,
    pub(crate) file: RecordedFile,
}

/// The file that a run was read from.
#[derive(Debug)]
pub(crate) enum RecordedFile {
    Bundle(Box<Bundle>),
    Trace(Box<Trace>),
}

impl RecordedRun {
    /// Reads either kind of file.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let text = std::fs::read_to_string(path).map_err(|error| CliError::file(path, error))?;
        let first = text.lines().next().unwrap_or_default();
        if first.contains(trace::FORMAT) {
            let trace = Trace::read(text.as_bytes()).map_err(|error| CliError::file(path, error))?;
            let (header, decisions) = (trace.header.clone(), trace.decisions());
            let (scenario, limits, seed, origin) = (header.config, header.limits, header.seed, header.origin);
            let file = RecordedFile::Trace(Box::new(trace));
            return Ok(Self { scenario, limits, decisions, seed, origin, file });
        }
        let bundle = Bundle::read(&text).map_err(|error| CliError::file(path, error))?;
        let decisions = DecisionSource::List(bundle.decisions.clone());
        let Bundle { scenario, limits, seed, origin, .. } = bundle.clone();
        Ok(Self { scenario, limits, decisions, seed, origin, file: RecordedFile::Bundle(Box::new(bundle)) })
    }

    fn run(&self) -> Run<'_> {
        Run::new(&self.scenario).within(self.limits)
    }

    /// Makes the run again.
    pub(crate) fn record(&self) -> Recording {
        self.run().record(&self.decisions)
    }

    /// The trace of a recording of this run.
    pub(crate) fn trace_of(&self, recording: &Recording) -> Trace {
        let mut trace = Trace::new(&self.run(), &self.decisions, recording);
        trace.header.seed = self.seed;
        trace
    }

    /// As a bundle: the one that was read, or that of the run as it is now.
    pub(crate) fn into_bundle(self) -> Bundle {
        match self.file {
            RecordedFile::Bundle(bundle) => *bundle,
            RecordedFile::Trace(_) => Bundle::new(&self.run(), self.seed, &self.record()),
        }
    }

    /// As a trace: the one that was read, or that of the run as it is now.
    pub(crate) fn into_trace(self) -> Trace {
        match self.file {
            RecordedFile::Trace(trace) => *trace,
            RecordedFile::Bundle(_) => self.trace_of(&self.record()),
        }
    }
}
