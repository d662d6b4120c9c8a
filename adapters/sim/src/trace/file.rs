//! Trace files: JSON lines with a header, the entries and a trailer.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::checkpoints::Checkpoints;
use crate::hex::Hex;
use crate::origin::Origin;
use crate::trace::TraceLine;
use crate::{
    ClientHost, Decision, DecisionSource, Limits, Profile, Recording, Run, Scenario, Time, Violation,
};

/// What the file is.
pub const FORMAT: &str = "seqlane-sim-trace";
const VERSION: u32 = 1;

/// The first line.
#[serde_with::skip_serializing_none]
#[serde_with::serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    format: String,
    v: u32,
    /// The seed, where a seed decided.
    #[serde_as(as = "Option<Hex>")]
    pub seed: Option<u64>,
    /// The code that made the run.
    #[serde(flatten)]
    pub origin: Origin,
    /// The profile of the scenario.
    pub profile: Profile,
    /// The scenario.
    pub config: Scenario,
    /// Where the run was to be cut off.
    pub limits: Limits,
    /// The decisions, where no seed decided.
    #[serde(alias = "picks")]
    pub decisions: Option<Vec<Decision>>,
}

/// The last line.
#[serde_with::serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// How it ended.
    pub end: RunEnd,
    /// What was violated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<Violation>,
    /// Events of the run.
    pub events: u64,
    /// Its length.
    pub time: Time,
    /// The hash at its end.
    #[serde_as(as = "Hex")]
    pub hash: u64,
    /// Hashes on its way.
    pub checkpoints: Checkpoints,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// Nothing was left to happen, or it was cut off.
    Finished,
    /// A property was violated.
    Violation,
}

/// A whole trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What was to be.
    pub header: Header,
    /// What happened.
    pub lines: Vec<TraceLine>,
    /// What came of it.
    pub trailer: Trailer,
}

/// A file that is no trace.
#[derive(Debug, thiserror::Error)]
pub enum BadTrace {
    /// It cannot be read.
    #[error("no trace: {0}")]
    Io(io::Error),
    /// A line, counted from 1, is invalid.
    #[error("no trace: line {0}: {1}")]
    Line(usize, String),
    /// It has no trailer: writing it was interrupted.
    #[error("no whole trace: it has no last line")]
    Cut,
}

impl Trace {
    /// Puts a recorded run together.
    pub fn new<H: ClientHost>(run: &Run<'_, H>, decisions: &DecisionSource, recording: &Recording) -> Self {
        let (seed, decisions) = match decisions {
            DecisionSource::Seed(seed) => (Some(*seed), None),
            DecisionSource::List(decisions) => (None, Some(decisions.clone())),
        };
        let outcome = &recording.outcome;
        Self {
            header: Header {
                format: FORMAT.to_owned(),
                v: VERSION,
                seed,
                origin: Origin::here(),
                profile: run.scenario().profile,
                config: run.scenario().clone(),
                limits: run.limits(),
                decisions,
            },
            lines: recording.entries.iter().map(TraceLine::from).collect(),
            trailer: Trailer {
                end: if outcome.violation.is_some() { RunEnd::Violation } else { RunEnd::Finished },
                violation: outcome.violation.clone(),
                events: outcome.events,
                time: outcome.time,
                hash: outcome.hash,
                checkpoints: recording.checkpoints.clone(),
            },
        }
    }

    /// The source of the run's decisions.
    pub fn decisions(&self) -> DecisionSource {
        match (&self.header.decisions, self.header.seed) {
            (None, Some(seed)) => DecisionSource::Seed(seed),
            (decisions, _) => DecisionSource::List(decisions.clone().unwrap_or_default()),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        put(&mut out, &self.header)?;
        self.lines.iter().try_for_each(|line| put(&mut out, line))?;
        put(&mut out, &self.trailer)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`BadTrace`] names the line that is wrong.
    pub fn read(input: impl BufRead) -> Result<Self, BadTrace> {
        let mut texts = input.lines().enumerate();
        let first = texts.next().ok_or(BadTrace::Cut)?.1.map_err(BadTrace::Io)?;
        let header: Header = get(0, &first)?;
        if header.format != FORMAT || header.v != VERSION {
            return Err(BadTrace::Line(1, format!("it is {} version {}", header.format, header.v)));
        }
        let mut lines = Vec::new();
        for (place, text) in texts {
            let text = text.map_err(BadTrace::Io)?;
            if text.starts_with(r#"{"end""#) {
                return Ok(Self { header, lines, trailer: get(place, &text)? });
            }
            lines.push(get(place, &text)?);
        }
        Err(BadTrace::Cut)
    }
}

fn put(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn get<'de, T: Deserialize<'de>>(place: usize, text: &'de str) -> Result<T, BadTrace> {
    serde_json::from_str(text).map_err(|error| BadTrace::Line(place + 1, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(seed: u64) -> Trace {
        let scenario = Profile::Swarm.scenario();
        let run = Run::new(&scenario);
        let decisions = DecisionSource::Seed(seed);
        Trace::new(&run, &decisions, &run.record(&decisions))
    }

    #[test]
    fn a_trace_is_the_same_after_it_was_written_and_read() {
        let trace = trace(3);
        let mut file = Vec::new();
        trace.write(&mut file).unwrap();
        assert_eq!(Trace::read(&file[..]).unwrap(), trace);
    }

    #[test]
    fn a_trace_without_an_end_is_refused() {
        let mut file = Vec::new();
        trace(3).write(&mut file).unwrap();
        let lines = file.len() - 1;
        let whole_lines = file[..lines].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        assert!(matches!(Trace::read(&file[..whole_lines]), Err(BadTrace::Cut)));
    }
}
