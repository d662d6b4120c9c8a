//! Exchanges assembled from trace entries: each leg of the way, its loss, and the end.

use std::collections::BTreeMap;

use crate::fault::Fault;
use crate::timeline::Lane;
use crate::trace::{Actor, ExchangeName, Summary, TraceLine};

/// Steps back along the causes before a search is given up.
const FAR: usize = 64;

/// Where a leg has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At the client.
    Client,
    /// At the relay.
    Relay,
    /// At a node.
    Node(u32),
}

/// What travels on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LegKind {
    /// A request on its way up.
    Up,
    /// An answer on its way down.
    Down,
    /// Nothing: the client waits until it gives up.
    Wait,
}

/// A part of an exchange's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// What travels.
    pub kind: LegKind,
    /// Where it was, and at which line of the picture.
    pub stops: Vec<(Stop, usize)>,
    /// Whether it ended in nothing.
    pub lost: bool,
    /// Whether its arrival is outside the picture, or its receiver no longer waits.
    pub open: bool,
    /// The fault that struck it last.
    pub fault: Option<Fault>,
    /// The exchange that was lost with the chunk that this leg brings again.
    pub repairs: Option<ExchangeName>,
}

impl Leg {
    /// One to which nothing happened.
    const fn new(kind: LegKind, stops: Vec<(Stop, usize)>) -> Self {
        Self { kind, stops, lost: false, open: false, fault: None, repairs: None }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not in this picture.
    Open,
    /// With an answer.
    Answered,
    /// Without one.
    Failed,
}

/// An exchange.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub id: ExchangeName,
    /// Its relay.
    pub relay: u32,
    /// The line at which it was sent.
    pub sent: Option<usize>,
    /// The line at which it ended for its client.
    pub ended: Option<usize>,
    /// How.
    pub fate: Fate,
    /// What the request carries.
    pub summary: Summary,
    /// Its ways.
    pub legs: Vec<Leg>,
    /// Requests in the hands of a node: the node, and the lines at which it came and was answered.
    pub holds: Vec<(u32, usize, Option<usize>)>,
    /// The last fault that struck it.
    pub fault: Option<Fault>,
}

impl Call {
    /// The lane of a stop on its way.
    pub(super) const fn lane(&self, stop: Stop) -> Lane {
        match stop {
            Stop::Client => Lane::Client(self.id.client),
            Stop::Relay => Lane::Relay(self.relay),
            Stop::Node(node) => Lane::Node(node),
        }
    }
}

/// Puts the exchanges of these lines together, in the order of their first line. What ends in `all` lines but not
/// in these ends at the next line that is there.
pub(super) fn calls(lines: &[&TraceLine], all: &[TraceLine]) -> Vec<Call> {
    let mut of: BTreeMap<ExchangeName, Vec<usize>> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate() {
        if let Some(id) = line.id {
            of.entry(id).or_default().push(place);
        }
    }
    let places: BTreeMap<u64, usize> =
        lines.iter().enumerate().map(|(place, line)| (line.i, place)).collect();
    let mut calls: Vec<Call> =
        of.into_iter().map(|(id, own)| Assembly { lines, places: &places, id, own }.call()).collect();
    calls.sort_by_key(|call| call.sent.unwrap_or(0));
    mark_repairs(&mut calls, lines);
    if lines.len() < all.len() {
        cut_short(&mut calls, lines, all);
    }
    calls
}

/// Finds what brought a lost chunk again: the first leg in the same direction that arrived with it.
fn mark_repairs(calls: &mut [Call], lines: &[&TraceLine]) {
    let mut lost: BTreeMap<(LegKind, (u64, u64)), (usize, ExchangeName)> = BTreeMap::new();
    let mut arrived = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        for (nth, leg) in call.legs.iter().enumerate() {
            let Some((_, from)) = leg.stops.first().copied() else { continue };
            let summary = if leg.kind == LegKind::Up { Some(call.summary) } else { lines[from].summary };
            let Some(chunk) = summary.and_then(|summary| summary.chunk) else { continue };
            if leg.lost {
                lost.entry((leg.kind, chunk)).or_insert((from, call.id));
            } else if !leg.open {
                arrived.push((from, place, nth, (leg.kind, chunk)));
            }
        }
    }
    arrived.sort_unstable_by_key(|(from, ..)| *from);
    for (from, place, nth, what) in arrived {
        if let Some((_, id)) = lost.get(&what).copied().filter(|(at, _)| *at < from) {
            calls[place].legs[nth].repairs = Some(id);
            lost.remove(&what);
        }
    }
}

