//! `shrink`: a smaller run with the same violation.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use seqlane_sim::shrink::shrink;
use serde_json::json;

use crate::cli::console::{Console, command, count};
use crate::cli::recorded_run::RecordedRun;
use crate::cli::run::tell_entries;
use crate::cli::verdict::{CliError, Verdict};

/// Shrink a failing run.
#[derive(clap::Args, Debug)]
pub(crate) struct ShrinkArgs {
    /// A bundle (failure-….json) or a trace (….jsonl)
    file: PathBuf,
    /// Spend at most this long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    budget: Duration,
    /// Where to write the shrunk bundle; default: beside the file, as .min.json
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: ShrinkArgs, console: &Console) -> Result<Verdict, CliError> {
    let bundle = RecordedRun::read(&args.file)?.into_bundle();
    let bar = console.bar(None);
    let start = Instant::now();
    let shrunk = shrink(&bundle, |progress| {
        let (decisions, events) =
            (count(progress.decisions as u64, "decision"), count(progress.events, "event"));
        bar.set_message(format!("{decisions} and {events} left after {} runs", progress.runs));
        start.elapsed() < args.budget
    });
    bar.finish_and_clear();
    let Some(shrunk) = shrunk else {
        return Err(CliError::file(&args.file, "the run violates nothing, so there is nothing to shrink"));
    };
    let small = shrunk.bundle(bundle.seed, bundle.limits);
    let path = args.output.unwrap_or_else(|| args.file.with_extension("min.json"));
    std::fs::write(&path, small.write()).map_err(|error| CliError::file(&path, error))?;
    tell_entries(console, &shrunk.recording, 0, u64::MAX)?;
    let (decisions, entries) = (small.decisions.len(), shrunk.recording.entries.len());
    let whole = if shrunk.complete { "" } else { ", cut short by its budget" };
    console.say(&format!(
        "{} to {}, {} to {}, {entries} entries, after {} in {:.1?}{whole}\n",
        bundle.decisions.len(),
        count(decisions as u64, "decision"),
        bundle.events,
        count(small.events, "event"),
        count(shrunk.progress.runs, "run"),
        start.elapsed(),
    ))?;
    if let Some(violation) = &small.violation {
        console.say(&format!("VIOLATION {violation}\n"))?;
    }
    console.document(&json!({
        "file": path, "decisions": small.decisions, "events": small.events, "entries": entries,
        "runs": shrunk.progress.runs, "complete": shrunk.complete, "violation": small.violation,
    }))?;
    console.say(&format!("{}\n", command(["replay".to_owned(), path.display().to_string()])))?;
    Ok(Verdict::Pass)
}
