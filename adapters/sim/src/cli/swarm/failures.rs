//! Failures of a swarm: each property's first is written down, made small, and drawn.

use std::path::PathBuf;
use std::time::Instant;

use seqlane_sim::shrink::shrink;
use seqlane_sim::timeline::{self, Timeline};
use seqlane_sim::trace::Trace;
use seqlane_sim::{Bundle, DecisionSource, Figures, Run, Scenario, Seed, Violation};

use super::SwarmArgs;
use crate::cli::console::{Console, command, count};
use crate::cli::verdict::CliError;

/// A failure that was written down.
#[derive(Clone, Debug)]
pub(crate) struct KeptFailure {
    pub(crate) seed: u64,
    pub(crate) violation: Violation,
    /// The run as it was found.
    pub(crate) bundle: PathBuf,
    /// The run made small.
    pub(crate) small: Option<PathBuf>,
    /// List of the smallest run.
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

/// Writes down the first failure of each property.
pub(crate) fn keep(
    args: &SwarmArgs,
    console: &Console,
    scenario: &Scenario,
    figures: &Figures,
) -> Result<Vec<KeptFailure>, CliError> {
    let mut found = Vec::new();
    for (property, failures) in &figures.failures {
        let Some((seed, violation)) = failures.seeds.first_key_value() else { continue };
        let others: Vec<String> = failures.seeds.keys().map(|seed| Seed(*seed).to_string()).collect();
        let seeds = count(failures.count, "seed");
        console.say(&format!(
            "\n{} violated by {seeds}, the first being {}\n",
            property.id(),
            others.join(", ")
        ))?;
        console.say(&format!("  {violation}\n"))?;
        found.push(keep_one(args, console, scenario, *seed, violation)?);
    }
    Ok(found)
}

fn keep_one(
    args: &SwarmArgs,
    console: &Console,
    scenario: &Scenario,
    seed: u64,
    violation: &Violation,
) -> Result<KeptFailure, CliError> {
    let run = Run::new(scenario).within(args.many.scenario.limits());
    let recording = run.record(&DecisionSource::Seed(seed));
    let mut bundle = Bundle::new(&run, Some(seed), &recording);
    // A run that differs each time it is made shows its violation (D1) in none of them.
    bundle.violation = Some(violation.clone());
    std::fs::create_dir_all(&args.bundle_dir).map_err(|error| CliError::file(&args.bundle_dir, error))?;
    let path = args.bundle_dir.join(bundle.file_name());
    write(&path, &bundle.write())?;
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
    if !args.shrink_budget.is_zero() {
        make_small(args, console, &bundle, &mut found)?;
    }
    Ok(found)
}

fn make_small(
    args: &SwarmArgs,
    console: &Console,
    bundle: &Bundle,
    found: &mut KeptFailure,
) -> Result<(), CliError> {
    let bar = console.bar(None);
    let start = Instant::now();
    let shrunk = shrink(bundle, |progress| {
        bar.set_message(format!("{} decisions left after {} runs", progress.decisions, progress.runs));
        start.elapsed() < args.shrink_budget
    });
    bar.finish_and_clear();
    // A run that differs each time it is made (D1) cannot be made small.
    let Some(shrunk) = shrunk else { return Ok(()) };
    let small = shrunk.bundle(bundle.seed, bundle.limits);
    let path = found.bundle.with_extension("min.json");
    write(&path, &small.write())?;
    let run = Run::new(&small.scenario).within(small.limits);
    let trace = Trace::new(&run, &DecisionSource::List(small.decisions.clone()), &shrunk.recording);
    let picture = path.with_extension("html");
    let timeline = Timeline::new(&trace);
    write(&picture, &timeline::html(&timeline))?;
    let (decisions, entries) = (small.decisions.len(), shrunk.recording.entries.len());
    console.say(&format!(
        "  made small: {} to {decisions} decisions, {} to {entries} entries, {} runs in {:.1?}: {}, {}\n",
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

fn write(path: &PathBuf, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(|error| CliError::file(path, error))
}
