//! `timeline`: a picture of a run.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use seqlane_sim::timeline::{self, Timeline, View};
use serde_json::json;

use crate::cli::console::{Console, write_to};
use crate::cli::recorded_run::RecordedRun;
use crate::cli::verdict::{CliError, Verdict};

/// Draw a run.
#[derive(clap::Args, Debug)]
pub(crate) struct TimelineArgs {
    /// A bundle (failure-….json) or a trace (….jsonl)
    file: PathBuf,
    /// The form; else the one that the output's name asks for, else text
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Only this flow, and the exchanges that carry it
    #[arg(long, value_name = "N")]
    flow: Option<u32>,
    /// Only the entries around this one
    #[arg(long, value_name = "I")]
    around: Option<u64>,
    /// Show repeated entries and idle stretches in full
    #[arg(long)]
    whole: bool,
    /// Where to write it; - is the standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// A form of picture.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// Columns of text
    Text,
    /// Swim lanes
    Svg,
    /// Swim lanes with details
    Html,
    /// Chrome trace JSON
    Perfetto,
    /// A Mermaid sequence diagram
    Mermaid,
}

impl Form {
    /// The form that a file name asks for.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "svg" => Some(Self::Svg),
            "html" | "htm" => Some(Self::Html),
            "json" => Some(Self::Perfetto),
            "mmd" | "md" => Some(Self::Mermaid),
            _ => None,
        }
    }
}

pub(crate) fn run(args: TimelineArgs, console: &Console) -> Result<Verdict, CliError> {
    let trace = RecordedRun::read(&args.file)?.into_trace();
    let form = args.format.or_else(|| Form::of(&args.output)).unwrap_or(Form::Text);
    // A viewer of traces has its own ways of leaving out.
    let whole = args.whole || matches!(form, Form::Perfetto);
    let picture = Timeline::of(&trace, View { flow: args.flow, around: args.around, whole });
    let text = match form {
        Form::Text => timeline::text(&picture),
        Form::Svg => timeline::svg(&picture),
        Form::Html => timeline::html(&picture),
        Form::Perfetto => timeline::perfetto(&picture),
        Form::Mermaid => timeline::mermaid(&picture),
    };
    if console.json && args.output == Path::new("-") {
        console.document(&json!({ "picture": text }))?;
        return Ok(Verdict::Pass);
    }
    write_to(&args.output, &text)?;
    if args.output != Path::new("-") {
        console.say(&format!("{}\n", args.output.display()))?;
        console.document(&json!({ "file": args.output }))?;
    }
    Ok(Verdict::Pass)
}