/// Ends exchanges whose end is in omitted lines.
fn cut_short(calls: &mut [Call], lines: &[&TraceLine], all: &[TraceLine]) {
    let mut ends: BTreeMap<ExchangeName, u64> = BTreeMap::new();
    let mut answers: BTreeMap<(ExchangeName, usize), u64> = BTreeMap::new();
    for line in all {
        let Some(id) = line.id else { continue };
        match line.ev.as_str() {
            "reply.arrive" | "req.failed" => drop(ends.insert(id, line.i)),
            "reply.send" => drop(answers.insert((id, usize::from(line.copy)), line.i)),
            _ => {}
        }
    }
    let next = |index: &u64| {
        let place = lines.partition_point(|line| line.i < *index);
        (place < lines.len()).then_some(place)
    };
    for call in calls {
        call.ended = call.ended.or_else(|| ends.get(&call.id).and_then(next));
        for (_, came, left) in &mut call.holds {
            let copy = usize::from(lines[*came].copy);
            *left = left.or_else(|| answers.get(&(call.id, copy)).and_then(next));
        }
    }
}

struct Assembly<'a> {
    lines: &'a [&'a TraceLine],
    places: &'a BTreeMap<u64, usize>,
    id: ExchangeName,
    /// The lines about this exchange.
    own: Vec<usize>,
}

