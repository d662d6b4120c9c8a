//! The timeline as a Mermaid sequence diagram.

use std::collections::BTreeMap;

use crate::timeline::{Call, Lane, Leg, LegKind, Stop, Timeline, fold_before};
use crate::trace::TraceLine;

/// The timeline as a Mermaid sequence diagram.
pub fn mermaid(timeline: &Timeline<'_>) -> String {
    let mut out = String::from("sequenceDiagram\n");
    for lane in timeline.lanes.all() {
        out += &format!("    participant {lane} as {}\n", timeline.lanes.name(*lane));
    }
    let steps = steps(timeline);
    for (place, line) in timeline.lines.iter().enumerate() {
        if let Some(fold) = fold_before(timeline, place) {
            out += &format!("    Note over {}: {}\n", ends(timeline), plain(&fold.to_string()));
        }
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

/// Escapes characters with a meaning in Mermaid.
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

/// The messages between client, relay and node, by the line at which each is sent or arrives.
fn steps(timeline: &Timeline<'_>) -> BTreeMap<usize, Vec<String>> {
    let mut steps: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for call in &timeline.calls {
        for leg in call.legs.iter().filter(|leg| leg.kind != LegKind::Wait) {
            for (place, message) in hops(timeline, call, leg) {
                steps.entry(place).or_default().push(message);
            }
        }
    }
    steps
}

/// A leg hop by hop, always by way of its relay.
fn hops(timeline: &Timeline<'_>, call: &Call, leg: &Leg) -> Vec<(usize, String)> {
    let (client, relay) = (Lane::Client(call.id.client), Lane::Relay(call.relay));
    let end = |stop: Stop| match stop {
        Stop::Node(node) => Lane::Node(node),
        Stop::Client | Stop::Relay => client,
    };
    let (dash, towards) = match leg.kind {
        LegKind::Up => ("-", Lane::Node(0)),
        _ => ("--", client),
    };
    let last = leg.stops.len() - 1;
    let hop = |(nth, (stop, place)): (usize, &(Stop, usize))| {
        let said = plain(&timeline.lines[*place].text);
        let message = match stop {
            Stop::Relay if leg.lost && nth == last => format!("{relay}{dash}x{towards}: {said}"),
            // Where a leg begins at its relay, another has ended there and said so.
            Stop::Relay if nth == 0 => return None,
            Stop::Relay => format!("Note over {relay}: {said}"),
            _ if nth == 0 => format!("{}{dash}>>{relay}: {said}", end(*stop)),
            _ => format!("{relay}{dash}>>{}: {said}", end(*stop)),
        };
        Some((*place, message))
    };
    leg.stops.iter().enumerate().filter_map(hop).collect()
}

/// Everything else: a message to a neighbour, or a note.
fn step(timeline: &Timeline<'_>, line: &TraceLine) -> String {
    let text = plain(&line.text);
    let Some(own) = timeline.lanes.of(line.at) else {
        return format!("Note over {}: {text}", ends(timeline));
    };
    match timeline.lanes.neighbours(line) {
        Some((from, to)) => format!("{from}->>{to}: {text}"),
        None => format!("Note over {own}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{DecisionSource, Run};
    use crate::scenario::{Profile, Scenario};
    use crate::trace::Trace;

    #[test]
    fn every_request_goes_by_way_of_its_relay_and_what_is_lost_ends_in_a_cross() {
        let scenario = Scenario::assemble(Some(Profile::Calm), None, &["net.lose-reply=1/2"]).unwrap();
        let run = Run::new(&scenario);
        let decisions = DecisionSource::Seed(4);
        let trace = Trace::new(&run, &decisions, &run.record(&decisions));
        let diagram = mermaid(&Timeline::new(&trace));
        assert!(diagram.starts_with("sequenceDiagram\n    participant app0 as application"));
        assert!(diagram.contains("cli0->>rel0: x0.0 sent"), "{diagram}");
        assert!(diagram.contains("rel0->>node0: x0.0 arrives"), "{diagram}");
        assert!(diagram.contains("--xcli0: F2"), "{diagram}");
        assert!(!diagram.contains(';') && !diagram.contains('#'), "{diagram}");
    }
}
