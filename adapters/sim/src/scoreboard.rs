//! The scoreboard: how many seeds it takes until each planted bug is found, by which property, and how short the
//! story of it becomes.
//!
//! Planting is for the whole process: nothing else may run beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seqlane::planted::Bug;

use crate::chooser::Decision;
use crate::coverage::CoveragePoint;
use crate::fault::Fault;
use crate::probability::Probability;
use crate::property::Property;
use crate::run::{DecisionSource, Recording, Run};
use crate::scenario::{Profile, Scenario, Span};
use crate::script::Kind;
use crate::shrink::{Shrunk, shrink_by};
use crate::timeline::Timeline;
use crate::trace::Trace;
use crate::world::Outcome;
use crate::{copies, isolation};

/// How a bug is looked for.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Where it is looked for, in words.
    pub place: &'static str,
    /// What runs are like.
    pub scenario: Scenario,
    /// What is done with a seed.
    pub method: Method,
}

/// What is done with a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One run.
    Once,
    /// The run twice (D1).
    Twice,
    /// A copy in the middle (D2).
    Copy,
    /// A pair of runs, with one flow stalled and without (I1).
    Pair,
    /// Runs until this point ought to have been set ten times (M1).
    CoveragePoint(CoveragePoint),
}

/// What came of the hunt for a bug.
#[derive(Clone, Debug)]
pub struct Score {
    /// The bug.
    pub bug: Bug,
    /// How it was looked for.
    pub hunt: Hunt,
    /// How many seeds it took, by batch; none where the bug was not found.
    pub seeds: Vec<Option<u64>>,
    /// What was violated in each batch that found it, and the seed.
    pub finds: Vec<(Property, u64)>,
    /// The find that could be made smallest.
    pub shrunk: Option<Shrunk>,
}

impl Score {
    /// The median number of seeds; none where more than half of the batches did not find the bug.
    pub fn median(&self) -> Option<u64> {
        let mut seeds: Vec<u64> = self.seeds.iter().map(|seeds| seeds.unwrap_or(u64::MAX)).collect();
        seeds.sort_unstable();
        seeds.get(seeds.len() / 2).copied().filter(|seeds| *seeds < u64::MAX)
    }

    /// What was violated: first by the small run, then by the other finds.
    pub fn properties(&self) -> Vec<&'static str> {
        let small = self.shrunk.as_ref().and_then(|shrunk| shrunk.recording.outcome.violation.as_ref());
        let found: BTreeSet<Property> = self.finds.iter().map(|(property, _)| *property).collect();
        let small = small.map(|violation| violation.property);
        let others = found.into_iter().filter(|property| Some(*property) != small);
        small.into_iter().chain(others).map(Property::id).collect()
    }
}

/// How a bug is looked for: in the profile `swarm`, unless it needs another surrounding.
pub fn hunt_for(bug: Bug) -> Hunt {
    let swarm = || Profile::Swarm.scenario();
    let (place, scenario, method) = match bug {
        Bug::SeedAmbient => ("swarm, each run twice", swarm(), Method::Twice),
        Bug::TimeAmbient => ("swarm, with a copy", swarm(), Method::Copy),
        Bug::FirstBytesStay => {
            ("swarm, coverage", swarm(), Method::CoveragePoint(CoveragePoint::FirstBytesRode))
        }
        Bug::PollsQueue => ("pairs, a flow stalls", isolation::scenario(), Method::Pair),
        Bug::BlockedHoldsBatch => ("slow readers", slow_readers(), Method::Once),
        Bug::CreditTwice => ("bulk", Profile::Bulk.scenario(), Method::Once),
        Bug::RefundForgotten => ("large downloads", large_downloads(), Method::Once),
        Bug::OneCallMore | Bug::NeverRenewed => ("quota", Profile::Quota.scenario(), Method::Once),
        Bug::OldPollDrains | Bug::OldRunsAgain | Bug::ExpectedTwice => {
            ("F3 only", only(Fault::Duplicate), Method::Once)
        }
        Bug::GarbageKeepsPlace => {
            ("F7 only, 3 calls at a time", Scenario { concurrency: 3, ..only(Fault::Garbage) }, Method::Once)
        }
        Bug::UnknownLives => ("F9 only", only(Fault::Restart), Method::Once),
        Bug::CutLooksEnded => ("F20 only", only(Fault::Upstream), Method::Once),
        Bug::LastFirst => ("uploads, 2 calls at a time", crowd(Kind::Upload), Method::Once),
        Bug::DrainUnbounded => ("downloads, 2 calls at a time", crowd(Kind::Download), Method::Once),
        Bug::DoneOnNaming | Bug::NamedRefilled | Bug::FarewellOnce => {
            ("level 2, F1 and F2", lossy(&[Fault::LoseRequest, Fault::LoseReply]), Method::Once)
        }
        Bug::HelloAnew | Bug::CopyRefilled => ("level 2, F3 only", lossy(&[Fault::Duplicate]), Method::Once),
        Bug::DatagramAgain => {
            let scripts = vec![Kind::UdpEcho];
            ("level 2, datagrams, F3 only", Scenario { scripts, ..lossy(&[Fault::Duplicate]) }, Method::Once)
        }
        Bug::ResetForgotten => {
            let faults = [Fault::Upstream, Fault::Reorder, Fault::Duplicate, Fault::LoseRequest];
            ("level 2, F1, F3, F5, F20", lossy(&faults), Method::Once)
        }
        Bug::SilentReturn => ("level 2, flows far apart", seldom(), Method::Once),
        Bug::ProbeCarries => {
            let relays = Span::new(2, 3);
            let faults = [Fault::Pause, Fault::Partition];
            ("level 2, F11 and F17", Scenario { relays, ..lossy(&faults) }, Method::Once)
        }
        Bug::OwesAsleep => {
            let relays = Span::new(1, 1);
            let scenario = Scenario { relays, ..lossy(&[Fault::Refuse, Fault::Partition, Fault::Upstream]) };
            ("level 2, one relay, F8, F17, F20", scenario, Method::Once)
        }
        Bug::HalfCloseHasty | Bug::HalfClosedMute => ("half-closes", calm(Kind::HalfClose), Method::Once),
        Bug::PollsSpin => ("quiet flows", calm(Kind::Quiet), Method::Once),
        _ => ("swarm", swarm(), Method::Once),
    };
    Hunt { place, scenario, method }
}

