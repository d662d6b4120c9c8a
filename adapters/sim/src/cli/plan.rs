//! `plan`: measurements in virtual time, as a table, as JSON and as charts.

use std::path::PathBuf;

use seqlane_sim::plan::{BUILT_IN, BadRun, Choice, LEVEL2, Plan, html, json, markdown, table};

use crate::cli::console::{Console, write_to};
use crate::cli::verdict::{CliError, Verdict};

/// Measure the machines in virtual time.
#[derive(clap::Args, Debug)]
pub(crate) struct PlanArgs {
    /// The plan, a TOML file; without it the one that is built in
    #[arg(value_name = "FILE")]
    plan: Option<PathBuf>,
    /// A table that is built in, by its name
    #[arg(long, value_name = "NAME", value_parser = ["levels", "level2"], conflicts_with = "plan")]
    table: Option<String>,
    /// Only the case or sweep of this name; may be given again
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Runs of each point, instead of what the plan says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seeds: Option<u32>,
    /// Runs at a time; the figures do not depend on it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// Print the table in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Write the table and the pictures into this HTML file; -: print it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the plan instead of carrying it out, to begin one's own with
    #[arg(long, conflicts_with = "json")]
    print: bool,
}

pub(crate) fn run(args: PlanArgs, console: &Console) -> Result<Verdict, CliError> {
    let text = match &args.plan {
        Some(path) => std::fs::read_to_string(path).map_err(|error| CliError::file(path, error))?,
        None if args.table.as_deref() == Some("level2") => LEVEL2.to_owned(),
        None => BUILT_IN.to_owned(),
    };
    if args.print {
        console.say(&text)?;
        return Ok(Verdict::Pass);
    }
    let choice = Choice { only: args.only, seeds: args.seeds };
    let plan = Plan::parse(&text, &choice).map_err(|error| CliError::usage(error.to_string()))?;
    let bar = console.bar(Some(plan.runs()));
    let ran = plan.run(usize::from(args.jobs), || bar.inc(1));
    bar.finish_and_clear();
    let results = match ran {
        Ok(results) => results,
        Err(bad) => return tell(console, &bad),
    };
    if let Some(path) = &args.output {
        write_to(path, &html(&plan, &results))?;
    }
    console.document(&json(&plan, &results))?;
    if !plan.cases.is_empty() {
        let shown = if args.markdown { markdown(&plan, &results) } else { table(&plan, &results) + "\n" };
        console.say(&shown)?;
    }
    Ok(Verdict::Pass)
}

/// A run that did wrong: there are no figures then.
fn tell(console: &Console, bad: &BadRun) -> Result<Verdict, CliError> {
    console.say(&format!("{bad}\n"))?;
    console.document(&serde_json::json!({ "violation": bad.violation, "seed": bad.seed }))?;
    Ok(Verdict::of(Some(&bad.violation)))
}