impl Assembly<'_> {
    /// The lines with one of these verbs.
    fn all(&self, verbs: &[&str]) -> Vec<usize> {
        let is = |place: &usize| verbs.contains(&self.lines[*place].ev.as_str());
        self.own.iter().copied().filter(is).collect()
    }

    /// The fault of the last of these lines.
    fn fault(&self, strikes: &[usize]) -> Option<Fault> {
        strikes.last().and_then(|place| self.lines[*place].fault)
    }

    /// The line of this exchange that led to a line, along the causes.
    fn origin(&self, of: usize) -> Option<usize> {
        let mut place = of;
        for _ in 0..FAR {
            place = *self.places.get(&self.lines[place].cause?)?;
            if self.lines[place].id == Some(self.id) {
                return Some(place);
            }
        }
        None
    }

    fn call(&self) -> Call {
        let sent = self.all(&["req.send"]).first().copied();
        let ends = self.all(&["reply.arrive", "req.failed", "reply.late"]);
        let ended = ends.iter().copied().find(|end| self.lines[*end].ev != "reply.late");
        let fate = match ended.map(|end| self.lines[end].ev.as_str()) {
            Some("reply.arrive") => Fate::Answered,
            Some(_) => Fate::Failed,
            None => Fate::Open,
        };
        let strikes = self.all(&["fault"]);
        let at_relay = |place: &usize| match self.lines[*place].at {
            Actor::Relay(relay) => Some(relay),
            _ => None,
        };
        let relay = sent.and_then(|place| self.lines[place].relay);
        let relay = relay.or_else(|| strikes.iter().find_map(at_relay)).unwrap_or(0);
        let summary = sent.and_then(|place| self.lines[place].summary).unwrap_or_default();
        let fault = self.fault(&strikes);
        let mut call = Call {
            id: self.id,
            relay,
            sent,
            ended,
            fate,
            summary,
            legs: Vec::new(),
            holds: self.holds(),
            fault,
        };
        self.up(&mut call, &strikes, &ends);
        self.down(&mut call, &strikes, &ends);
        self.wait(&mut call, &ends);
        call
    }

    fn node(&self, place: usize) -> u32 {
        match self.lines[place].at {
            Actor::Node(node) => node,
            _ => 0,
        }
    }

    fn holds(&self) -> Vec<(u32, usize, Option<usize>)> {
        let answers = self.all(&["reply.send"]);
        let hold = |came: usize| {
            let copy = self.lines[came].copy;
            let answered = answers.iter().copied().find(|place| self.lines[*place].copy == copy);
            (self.node(came), came, answered)
        };
        self.all(&["req.arrive"]).into_iter().map(hold).collect()
    }

    fn up(&self, call: &mut Call, strikes: &[usize], ends: &[usize]) {
        let arrivals = self.all(&["req.arrive"]);
        let first = arrivals.iter().copied().find(|place| self.lines[*place].copy == 0);
        let answered = self.all(&["reply.send"]).first().copied();
        let before = first.or(answered).unwrap_or(usize::MAX);
        let struck: Vec<usize> = strikes.iter().copied().filter(|place| *place < before).collect();
        let mut stops: Vec<(Stop, usize)> = call.sent.map(|sent| (Stop::Client, sent)).into_iter().collect();
        stops.extend(struck.iter().map(|place| (Stop::Relay, *place)));
        stops.extend(first.map(|place| (Stop::Node(self.node(place)), place)));
        let fault = self.fault(&struck);
        let turned_back =
            struck.last().and_then(|strike| ends.iter().find(|end| self.origin(**end) == Some(*strike)));
        let stuck = first.is_none() && answered.is_none();
        let lost = stuck && !struck.is_empty() && turned_back.is_none();
        let open = stuck && struck.is_empty();
        if stops.len() > 1 || (open && call.sent.is_some()) {
            call.legs.push(Leg { lost, open, fault, ..Leg::new(LegKind::Up, stops) });
        }
        if let (true, Some(strike), Some(end)) = (stuck, struck.last(), turned_back) {
            let stops = vec![(Stop::Relay, *strike), (Stop::Client, *end)];
            call.legs.push(Leg { fault, ..Leg::new(LegKind::Down, stops) });
        }
        let doubled =
            strikes.iter().copied().find(|place| self.lines[*place].fault == Some(Fault::Duplicate));
        for copy in arrivals.into_iter().filter(|place| self.lines[*place].copy > 0) {
            let mut stops: Vec<(Stop, usize)> =
                doubled.map(|strike| (Stop::Relay, strike)).into_iter().collect();
            stops.push((Stop::Node(self.node(copy)), copy));
            let fault = Some(Fault::Duplicate);
            call.legs.push(Leg { fault, ..Leg::new(LegKind::Up, stops) });
        }
    }

    fn down(&self, call: &mut Call, strikes: &[usize], ends: &[usize]) {
        let answers = self.all(&["reply.send"]);
        for (nth, answer) in answers.iter().copied().enumerate() {
            let next = answers.get(nth + 1).copied().unwrap_or(usize::MAX);
            let of_this = |place: &usize| {
                (answer..next).contains(place) && self.lines[*place].e == self.lines[answer].e
            };
            let struck: Vec<usize> = strikes.iter().copied().filter(of_this).collect();
            let comes_from = |end: &usize| {
                let origin = self.origin(*end);
                origin == Some(answer) || origin.is_some_and(|origin| struck.contains(&origin))
            };
            let end =
                ends.iter().copied().find(comes_from).or_else(|| self.only_end(&answers, ends, &struck));
            let mut stops = vec![(Stop::Node(self.node(answer)), answer)];
            stops.extend(struck.iter().map(|place| (Stop::Relay, *place)));
            stops.extend(end.map(|end| (Stop::Client, end)));
            let fault = self.fault(&struck);
            let lost = end.is_none() && !struck.is_empty();
            let open = end.is_none() && struck.is_empty();
            call.legs.push(Leg { lost, open, fault, ..Leg::new(LegKind::Down, stops) });
        }
    }

    /// Where a shared link hides the cause: the only answer, unharmed, is that of the only end.
    fn only_end(&self, answers: &[usize], ends: &[usize], struck: &[usize]) -> Option<usize> {
        let [end] = ends else { return None };
        let came = self.lines[*end].ev != "req.failed" && answers.len() == 1;
        (came && struck.is_empty()).then_some(*end)
    }

    /// The client gives up, or learns that the node broke down.
    fn wait(&self, call: &mut Call, ends: &[usize]) {
        let reached = |end: usize| call.legs.iter().any(|leg| leg.stops.last() == Some(&(Stop::Client, end)));
        let Some(end) =
            ends.iter().copied().find(|end| self.lines[*end].ev == "req.failed" && !reached(*end))
        else {
            return;
        };
        let lost = call.legs.iter().rev().find(|leg| leg.lost).and_then(|leg| leg.stops.last().copied());
        let broke = self.lines[end].cause.and_then(|cause| self.places.get(&cause)).copied();
        let broke = broke.filter(|place| self.lines[*place].id.is_none());
        let broke = broke.and_then(|place| match self.lines[place].at {
            Actor::Node(node) => Some((Stop::Node(node), place)),
            _ => None,
        });
        let Some(from) = broke.or(lost).or(call.sent.map(|sent| (Stop::Client, sent))) else { return };
        let stops = vec![from, (Stop::Client, end)];
        call.legs.push(Leg::new(LegKind::Wait, stops));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{DecisionSource, Run};
    use crate::scenario::Scenario;
    use crate::trace::Trace;

    fn trace(settings: &[&str]) -> Trace {
        let settings = [&["clients=[1,1]", "flows=[1,1]", "relays=[1,1]"], settings].concat();
        let calm = Some(crate::scenario::Profile::Calm);
        let scenario = Scenario::assemble(calm, None, &settings).expect("it makes sense");
        let run = Run::new(&scenario);
        let decisions = DecisionSource::List(Vec::new());
        let decisions = if scenario.net.is_empty() { decisions } else { DecisionSource::Seed(1) };
        Trace::new(&run, &decisions, &run.record(&decisions))
    }

    fn drawn(trace: &Trace) -> Vec<Call> {
        calls(&trace.lines.iter().collect::<Vec<_>>(), &trace.lines)
    }

    #[test]
    fn a_calm_exchange_goes_up_and_comes_down() {
        let calls = drawn(&trace(&[]));
        assert!(!calls.is_empty());
        for call in calls {
            let kinds: Vec<LegKind> = call.legs.iter().map(|leg| leg.kind).collect();
            assert_eq!(kinds, [LegKind::Up, LegKind::Down], "{}", call.id);
            assert!(call.legs.iter().all(|leg| !leg.lost && !leg.open), "{}", call.id);
            assert_eq!(call.fate, Fate::Answered);
        }
    }

    #[test]
    fn a_lost_request_ends_at_its_relay_and_the_client_is_told_or_waits() {
        let calls = drawn(&trace(&["net.lose-request=1"]));
        let call = &calls[0];
        let up = &call.legs[0];
        assert_eq!((up.kind, up.fault), (LegKind::Up, Some(Fault::LoseRequest)));
        assert!(matches!(up.stops.last(), Some((Stop::Relay, _))));
        assert_eq!(call.fate, Fate::Failed);
        assert!(matches!(call.legs[1].stops.last(), Some((Stop::Client, _))));
        assert_eq!(call.legs[1].kind == LegKind::Wait, up.lost);
    }

    #[test]
    fn a_lost_reply_ends_at_the_relay_on_its_way_down() {
        let calls = drawn(&trace(&["net.lose-reply=1"]));
        let struck =
            calls.iter().flat_map(|call| &call.legs).filter(|leg| leg.fault == Some(Fault::LoseReply));
        let struck: Vec<&Leg> = struck.collect();
        assert!(!struck.is_empty());
        for leg in struck {
            assert_eq!(leg.kind, LegKind::Down);
            assert!(matches!(leg.stops[..2], [(Stop::Node(0), _), (Stop::Relay, _)]));
        }
    }

    #[test]
    fn the_leg_that_brings_a_lost_chunk_again_says_whose_it_is() {
        for (fault, kind) in [("net.lose-request=1/4", LegKind::Up), ("net.lose-reply=1/4", LegKind::Down)] {
            let calls = drawn(&trace(&[fault, "level=2", "flows=[4,4]", "scripts=[\"echo\"]", "bytes=400"]));
            let legs = calls.iter().flat_map(|call| call.legs.iter().map(|leg| (call.id, leg)));
            let repairs: Vec<_> = legs.filter(|(_, leg)| leg.repairs.is_some()).collect();
            assert!(repairs.iter().any(|(_, leg)| leg.kind == kind), "{fault}");
            assert!(repairs.iter().all(|(id, leg)| !leg.lost && leg.repairs != Some(*id)), "{fault}");
        }
    }

    #[test]
    fn a_doubled_request_arrives_by_two_legs() {
        let calls = drawn(&trace(&["net.duplicate=1", "level=1"]));
        let doubled = calls.iter().find(|call| call.holds.len() == 2).expect("every request is doubled");
        let up = doubled.legs.iter().filter(|leg| leg.kind == LegKind::Up);
        assert_eq!(up.count(), 2);
    }
}
