//! Failures of a swarm: the first of each property is written, shrunk and drawn.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seqlane_sim::shrink::shrink;
use seqlane_sim::timeline::{self, Timeline};
use seqlane_sim::trace::Trace;
use seqlane_sim::{Bundle, DecisionSource, Figures, Run, Seed, Violation};
use serde::Serialize;

use crate::cli::console::{Console, command, count, write_to};
use crate::cli::verdict::CliError;

/// A failure that was written down.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeptFailure {
    pub(crate) seed: Seed,
    pub(crate) violation: Violation,
    /// The run as it was found.
    pub(crate) bundle: PathBuf,
    /// The shrunk run.
    pub(crate) small: Option<PathBuf>,
    /// Decisions of the smallest run.
    pub(crate) decisions: usize,
    /// Events of it.
    pub(crate) events: u64,
    /// Entries of its trace.
    pub(crate) entries: usize,
    /// Lines of its timeline when it is shrunk, with repeated events folded.
    pub(crate) lines: Option<usize>,
}

impl KeptFailure {
    /// The command line that makes the smallest run again.
    pub(crate) fn replay(&self) -> String {
        let file = self.small.as_ref().unwrap_or(&self.bundle);
        command(["replay".to_owned(), file.display().to_string(), "--verbose".to_owned()])
    }
}

/// Writes failures into a directory, and shrinks them.
pub(crate) struct Keeper<'a> {
    pub(crate) console: &'a Console,
    pub(crate) run: Run<'a>,
    pub(crate) directory: &'a Path,
    /// The longest that shrinking one failure may take; zero: it is not shrunk.
    pub(crate) shrink_budget: Duration,
}

impl Keeper<'_> {
    /// Writes down the first failure of each property.
    pub(crate) fn keep(&self, figures: &Figures) -> Result<Vec<KeptFailure>, CliError> {
        let mut kept = Vec::new();
        for (property, failures) in &figures.failures {
            let Some((seed, violation)) = failures.seeds.first_key_value() else { continue };
            let others: Vec<String> = failures.seeds.keys().map(|seed| Seed(*seed).to_string()).collect();
            let (id, seeds, others) = (property.id(), count(failures.count, "seed"), others.join(", "));
            self.console.say(&format!("\n{id} violated by {seeds}, the first being {others}\n"))?;
            self.console.say(&format!("  {violation}\n"))?;
            kept.push(self.keep_one(Seed(*seed), violation)?);
        }
        Ok(kept)
    }

    fn keep_one(&self, seed: Seed, violation: &Violation) -> Result<KeptFailure, CliError> {
        let recording = self.run.record(&DecisionSource::Seed(seed.0));
        let mut bundle = Bundle::new(&self.run, Some(seed.0), &recording);
        // A run that differs each time it is made shows its violation (D1) in none of them.
        bundle.violation = Some(violation.clone());
        std::fs::create_dir_all(self.directory).map_err(|error| CliError::file(self.directory, error))?;
        let path = self.directory.join(bundle.file_name());
        write_to(&path, &bundle.write())?;
        let mut found = KeptFailure {
            seed,
            violation: violation.clone(),
            bundle: path,
            small: None,
            decisions: bundle.decisions.len(),
            events: bundle.events,
            entries: recording.entries.len(),
            lines: None,
        };
        if !self.shrink_budget.is_zero() {
            self.shrink(&bundle, &mut found)?;
        }
        Ok(found)
    }

    fn shrink(&self, bundle: &Bundle, found: &mut KeptFailure) -> Result<(), CliError> {
        let bar = self.console.bar(None);
        let start = Instant::now();
        let shrunk = shrink(bundle, |progress| {
            bar.set_message(format!("{} decisions left after {} runs", progress.decisions, progress.runs));
            start.elapsed() < self.shrink_budget
        });
        bar.finish_and_clear();
        // A run that differs each time it is made (D1) cannot be shrunk.
        let Some(shrunk) = shrunk else { return Ok(()) };
        let small = shrunk.bundle(bundle.seed, bundle.limits);
        let path = found.bundle.with_extension("min.json");
        write_to(&path, &small.write())?;
        let run = Run::new(&small.scenario).within(small.limits);
        let trace = Trace::new(&run, &DecisionSource::List(small.decisions.clone()), &shrunk.recording);
        let picture = path.with_extension("html");
        let timeline = Timeline::new(&trace);
        write_to(&picture, &timeline::html(&timeline))?;
        let (decisions, entries) = (small.decisions.len(), shrunk.recording.entries.len());
        self.console.say(&format!(
            "  shrunk: {} to {decisions} decisions, {} to {entries} entries, {} runs in {:.1?}: {}, {}\n",
            found.decisions,
            found.entries,
            shrunk.progress.runs,
            start.elapsed(),
            path.display(),
            picture.display(),
        ))?;
        let (small, events, lines) = (Some(path), small.events, Some(timeline.length()));
        *found = KeptFailure { small, decisions, events, entries, lines, ..found.clone() };
        Ok(())
    }
}
