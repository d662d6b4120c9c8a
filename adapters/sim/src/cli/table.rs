//! Tables for terminals.

use comfy_table::{CellAlignment, Table, presets};

/// A table with these columns; those after the first whose name ends in a blank are numbers, to the right.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.iter().map(|column| column.trim_end()));
    for (place, column) in columns.iter().enumerate() {
        let numbers = column.ends_with(' ');
        if let Some(column) = table.column_mut(place) {
            column.set_padding((if place == 0 { 2 } else { 1 }, 1));
            if numbers {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table
}
