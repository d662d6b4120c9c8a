//! `swarm`: many runs, their totals, and their failures.

mod failures;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use seqlane_sim::swarm::SeedCheck;
use seqlane_sim::{Property, Run, Seed, copies, isolation};

use self::failures::{Keeper, KeptFailure};
use crate::cli::console::Console;
use crate::cli::coverage::never;
use crate::cli::many::ManyArgs;
use crate::cli::verdict::{CliError, Verdict};

/// Make many runs, and shrink every failure.
#[derive(clap::Args, Debug)]
pub(crate) struct SwarmArgs {
    #[command(flatten)]
    pub(crate) many: ManyArgs,
    /// Stop at the first failure
    #[arg(long)]
    stop_on_first: bool,
    /// Make each run twice, and compare (D1)
    #[arg(long, group = "seed_check")]
    check_determinism: bool,
    /// Copy each run in its middle, and compare the ends (D2)
    #[arg(long, group = "seed_check")]
    check_copies: bool,
    /// Make each run with a stalled flow and without, and compare the delays of the others (I1)
    #[arg(long, group = "seed_check")]
    check_isolation: bool,
    /// Fail unless everything happened that must happen sometimes
    #[arg(long, alias = "require-marks")]
    require_coverage: bool,
    /// Print the hash of every run, and nothing else
    #[arg(long, conflicts_with = "json")]
    hashes: bool,
    /// Write bundles of failures and their timelines into this directory
    #[arg(long, value_name = "DIR", default_value = "failures")]
    bundle_dir: PathBuf,
    /// Spend at most this long on shrinking one failure; 0s: do not shrink
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    shrink_budget: Duration,
    /// Write a report (HTML and JSON) into this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl SwarmArgs {
    fn check<'a>(&self) -> SeedCheck<'a> {
        if self.check_determinism {
            return Run::twice;
        }
        if self.check_copies {
            return |run, seed| copies::check(run, seed);
        }
        if self.check_isolation { |run, seed| isolation::check(run, seed) } else { Run::seeded }
    }
}

pub(crate) fn run(args: SwarmArgs, console: &Console) -> Result<Verdict, CliError> {
    let scenario = args.many.scenario.scenario()?;
    let ran = args.many.run(console, &scenario, args.check(), args.hashes, |figures| {
        !args.stop_on_first || figures.failures.is_empty()
    });
    if args.hashes {
        for (seed, (hash, events)) in &ran.figures.hashes {
            console.say(&format!("{seed} {hash:016x} {events}\n"))?;
        }
        return Ok(Verdict::of(ran.figures.first_failure().map(|(_, violation)| violation)));
    }
    console.say(&format!("{}\n", report::text(&scenario, &ran)))?;
    let keeper = Keeper {
        console,
        run: Run::new(&scenario).within(args.many.scenario.limits()),
        directory: &args.bundle_dir,
        shrink_budget: args.shrink_budget,
    };
    let found = keeper.keep(&ran.figures)?;
    let missing = if args.require_coverage { never(&scenario, &ran.figures) } else { Vec::new() };
    if let Some(directory) = &args.report {
        report::write(directory, &scenario, &ran, &found)?;
    }
    console.document(&report::document(&scenario, &ran, &found))?;
    if let Some((seed, violation)) = ran.figures.first_failure() {
        let seed = Seed(seed);
        let written = found.iter().find(|failure| failure.seed == seed);
        let again = written.map_or_else(|| args.many.scenario.command(seed), KeptFailure::replay);
        console.say(&format!("{again}\n"))?;
        return Ok(Verdict::of(Some(violation)));
    }
    if missing.is_empty() {
        return Ok(Verdict::Pass);
    }
    let names: Vec<String> = missing.iter().map(|point| format!("{point:?}")).collect();
    console.say(&format!("M1 violated: never happened: {}\n", names.join(", ")))?;
    Ok(Verdict::Violated(Property::M1))
}
