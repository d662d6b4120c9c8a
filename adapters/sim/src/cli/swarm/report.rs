//! Report of a swarm, for people and for programs.

use std::collections::BTreeMap;
use std::path::Path;

use seqlane_sim::timeline::escaped;
use seqlane_sim::{Fault, Figures, Scenario};
use serde_json::{Value, json};

use super::failures::KeptFailure;
use crate::cli::console::write_to;
use crate::cli::coverage::{coverage, coverage_document};
use crate::cli::many::Ran;
use crate::cli::table::table;
use crate::cli::verdict::CliError;

/// Figures and tables.
pub(crate) fn text(scenario: &Scenario, Ran { figures, took }: &Ran) -> String {
    let seconds = took.as_secs_f64();
    let simulated = figures.simulated.as_secs_f64();
    let Figures { seeds, events, finished, lost, calls, .. } = figures;
    let verdict = match figures.failed() {
        0 => "no property was violated".to_owned(),
        failed => format!("{failed} seeds violated a property"),
    };
    format!(
        "{seeds} seeds in {seconds:.1} s: {:.0} seeds/s, {:.0} events/s, {:.0} simulated s per wall s\n\
         {finished} flows finished, {lost} lost, {calls} calls, {events} events, {:.1} h simulated\n\
         {verdict}\n\n{}\n\n{}",
        *seeds as f64 / seconds,
        *events as f64 / seconds,
        simulated / seconds,
        simulated / 3600.0,
        faults(figures),
        coverage(scenario, figures),
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
        "failures": found,
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
    let profile = &scenario.profile;
    let page = format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Swarm of {profile}</title>\n\
         <style>body{{font:15px system-ui,sans-serif;max-width:80em;margin:2em auto;padding:0 1em}}\
         pre{{font:13px ui-monospace,monospace;overflow:auto}}</style>\n\
         <h1>Swarm of profile {profile}</h1>\n{failures}<pre>{}</pre></html>\n",
        escaped(&text(scenario, ran)),
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
