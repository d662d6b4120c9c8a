//! The main table, for terminals and for documents.

use comfy_table::{CellAlignment, Table, presets};

use crate::plan::resolve::Plan;
use crate::plan::runner::Results;

/// One row: what, which figure of it, and a cell for each level.
type Row = Vec<String>;

/// Where a level has nothing to show.
const NOTHING: &str = "-";

/// The heading of the table: two columns, and one for each level.
pub(super) fn heading(plan: &Plan) -> Row {
    let columns = ["workload", "figure"].map(str::to_owned).into_iter();
    columns.chain(plan.levels.iter().map(|level| format!("level {level}"))).collect()
}

/// Its rows.
pub(super) fn rows(plan: &Plan, results: &Results) -> Vec<Row> {
    let rows = plan.cases.iter().flat_map(|case| case.figures.iter().map(move |figure| (case, *figure)));
    rows.map(|(case, figure)| {
        let cells = case.points.iter().map(|place| {
            let point = &plan.points[*place];
            let value = figure.of(results.of(*place), &point.conditions, point.workload);
            value.map_or_else(|| NOTHING.to_owned(), |value| figure.show(value))
        });
        let heads = [case.label.clone(), figure.text().to_owned()].into_iter();
        heads.chain(cells).collect()
    })
    .collect()
}

/// The table for a terminal.
pub fn table(plan: &Plan, results: &Results) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(heading(plan));
    let mut above = String::new();
    for mut row in rows(plan, results) {
        if row[0] == above {
            row[0].clear();
        } else {
            above.clone_from(&row[0]);
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The table for a document in Markdown.
pub fn markdown(plan: &Plan, results: &Results) -> String {
    let line = |row: &Row| format!("| {} |\n", row.join(" | "));
    let rule = ["---", "---"].into_iter().chain(plan.levels.iter().map(|_| "---:"));
    let mut text = line(&heading(plan)) + &line(&rule.map(str::to_owned).collect());
    let mut above = String::new();
    for mut row in rows(plan, results) {
        if row[0] == above {
            row[0].clear();
        } else {
            above.clone_from(&row[0]);
        }
        text.push_str(&line(&row));
    }
    text
}
