//! The timeline as one SVG file without scripts.

use std::collections::BTreeMap;

use crate::fault::Fault;
use crate::timeline::layout::{AXIS, FOLD, Layout, offset, slots};
use crate::timeline::pen::{self, END, LABEL, MIDDLE, START, brief, circle, cut, rect, text, wrapped};
use crate::timeline::{Call, Fate, Lane, Leg, LegKind, Stop, Timeline, colour};
use crate::trace::{Actor, Summary, TraceLine};

/// The height of the names of the lanes.
pub(super) const HEAD: f64 = 40.0;

/// The timeline as one SVG file.
pub fn svg(timeline: &Timeline<'_>) -> String {
    let drawing = Drawing::new(timeline);
    let (shapes, top) = drawing.top();
    let (width, height) = (drawing.layout.width, top + HEAD + drawing.layout.height);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{shapes}\n\
         <g transform=\"translate(0 {top})\">{}</g>\n<g transform=\"translate(0 {})\">{}</g>\n</svg>\n",
        drawing.head(),
        top + HEAD,
        drawing.body(),
    )
}

/// The looks of everything.
pub(super) const STYLE: &str = include_str!("drawing.css");

/// A picture in the making.
pub(super) struct Drawing<'a> {
    timeline: &'a Timeline<'a>,
    pub(super) layout: Layout,
    /// The slot of each call's bar at its client, and of each of its holds at the node.
    slots: BTreeMap<(usize, Option<usize>), usize>,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(timeline: &'a Timeline<'a>) -> Self {
        let last = timeline.lines.len();
        let mut bars = Vec::new();
        for (place, call) in timeline.calls.iter().enumerate() {
            let span = (call.sent.unwrap_or(0), call.ended.unwrap_or(last));
            bars.push((Lane::Client(call.id.client), span, (place, None)));
            for (nth, (node, came, left)) in call.holds.iter().enumerate() {
                bars.push((Lane::Node(*node), (*came, left.unwrap_or(last)), (place, Some(nth))));
            }
        }
        bars.sort_by_key(|(lane, (from, _), _)| (*lane, *from));
        let mut of = BTreeMap::new();
        for lane in bars.chunk_by(|bar, next| bar.0 == next.0) {
            let spans: Vec<_> = lane.iter().map(|(_, span, _)| *span).collect();
            of.extend(lane.iter().map(|(.., bar)| *bar).zip(slots(&spans)));
        }
        Self { timeline, layout: Layout::new(timeline), slots: of }
    }

    /// The title and the legend of the signs and colours in use, and their height.
    pub(super) fn top(&self) -> (String, f64) {
        let (mut shapes, mut y) = (String::new(), 28.0);
        text(&mut shapes, (18.0, y), START, ("big", ""), &self.timeline.title());
        for part in self.timeline.verdict().iter().flat_map(|said| wrapped(said, self.letters(0.0, 7.2))) {
            y += 20.0;
            text(&mut shapes, (18.0, y), START, ("bold", colour::LOST), &part);
        }
        let signs = SIGNS.map(|(sign, meaning)| (sign.to_owned(), meaning.to_owned()));
        let mut faults: Vec<Fault> = self.timeline.lines.iter().filter_map(|line| line.fault).collect();
        faults.sort_unstable();
        faults.dedup();
        let colours = faults.into_iter().map(|fault| {
            let of = colour::of(fault);
            let sign = format!(r#"<rect x="2" y="-9" width="22" height="10" rx="2" fill="{of}"/>"#);
            (sign, format!("{fault}: {}", fault.text()))
        });
        let (mut x, mut y) = (18.0, y + 26.0);
        for (sign, meaning) in signs.into_iter().chain(colours) {
            let width = 36.0 + 6.1 * meaning.chars().count() as f64;
            if x > 18.0 && x + width > self.layout.width {
                (x, y) = (18.0, y + 19.0);
            }
            shapes += &format!(r#"<g transform="translate({x:.0} {y:.0})">{sign}</g>"#);
            text(&mut shapes, (x + 30.0, y), START, ("", ""), &meaning);
            x += width + 10.0;
        }
        (shapes, y + 16.0)
    }

    /// How many letters of this width there is room for beside a margin.
    fn letters(&self, margin: f64, width: f64) -> usize {
        ((self.layout.width - margin) / width) as usize
    }

    /// The names of the lanes.
    pub(super) fn head(&self) -> String {
        let mut shapes = String::new();
        rect(&mut shapes, (0.0, 0.0), (self.layout.width, HEAD), r##"fill="#f8fafc""##);
        text(&mut shapes, (AXIS - 30.0, 25.0), MIDDLE, ("dim", ""), "time, s");
        for lane in self.timeline.lanes.all() {
            let (x, name) = (self.layout.x(*lane), self.timeline.lanes.name(*lane));
            let half = 14.0 + 3.6 * name.chars().count() as f64;
            rect(&mut shapes, (x - half, 7.0), (2.0 * half, 26.0), r##"rx="6" fill="#e2e8f0""##);
            text(&mut shapes, (x, 24.5), MIDDLE, ("bold", ""), &name);
        }
        shapes
    }

    /// Everything below the names.
    pub(super) fn body(&self) -> String {
        let mut shapes = String::from(ARROW_HEADS);
        self.ticks(&mut shapes);
        for lane in self.timeline.lanes.all() {
            let x = self.layout.x(*lane);
            pen::line(&mut shapes, (x, 0.0), (x, self.layout.height), r#"class="lane""#);
        }
        self.spells(&mut shapes);
        let lines = || self.timeline.lines.iter().enumerate();
        for (place, line) in lines().filter(|(_, line)| line.at == Actor::World) {
            self.band(&mut shapes, place, line);
        }
        for (place, call) in self.timeline.calls.iter().enumerate() {
            shapes += &format!(r#"<g class="call{}" data-id="{}">"#, quiet(call), call.id);
            self.bars(&mut shapes, place, call);
            call.legs.iter().for_each(|leg| self.leg(&mut shapes, place, call, leg));
            shapes += "</g>\n";
        }
        self.folds(&mut shapes);
        lines().for_each(|(place, line)| self.row(&mut shapes, place, line));
        shapes
    }

    /// Where lines are left out the lanes are cut through.
    fn folds(&self, shapes: &mut String) {
        let width = self.layout.width;
        let teeth = "l6 -5l6 5".repeat(((width - AXIS) / 12.0) as usize);
        for fold in &self.timeline.folds {
            let y = self.layout.y(fold.before) - FOLD;
            for edge in [y - 8.0, y + 12.0] {
                *shapes += &format!(r##"<path d="M{AXIS} {edge:.1}{teeth}" fill="none" stroke="#cbd5e1"/>"##);
            }
            rect(shapes, (AXIS, y - 7.0), (width - AXIS, 16.0), r##"fill="#fff""##);
            text(shapes, (f64::midpoint(AXIS, width), y + 5.0), MIDDLE, ("dim", ""), &fold.to_string());
        }
    }

    /// The axis: a time wherever it has gone on.
    fn ticks(&self, shapes: &mut String) {
        let mut last = None;
        for (place, line) in self.timeline.lines.iter().enumerate() {
            let y = self.layout.y(place);
            if last.replace(line.t) != Some(line.t) {
                let (from, to) = ((AXIS, y - 13.0), (self.layout.width, y - 13.0));
                pen::line(shapes, from, to, r#"class="tick""#);
                let time = format!("{:.3}", line.t.as_secs_f64());
                text(shapes, (AXIS - 30.0, y + 4.0), END, ("mono", ""), &time);
            }
            text(shapes, (AXIS, y + 4.0), END, ("mono dim small", ""), &line.i.to_string());
        }
    }

    /// Times in which a relay is not well.
    fn spells(&self, shapes: &mut String) {
        let mut ill: BTreeMap<u32, (usize, Fault)> = BTreeMap::new();
        let mut spell = |relay: u32, (from, fault): (usize, Fault), to: f64| {
            let (x, y, of) = (self.layout.x(Lane::Relay(relay)), self.layout.y(from), colour::of(fault));
            rect(shapes, (x - 8.0, y), (16.0, to - y), &format!(r#"fill="{of}" opacity=".2""#));
        };
        for (place, line) in self.timeline.lines.iter().enumerate() {
            let (Actor::Relay(relay), None, Some(fault)) = (line.at, line.id, line.fault) else { continue };
            if let Some(began) = ill.remove(&relay) {
                spell(relay, began, self.layout.y(place));
            }
            if !line.text.ends_with("is well") {
                ill.insert(relay, (place, fault));
            }
        }
        ill.into_iter().for_each(|(relay, began)| spell(relay, began, self.layout.height));
    }

    /// Entries of the whole world: the heal, a clock fault, the violation.
    fn band(&self, shapes: &mut String, place: usize, line: &TraceLine) {
        let (y, width) = (self.layout.y(place), self.layout.width);
        let violation = self.timeline.trace.trailer.violation.as_ref().filter(|_| line.ev == "violated");
        let (of, half, opacity) = match (violation, line.fault) {
            (Some(_), _) => (colour::LOST, 11.0, ".16"),
            (None, Some(fault)) => (colour::of(fault), 9.0, ".09"),
            (None, None) => (colour::WELL, 9.0, ".09"),
        };
        let looks = format!(r#"rx="3" fill="{of}" opacity="{opacity}""#);
        rect(shapes, (AXIS + 8.0, y - half), (width - AXIS - 16.0, 2.0 * half), &looks);
        let said = violation.map_or_else(
            || line.text.clone(),
            |violation| format!("\u{2717} {}: {}", line.text, violation.what),
        );
        let said = cut(&said, self.letters(AXIS + 30.0, 6.3));
        text(shapes, (AXIS + 16.0, y + 4.0), START, ("bold halo", of), &said);
    }

    fn stop(&self, place: usize, call: &Call, (stop, line): (Stop, usize)) -> (f64, f64) {
        let beside = |bar| self.slots.get(&(place, bar)).map_or(0.0, |slot| offset(*slot) + 2.0);
        let x = self.layout.x(call.lane(stop));
        let x = match stop {
            Stop::Client => x + beside(None),
            Stop::Relay => x,
            Stop::Node(_) => {
                let hold = call.holds.iter().position(|(_, came, left)| *came == line || *left == Some(line));
                x - hold.map_or(0.0, |nth| beside(Some(nth)))
            }
        };
        (x, self.layout.y(line))
    }

    /// How long the exchange is out, and how long nodes hold it.
    fn bars(&self, shapes: &mut String, place: usize, call: &Call) {
        let looks = format!(r#"rx="2" fill="{}" opacity=".75""#, of_call(call));
        let out = call.sent.map(|sent| (Stop::Client, sent, call.ended));
        let held = call.holds.iter().map(|(node, came, left)| (Stop::Node(*node), *came, *left));
        for (stop, from, to) in out.into_iter().chain(held) {
            let (x, top) = self.stop(place, call, (stop, from));
            let bottom = self.layout.y(to.unwrap_or(usize::MAX));
            rect(shapes, (x - 2.0, top), (4.0, (bottom - top).max(4.0)), &looks);
        }
    }

    fn leg(&self, shapes: &mut String, place: usize, call: &Call, leg: &Leg) {
        let mut points: Vec<(f64, f64)> =
            leg.stops.iter().map(|stop| self.stop(place, call, *stop)).collect();
        let relay = self.layout.x(Lane::Relay(call.relay));
        let passes = leg.stops.iter().all(|(stop, _)| *stop != Stop::Relay) && leg.kind != LegKind::Wait;
        if let (true, true, Some((x, y))) = (leg.open, passes, points.last().copied()) {
            points.push((x + (relay - x) * 0.4, y + 7.0));
        }
        let (of, width) = match (leg.kind, leg.fault) {
            (LegKind::Wait, _) => (colour::LOST, 2.0),
            _ if leg.repairs.is_some() => (colour::WELL, 2.0),
            (_, Some(fault)) => (colour::of(fault), 2.0),
            _ => (colour::PLAIN, 1.3),
        };
        let dash = match leg.kind {
            LegKind::Wait => r#" stroke-dasharray="1.5 4" stroke-linecap="round""#,
            LegKind::Down => r#" stroke-dasharray="6 3""#,
            LegKind::Up => "",
        };
        let head = if leg.lost || leg.open { "" } else { r#" marker-end="url(#to)""# };
        let way: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        *shapes += &format!(
            r#"<polyline points="{}" fill="none" stroke="{of}" stroke-width="{width}"{dash}{head}/>"#,
            way.join(" "),
        );
        if let (true, [from, to]) = (passes && !leg.open, &points[..]) {
            let y = from.1 + (to.1 - from.1) * (relay - from.0) / (to.0 - from.0);
            circle(shapes, (relay, y), 2.6, &format!(r#"fill="{of}""#));
        }
        if let (true, Some(end)) = (leg.lost, points.last()) {
            pen::cross(shapes, *end);
        }
    }

    /// The label of a line, beside its lane or over its arrow.
    fn row(&self, shapes: &mut String, place: usize, line: &TraceLine) {
        let y = self.layout.y(place);
        *shapes += &format!(r#"<g class="row" data-i="{}">"#, line.i);
        rect(shapes, (0.0, y - 10.0), (self.layout.width, 20.0), r#"class="hit" fill="transparent""#);
        if let Some((from, to)) = self.timeline.lanes.neighbours(line) {
            self.step(shapes, y, line, from, to);
        } else if let Some(lane) = self.timeline.lanes.of(line.at) {
            self.note(shapes, y, line, lane);
        }
        *shapes += "</g>\n";
    }

    /// Something passes at once between neighbours.
    fn step(&self, shapes: &mut String, y: f64, line: &TraceLine, from: Lane, to: Lane) {
        let (from, to) = (self.layout.x(from), self.layout.x(to));
        let (of, ink, class) = match line.ev.as_str() {
            _ if line.bad => (colour::LOST, colour::LOST, "halo bold"),
            "flow.ended" => (colour::WELL, colour::WELL, "halo"),
            _ => (colour::FAINT, "#334155", "halo"),
        };
        let looks = format!(r#"stroke="{of}" stroke-width="1.3" marker-end="url(#to)""#);
        pen::line(shapes, (from, y), (to, y), &looks);
        let label = cut(&brief(&line.text).replace("flow ", "f").replace("an exchange failed: ", ""), LABEL);
        text(shapes, (f64::midpoint(from, to), y - 4.0), MIDDLE, (class, ink), &label);
    }

    /// Something happens at one place.
    fn note(&self, shapes: &mut String, y: f64, line: &TraceLine, lane: Lane) {
        let x = self.layout.x(lane);
        // A note of a client stands on the side of its application.
        let left = |shapes: &mut String, style, said: &str| {
            text(shapes, (x - 8.0, y + 1.0), END, style, &cut(said, LABEL));
        };
        let said = line.summary.unwrap_or_default();
        match line.ev.as_str() {
            "req.send" => {
                let (repairs, style) = self.repairs(line, LegKind::Up);
                let label = format!("{}  {}{repairs}", name(line), said.asked());
                let slot = self.call_of(line).and_then(|(place, _)| self.slots.get(&(place, None)));
                let x = x + offset(slot.copied().unwrap_or(0)) + 9.0;
                text(shapes, (x, y - 4.0), START, style, &label);
            }
            "reply.send" => {
                let (repairs, style) = self.repairs(line, LegKind::Down);
                let copy = if line.copy > 0 { " (second copy)" } else { "" };
                let label = format!("{}{copy}{repairs}", said.answered());
                let x = x - offset(self.hold_of(line).unwrap_or(0)) - 8.0;
                text(shapes, (x, y - 4.0), END, style, &label);
            }
            "req.arrive" if line.copy > 0 => {
                let style = ("halo", colour::of(Fault::Duplicate));
                text(shapes, (x + 8.0, y + 1.0), START, style, "the second copy");
            }
            "req.arrive" | "reply.arrive" => {}
            "reply.late" => left(shapes, ("halo dim", colour::FAINT), &line.text),
            "req.failed" => left(shapes, ("halo bold", colour::LOST), brief(&line.text)),
            "fault" => self.strike(shapes, (x, y), line),
            "timeout" => {
                circle(shapes, (x, y), 2.0, &format!(r#"fill="{}""#, colour::FAINT));
                let right = matches!(lane, Lane::Node(_));
                let (x, anchor) = if right { (x + 8.0, START) } else { (x - 8.0, END) };
                text(shapes, (x, y + 4.0), anchor, ("halo dim", ""), &line.text);
            }
            _ => {
                let said = line.text.replace("flow ", "f");
                text(shapes, (x + 8.0, y + 1.0), START, ("halo dim", ""), &said);
            }
        }
    }

    fn strike(&self, shapes: &mut String, (x, y): (f64, f64), line: &TraceLine) {
        let at = (x + 13.0, y + 4.0);
        if let Some((_, said)) = line.text.split_once(": ").filter(|(_, said)| said.ends_with("is well")) {
            return text(shapes, at, START, ("halo bold", colour::WELL), said);
        }
        let of = line.fault.map_or(colour::PLAIN, colour::of);
        let last = |leg: &Leg| leg.stops.last().map(|(_, place)| self.timeline.lines[*place].i);
        let mut legs = self.timeline.calls.iter().flat_map(|call| &call.legs);
        if line.id.is_none() || !legs.any(|leg| leg.lost && last(leg) == Some(line.i)) {
            *shapes +=
                &format!(r##"<path d="M{x:.1} {:.1}l6 6l-6 6l-6 -6z" fill="{of}" stroke="#fff"/>"##, y - 6.0);
        }
        let said =
            line.id.map_or_else(|| line.text.clone(), |id| line.text.replacen(&format!("{id} "), "", 1));
        text(shapes, at, START, ("halo bold", of), &cut(&said, LABEL));
    }

    /// Of which lost exchange the leg that begins with this line repairs the loss, and the style of its label.
    fn repairs(&self, line: &TraceLine, kind: LegKind) -> (String, (&'static str, &'static str)) {
        let begins = |leg: &&Leg| {
            leg.kind == kind && leg.stops.first().is_some_and(|(_, at)| self.timeline.lines[*at].i == line.i)
        };
        let leg = self.call_of(line).and_then(|(_, call)| call.legs.iter().find(begins));
        match leg.and_then(|leg| leg.repairs) {
            Some(lost) => (format!(", repairs {lost}"), ("halo bold", colour::WELL)),
            None => (String::new(), ("halo", "#1e293b")),
        }
    }

    fn call_of(&self, line: &TraceLine) -> Option<(usize, &Call)> {
        self.timeline.calls.iter().enumerate().find(|(_, call)| Some(call.id) == line.id)
    }

    fn hold_of(&self, line: &TraceLine) -> Option<usize> {
        let (place, call) = self.call_of(line)?;
        let copy = |came: usize| self.timeline.lines[came].copy;
        let nth = call.holds.iter().position(|(_, came, _)| copy(*came) == line.copy)?;
        self.slots.get(&(place, Some(nth))).copied()
    }
}

/// Signs of the legend.
const SIGNS: [(&str, &str); 6] = [
    (r##"<path d="M2 -4h22" stroke="#64748b" stroke-width="1.5"/>"##, "request"),
    (r##"<path d="M2 -4h22" stroke="#64748b" stroke-width="1.5" stroke-dasharray="6 3"/>"##, "answer"),
    (
        r##"<path d="M8 -9l10 10m0 -10l-10 10" stroke="#dc2626" stroke-width="3" stroke-linecap="round"/>"##,
        "lost",
    ),
    (
        r##"<path d="M2 -4h22" stroke="#dc2626" stroke-width="2" stroke-dasharray="1.5 4" stroke-linecap="round"/>"##,
        "waiting without an answer",
    ),
    (r##"<path d="M2 -4h22" stroke="#15803d" stroke-width="2"/>"##, "brings again what was lost"),
    (
        r##"<rect x="11" y="-11" width="4" height="14" rx="2" fill="#64748b"/>"##,
        "out at the client, or held by the node",
    ),
];

/// Arrow heads that have the colour of their line.
const ARROW_HEADS: &str = "<defs><marker id=\"to\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" \
    markerUnits=\"userSpaceOnUse\" markerWidth=\"9\" markerHeight=\"9\" orient=\"auto\">\
    <path d=\"M0 1L10 5L0 9z\" fill=\"context-stroke\"/></marker></defs>\n";

fn of_call(call: &Call) -> &'static str {
    match (call.fault, call.fate) {
        (Some(fault), _) => colour::of(fault),
        (None, Fate::Failed) => colour::LOST,
        _ => colour::FAINT,
    }
}

/// Polls that went well are drawn quietly.
fn quiet(call: &Call) -> &'static str {
    let Summary { opens, writes, ends, .. } = call.summary;
    let poll = opens == 0 && writes == 0 && ends == 0;
    let well = call.fault.is_none() && !matches!(call.fate, Fate::Failed);
    if poll && well && call.legs.iter().all(|leg| leg.repairs.is_none()) { " poll" } else { "" }
}

/// The name of a line's exchange.
fn name(line: &TraceLine) -> String {
    line.id.map_or_else(String::new, |id| id.to_string())
}
