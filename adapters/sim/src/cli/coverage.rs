//! `coverage`: what happens sometimes, and what never does.

use seqlane::Level;
use seqlane_sim::{Figures, Mark, Property, Scenario};
use serde_json::json;

use crate::cli::console::Console;
use crate::cli::swarm::{ManyArgs, marks, marks_document};
use crate::cli::verdict::{Failure, Verdict};

/// Count what happens sometimes, and say what never does.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    many: ManyArgs,
}

pub(crate) fn run(args: Args, console: &Console) -> Result<Verdict, Failure> {
    let scenario = args.many.scenario.scenario()?;
    let figures = args.many.run(console, &scenario, false, false, |_| true).figures;
    let missing = never(&scenario, &figures);
    console.say(&format!("{}\n\n", marks(&scenario, &figures)))?;
    let names: Vec<String> = missing.iter().map(|mark| name(*mark)).collect();
    console.document(&json!({
        "seeds": figures.seeds,
        "sometimes": marks_document(figures.marked()),
        "never": names,
    }))?;
    if missing.is_empty() {
        console.say(&format!("everything happened in {} runs\n", figures.seeds))?;
        return Ok(Verdict::Pass);
    }
    console.say(&format!("never in {} runs: {}\n", figures.seeds, names.join(", ")))?;
    Ok(Verdict::Violated(Property::M1))
}

/// The name of a mark.
pub(crate) fn name(mark: Mark) -> String {
    match mark {
        Mark::Fault(fault) => fault.to_string(),
        other => format!("{other:?}"),
    }
}

/// Whether runs of this scenario must set the mark: a fault that is off, or that only a higher level survives,
/// does not happen.
pub(crate) fn required(scenario: &Scenario, mark: Mark) -> bool {
    let Mark::Fault(fault) = mark else { return true };
    let level = scenario.level.unwrap_or(Level::Streams.number());
    fault.from_level() <= level && scenario.net.get(&fault).is_some_and(|odds| !odds.is_never())
}

/// What must happen sometimes and never did.
pub(crate) fn never(scenario: &Scenario, figures: &Figures) -> Vec<Mark> {
    let missing = figures.marked().filter(|(mark, runs)| *runs == 0 && required(scenario, *mark));
    missing.map(|(mark, _)| mark).collect()
}
