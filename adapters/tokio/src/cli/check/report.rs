//! What came of the checks, as text and as JSON.

use std::fmt::Write;
use std::io::IsTerminal;

use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use seqlane::Level;
use serde::Serialize;

use super::probe::Findings;
use crate::cli::Console;

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
    problems: Vec<String>,
    notes: Vec<String>,
}

impl Report {
    pub(super) fn new(relay: String, findings: Findings) -> Self {
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
            problems: findings.problems,
            notes: findings.notes,
        }
    }

    pub(super) const fn works(&self) -> bool {
        self.works
    }

    fn cells(&self, number: usize) -> Vec<Cell> {
        let verdict = if self.works {
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
            verdict,
            Cell::new(self.level.map_or_else(dash, |level| level.to_string())),
            right(milliseconds(self.first_call_ms)),
            right(milliseconds(self.round_trip_ms)),
            Cell::new(self.http.clone().unwrap_or_else(dash)),
            right(self.redirects.to_string()),
            Cell::new(if self.gzip { "yes" } else { "no" }),
        ]
    }
}

/// A table, and below it what it has no room for.
pub(super) fn text(reports: &[Report], console: &Console) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    if !console.colour(std::io::stdout().is_terminal()) {
        table.force_no_tty();
    }
    table.set_header(HEADER);
    table.add_rows(reports.iter().enumerate().map(|(place, report)| report.cells(place + 1)));
    let mut text = format!("{table}\n");
    for (place, report) in reports.iter().enumerate() {
        let problems = report.problems.iter().map(|problem| ("PROBLEM", problem));
        for (kind, line) in problems.chain(report.notes.iter().map(|note| ("note", note))) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{} {}: {kind}: {line}", place + 1, report.relay);
        }
    }
    text
}

const HEADER: [&str; 9] =
    ["#", "relay", "result", "level", "first call", "round trip", "HTTP", "redirects", "gzip"];
