//! The table of a plan, for terminals and as Markdown.

use comfy_table::{CellAlignment, Table, presets};

use crate::plan::definition::{Case, Plan};
use crate::plan::requirement::Requirement;
use crate::plan::runner::Results;

/// One row: what, which figure of it, what is required where anything is, and a cell for each level.
type Row = Vec<String>;

/// Where there is nothing to show.
const NOTHING: &str = "-";

/// Whether the table says what is required.
fn requires(plan: &Plan) -> bool {
    plan.cases.iter().any(|case| !case.requirements.is_empty())
}

/// How many columns stand before those of the levels.
fn heads(plan: &Plan) -> usize {
    if requires(plan) { 5 } else { 2 }
}

/// The heading of the table: what, and one column for each level.
pub(super) fn heading(plan: &Plan) -> Row {
    let columns: &[&str] = if requires(plan) {
        &["workload", "figure", "must", "goal", "reached"]
    } else {
        &["workload", "figure"]
    };
    let columns = columns.iter().map(|column| (*column).to_owned());
    columns.chain(plan.levels.iter().map(|level| format!("level {level}"))).collect()
}

/// Its rows.
pub(super) fn rows(plan: &Plan, results: &Results) -> Vec<Row> {
    let of_case = |case: &Case| -> Vec<Row> {
        let required = case.requirements.iter().map(|required| required_row(results, case, required));
        let shown = case.figures.iter().map(|figure| {
            let mut row = vec![case.label.clone(), figure.text().to_owned()];
            row.resize(heads(plan), NOTHING.to_owned());
            let values = case.points.iter().map(|place| figure.of(results.of(*place)));
            row.extend(values.map(|value| shown(value, |value| figure.show(value))));
            row
        });
        required.chain(shown).collect()
    };
    plan.cases.iter().flat_map(of_case).collect()
}

fn required_row(results: &Results, case: &Case, requirement: &Requirement) -> Row {
    let Requirement { figure, label, by, must, goal, others, .. } = requirement;
    let value = |(level, place): (usize, &usize)| {
        let aggregate = results.of(*place);
        let other = others.get(level).and_then(|other| figure.of(results.of(*other)));
        by.take(figure.of(aggregate)?, &aggregate.point.conditions, other)
    };
    let values: Vec<Option<f64>> = case.points.iter().enumerate().map(value).collect();
    // The first level is the one of which something is required.
    let reached = values.first().copied().flatten().map_or("missed", |value| requirement.reached(value));
    let name = label.clone().unwrap_or_else(|| figure.text().to_owned());
    let show = |value| shown(value, |value| by.show(*figure, value));
    let mut row = vec![case.label.clone(), name, show(Some(*must)), show(*goal), reached.to_owned()];
    row.extend(values.into_iter().map(show));
    row
}

fn shown(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| NOTHING.to_owned(), show)
}

/// The table for a terminal.
pub fn table(plan: &Plan, results: &Results) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(heading(plan));
    for row in without_repeats(rows(plan, results)) {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(heads(plan)) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The table for a document in Markdown.
pub fn markdown(plan: &Plan, results: &Results) -> String {
    let line = |row: &Row| format!("| {} |\n", row.join(" | "));
    let rule = std::iter::repeat_n("---", heads(plan)).chain(plan.levels.iter().map(|_| "---:"));
    let mut text = line(&heading(plan)) + &line(&rule.map(str::to_owned).collect());
    for row in without_repeats(rows(plan, results)) {
        text.push_str(&line(&row));
    }
    text
}

/// The rows, each workload named only once.
fn without_repeats(rows: Vec<Row>) -> impl Iterator<Item = Row> {
    let mut above = String::new();
    rows.into_iter().map(move |mut row| {
        if row[0] == above {
            row[0].clear();
        } else {
            above.clone_from(&row[0]);
        }
        row
    })
}
