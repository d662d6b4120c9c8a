//! `coverage`: coverage points and the runs that reached them.

use seqlane::Level;
use seqlane_sim::{CoveragePoint, Figures, Property, Run, Scenario};
use serde_json::{Value, json};

use crate::cli::console::Console;
use crate::cli::many::ManyArgs;
use crate::cli::table::table;
use crate::cli::verdict::{CliError, Verdict};

/// Count how many runs reach each coverage point.
#[derive(clap::Args, Debug)]
pub(crate) struct CoverageArgs {
    #[command(flatten)]
    many: ManyArgs,
}

pub(crate) fn run(args: CoverageArgs, console: &Console) -> Result<Verdict, CliError> {
    let scenario = args.many.scenario.scenario()?;
    let figures = args.many.run(console, &scenario, Run::seeded, false, |_| true).figures;
    let missing = never(&scenario, &figures);
    console.say(&format!("{}\n\n", coverage(&scenario, &figures)))?;
    let names: Vec<String> = missing.iter().map(|point| name(*point)).collect();
    console.document(&json!({
        "seeds": figures.seeds,
        "sometimes": coverage_document(figures.covered()),
        "never": names,
    }))?;
    if missing.is_empty() {
        console.say(&format!("everything happened in {} runs\n", figures.seeds))?;
        return Ok(Verdict::Pass);
    }
    console.say(&format!("never in {} runs: {}\n", figures.seeds, names.join(", ")))?;
    Ok(Verdict::Violated(Property::M1))
}

/// The name of a point.
pub(crate) fn name(point: CoveragePoint) -> String {
    match point {
        CoveragePoint::Fault(fault) => fault.to_string(),
        other => format!("{other:?}"),
    }
}

/// Whether runs of this scenario must set the point: a fault that is off, or that only a higher level survives,
/// does not happen.
pub(crate) fn required(scenario: &Scenario, point: CoveragePoint) -> bool {
    let CoveragePoint::Fault(fault) = point else { return true };
    let level = scenario.level.unwrap_or(Level::Streams.number());
    fault.from_level() <= level && scenario.net.get(&fault).is_some_and(|probability| !probability.is_never())
}

/// Required coverage points that no run reached.
pub(crate) fn never(scenario: &Scenario, figures: &Figures) -> Vec<CoveragePoint> {
    let missing = figures.covered().filter(|(point, runs)| *runs == 0 && required(scenario, *point));
    missing.map(|(point, _)| point).collect()
}

/// The table of coverage points.
pub(crate) fn coverage(scenario: &Scenario, figures: &Figures) -> String {
    let mut table = table(&["sometimes", "runs ", "what happens"]);
    for (point, runs) in figures.covered() {
        let runs = match runs {
            0 if required(scenario, point) => "NEVER".to_owned(),
            0 => "-".to_owned(),
            runs => runs.to_string(),
        };
        table.add_row([name(point), runs, point.text().to_owned()]);
    }
    table.trim_fmt()
}

/// The coverage points with the runs that reached them, as JSON.
pub(crate) fn coverage_document(covered: impl Iterator<Item = (CoveragePoint, u64)>) -> Value {
    covered.map(|(point, runs)| (name(point), json!(runs))).collect::<serde_json::Map<_, _>>().into()
}
