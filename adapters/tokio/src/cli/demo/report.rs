//! Results of the trials, as a table and as JSON.

use std::io::IsTerminal;

use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use seqlane::Level;
use serde::Serialize;

use super::conditions::{Condition, Direction};
use super::trial::Measured;
use crate::cli::console::Console;

/// One trial.
#[derive(Serialize)]
pub(super) struct Row {
    level: u8,
    condition: &'static str,
    direction: &'static str,
    pub(super) bytes: usize,
    #[serde(flatten)]
    outcome: Outcome,
    /// Whether flows may be reset.
    #[serde(skip)]
    may_reset: bool,
}

/// The outcome of a trial.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Whole {
        seconds: f64,
        megabytes_per_second: f64,
        calls: f64,
        calls_per_megabyte: f64,
        /// Seconds divided by the mean latency of the relays; none when they have none.
        round_trips: Option<f64>,
        /// Of the bytes, if they are one transfer.
        #[serde(skip_serializing_if = "String::is_empty")]
        sha256: String,
        flows: usize,
        /// Those that were not reset.
        flows_whole: usize,
    },
    Failed {
        failure: String,
    },
}

impl Row {
    pub(super) fn new(
        level: Level,
        condition: Condition,
        direction: Direction,
        bytes: usize,
        outcome: Result<Measured, String>,
    ) -> Self {
        let megabytes = bytes as f64 / 1e6;
        let outcome = match outcome {
            Err(failure) => Outcome::Failed { failure },
            Ok(Measured { seconds, calls, sha256, flows: (flows_whole, flows) }) => Outcome::Whole {
                seconds,
                megabytes_per_second: megabytes / seconds,
                calls,
                calls_per_megabyte: calls / megabytes,
                round_trips: condition.round_trip().map(|round_trip| seconds / round_trip.as_secs_f64()),
                sha256,
                flows,
                flows_whole,
            },
        };
        Self {
            level: level.number(),
            condition: condition.name(),
            direction: direction.name(),
            bytes,
            outcome,
            may_reset: condition.may_reset(level),
        }
    }

    /// Whether every required byte arrived.
    pub(super) fn is_right(&self) -> bool {
        self.failure().is_none()
    }

    /// Bytes that arrived in whole flows.
    pub(super) const fn checked_bytes(&self) -> usize {
        match self.outcome {
            Outcome::Whole { flows, flows_whole, .. } if flows > 0 => self.bytes / flows * flows_whole,
            Outcome::Whole { .. } | Outcome::Failed { .. } => 0,
        }
    }

    /// The failure of the trial, if it failed.
    pub(super) fn failure(&self) -> Option<String> {
        let failure = match &self.outcome {
            Outcome::Failed { failure } => failure.clone(),
            Outcome::Whole { flows, flows_whole, .. } if flows_whole < flows && !self.may_reset => {
                format!("{} of {flows} flows were reset", flows - flows_whole)
            }
            Outcome::Whole { .. } => return None,
        };
        Some(format!("level {}, {}, {}: {failure}", self.level, self.condition, self.direction))
    }

    fn cells(&self) -> Vec<Cell> {
        let mut cells = vec![
            Cell::new(self.level),
            Cell::new(self.condition),
            Cell::new(self.direction),
            number(self.bytes.to_string()),
        ];
        match &self.outcome {
            Outcome::Failed { .. } => cells.push(Cell::new("FAILED").fg(Color::Red)),
            Outcome::Whole {
                seconds,
                megabytes_per_second,
                calls,
                calls_per_megabyte,
                round_trips,
                sha256: _,
                flows,
                flows_whole,
            } => {
                // Rates of single lines are meaningless.
                let is_bulk = *flows == 1 && self.direction != Direction::Ping.name();
                let rate = |value: &f64, digits| if is_bulk { rounded(*value, digits) } else { dash() };
                cells.extend([
                    rounded(*seconds, 3),
                    rate(megabytes_per_second, 1),
                    rounded(*calls, usize::from(!is_bulk && *flows == 1)),
                    rate(calls_per_megabyte, 2),
                    round_trips.map_or_else(dash, |round_trips| rounded(round_trips, 2)),
                    whole_of(*flows_whole, *flows),
                ]);
            }
        }
        cells
    }
}

/// The table of all trials.
pub(super) fn table(rows: &[Row], console: &Console) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    if !console.colour(std::io::stdout().is_terminal()) {
        table.force_no_tty();
    }
    table.set_header(HEADER);
    table.add_rows(rows.iter().map(Row::cells));
    table.to_string()
}

fn rounded(value: f64, digits: usize) -> Cell {
    number(format!("{value:.digits$}"))
}

/// Flows that finished, in red if some did not.
fn whole_of(whole: usize, flows: usize) -> Cell {
    let cell = number(format!("{whole} of {flows}"));
    if whole < flows { cell.fg(Color::Red) } else { cell }
}

fn dash() -> Cell {
    number("-".to_owned())
}

fn number(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

const HEADER: [&str; 10] = [
    "level",
    "relays",
    "direction",
    "bytes",
    "seconds",
    "MB/s",
    "calls",
    "calls/MB",
    "round trips",
    "whole flows",
];
