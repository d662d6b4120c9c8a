//! The timeline as columns of text.

use crate::timeline::{Lane, Timeline, fold_before};
use crate::trace::TraceLine;

/// The timeline as text.
pub fn text(timeline: &Timeline<'_>) -> String {
    const WIDTH: usize = 7;
    let lanes = timeline.lanes.all();
    let names: Vec<String> = lanes.iter().map(Lane::to_string).collect();
    let mut out = format!("{}\n\n{:>12} {:>6}  ", timeline.title(), "seconds", "entry");
    out.extend(names.iter().map(|name| format!("{name:<WIDTH$}")));
    out += "\n";
    let mut last = None;
    for (place, line) in timeline.lines.iter().enumerate() {
        if let Some(fold) = fold_before(timeline, place) {
            out += &format!("{:>12} {:>6}  ({fold})\n", "...", "");
        }
        let time = format!("{:.6}", line.t.as_secs_f64());
        let shown = if last == Some(line.t) { "" } else { &time };
        last = Some(line.t);
        out += &format!("{shown:>12} {:>6}  ", line.i);
        let own = timeline.lanes.of(line.at);
        if own.is_none() {
            let rule = "=".repeat(lanes.len() * WIDTH - 1);
            out += &format!("{rule} {}\n", line.text);
            continue;
        }
        for lane in lanes {
            let cell = if Some(*lane) == own { sign(line) } else { "|".to_owned() };
            out += &format!("{cell:<WIDTH$}");
        }
        out += &line.text;
        out += "\n";
    }
    if let Some(verdict) = timeline.verdict() {
        out += &format!("\n{verdict}\n");
    }
    out
}

/// A short sign for an entry.
fn sign(line: &TraceLine) -> String {
    let number = line.id.map_or_else(String::new, |id| id.number.to_string());
    match line.ev.as_str() {
        "req.send" => format!("{number}->"),
        "req.arrive" => format!("->{number}"),
        "reply.send" => format!("<-{number}"),
        "reply.arrive" => format!("{number}<-"),
        "reply.late" => format!("{number}<~"),
        "req.failed" => format!("{number} X"),
        "fault" => match line.fault {
            Some(fault) if line.id.is_some() => format!("{number} {}!", fault.id()),
            Some(fault) => format!("{}!", fault.id()),
            None => "!".to_owned(),
        },
        "timeout" => "timer".to_owned(),
        verb => {
            let word = verb.split_once('.').map_or(verb, |(_, word)| word);
            word.chars().take(6).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{DecisionSource, Run};
    use crate::scenario::Profile;
    use crate::timeline::View;
    use crate::trace::Trace;

    fn trace() -> Trace {
        let scenario = Profile::Hostile.scenario();
        let run = Run::new(&scenario);
        let decisions = DecisionSource::Seed(1);
        Trace::new(&run, &decisions, &run.record(&decisions))
    }

    #[test]
    fn every_entry_has_a_line() {
        let trace = trace();
        let text = text(&Timeline::of(&trace, View { whole: true, ..View::default() }));
        let said = text.lines().filter(|line| trace.lines.iter().any(|entry| line.ends_with(&entry.text)));
        assert!(said.count() >= trace.lines.len().min(4000));
    }

    #[test]
    fn a_view_of_one_flow_leaves_the_others_out() {
        let trace = trace();
        let text = text(&Timeline::of(&trace, View { flow: Some(1), ..View::default() }));
        assert!(text.contains("flow 1 opens") && !text.contains("flow 2 opens"), "{text}");
        assert!(text.contains("entries are not shown"), "{text}");
    }

    #[test]
    fn a_view_around_an_entry_has_those_next_to_it() {
        let trace = trace();
        let timeline = Timeline::of(&trace, View { around: Some(60), ..View::default() });
        let shown: Vec<u64> = timeline.lines.iter().map(|line| line.i).collect();
        assert_eq!((shown.first(), shown.last()), (Some(&20), Some(&100)));
    }
}
