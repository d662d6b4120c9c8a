//! `replay`: a recorded run, repeated and compared.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Instant;

use seqlane_sim::Recording;
use seqlane_sim::playback::is_recording;
use seqlane_sim::trace::{TraceLine, diverge};
use serde_json::json;

use crate::cli::console::{Console, command};
use crate::cli::playback;
use crate::cli::recorded_run::{RecordedFile, RecordedRun};
use crate::cli::run::{document, tell, tell_entries, write_trace};
use crate::cli::verdict::{CliError, Verdict};

/// Entries that are printed when only the end of a range is given.
const CONTEXT: u64 = 20;

/// Repeat the run of a bundle, a trace or a recording, and compare it.
#[derive(clap::Args, Debug)]
pub(crate) struct ReplayArgs {
    /// A bundle (failure-….json), a trace (….jsonl), or what `seqlane node` or `seqlane client` wrote with --record
    file: PathBuf,
    /// Print the entries up to this one
    #[arg(long, value_name = "I")]
    until: Option<u64>,
    /// Print the entries from this one on
    #[arg(long, value_name = "I")]
    from: Option<u64>,
    /// Print all entries
    #[arg(short, long)]
    verbose: bool,
    /// Write a trace to this file (JSON lines); not of a recording
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl ReplayArgs {
    /// The entries to print.
    fn told(&self) -> Option<RangeInclusive<u64>> {
        let is_wanted = self.verbose || self.from.is_some() || self.until.is_some();
        let until = self.until.unwrap_or(u64::MAX);
        let from =
            self.from.or(self.until.filter(|_| !self.verbose).map(|until| until.saturating_sub(CONTEXT)));
        is_wanted.then(|| from.unwrap_or(0)..=until)
    }
}

pub(crate) fn run(args: ReplayArgs, console: &Console) -> Result<Verdict, CliError> {
    let file = std::fs::read(&args.file).map_err(|error| CliError::file(&args.file, error))?;
    if is_recording(&file) {
        if args.trace.is_some() {
            return Err(CliError::usage("--trace: a recording of real sockets has no trace"));
        }
        return playback::run(&args.file, file, args.told(), console);
    }
    drop(file);
    let recorded_run = RecordedRun::read(&args.file)?;
    let start = Instant::now();
    let recording = recorded_run.record();
    let took = start.elapsed();
    if let Some(path) = &args.trace {
        write_trace(path, &recorded_run.trace_of(&recording))?;
    }
    if let Some(entries) = args.told() {
        tell_entries(console, &recording, *entries.start(), *entries.end())?;
    }
    tell(console, &recording.outcome, took)?;
    let difference = difference(&recorded_run, &recording);
    console.document(&json!({ "outcome": document(&recording.outcome), "differs": difference }))?;
    if let Some(difference) = difference {
        console.say(&format!("NOT THE RECORDED RUN: {difference}\n"))?;
        return Ok(Verdict::Differs);
    }
    console.say("the same run as was recorded\n")?;
    if recording.outcome.violation.is_some() {
        let file = args.file.display().to_string();
        console.say(&format!("{}\n", command(["replay".to_owned(), file])))?;
    }
    Ok(Verdict::of(recording.outcome.violation.as_ref()))
}

/// The first difference to the recorded run, in words.
fn difference(recorded_run: &RecordedRun, recording: &Recording) -> Option<String> {
    let commit = recorded_run.origin.commit.as_ref();
    let commit = commit.map(|commit| format!("; it was recorded at {commit}")).unwrap_or_default();
    match &recorded_run.file {
        RecordedFile::Bundle(bundle) => {
            let (from, to) = bundle.differs(recording)?;
            let place = if from == to { format!("event {to}") } else { format!("events {from} to {to}") };
            Some(format!("it differs first after {place}{commit}"))
        }
        RecordedFile::Trace(trace) => {
            let now = recorded_run.trace_of(recording);
            let index = diverge(trace, &now)?.index;
            let told = |line: Option<&TraceLine>| match line {
                Some(line) => format!("`{} {}` at {}, event {}", line.at, line.text, line.t, line.e),
                None => "the end".to_owned(),
            };
            let (then, today) = (told(trace.lines.get(index)), told(now.lines.get(index)));
            Some(format!("entry {index} was {then}, and is {today}{commit}"))
        }
    }
}
