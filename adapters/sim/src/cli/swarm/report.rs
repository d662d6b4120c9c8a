//! Report of a swarm, for people and for programs.

use std::collections::BTreeMap;
use std::path::Path;

use seqlane_sim::timeline::escaped;
use seqlane_sim::{Fault, Figures, Scenario, Seed};
use serde_json::{Value, json};

use super::failures::KeptFailure;
use crate::cli::console::{Console, write_to};
use crate::cli::coverage::{coverage, coverage_document};
use crate::cli::many::Ran;
use crate::cli::table::table;
use crate::cli::verdict::CliError;

/// Prints figures and tables.
pub(crate) fn tell(console: &Console, scenario: &Scenario, ran: &Ran) -> Result<(), CliError> {
    console.say(&format!(
        "{}\n\n{}\n\n{}\n",
        head(ran),
        faults(&ran.figures),
        coverage(scenario, &ran.figures)
    ))
}

/// The figures in a few lines.
fn head(Ran { figures, took }: &Ran) -> String {
    let seconds = took.as_secs_f64();
    let simulated = figures.simulated.as_secs_f64();
    format!(
        "{} seeds in {seconds:.1} s: {:.0} seeds/s, {:.0} events/s, {:.0} simulated s per wall s\n\
         {} flows finished, {} lost, {} calls, {} events, {:.1} h simulated\n{}",
        figures.seeds,
        figures.seeds as f64 / seconds,
        figures.events as f64 / seconds,
        simulated / seconds,
        figures.finished,
        figures.lost,
        figures.calls,
        figures.events,
        simulated / 3600.0,
        match figures.failed() {
            0 => "no property was violated".to_owned(),
            failed => format!("{failed} seeds violated a property"),
        },
    )
}

fn faults(figures: &Figures) -> String {
    let mut table = table(&["fault", "", "struck ", "what happens"]);
    for (fault, times) in Fault::ALL.iter().zip(figures.faults) {
        table.add_row([fault.id(), fault.option(), &times.to_string(), fault.text()]);
    }
    table.trim_fmt()
}

/// The same for programs.
pub(crate) fn document(scenario: &Scenario, Ran { figures, took }: &Ran, found: &[KeptFailure]) -> Value {
    let seconds = took.as_secs_f64();
    let faults: BTreeMap<_, _> = Fault::ALL.iter().map(|fault| fault.id()).zip(figures.faults).collect();
    json!({
        "profile": scenario.profile,
        "seeds": figures.seeds,
        "events": figures.events,
        "simulated_seconds": figures.simulated.as_secs_f64(),
        "wall_seconds": seconds,
        "seeds_per_second": figures.seeds as f64 / seconds,
        "events_per_second": figures.events as f64 / seconds,
        "simulated_per_wall": figures.simulated.as_secs_f64() / seconds,
        "finished": figures.finished,
        "lost": figures.lost,
        "calls": figures.calls,
        "failed": figures.failed(),
        "faults": faults,
        "sometimes": coverage_document(figures.covered()),
        "failures": found.iter().map(failure).collect::<Vec<_>>(),
    })
}

fn failure(kept: &KeptFailure) -> Value {
    json!({
        "seed": Seed(kept.seed).to_string(),
        "violation": kept.violation,
        "bundle": kept.bundle,
        "small": kept.small,
        "decisions": kept.decisions,
        "events": kept.events,
        "lines": kept.lines,
        "entries": kept.entries,
    })
}

/// Writes the report: `report.json`, and `index.html` for people.
pub(crate) fn write(
    directory: &Path,
    scenario: &Scenario,
    ran: &Ran,
    found: &[KeptFailure],
) -> Result<(), CliError> {
    std::fs::create_dir_all(directory).map_err(|error| CliError::file(directory, error))?;
    let document = serde_json::to_string_pretty(&document(scenario, ran, found)).expect("it is JSON");
    write_to(&directory.join("report.json"), &document)?;
    let failures: String = found.iter().map(paragraph).collect();
    let text = format!("{}\n\n{}\n\n{}", head(ran), faults(&ran.figures), coverage(scenario, &ran.figures));
    let page = format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Swarm of {}</title>\n\
         <style>body{{font:15px system-ui,sans-serif;max-width:80em;margin:2em auto;padding:0 1em}}\
         pre{{font:13px ui-monospace,monospace;overflow:auto}}</style>\n\
         <h1>Swarm of profile {}</h1>\n{failures}<pre>{}</pre></html>\n",
        scenario.profile,
        scenario.profile,
        escaped(&text),
    );
    write_to(&directory.join("index.html"), &page)
}

fn paragraph(failure: &KeptFailure) -> String {
    let picture = failure.small.as_ref().map(|small| small.with_extension("html"));
    let picture = picture.and_then(|path| std::path::absolute(path).ok());
    let link = picture
        .map(|path| format!(" <a href=\"file://{}\">its timeline</a>", escaped(&path.display().to_string())));
    format!(
        "<p><b>{}</b>{}<br><code>{}</code></p>\n",
        escaped(&failure.violation.to_string()),
        link.unwrap_or_default(),
        escaped(&failure.replay()),
    )
}
