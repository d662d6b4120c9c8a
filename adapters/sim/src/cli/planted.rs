//! `planted`: how many seeds it takes to find each planted bug.

use seqlane::planted::Bug;
use seqlane_sim::{Property, scoreboard};
use serde_json::{Value, json};

use crate::cli::console::Console;
use crate::cli::verdict::{Failure, Verdict};

/// Find every planted bug, and print how many seeds that took, as a table in Markdown.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only these bugs
    bugs: Vec<String>,
    /// Batches of seeds, for the median
    #[arg(long, default_value_t = 9)]
    batches: u64,
    /// Seeds of a batch, at most
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Runs that making one find small may take; 0 leaves it as it is
    #[arg(long, default_value_t = 4_000)]
    shrink: u64,
}

pub(crate) fn run(args: Args, console: &Console) -> Result<Verdict, Failure> {
    let wanted = |bug: &Bug| args.bugs.is_empty() || args.bugs.iter().any(|name| name == bug.id());
    let mut scores = Vec::new();
    console.say(scoreboard::HEAD)?;
    for bug in Bug::ALL.iter().copied().filter(wanted) {
        let mut score = scoreboard::hunt(bug, args.batches, args.seeds);
        scoreboard::shrink(&mut score, args.shrink);
        console.say(&scoreboard::row(&score))?;
        scores.push(score);
    }
    let rows = scores.iter().map(|score| {
        let (property, seed) = score.first.map(|(property, seed)| (property.id(), seed)).unzip();
        let (picks, events) = score.shrunk.unzip();
        json!({
            "bug": score.bug.id(), "property": property, "seed": seed, "seeds": score.seeds,
            "median": score.median(), "picks": picks, "events": events,
        })
    });
    console.document(&rows.collect::<Value>())?;
    let all = scores.iter().all(|score| score.seeds.iter().all(Option::is_some));
    Ok(if all { Verdict::Pass } else { Verdict::Violated(Property::M1) })
}