/// The profile `swarm` with one kind of fault, at level 1.
fn only(fault: Fault) -> Scenario {
    let net = [(fault, Probability::of(1, 5))].into();
    Scenario { level: Some(1), swarm: false, net, ..Profile::Swarm.scenario() }
}

/// The profile `swarm` with these kinds of faults, at level 2.
fn lossy(faults: &[Fault]) -> Scenario {
    let net = faults.iter().map(|fault| (*fault, Probability::of(1, 5))).collect();
    Scenario { level: Some(2), swarm: false, odd_bounds: false, net, ..Profile::Swarm.scenario() }
}

/// Nothing goes wrong, and flows open further apart than a node remembers a silent client.
fn seldom() -> Scenario {
    Scenario {
        level: Some(2),
        flows: Span::new(2, 4),
        scripts: vec![Kind::Echo, Kind::Download],
        openings: Duration::from_secs(200),
        fault_phase: Duration::from_secs(220),
        client_idle: Some(20),
        ..Profile::Calm.scenario()
    }
}

/// Nothing goes wrong, but some upstreams read slowly, and nodes let little wait for them.
fn slow_readers() -> Scenario {
    Scenario {
        relays: Span::new(1, 1),
        flows: Span::new(4, 6),
        scripts: vec![Kind::SlowReader, Kind::Echo, Kind::Requests],
        openings: Duration::from_secs(1),
        concurrency: 3,
        op_payload: Some(400),
        write_queue: Some(400),
        net: BTreeMap::new(),
        ..isolation::scenario()
    }
}

/// Nothing goes wrong, but bounds are odd, and a flow brings more than the smallest buffers take.
fn large_downloads() -> Scenario {
    Scenario {
        level: Some(1),
        clients: Span::new(1, 1),
        relays: Span::new(1, 1),
        flows: Span::new(1, 1),
        bytes: 150_000,
        scripts: vec![Kind::Download, Kind::Flood],
        ..calm(Kind::Download)
    }
}

/// Nothing goes wrong, but bounds are odd.
fn calm(kind: Kind) -> Scenario {
    Scenario { scripts: vec![kind], odd_bounds: true, ..Profile::Calm.scenario() }
}

/// Several flows at a time through one relay that takes two calls at a time.
fn crowd(kind: Kind) -> Scenario {
    Scenario {
        level: Some(1),
        clients: Span::new(1, 1),
        relays: Span::new(1, 1),
        flows: Span::new(3, 4),
        openings: Duration::from_secs(1),
        concurrency: 2,
        ..calm(kind)
    }
}

/// Looks for a bug in `batches` batches of at most `most` seeds each.
pub fn hunt(bug: Bug, batches: u64, most: u64) -> Score {
    /// Batches are this far apart.
    const STRIDE: u64 = 1_000_000;
    let mut score = Score { bug, hunt: hunt_for(bug), seeds: Vec::new(), finds: Vec::new(), shrunk: None };
    for batch in 0..batches {
        let found = chase(bug, &score.hunt, batch * STRIDE, most);
        score.seeds.push(found.map(|(_, seed)| seed - batch * STRIDE + 1));
        score.finds.extend(found);
    }
    Bug::weed();
    score
}

