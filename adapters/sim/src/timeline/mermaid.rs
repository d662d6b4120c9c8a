//! A sequence diagram in the language of Mermaid.

use std::collections::BTreeMap;

use crate::timeline::{Lane, LegKind, Stop, Timeline};
use crate::trace::Line;

/// The timeline as a Mermaid sequence diagram.
pub fn mermaid(timeline: &Timeline<'_>) -> String {
    let mut out = String::from("sequenceDiagram\n");
    for lane in timeline.lanes.all() {
        out += &format!("    participant {lane} as {}\n", timeline.lanes.name(*lane));
    }
    let steps = steps(timeline);
    for (place, line) in timeline.lines.iter().enumerate() {
        match steps.get(&place) {
            Some(messages) => messages.iter().for_each(|message| out += &format!("    {message}\n")),
            None => out += &format!("    {}\n", step(timeline, line)),
        }
    }
    if let Some(verdict) = timeline.verdict() {
        out += &format!("    Note over {}: {}\n", ends(timeline), plain(&verdict));
    }
    out
}

/// What Mermaid would take for its own.
fn plain(text: &str) -> String {
    text.replace(';', ",").replace('#', "no. ")
}

fn ends(timeline: &Timeline<'_>) -> String {
    let lanes = timeline.lanes.all();
    match (lanes.first(), lanes.last()) {
        (Some(first), Some(last)) => format!("{first},{last}"),
        _ => String::new(),
    }
}

/// The messages between client, relay and node, by the line at which each arrives.
fn steps(timeline: &Timeline<'_>) -> BTreeMap<usize, Vec<String>> {
    let mut steps: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for call in &timeline.calls {
        let lane = |stop: Stop| match stop {
            Stop::Client => Lane::Client(call.id.client),
            Stop::Relay => Lane::Relay(call.relay),
            Stop::Node(node) => Lane::Node(node),
        };
        for leg in call.legs.iter().filter(|leg| leg.kind != LegKind::Wait) {
            let dash = if leg.kind == LegKind::Up { "-" } else { "--" };
            for (nth, pair) in leg.stops.windows(2).enumerate() {
                let [(from, _), (to, place)] = [pair[0], pair[1]];
                let head = if leg.lost && nth + 2 == leg.stops.len() { "x" } else { ">>" };
                let line = &timeline.lines[place];
                let text = plain(&line.text);
                steps.entry(place).or_default().push(format!(
                    "{}{dash}{head}{}: {text}",
                    lane(from),
                    lane(to)
                ));
            }
        }
    }
    steps
}

/// Everything else: a message to a neighbour, or a note.
fn step(timeline: &Timeline<'_>, line: &Line) -> String {
    let text = plain(&line.text);
    let Some(own) = timeline.lanes.of(line.at) else {
        return format!("Note over {}: {text}", ends(timeline));
    };
    match timeline.lanes.neighbours(line) {
        Some((from, to)) => format!("{from}->>{to}: {text}"),
        None => format!("Note over {own}: {text}"),
    }
}
