//! The command line.

mod bench;
mod console;
mod coverage;
mod diff;
mod explore;
mod faults;
mod many;
mod mutants;
mod plan;
mod playback;
mod props;
mod recorded_run;
mod replay;
mod run;
mod scenario;
mod shrink;
mod swarm;
mod table;
mod timeline;
mod verdict;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use self::console::Console;
use self::verdict::{CliError, Verdict};

/// Declares the verbs: a module each, with its arguments and `run`.
macro_rules! verbs {
    ($($(#[$about:meta])* $name:ident($args:ident) => $module:ident,)*) => {
        #[derive(Debug, Subcommand)]
        enum Verb {
            $($(#[$about])* $name($module::$args),)*
        }

        impl Verb {
            fn run(self, console: &Console) -> Result<Verdict, CliError> {
                match self {
                    $(Self::$name(args) => $module::run(args, console),)*
                }
            }
        }
    };
}

verbs! {
    /// Make one run
    Run(RunArgs) => run,
    /// Make many runs, and shrink every failure
    Swarm(SwarmArgs) => swarm,
    /// Repeat the run of a bundle, a trace or a recording, and compare it
    Replay(ReplayArgs) => replay,
    /// Shrink a failing run
    Shrink(ShrinkArgs) => shrink,
    /// Draw a run
    Timeline(TimelineArgs) => timeline,
    /// Find the first difference of two runs
    Diff(DiffArgs) => diff,
    /// Search small worlds exhaustively
    Explore(ExploreArgs) => explore,
    /// List the properties
    Props(PropsArgs) => props,
    /// List the fault kinds
    Faults(FaultsArgs) => faults,
    /// Count how many runs reach each coverage point
    Coverage(CoverageArgs) => coverage,
    /// Measure the machines in virtual time
    Plan(PlanArgs) => plan,
    /// Measure how fast runs are
    Bench(BenchArgs) => bench,
    /// Build each mutant of the core, and count the seeds that it takes to find it
    Mutants(MutantsArgs) => mutants,
}

/// The real machines, on a network made of seeds.
#[derive(Debug, Parser)]
#[command(name = "seqlane-sim", version, after_help = AFTER_HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    console: Console,
}

/// Parses the command line and runs its verb.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<Verdict, CliError> {
    let cli = Cli::try_parse_from(arguments)?;
    cli.verb.run(&cli.console)
}

const AFTER_HELP: &str = "\
Examples:
  seqlane-sim run --seed 42 --set net.lose-reply=3/100 --trace run.jsonl
  seqlane-sim swarm --for 60s --jobs 2
  seqlane-sim swarm --seeds $(git rev-parse HEAD).. --for 10m
  seqlane-sim replay failures/failure-S2-0x2a.json --verbose
  seqlane-sim replay client.recording
  seqlane-sim explore --scope up=2,down=2,drop=1,crash=1
  seqlane-sim timeline failures/failure-S2-0x2a.min.json -o timeline.html

Exit codes: 0 pass, 1 a safety property violated, 2 bad usage or an unusable file, 3 not deterministic,
4 a liveness property violated, 5 something never happened that must happen sometimes, 6 a bound exceeded.";
