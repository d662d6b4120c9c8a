//! The timeline as Chrome trace JSON, which Perfetto and other viewers read.

use serde_json::{Value, json};

use crate::time::Time;
use crate::timeline::{Call, Fate, Lane, LegKind, Timeline};

/// The timeline as Chrome trace JSON.
pub fn perfetto(timeline: &Timeline<'_>) -> String {
    let mut events = Vec::new();
    for (place, lane) in timeline.lanes.all().iter().enumerate() {
        let name = timeline.lanes.name(*lane);
        events
            .push(json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": place, "args": {"name": name}}));
        events.push(
            json!({"ph": "M", "name": "thread_sort_index", "pid": 1, "tid": place, "args": {"sort_index": place}}),
        );
    }
    for line in &timeline.lines {
        let lane = timeline.lanes.of(line.at);
        let tid = lane.and_then(|lane| timeline.lanes.place(lane)).unwrap_or(0);
        let scope = if lane.is_none() { "g" } else { "t" };
        events.push(json!({
            "ph": "i", "s": scope, "name": line.text, "cat": line.ev, "pid": 1, "tid": tid, "ts": micros(line.t),
            "args": {"entry": line.i, "event": line.e, "cause": line.cause, "hash": format!("0x{:016x}", line.h)},
        }));
    }
    for (number, call) in timeline.calls.iter().enumerate() {
        add_call(timeline, &mut events, number, call);
    }
    json!({"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"title": timeline.title()}})
        .to_string()
}

fn micros(time: Time) -> f64 {
    time.as_nanos() as f64 / 1000.0
}

fn add_call(timeline: &Timeline<'_>, events: &mut Vec<Value>, number: usize, call: &Call) {
    let tid = |lane| timeline.lanes.place(lane).unwrap_or(0);
    let at = |place: usize| micros(timeline.lines[place].t);
    let client = tid(Lane::Client(call.id.client));
    let id = call.id.to_string();
    let name = format!("{id}: {}", call.summary);
    if let Some(sent) = call.sent {
        let fate = match call.fate {
            Fate::Open => "open",
            Fate::Answered => "answered",
            Fate::Failed => "failed",
        };
        let args = json!({"fate": fate, "relay": call.relay, "fault": call.fault.map(|fault| fault.id())});
        let end = call.ended.unwrap_or(timeline.lines.len() - 1);
        events.push(json!({"ph": "b", "cat": "exchange", "id": id, "name": name, "pid": 1, "tid": client,
            "ts": at(sent), "args": args}));
        events.push(json!({"ph": "e", "cat": "exchange", "id": id, "name": name, "pid": 1, "tid": client,
            "ts": at(end)}));
    }
    for (nth, leg) in call.legs.iter().enumerate().filter(|(_, leg)| leg.kind != LegKind::Wait) {
        for (step, pair) in leg.stops.windows(2).enumerate() {
            let arrow = format!("{number}.{nth}.{step}");
            for (phase, (stop, place)) in ["s", "f"].iter().zip(pair) {
                events.push(json!({"ph": phase, "bp": "e", "cat": "way", "id": arrow, "name": id, "pid": 1,
                    "tid": tid(call.lane(*stop)), "ts": at(*place)}));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{DecisionSource, Run};
    use crate::scenario::Profile;
    use crate::trace::Trace;

    #[test]
    fn every_line_is_an_instant_and_every_exchange_begins_and_ends() {
        let scenario = Profile::Swarm.scenario();
        let run = Run::new(&scenario);
        let decisions = DecisionSource::Seed(9);
        let trace = Trace::new(&run, &decisions, &run.record(&decisions));
        let timeline = Timeline::of(&trace, crate::timeline::View { whole: true, ..Default::default() });
        let read: Value = serde_json::from_str(&perfetto(&timeline)).expect("it is JSON");
        let events = read["traceEvents"].as_array().expect("a list of events");
        let count = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
        assert_eq!(count("i"), trace.lines.len());
        assert_eq!(count("b"), trace.lines.iter().filter(|line| line.ev == "req.send").count());
        assert_eq!((count("b"), count("s")), (count("e"), count("f")));
    }
}
