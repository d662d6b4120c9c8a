//! `run`: one run.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use seqlane_sim::trace::Trace;
use seqlane_sim::{Bundle, DecisionSource, Outcome, Recording, Run, Seed, Time};
use serde_json::{Value, json};

use crate::cli::console::{Console, count};
use crate::cli::scenario::ScenarioArgs;
use crate::cli::verdict::{CliError, Verdict};

/// Make one run.
#[derive(clap::Args, Debug)]
pub(crate) struct RunArgs {
    /// The seed: a number, 0xHEX, or a commit of 40 digits
    #[arg(long, value_name = "SEED", default_value = "0")]
    seed: Seed,
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Write a trace to this file (JSON lines)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the run as a bundle to this file, for replay and shrink
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Make the run twice and compare
    #[arg(long)]
    check_determinism: bool,
}

pub(crate) fn run(args: RunArgs, console: &Console) -> Result<Verdict, CliError> {
    let scenario = args.scenario.scenario()?;
    let run = Run::new(&scenario).within(args.scenario.limits());
    let Seed(seed) = args.seed;
    let start = Instant::now();
    let outcome = if args.check_determinism { run.twice(seed) } else { run.seeded(seed) };
    let took = start.elapsed();
    if args.trace.is_some() || args.bundle.is_some() {
        let decisions = DecisionSource::Seed(seed);
        let recording = run.record(&decisions);
        if let Some(path) = &args.trace {
            write_trace(path, &Trace::new(&run, &decisions, &recording))?;
        }
        if let Some(path) = &args.bundle {
            let text = Bundle::new(&run, Some(seed), &recording).write();
            std::fs::write(path, text).map_err(|error| CliError::file(path, error))?;
        }
    }
    console.say(&format!("seed {}, profile {}\n", args.seed, scenario.profile))?;
    tell(console, &outcome, took)?;
    let again = args.scenario.command(args.seed);
    console.document(
        &json!({ "seed": args.seed.to_string(), "outcome": document(&outcome), "replay": again }),
    )?;
    if outcome.violation.is_some() {
        console.say(&format!("{again}\n"))?;
    }
    Ok(Verdict::of(outcome.violation.as_ref()))
}

/// Writes a trace to a file.
pub(crate) fn write_trace(path: &PathBuf, trace: &Trace) -> Result<(), CliError> {
    let failed = |error| CliError::file(path, error);
    let file = std::fs::File::create(path).map_err(failed)?;
    let mut out = std::io::BufWriter::new(file);
    trace.write(&mut out).and_then(|()| std::io::Write::flush(&mut out)).map_err(failed)
}

/// Prints the result of a run.
pub(crate) fn tell(console: &Console, outcome: &Outcome, took: Duration) -> Result<(), CliError> {
    let tally = &outcome.tally;
    let (finished, lost) = (count(tally.finished, "flow"), tally.lost);
    console.say(&format!(
        "{finished} finished, {lost} lost, {}, {} in {} of virtual time, computed in {took:.1?}\n",
        count(tally.calls, "call"),
        count(outcome.events, "event"),
        outcome.time,
    ))?;
    let struck: Vec<String> = faults(outcome).map(|(name, times)| format!("{name} {times}x")).collect();
    if !struck.is_empty() {
        console.say(&format!("faults: {}\n", struck.join(", ")))?;
    }
    console.say(&format!("hash 0x{:016x}\n", outcome.hash))?;
    match &outcome.violation {
        Some(violation) => console.say(&format!("VIOLATION {violation}\n")),
        None => console.say("pass\n"),
    }
}

fn faults(outcome: &Outcome) -> impl Iterator<Item = (String, u64)> {
    let struck = seqlane_sim::Fault::ALL.iter().zip(outcome.tally.faults).filter(|(_, times)| *times > 0);
    struck.map(|(fault, times)| (fault.to_string(), times))
}

/// The same as JSON.
pub(crate) fn document(outcome: &Outcome) -> Value {
    let tally = &outcome.tally;
    json!({
        "violation": outcome.violation,
        "hash": format!("0x{:016x}", outcome.hash),
        "events": outcome.events,
        "simulated_seconds": outcome.time.since(Time::ZERO).as_secs_f64(),
        "finished": tally.finished,
        "lost": tally.lost,
        "calls": tally.calls,
        "uplink_bytes": tally.uplink,
        "downlink_bytes": tally.downlink,
        "faults": faults(outcome).collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// Prints the entries from `from` to `until`, one a line.
pub(crate) fn tell_entries(
    console: &Console,
    recording: &Recording,
    from: u64,
    until: u64,
) -> Result<(), CliError> {
    let wanted = recording.entries.iter().filter(|entry| (from..=until).contains(&entry.index));
    for entry in wanted {
        let cause = entry.cause.map(|cause| format!("  (because of {cause})")).unwrap_or_default();
        let (index, at, actor) = (entry.index, entry.at.to_string(), entry.actor.to_string());
        console.say(&format!("{index:>6} {at:>16}  {actor:<10} {}{cause}\n", entry.what))?;
    }
    Ok(())
}
