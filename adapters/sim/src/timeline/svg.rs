//! The timeline as one SVG file without scripts.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::fault::Fault;
use crate::timeline::layout::{FOLD, Layout, offset, slots, span};
use crate::timeline::pen::{
    LABEL, above, before, brief, centred, coloured, cross, cut, ended, left, text, wrapped,
};
use crate::timeline::{Call, Fate, Lane, Leg, LegKind, Stop, Timeline, colour};
use crate::trace::{Actor, Summary, TraceLine};

/// The height of the names of the lanes.
pub(super) const HEAD: f64 = 40.0;

/// The timeline as one SVG file.
pub fn svg(timeline: &Timeline<'_>) -> String {
    let drawing = Drawing::new(timeline);
    let title = drawing.title();
    let legend = drawing.legend();
    let top = title.height + legend.height;
    let (width, height) = (drawing.layout.width, top + HEAD + drawing.layout.height);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}<g transform=\"translate(0 {})\">{}</g>\n\
         <g transform=\"translate(0 {top})\">{}</g>\n<g transform=\"translate(0 {})\">{}</g>\n</svg>\n",
        title.shapes,
        title.height,
        legend.shapes,
        drawing.head(),
        top + HEAD,
        drawing.body(),
    )
}

/// The looks of everything.
pub(super) const STYLE: &str = include_str!("drawing.css");

/// Some shapes, and the room that they take.
pub(super) struct Block {
    pub(super) shapes: String,
    pub(super) height: f64,
}

