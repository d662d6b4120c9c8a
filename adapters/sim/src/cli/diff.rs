//! `diff`: the first difference of two runs.

use std::path::PathBuf;

use seqlane_sim::trace::{How, Trace, TraceLine, diverge};
use serde_json::json;

use crate::cli::console::Console;
use crate::cli::recorded_run::RecordedRun;
use crate::cli::verdict::{CliError, Verdict};

/// Find the first difference of two runs.
#[derive(clap::Args, Debug)]
pub(crate) struct DiffArgs {
    /// A trace or a bundle
    left: PathBuf,
    /// Another one
    right: PathBuf,
    /// Lines to show before and after
    #[arg(short = 'C', long, value_name = "N", default_value_t = 5)]
    context: usize,
}

pub(crate) fn run(args: DiffArgs, console: &Console) -> Result<Verdict, CliError> {
    let left = RecordedRun::read(&args.left)?.into_trace();
    let right = RecordedRun::read(&args.right)?.into_trace();
    let Some(divergence) = diverge(&left, &right) else {
        console.say(&format!("the same run: {} entries\n", left.lines.len()))?;
        console.document(&json!({ "same": true, "entries": left.lines.len() }))?;
        return Ok(Verdict::Pass);
    };
    let index = divergence.index;
    console.document(&json!({
        "same": false,
        "index": index,
        "left": left.lines.get(index),
        "right": right.lines.get(index),
        "hashes_differ_in_events": divergence.hashes,
    }))?;
    for line in &left.lines[index.saturating_sub(args.context)..index] {
        show(console, ' ', line)?;
    }
    for (sign, trace) in [('-', &left), ('+', &right)] {
        show_rest(console, sign, trace, index, args.context)?;
    }
    let how = match divergence.how {
        How::Said => "they differ",
        How::Hash => "they say the same here, but bytes before it differ",
        How::Ended => "one of them ends",
    };
    let hashes = match divergence.hashes {
        Some((from, to)) if from == to => format!("; the first hash that differs is that of event {to}"),
        Some((from, to)) => format!("; the first hash that differs is one of events {from} to {to}"),
        None => String::new(),
    };
    console.say(&format!("first difference: entry {index}, {how}{hashes}\n"))?;
    Ok(Verdict::Differs)
}

fn show_rest(
    console: &Console,
    sign: char,
    trace: &Trace,
    index: usize,
    most: usize,
) -> Result<(), CliError> {
    let rest = trace.lines.get(index..).unwrap_or_default();
    if rest.is_empty() {
        return console.say(&format!("{sign} (the end)\n"));
    }
    rest.iter().take(most.max(1)).try_for_each(|line| show(console, sign, line))
}

fn show(console: &Console, sign: char, line: &TraceLine) -> Result<(), CliError> {
    let (time, actor) = (line.t.to_string(), line.at.to_string());
    console.say(&format!("{sign} {:>6} {time:>16}  {actor:<10} {}\n", line.i, line.text))
}
