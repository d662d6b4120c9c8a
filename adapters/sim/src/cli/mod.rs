//! The command line: what can be asked, and who does it.

mod bench;
mod console;
mod coverage;
mod diff;
mod explore;
mod faults;
mod plan;
#[cfg(feature = "planted")]
mod planted;
mod playback;
mod props;
mod replay;
mod run;
mod scenario;
mod shrink;
mod story;
mod swarm;
mod table;
mod timeline;
mod verdict;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use self::console::Console;
use self::verdict::{Failure, Verdict};

/// Declares the verbs: a module each, with `Args` and `run`.
macro_rules! verbs {
    ($($(#[$about:meta])* $name:ident => $module:ident $(if $feature:tt)?,)*) => {
        #[derive(Debug, Subcommand)]
        enum Verb {
            $($(#[$about])* $(#[cfg(feature = $feature)])? $name($module::Args),)*
        }

        impl Verb {
            fn run(self, console: &Console) -> Result<Verdict, Failure> {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$name(args) => $module::run(args, console),)*
                }
            }
        }
    };
}

verbs! {
    /// Make one run
    Run => run,
    /// Make many runs, and make every failure small
    Swarm => swarm,
    /// Make the run of a bundle, a trace or a recording of real sockets again, exactly
    Replay => replay,
    /// Make a failing run small
    Shrink => shrink,
    /// Draw a run
    Timeline => timeline,
    /// Find where two runs part
    Diff => diff,
    /// Search small worlds to the end
    Explore => explore,
    /// List what must hold
    Props => props,
    /// List what can go wrong
    Faults => faults,
    /// Count what happens sometimes, and say what never does
    Coverage => coverage,
    /// Measure the machines in virtual time, and draw what was found
    Plan => plan,
    /// Measure how fast runs are
    Bench => bench,
    /// Count the seeds that it takes to find each planted bug
    Planted => planted if "planted",
}

/// The real machines, on a network made of seeds.
#[derive(Debug, Parser)]
#[command(name = "seqlane-sim", version, after_help = AFTER_HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    console: Console,
    /// Plant this bug in the machines first
    #[cfg(feature = "planted")]
    #[arg(long, global = true, value_name = "BUG", value_parser = bug)]
    plant: Option<seqlane::planted::Bug>,
}

/// Reads the command line and does what it says.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<Verdict, Failure> {
    let cli = Cli::try_parse_from(arguments)?;
    #[cfg(feature = "planted")]
    cli.plant.into_iter().for_each(seqlane::planted::Bug::plant);
    cli.verb.run(&cli.console)
}

#[cfg(feature = "planted")]
fn bug(id: &str) -> Result<seqlane::planted::Bug, String> {
    seqlane::planted::Bug::named(id).ok_or_else(|| format!("there is no planted bug {id}"))
}

const AFTER_HELP: &str = "\
Examples:
  seqlane-sim run --seed 42 --set net.lose-reply=3/100 --trace run.jsonl
  seqlane-sim swarm --for 60s --jobs 2
  seqlane-sim swarm --seeds $(git rev-parse HEAD).. --for 10m
  seqlane-sim replay failures/failure-S2-0x2a.json --verbose
  seqlane-sim replay client.recording
  seqlane-sim explore --scope up=2,down=2,drop=1,crash=1
  seqlane-sim timeline failures/failure-S2-0x2a.min.json -o story.html

Exit codes: 0 pass, 1 a safety property violated, 2 bad usage or an unusable file, 3 not deterministic,
4 a liveness property violated, 5 something never happened that must happen sometimes, 6 a bound exceeded.";