/// A picture in the making.
pub(super) struct Drawing<'a> {
    timeline: &'a Timeline<'a>,
    pub(super) layout: Layout,
    /// For each call: the slot of its bar at the client.
    call_slots: Vec<usize>,
    /// For each call and hold: the slot of its bar at the node.
    hold_slots: BTreeMap<(usize, usize), usize>,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(timeline: &'a Timeline<'a>) -> Self {
        let lines = timeline.lines.len();
        let mut call_slots = vec![0; timeline.calls.len()];
        let mut by_client: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut by_node: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
        for (place, call) in timeline.calls.iter().enumerate() {
            by_client.entry(call.id.client).or_default().push(place);
            for (nth, (node, ..)) in call.holds.iter().enumerate() {
                by_node.entry(*node).or_default().push((place, nth));
            }
        }
        for calls in by_client.values() {
            let bars: Vec<_> = calls.iter().map(|call| span(&timeline.calls[*call], lines)).collect();
            calls.iter().zip(slots(&bars)).for_each(|(call, slot)| call_slots[*call] = slot);
        }
        let mut hold_slots = BTreeMap::new();
        for holds in by_node.values_mut() {
            let bar = |(call, nth): &(usize, usize)| {
                let (_, from, to) = timeline.calls[*call].holds[*nth];
                (from, to.unwrap_or(lines))
            };
            holds.sort_by_key(|hold| bar(hold));
            let bars: Vec<_> = holds.iter().map(bar).collect();
            hold_slots.extend(holds.iter().copied().zip(slots(&bars)));
        }
        Self { timeline, layout: Layout::new(timeline), call_slots, hold_slots }
    }

    pub(super) fn title(&self) -> Block {
        let mut shapes = String::new();
        let mut y = 28.0;
        text(&mut shapes, (18.0, y), "big", &self.timeline.title());
        if let Some(verdict) = self.timeline.verdict() {
            for part in wrapped(&verdict, (self.layout.width / 7.2) as usize) {
                y += 20.0;
                coloured(&mut shapes, (18.0, y), "bold", colour::LOST, &part);
            }
        }
        Block { shapes, height: y + 12.0 }
    }

    /// The legend of the signs and colours in use.
    pub(super) fn legend(&self) -> Block {
        let mut items: Vec<(String, String)> =
            SIGNS.iter().map(|(sign, meaning)| ((*sign).to_owned(), (*meaning).to_owned())).collect();
        let mut faults: Vec<Fault> = self.timeline.lines.iter().filter_map(|line| line.fault).collect();
        faults.sort_unstable();
        faults.dedup();
        items.extend(faults.iter().map(|fault| {
            let of = colour::of(*fault);
            let sign = format!("<rect x=\"2\" y=\"-9\" width=\"22\" height=\"10\" rx=\"2\" fill=\"{of}\"/>");
            (sign, format!("{fault}: {}", fault.text()))
        }));
        let (mut shapes, mut x, mut y) = (String::new(), 18.0, 14.0);
        for (sign, meaning) in items {
            let width = 36.0 + 6.1 * meaning.chars().count() as f64;
            if x > 18.0 && x + width > self.layout.width {
                (x, y) = (18.0, y + 19.0);
            }
            let _ = write!(shapes, "<g transform=\"translate({x:.0} {y:.0})\">{sign}</g>");
            text(&mut shapes, (x + 30.0, y), "", &meaning);
            x += width + 10.0;
        }
        Block { shapes, height: y + 16.0 }
    }

    /// The names of the lanes.
    pub(super) fn head(&self) -> String {
        let mut shapes = String::new();
        let width = self.layout.width;
        let _ = write!(shapes, "<rect width=\"{width:.0}\" height=\"{HEAD}\" fill=\"#f8fafc\"/>");
        centred(&mut shapes, (self.layout.axis() - 30.0, 25.0), "dim", "time, s");
        for lane in self.timeline.lanes.all() {
            let (x, name) = (self.layout.x(*lane), self.timeline.lanes.name(*lane));
            let half = 14.0 + 3.6 * name.chars().count() as f64;
            let _ = write!(
                shapes,
                "<rect x=\"{:.1}\" y=\"7\" width=\"{:.1}\" height=\"26\" rx=\"6\" fill=\"#e2e8f0\"/>",
                x - half,
                2.0 * half,
            );
            centred(&mut shapes, (x, 24.5), "bold", &name);
        }
        shapes
    }

    /// Everything below the names.
    pub(super) fn body(&self) -> String {
        let mut shapes = String::from(ARROW_HEADS);
        self.ticks(&mut shapes);
        for lane in self.timeline.lanes.all() {
            let (x, height) = (self.layout.x(*lane), self.layout.height);
            let _ =
                write!(shapes, "<line class=\"lane\" x1=\"{x}\" y1=\"0\" x2=\"{x}\" y2=\"{height:.0}\"/>");
        }
        self.spells(&mut shapes);
        for (place, line) in self.timeline.lines.iter().enumerate().filter(|(_, line)| is_of_all(line)) {
            self.band(&mut shapes, place, line);
        }
        for (place, call) in self.timeline.calls.iter().enumerate() {
            let _ = write!(shapes, "<g class=\"call{}\" data-id=\"{}\">", quiet(call), call.id);
            self.bars(&mut shapes, place, call);
            call.legs.iter().for_each(|leg| self.leg(&mut shapes, place, call, leg));
            shapes += "</g>\n";
        }
        self.folds(&mut shapes);
        for (place, line) in self.timeline.lines.iter().enumerate() {
            self.line(&mut shapes, place, line);
        }
        shapes
    }

    /// Where lines are left out the lanes are cut through.
    fn folds(&self, shapes: &mut String) {
        let (axis, width) = (self.layout.axis(), self.layout.width);
        for fold in &self.timeline.folds {
            let y = self.layout.y(fold.before) - FOLD;
            let teeth = "l6 -5l6 5".repeat(((width - axis) / 12.0) as usize);
            for edge in [y - 8.0, y + 12.0] {
                let _ =
                    write!(shapes, "<path d=\"M{axis} {edge:.1}{teeth}\" fill=\"none\" stroke=\"#cbd5e1\"/>");
            }
            let _ = write!(
                shapes,
                "<rect x=\"{axis}\" y=\"{:.1}\" width=\"{:.1}\" height=\"16\" fill=\"#fff\"/>",
                y - 7.0,
                width - axis,
            );
            centred(shapes, (f64::midpoint(axis, width), y + 5.0), "dim", &fold.to_string());
        }
    }

    /// The axis: a time wherever it has gone on.
    fn ticks(&self, shapes: &mut String) {
        let (axis, width) = (self.layout.axis(), self.layout.width);
        let mut last = None;
        for (place, line) in self.timeline.lines.iter().enumerate() {
            let y = self.layout.y(place);
            if last != Some(line.t) {
                let _ = write!(
                    shapes,
                    "<line class=\"tick\" x1=\"{axis}\" y1=\"{0:.1}\" x2=\"{width:.0}\" y2=\"{0:.1}\"/>",
                    y - 13.0,
                );
                ended(shapes, (axis - 30.0, y + 4.0), "mono", &format!("{:.3}", line.t.as_secs_f64()));
            }
            ended(shapes, (axis, y + 4.0), "mono dim small", &line.i.to_string());
            last = Some(line.t);
        }
    }

    /// Times in which a relay is not well.
    fn spells(&self, shapes: &mut String) {
        let mut ill: BTreeMap<u32, (usize, Fault)> = BTreeMap::new();
        let mut spells = Vec::new();
        for (place, line) in self.timeline.lines.iter().enumerate() {
            let (Actor::Relay(relay), None, Some(fault)) = (line.at, line.id, line.fault) else { continue };
            if let Some((from, fault)) = ill.remove(&relay) {
                spells.push((relay, from, self.layout.y(place), fault));
            }
            if !line.text.ends_with("is well") {
                ill.insert(relay, (place, fault));
            }
        }
        spells.extend(ill.iter().map(|(relay, (from, fault))| (*relay, *from, self.layout.height, *fault)));
        for (relay, from, to, fault) in spells {
            let (x, y, of) = (self.layout.x(Lane::Relay(relay)), self.layout.y(from), colour::of(fault));
            let _ = write!(
                shapes,
                "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"16\" height=\"{:.1}\" fill=\"{of}\" opacity=\".2\"/>",
                x - 8.0,
                to - y,
            );
        }
    }

    /// Entries of the whole world: the heal, a clock fault, the violation.
    fn band(&self, shapes: &mut String, place: usize, line: &TraceLine) {
        let (y, axis, width) = (self.layout.y(place), self.layout.axis(), self.layout.width);
        let of = match (line.ev.as_str(), line.fault) {
            ("violated", _) => colour::LOST,
            (_, Some(fault)) => colour::of(fault),
            _ => colour::WELL,
        };
        let heavy = line.ev == "violated";
        let (half, opacity) = if heavy { (11.0, ".16") } else { (9.0, ".09") };
        let _ = write!(
            shapes,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"3\" fill=\"{of}\" \
             opacity=\"{opacity}\"/>",
            axis + 8.0,
            y - half,
            width - axis - 16.0,
            2.0 * half,
        );
        let said = if heavy {
            let what = self.timeline.trace.trailer.violation.as_ref();
            let what = what.map_or_else(String::new, |violation| format!(": {}", violation.what));
            format!("\u{2717} {}{what}", line.text)
        } else {
            line.text.clone()
        };
        let most = ((width - axis - 30.0) / 6.3) as usize;
        coloured(shapes, (axis + 16.0, y + 4.0), "bold halo", of, &cut(&said, most));
    }

    fn stop(&self, place: usize, call: &Call, (stop, line): (Stop, usize)) -> (f64, f64) {
        let x = match stop {
            Stop::Client => {
                self.layout.x(Lane::Client(call.id.client)) + offset(self.call_slots[place]) + 2.0
            }
            Stop::Relay => self.layout.x(Lane::Relay(call.relay)),
            Stop::Node(node) => {
                let hold = call.holds.iter().position(|(_, came, left)| *came == line || *left == Some(line));
                let slot = hold.and_then(|nth| self.hold_slots.get(&(place, nth)));
                self.layout.x(Lane::Node(node)) - slot.map_or(0.0, |slot| offset(*slot) + 2.0)
            }
        };
        (x, self.layout.y(line))
    }

    /// How long the exchange is out, and how long nodes hold it.
    fn bars(&self, shapes: &mut String, place: usize, call: &Call) {
        let of = of_call(call);
        let mut bar = |x: f64, from: usize, to: Option<usize>| {
            let (top, bottom) = (self.layout.y(from), self.layout.y(to.unwrap_or(usize::MAX)));
            let _ = write!(
                shapes,
                "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"4\" height=\"{:.1}\" rx=\"2\" fill=\"{of}\" \
                 opacity=\".75\"/>",
                x - 2.0,
                (bottom - top).max(4.0),
            );
        };
        if let Some(sent) = call.sent {
            bar(self.stop(place, call, (Stop::Client, sent)).0, sent, call.ended);
        }
        for (node, came, left) in &call.holds {
            bar(self.stop(place, call, (Stop::Node(*node), *came)).0, *came, *left);
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
        let of = match (leg.kind, leg.fault) {
            (LegKind::Wait, _) => colour::LOST,
            _ if leg.repairs.is_some() => colour::WELL,
            (_, Some(fault)) => colour::of(fault),
            _ => colour::PLAIN,
        };
        let dash = match leg.kind {
            LegKind::Wait => " stroke-dasharray=\"1.5 4\" stroke-linecap=\"round\"",
            LegKind::Down => " stroke-dasharray=\"6 3\"",
            LegKind::Up => "",
        };
        let strong = leg.fault.is_some() || leg.kind == LegKind::Wait || leg.repairs.is_some();
        let width = if strong { 2.0 } else { 1.3 };
        let head = if leg.lost || leg.open { String::new() } else { " marker-end=\"url(#to)\"".to_owned() };
        let way: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(
            shapes,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{of}\" stroke-width=\"{width}\"{dash}{head}/>",
            way.join(" "),
        );
        if let (true, [from, to]) = (passes && !leg.open, &points[..]) {
            let y = from.1 + (to.1 - from.1) * (relay - from.0) / (to.0 - from.0);
            let _ = write!(shapes, "<circle cx=\"{relay:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{of}\"/>");
        }
        if let (true, Some((x, y))) = (leg.lost, points.last()) {
            cross(shapes, *x, *y);
        }
    }

    /// The label of a line, beside its lane or over its arrow.
    fn line(&self, shapes: &mut String, place: usize, line: &TraceLine) {
        let (y, width) = (self.layout.y(place), self.layout.width);
        let _ = write!(
            shapes,
            "<g class=\"row\" data-i=\"{}\"><rect class=\"hit\" x=\"0\" y=\"{:.1}\" width=\"{width:.0}\" \
             height=\"20\" fill=\"transparent\"/>",
            line.i,
            y - 10.0,
        );
        if let Some((from, to)) = self.timeline.lanes.neighbours(line) {
            self.step(shapes, y, line, from, to);
        } else if let Some(lane) = self.timeline.lanes.of(line.at) {
            self.note(shapes, y, line, lane);
        }
        shapes.push_str("</g>\n");
    }

    /// Something passes at once between neighbours.
    fn step(&self, shapes: &mut String, y: f64, line: &TraceLine, from: Lane, to: Lane) {
        let (from, to) = (self.layout.x(from), self.layout.x(to));
        let of = if line.bad {
            colour::LOST
        } else if line.ev == "flow.ended" {
            colour::WELL
        } else {
            "#94a3b8"
        };
        let _ = write!(
            shapes,
            "<line x1=\"{from:.1}\" y1=\"{y:.1}\" x2=\"{to:.1}\" y2=\"{y:.1}\" stroke=\"{of}\" \
             stroke-width=\"1.3\" marker-end=\"url(#to)\"/>"
        );
        let label = cut(&brief(&line.text).replace("flow ", "f").replace("an exchange failed: ", ""), LABEL);
        let class = if line.bad { "halo bold" } else { "halo" };
        let ink = if of == "#94a3b8" { "#334155" } else { of };
        above(shapes, (f64::midpoint(from, to), y - 4.0), class, ink, &label);
    }

    /// Something happens at one place.
    fn note(&self, shapes: &mut String, y: f64, line: &TraceLine, lane: Lane) {
        let x = self.layout.x(lane);
        let summary = line.summary.unwrap_or_default();
        match line.ev.as_str() {
            "req.send" => {
                let id = line.id.map_or_else(String::new, |id| id.to_string());
                let repairs = self.repairs(line, LegKind::Up);
                let label = format!("{id}  {}{}", summary.asked(), repairs.as_deref().unwrap_or_default());
                let most = self.call_of(line).map_or(0, |call| self.call_slots[call]);
                let (class, of) = said(repairs.is_some());
                coloured(shapes, (x + offset(most) + 9.0, y - 4.0), class, of, &label);
            }
            "reply.send" => {
                let slot = self.hold_of(line).unwrap_or(0);
                let repairs = self.repairs(line, LegKind::Down);
                let label = format!("{}{}", answer(summary, line), repairs.as_deref().unwrap_or_default());
                let (class, of) = said(repairs.is_some());
                before(shapes, (x - offset(slot) - 8.0, y - 4.0), class, of, &label);
            }
            "req.arrive" if line.copy > 0 => {
                coloured(shapes, (x + 8.0, y + 1.0), "halo", colour::of(Fault::Duplicate), "the second copy");
            }
            "req.arrive" | "reply.arrive" => {}
            "reply.late" => left(shapes, (x, y), "halo dim", "#94a3b8", &line.text),
            "req.failed" => left(shapes, (x, y), "halo bold", colour::LOST, brief(&line.text)),
            "fault" => self.strike(shapes, (x, y), line),
            "timeout" => {
                let _ = write!(shapes, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"#94a3b8\"/>");
                match lane {
                    Lane::Node(_) => text(shapes, (x + 8.0, y + 4.0), "halo dim", &line.text),
                    _ => ended(shapes, (x - 8.0, y + 4.0), "halo dim", &line.text),
                }
            }
            _ => text(shapes, (x + 8.0, y + 1.0), "halo dim", &line.text.replace("flow ", "f")),
        }
    }

    fn strike(&self, shapes: &mut String, (x, y): (f64, f64), line: &TraceLine) {
        if let Some((_, said)) = line.text.split_once(": ").filter(|(_, said)| said.ends_with("is well")) {
            return coloured(shapes, (x + 13.0, y + 4.0), "halo bold", colour::WELL, said);
        }
        let of = line.fault.map_or(colour::PLAIN, colour::of);
        let lost = line.id.is_some_and(|_| self.is_lost_at(line));
        if !lost {
            let _ = write!(
                shapes,
                "<path d=\"M{x:.1} {:.1}l6 6l-6 6l-6 -6z\" fill=\"{of}\" stroke=\"#fff\"/>",
                y - 6.0
            );
        }
        let id = line.id.map_or_else(String::new, |id| id.to_string());
        let said = line.text.replacen(&format!("{id} "), "", usize::from(!id.is_empty()));
        coloured(shapes, (x + 13.0, y + 4.0), "halo bold", of, &cut(&said, LABEL));
    }

    fn is_lost_at(&self, line: &TraceLine) -> bool {
        let last = |leg: &Leg| leg.stops.last().map(|(_, place)| self.timeline.lines[*place].i);
        self.timeline
            .calls
            .iter()
            .flat_map(|call| &call.legs)
            .any(|leg| leg.lost && last(leg) == Some(line.i))
    }

    /// Of which lost exchange the leg that begins with this line repairs the loss.
    fn repairs(&self, line: &TraceLine, kind: LegKind) -> Option<String> {
        let call = &self.timeline.calls[self.call_of(line)?];
        let begins = |leg: &&Leg| {
            leg.kind == kind && leg.stops.first().is_some_and(|(_, at)| self.timeline.lines[*at].i == line.i)
        };
        let lost = call.legs.iter().find(begins)?.repairs?;
        Some(format!(", repairs {lost}"))
    }

    fn call_of(&self, line: &TraceLine) -> Option<usize> {
        self.timeline.calls.iter().position(|call| Some(call.id) == line.id)
    }

    fn hold_of(&self, line: &TraceLine) -> Option<usize> {
        let call = self.call_of(line)?;
        let holds = &self.timeline.calls[call].holds;
        let nth = holds.iter().position(|(_, came, _)| self.timeline.lines[*came].copy == line.copy)?;
        self.hold_slots.get(&(call, nth)).copied()
    }
}

