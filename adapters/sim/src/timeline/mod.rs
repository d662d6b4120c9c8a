//! Timelines: pictures of runs in five formats.
//!
//! | form | for |
//! |---|---|
//! | [`text()`] | a terminal: a column for each actor, a line for each entry |
//! | [`svg()`] | documents: swim lanes, time downwards |
//! | [`html()`] | reading: the same, with zoom, details under the pointer, and causes |
//! | [`perfetto()`] | trace viewers that read Chrome's JSON |
//! | [`mermaid()`] | places that draw sequence diagrams |

mod call;
mod colour;
mod fold;
mod html;
mod lane;
mod layout;
mod mermaid;
mod pen;
mod perfetto;
mod svg;
mod text;

use std::collections::{BTreeMap, BTreeSet};

pub use call::{Call, Fate, Leg, LegKind, Stop};
pub use fold::{Fold, Why};
pub use html::html;
pub use lane::{Lane, Lanes};
pub use mermaid::mermaid;
pub use pen::escaped;
pub use perfetto::perfetto;
pub use svg::svg;
pub use text::text;

use crate::trace::{Actor, ExchangeName, Trace, TraceLine};

/// Lines of a picture of a run that is longer than this: those around its end.
const MOST: usize = 4000;
/// Lines before and after the one that is asked for.
const AROUND: u64 = 40;

/// Which part of a run to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// This flow, and the exchanges next to it in the chain of causes.
    pub flow: Option<u32>,
    /// The entries around this one.
    pub around: Option<u64>,
    /// Show repeated entries and idle stretches in full.
    pub whole: bool,
}

/// A run, ready to be drawn.
#[derive(Debug)]
pub struct Timeline<'a> {
    trace: &'a Trace,
    lines: Vec<&'a TraceLine>,
    lanes: Lanes,
    calls: Vec<Call>,
    folds: Vec<Fold>,
    /// What is left out, in words.
    omitted: Option<String>,
}

impl<'a> Timeline<'a> {
    /// The whole run; of a very long one, the last part.
    pub fn new(trace: &'a Trace) -> Self {
        Self::of(trace, View::default())
    }

    /// A part of the run.
    pub fn of(trace: &'a Trace, view: View) -> Self {
        let mut lines: Vec<&TraceLine> = match view.flow {
            Some(flow) => of_flow(&trace.lines, flow),
            None => trace.lines.iter().collect(),
        };
        if let Some(around) = view.around {
            lines.retain(|line| line.i.abs_diff(around) <= AROUND);
        } else if lines.len() > MOST {
            lines.drain(..lines.len() - MOST);
        }
        let left_out = trace.lines.len() - lines.len();
        let whole = view.whole || view.around.is_some();
        let folds = if whole { Vec::new() } else { fold::fold(&mut lines) };
        let omitted =
            (left_out > 0).then(|| format!("{left_out} of {} entries are not shown", trace.lines.len()));
        let calls = call::calls(&lines, &trace.lines);
        Self { trace, lanes: Lanes::new(&trace.lines, &lines), calls, folds, lines, omitted }
    }

    /// Lines of the timeline, where each fold counts as one.
    pub const fn length(&self) -> usize {
        self.lines.len() + self.folds.len()
    }

    /// The title, in one line.
    pub fn title(&self) -> String {
        let header = &self.trace.header;
        let seed = header.seed.map_or_else(String::new, |seed| format!("seed 0x{seed:x}, "));
        let omitted = self.omitted.as_ref().map_or_else(String::new, |omitted| format!("; {omitted}"));
        format!("{seed}profile {}, {} entries{omitted}", header.profile, self.trace.lines.len())
    }

    /// What was violated, in one line.
    pub fn verdict(&self) -> Option<String> {
        self.trace.trailer.violation.as_ref().map(ToString::to_string)
    }
}

/// The lines of a flow, of the exchanges next to them, and of the world.
fn of_flow(lines: &[TraceLine], flow: u32) -> Vec<&TraceLine> {
    let place: BTreeMap<u64, &TraceLine> = lines.iter().map(|line| (line.i, line)).collect();
    let mut exchanges: BTreeSet<ExchangeName> = BTreeSet::new();
    for line in lines {
        let Some(cause) = line.cause.and_then(|cause| place.get(&cause)) else { continue };
        match (line.flow, cause.flow, line.id, cause.id) {
            (Some(this), _, _, Some(exchange)) | (_, Some(this), Some(exchange), _) if this == flow => {
                exchanges.insert(exchange);
            }
            _ => {}
        }
    }
    let of_environment = |line: &TraceLine| line.flow.is_none() && line.id.is_none() && line.ev != "timeout";
    let wanted = |line: &&TraceLine| {
        line.flow == Some(flow) || line.id.is_some_and(|id| exchanges.contains(&id)) || of_environment(line)
    };
    lines.iter().filter(wanted).collect()
}

/// The fold before a line, if there is one.
fn fold_before<'a>(timeline: &'a Timeline<'_>, line: usize) -> Option<&'a Fold> {
    timeline.folds.iter().find(|fold| fold.before == line)
}

/// The client of an actor's lane, where there is one.
fn client_of(actor: Actor) -> Option<u32> {
    match actor {
        Actor::Client(client) => Some(client),
        _ => None,
    }
}
