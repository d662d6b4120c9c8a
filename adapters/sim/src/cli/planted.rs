//! `planted`: how many seeds it takes to find each planted bug.

use std::path::{Path, PathBuf};

use seqlane::planted::Bug;
use seqlane_sim::shrink::Shrunk;
use seqlane_sim::{Property, scoreboard};
use serde_json::{Value, json};

use crate::cli::console::Console;
use crate::cli::run::write_trace;
use crate::cli::verdict::{CliError, Verdict};

/// Find every planted bug, and print how many seeds that took, as a table in Markdown.
#[derive(clap::Args, Debug)]
pub(crate) struct PlantedArgs {
    /// Only these bugs
    bugs: Vec<String>,
    /// Batches of seeds, for the median
    #[arg(long, default_value_t = 9)]
    batches: u64,
    /// Seeds of a batch, at most
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Finds that are made small; the shortest is told
    #[arg(long, default_value_t = 4)]
    finds: usize,
    /// Runs that making one find small may take; 0 leaves it as it is
    #[arg(long, default_value_t = 6_000)]
    shrink: u64,
    /// Write each small run into this directory, as a trace
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
}

pub(crate) fn run(args: PlantedArgs, console: &Console) -> Result<Verdict, CliError> {
    let wanted = |bug: &Bug| args.bugs.is_empty() || args.bugs.iter().any(|name| name == bug.id());
    let mut scores = Vec::new();
    console.say(scoreboard::HEAD)?;
    for bug in Bug::ALL.iter().copied().filter(wanted) {
        let mut score = scoreboard::hunt(bug, args.batches, args.seeds);
        scoreboard::shrink(&mut score, args.finds, args.shrink);
        console.say(&scoreboard::row(&score))?;
        if let (Some(directory), Some(shrunk)) = (&args.traces, &score.shrunk) {
            keep(directory, bug, shrunk)?;
        }
        scores.push(score);
    }
    let rows = scores.iter().map(|score| {
        let finds: Vec<u64> = score.finds.iter().map(|(_, seed)| *seed).collect();
        let small = score.shrunk.as_ref().map(|shrunk| &shrunk.recording);
        let decisions = small.map(|small| small.decisions.len());
        let events = small.map(|small| small.outcome.events);
        let lines = score.shrunk.as_ref().map(scoreboard::told);
        json!({
            "bug": score.bug.id(), "properties": score.properties(), "finds": finds, "seeds": score.seeds,
            "median": score.median(), "decisions": decisions, "events": events, "lines": lines,
        })
    });
    console.document(&rows.collect::<Value>())?;
    let all = scores.iter().all(|score| score.seeds.iter().all(Option::is_some));
    Ok(if all { Verdict::Pass } else { Verdict::Violated(Property::M1) })
}

/// Writes the small run of a bug down.
fn keep(directory: &Path, bug: Bug, shrunk: &Shrunk) -> Result<(), CliError> {
    std::fs::create_dir_all(directory).map_err(|error| CliError::file(directory, error))?;
    write_trace(&directory.join(format!("{bug}.jsonl")), &scoreboard::trace(shrunk))
}
