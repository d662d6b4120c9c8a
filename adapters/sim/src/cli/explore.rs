//! `explore`: exhaustive search of small worlds.

use std::fmt::Display;

use seqlane_sim::explore::{self, Counterexample, Liveness, Options, Paths, Scope};
use serde::Serialize;

use crate::cli::console::{Console, count};
use crate::cli::verdict::{CliError, Verdict};

/// Search small worlds exhaustively.
#[derive(clap::Args, Debug)]
pub(crate) struct ExploreArgs {
    /// A world to search: up=2,down=2,lanes=2,drop=1,dup=1,late=1,crash=1 (repeat for more; default: four)
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// Look at no more states than this in a world
    #[arg(long, value_name = "N", default_value_t = Options::default().max_states)]
    max_states: usize,
    /// The liveness checks
    #[arg(long, value_name = "WHICH", default_value_t = Liveness::Both)]
    liveness: Liveness,
    /// Run the whole simulator under every combination of its first decisions instead
    #[arg(long, conflicts_with_all = ["scopes", "max_states", "liveness"])]
    paths: bool,
    /// With --paths: how many decisions of a run are tried in every way
    #[arg(long, value_name = "N", requires = "paths", default_value_t = Paths::default().depth)]
    depth: usize,
}

pub(crate) fn run(args: ExploreArgs, console: &Console) -> Result<Verdict, CliError> {
    if args.paths { every_path(&args, console) } else { every_state(args, console) }
}

fn every_state(args: ExploreArgs, console: &Console) -> Result<Verdict, CliError> {
    let mut options = Options { max_states: args.max_states, liveness: args.liveness, ..Options::default() };
    if !args.scopes.is_empty() {
        options.scopes = args.scopes;
    }
    let bar = console.bar(None);
    let report = explore::run(&options, &mut |scope, progress| {
        bar.set_message(format!("{scope}: {}", count(progress.states as u64, "state")));
        bar.tick();
    });
    bar.finish_and_clear();
    tell(console, &report, report.counterexample(), report.is_truncated())
}

fn every_path(args: &ExploreArgs, console: &Console) -> Result<Verdict, CliError> {
    let paths = Paths { depth: args.depth, ..Paths::default() };
    let bar = console.bar(None);
    let report = paths.run(&mut |runs| {
        bar.set_message(count(runs, "run"));
        bar.tick();
    });
    bar.finish_and_clear();
    tell(console, &report, report.counterexample.as_ref(), report.truncated)
}

fn tell(
    console: &Console,
    report: &(impl Display + Serialize),
    found: Option<&Counterexample>,
    truncated: bool,
) -> Result<Verdict, CliError> {
    console.say(&format!("{report}\n"))?;
    console.document(report)?;
    Ok(match found {
        Some(found) => Verdict::Violated(found.property),
        None if truncated => Verdict::Unfinished,
        None => Verdict::Pass,
    })
}
