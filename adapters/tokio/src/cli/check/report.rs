//! Reports, as text and as JSON.

use std::fmt::Write;
use std::io::IsTerminal;

use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, Table, presets};
use seqlane::Level;
use serde::Serialize;

use super::advice::{self, Settings, advice};
use super::hold::Holds;
use super::probe::Findings;
use crate::cli::console::Console;

/// One relay.
#[derive(Serialize)]
pub(super) struct Report {
    /// Scheme, host and port: the path may be a secret.
    relay: String,
    works: bool,
    level: Option<u8>,
    first_call_ms: Option<f64>,
    round_trip_ms: Option<f64>,
    http: Option<String>,
    redirects: usize,
    gzip: bool,
    /// Whether raw packets of level 2 pass; none where that was not tested.
    binary: Option<bool>,
    /// The longest hold that was answered.
    longest_hold_ms: Option<f64>,
    /// The shortest hold that was not, if it is longer.
    hold_limit_ms: Option<f64>,
    /// Copies of calls that reached the node; none where they cannot be counted.
    #[serde(rename = "doubled")]
    duplicates: Option<u64>,
    /// Calls made by this check.
    calls: u64,
    /// Calls of the day that are left after this check, if nobody else calls.
    calls_left: Option<u64>,
    problems: Vec<String>,
    notes: Vec<String>,
    advice: Vec<String>,
    #[serde(skip)]
    hold: String,
}

impl Report {
    pub(super) fn new(relay: String, findings: Findings, settings: Settings) -> Self {
        let milliseconds = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        Self {
            relay,
            works: findings.problems.is_empty(),
            level: findings.level.map(Level::number),
            first_call_ms: findings.first.map(milliseconds),
            round_trip_ms: findings.round_trip.map(milliseconds),
            http: findings.version.map(|version| format!("{version:?}")),
            redirects: findings.redirects,
            gzip: findings.gzip,
            binary: findings.binary,
            longest_hold_ms: findings.holds.longest.map(milliseconds),
            hold_limit_ms: findings.holds.limit.map(milliseconds),
            duplicates: findings.duplicates,
            calls: findings.calls,
            calls_left: settings.daily_calls.map(|budget| budget.saturating_sub(findings.calls)),
            advice: advice(&findings, settings),
            hold: hold(findings.holds),
            problems: findings.problems,
            notes: findings.notes,
        }
    }

    pub(super) const fn works(&self) -> bool {
        self.works
    }

    fn cells(&self, number: usize) -> Vec<Cell> {
        let result = if self.works {
            Cell::new("works").fg(Color::Green)
        } else {
            Cell::new("does not work").fg(Color::Red)
        };
        let dash = || "-".to_owned();
        let milliseconds = |value: Option<f64>| value.map_or_else(dash, |value| format!("{value:.0} ms"));
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        vec![
            Cell::new(number),
            Cell::new(&self.relay),
            result,
            Cell::new(self.level.map_or_else(dash, |level| level.to_string())),
            right(milliseconds(self.first_call_ms)),
            right(milliseconds(self.round_trip_ms)),
            Cell::new(self.http.clone().unwrap_or_else(dash)),
            right(self.redirects.to_string()),
            Cell::new(if self.gzip { "yes" } else { "no" }),
            Cell::new(self.binary.map_or("-", |binary| if binary { "as they are" } else { "in batches" })),
            right(self.hold.clone()),
            right(self.duplicates.map_or_else(dash, |copies| copies.to_string())),
            right(self.calls_left.map_or_else(dash, |calls| calls.to_string())),
        ]
    }
}

/// A table, with problems, notes and advice below it.
pub(super) fn text(reports: &[Report], console: &Console) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    if !console.colour(std::io::stdout().is_terminal()) {
        table.force_no_tty();
    }
    table.set_header(HEADER);
    let rows: Vec<_> = reports.iter().enumerate().map(|(index, report)| report.cells(index + 1)).collect();
    let is_empty =
        |column: usize| rows.iter().all(|row| row.get(column).is_none_or(|cell| cell.content() == "-"));
    let empty: Vec<_> = (0..HEADER.len()).filter(|column| is_empty(*column)).collect();
    table.add_rows(rows);
    for column in empty {
        table.column_mut(column).map(|column| column.set_constraint(ColumnConstraint::Hidden));
    }
    let mut text = format!("{table}\n");
    for (index, report) in reports.iter().enumerate() {
        let problems = report.problems.iter().map(|problem| ("PROBLEM", problem));
        let notes = report.notes.iter().map(|note| ("note", note));
        let advice = report.advice.iter().map(|advice| ("advice", advice));
        for (kind, line) in problems.chain(notes).chain(advice) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{} {}: {kind}: {line}", index + 1, report.relay);
        }
    }
    text
}

/// The range of the longest hold, as far as tested.
fn hold(holds: Holds) -> String {
    match (holds.longest, holds.limit) {
        (None, None) => "-".to_owned(),
        (Some(longest), None) => format!("{} or more", advice::text(longest)),
        (None, Some(limit)) => format!("under {}", advice::text(limit)),
        (Some(longest), Some(limit)) => format!("{} to {}", advice::text(longest), advice::text(limit)),
    }
}

const HEADER: [&str; 13] = [
    "#",
    "relay",
    "result",
    "level",
    "first call",
    "round trip",
    "HTTP",
    "redirects",
    "gzip",
    "packets",
    "holds for",
    "doubled",
    "calls left",
];