/// Signs of the legend.
const SIGNS: [(&str, &str); 6] = [
    ("<line x1=\"2\" y1=\"-4\" x2=\"24\" y2=\"-4\" stroke=\"#64748b\" stroke-width=\"1.5\"/>", "request"),
    (
        "<line x1=\"2\" y1=\"-4\" x2=\"24\" y2=\"-4\" stroke=\"#64748b\" stroke-width=\"1.5\" \
         stroke-dasharray=\"6 3\"/>",
        "answer",
    ),
    (
        "<path d=\"M8 -9l10 10m0 -10l-10 10\" stroke=\"#dc2626\" stroke-width=\"3\" stroke-linecap=\"round\"/>",
        "lost",
    ),
    (
        "<line x1=\"2\" y1=\"-4\" x2=\"24\" y2=\"-4\" stroke=\"#dc2626\" stroke-width=\"2\" \
         stroke-dasharray=\"1.5 4\" stroke-linecap=\"round\"/>",
        "waiting without an answer",
    ),
    (
        "<line x1=\"2\" y1=\"-4\" x2=\"24\" y2=\"-4\" stroke=\"#15803d\" stroke-width=\"2\"/>",
        "brings again what was lost",
    ),
    (
        "<rect x=\"11\" y=\"-11\" width=\"4\" height=\"14\" rx=\"2\" fill=\"#64748b\"/>",
        "out at the client, or held by the node",
    ),
];