/// The first seed from `from` on that finds the bug, and what is violated. A seed that finds something without
/// the bug does not count.
fn chase(bug: Bug, hunt: &Hunt, from: u64, most: u64) -> Option<(Property, u64)> {
    if let Method::CoveragePoint(point) = hunt.method {
        return miss(bug, hunt, point, from, most);
    }
    for seed in from..from + most {
        bug.plant();
        let Some(property) = violated(hunt, seed) else { continue };
        Bug::weed();
        if violated(hunt, seed).is_none() {
            return Some((property, seed));
        }
    }
    None
}

fn violated(hunt: &Hunt, seed: u64) -> Option<Property> {
    let run = Run::new(&hunt.scenario);
    let of = |outcome: &Outcome| outcome.violation.as_ref().map(|violation| violation.property);
    match hunt.method {
        Method::Once | Method::CoveragePoint(_) => of(&run.seeded(seed)),
        Method::Twice => of(&run.twice(seed)),
        Method::Copy => of(&copies::check(&run, seed)),
        Method::Pair => of(&isolation::check(&run, seed)),
    }
}

/// M1: the point is set again and again without the bug, and never with it.
fn miss(bug: Bug, hunt: &Hunt, point: CoveragePoint, from: u64, most: u64) -> Option<(Property, u64)> {
    /// So many runs without the point are no accident, where others have it.
    const ENOUGH: u32 = 10;
    let run = Run::new(&hunt.scenario);
    let mut missed = 0;
    for seed in from..from + most {
        bug.plant();
        if run.seeded(seed).coverage.has(point) {
            return None;
        }
        Bug::weed();
        missed += u32::from(run.seeded(seed).coverage.has(point));
        if missed == ENOUGH {
            return Some((Property::M1, seed));
        }
    }
    None
}

/// Makes the first `finds` of a hunt small, in at most `runs` runs each, and keeps the shortest.
pub fn shrink(score: &mut Score, finds: usize, runs: u64) {
    if score.hunt.method != Method::Once || runs == 0 {
        return;
    }
    let finds = score.finds.iter().take(finds).filter_map(|(_, seed)| small(score, *seed, runs));
    score.shrunk = finds.min_by_key(|shrunk| (length(shrunk), shrunk.recording.decisions.len()));
    Bug::weed();
}

/// How long a story is: as long as it has events, or, if they are many, lines.
fn length(shrunk: &Shrunk) -> (bool, u64) {
    const MANY: u64 = 30;
    let events = shrunk.recording.outcome.events;
    let many = events > MANY;
    (many, if many { told(shrunk) as u64 } else { events })
}

/// Makes the find of a seed small. Only what passes without the bug counts: changes of the scenario shall not lead to
/// something else that violates the same property.
fn small(score: &Score, seed: u64, runs: u64) -> Option<Shrunk> {
    /// Events of all runs that are tried: some ten seconds.
    const MOST_WORK: u64 = 10_000_000;
    let run = Run::new(&score.hunt.scenario);
    let bug = score.bug;
    bug.plant();
    let decisions = run.record(&DecisionSource::Seed(seed)).decisions;
    let trial = |run: &Run<'_>, decisions: &[Decision]| {
        let (mut outcome, asked) = run.replay(decisions);
        if outcome.violation.is_some() {
            Bug::weed();
            outcome.violation = outcome.violation.filter(|_| run.replay(decisions).0.violation.is_none());
            bug.plant();
        }
        (outcome, asked)
    };
    shrink_by(&run, &decisions, trial, |progress| progress.runs < runs && progress.work < MOST_WORK)
}

/// How many lines the story of a small run has, with what repeats folded.
pub fn told(shrunk: &Shrunk) -> usize {
    Timeline::new(&trace(shrunk)).length()
}

/// A small run as a trace. A bundle would be made again, and then without the bug.
pub fn trace(shrunk: &Shrunk) -> Trace {
    let decisions = DecisionSource::List(shrunk.recording.decisions.clone());
    Trace::new(&Run::new(&shrunk.scenario), &decisions, &shrunk.recording)
}

/// The head of the table, as Markdown.
pub const HEAD: &str = "| bug | area | what goes wrong | found by | in | median seeds | shrunk: decisions, events, lines |\n\
     |---|---|---|---|---|--:|--:|\n";

/// A bug's row of the table.
pub fn row(score: &Score) -> String {
    let Score { bug, hunt, shrunk, .. } = score;
    let properties = score.properties();
    let properties = if properties.is_empty() { "not found".to_owned() } else { properties.join(", ") };
    let median = score.median().map_or_else(|| "-".to_owned(), |seeds| seeds.to_string());
    let shrunk = shrunk.as_ref().map_or_else(
        || "-".to_owned(),
        |shrunk| {
            let Recording { decisions, outcome, .. } = &shrunk.recording;
            format!("{}, {}, {}", decisions.len(), outcome.events, told(shrunk))
        },
    );
    let (area, text) = (format!("{:?}", bug.area()).to_lowercase(), bug.text());
    format!("| `{bug}` | {area} | {text} | {properties} | {} | {median} | {shrunk} |\n", hunt.place)
}
