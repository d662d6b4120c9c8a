//! Failures of a swarm: each property's first is written down, made small, and drawn.

use std::path::PathBuf;
use std::time::Instant;

use seqlane_sim::shrink::shrink;
use seqlane_sim::timeline::{self, Timeline};
use seqlane_sim::trace::Trace;
use seqlane_sim::{Bundle, Decisions, Figures, Run, Scenario, Seed, Violation};

use super::Args;
use crate::cli::console::{Console, command, count};
use crate::cli::verdict::Failure;

/// A failure that was written down.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) seed: u64,
    pub(crate) violation: Violation,
    /// The run as it was found.
    pub(crate) bundle: PathBuf,
    /// The run made small.
    pub(crate) small: Option<PathBuf>,
    /// Picks of the smallest run.
    pub(crate) picks: usize,
    /// Entries of its trace.
    pub(crate) entries: usize,
}

impl Found {
    /// The command line that makes the smallest run again.
    pub(crate) fn replay(&self) -> String {
        let file = self.small.as_ref().unwrap_or(&self.bundle);
        command(["replay".to_owned(), file.display().to_string(), "--verbose".to_owned()])
    }
}

/// Writes down the first failure of each property.
pub(crate) fn keep(
    args: &Args,
    console: &Console,
    scenario: &Scenario,
    figures: &Figures,
) -> Result<Vec<Found>, Failure> {
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
    args: &Args,
    console: &Console,
    scenario: &Scenario,
    seed: u64,
    violation: &Violation,
) -> Result<Found, Failure> {
    let run = Run::new(scenario).within(args.many.scenario.limits());
    let recording = run.record(&Decisions::Seed(seed));
    let mut bundle = Bundle::new(&run, Some(seed), &recording);
    // A run that differs each time it is made shows its violation (D1) in none of them.
    bundle.violation = Some(violation.clone());
    std::fs::create_dir_all(&args.bundle_dir).map_err(|error| Failure::file(&args.bundle_dir, error))?;
    let path = args.bundle_dir.join(bundle.file_name());
    write(&path, &bundle.write())?;
    let (picks, entries) = (bundle.picks.len(), recording.entries.len());
    let mut found = Found { seed, violation: violation.clone(), bundle: path, small: None, picks, entries };
    if !args.shrink_budget.is_zero() {
        make_small(args, console, &bundle, &mut found)?;
    }
    Ok(found)
}

fn make_small(args: &Args, console: &Console, bundle: &Bundle, found: &mut Found) -> Result<(), Failure> {
    let bar = console.bar(None);
    let start = Instant::now();
    let shrunk = shrink(bundle, |progress| {
        bar.set_message(format!("{} picks left after {} runs", progress.picks, progress.runs));
        start.elapsed() < args.shrink_budget
    });
    bar.finish_and_clear();
    // A run that differs each time it is made (D1) cannot be made small.
    let Some(shrunk) = shrunk else { return Ok(()) };
    let small = shrunk.bundle(bundle.seed, bundle.limits);
    let path = found.bundle.with_extension("min.json");
    write(&path, &small.write())?;
    let run = Run::new(&small.scenario).within(small.limits);
    let trace = Trace::new(&run, &Decisions::Picks(small.picks.clone()), &shrunk.recording);
    let picture = path.with_extension("html");
    write(&picture, &timeline::html(&Timeline::new(&trace)))?;
    let (picks, entries) = (small.picks.len(), shrunk.recording.entries.len());
    console.say(&format!(
        "  made small: {} to {picks} picks, {} to {entries} entries, {} runs in {:.1?}: {}, {}\n",
        found.picks,
        found.entries,
        shrunk.progress.runs,
        start.elapsed(),
        path.display(),
        picture.display(),
    ))?;
    (found.small, found.picks, found.entries) = (Some(path), picks, entries);
    Ok(())
}

fn write(path: &PathBuf, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::file(path, error))
}