/// Arrow heads that have the colour of their line.
const ARROW_HEADS: &str = "<defs><marker id=\"to\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" \
    markerUnits=\"userSpaceOnUse\" markerWidth=\"9\" markerHeight=\"9\" orient=\"auto\">\
    <path d=\"M0 1L10 5L0 9z\" fill=\"context-stroke\"/></marker></defs>\n";

/// Whether a line is about the whole world.
const fn is_of_all(line: &TraceLine) -> bool {
    matches!(line.at, Actor::World)
}

fn of_call(call: &Call) -> &'static str {
    match (call.fault, call.fate) {
        (Some(fault), _) => colour::of(fault),
        (None, Fate::Failed) => colour::LOST,
        _ => "#94a3b8",
    }
}

/// Polls that went well are drawn quietly.
fn quiet(call: &Call) -> &'static str {
    let Summary { opens, writes, ends, .. } = call.summary;
    let poll = opens == 0 && writes == 0 && ends == 0;
    let well = call.fault.is_none() && !matches!(call.fate, Fate::Failed);
    if poll && well && call.legs.iter().all(|leg| leg.repairs.is_none()) { " poll" } else { "" }
}

/// The style of a call's label.
const fn said(repairs: bool) -> (&'static str, &'static str) {
    if repairs { ("halo bold", colour::WELL) } else { ("halo", "#1e293b") }
}

fn answer(summary: Summary, line: &TraceLine) -> String {
    let copy = if line.copy > 0 { " (second copy)" } else { "" };
    format!("{}{copy}", summary.answered())
}
