//! `bench`: the speed of runs.

use std::time::{Duration, Instant};

use seqlane_sim::trace::NoTrace;
use seqlane_sim::{
    Chooser, DecisionPoint, DecisionSource, Probability, Profile, Run, Scenario, Seeded, Time,
};
use serde_json::json;

use crate::cli::console::Console;
use crate::cli::table::table;
use crate::cli::verdict::{CliError, Verdict};

/// Measure how fast runs are, on one core.
#[derive(clap::Args, Debug)]
pub(crate) struct BenchArgs {
    /// Spend this long on each figure
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    each: Duration,
}

/// Time that a thread has used: processor time where the system reports it, so that other processes do not count;
/// else wall time.
struct Watch {
    start: Instant,
    used: Option<Duration>,
}

impl Watch {
    fn start() -> Self {
        Self { start: Instant::now(), used: used() }
    }

    fn elapsed(&self) -> Duration {
        match (self.used, used()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => self.start.elapsed(),
        }
    }

    fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

/// Processor time of this thread, as Linux tells it.
fn used() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// A figure, and its bound.
#[derive(serde::Serialize)]
struct BenchFigure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    bound: &'static str,
    holds: bool,
}

pub(crate) fn run(args: BenchArgs, console: &Console) -> Result<Verdict, CliError> {
    let mut figures = swarm(args.each);
    figures.push(busy(args.each)?);
    figures.push(idle(args.each)?);
    figures.extend(again());
    let mut table = table(&["figure", "measured ", "", "bound", ""]);
    for BenchFigure { name, value, unit, bound, holds } in &figures {
        let value = if *value < 100.0 { format!("{value:.3}") } else { format!("{value:.0}") };
        let held = if *holds { "" } else { "MISSED" };
        table.add_row([name, value.as_str(), unit, bound, held]);
    }
    let clock = if used().is_some() { "processor time" } else { "wall time" };
    let assertions = if cfg!(debug_assertions) { "on" } else { "off" };
    console.say(&format!(
        "{}\n\nassertions {assertions}, traces off, hashes on, one core, {clock}\n",
        table.trim_fmt()
    ))?;
    console.document(&json!({ "assertions": assertions, "clock": clock, "figures": figures }))?;
    Ok(Verdict::Pass)
}

fn least(name: &'static str, value: f64, unit: &'static str, bound: (&'static str, f64)) -> BenchFigure {
    BenchFigure { name, value, unit, bound: bound.0, holds: value >= bound.1 }
}

fn most(name: &'static str, value: f64, unit: &'static str, bound: (&'static str, f64)) -> BenchFigure {
    BenchFigure { name, value, unit, bound: bound.0, holds: value <= bound.1 }
}

/// Short runs of the profile `swarm`, one after the other.
fn swarm(each: Duration) -> Vec<BenchFigure> {
    let scenario = Profile::Swarm.scenario();
    let run = Run::new(&scenario);
    let (watch, mut events, mut seeds) = (Watch::start(), 0, 0);
    while watch.elapsed() < each {
        // The watch is slow, and looked at seldom.
        for _ in 0..16 {
            events += run.seeded(seeds).events;
            seeds += 1;
        }
    }
    let seconds = watch.seconds();
    vec![
        least("events", events as f64 / seconds, "a second", ("at least 500 000", 500_000.0)),
        least("short seeds", seeds as f64 / seconds, "a second", ("at least 1 000", 1000.0)),
    ]
}

/// Draws everything from a seed, but the workload is always the largest and begins at once.
struct Full(Seeded);

impl Chooser for Full {
    fn decide(&mut self, point: DecisionPoint, key: u64, n: u32) -> u32 {
        match point {
            DecisionPoint::Size | DecisionPoint::Flows | DecisionPoint::Clients => n - 1,
            DecisionPoint::Pace => 0,
            _ => self.0.decide(point, key, n),
        }
    }

    fn weigh(&mut self, point: DecisionPoint, probability: Probability) {
        self.0.weigh(point, probability);
    }
}

/// Virtual seconds a second of a scenario, as long as its flows last.
fn speed(each: Duration, scenario: &Scenario, flows: u64) -> f64 {
    let run = Run::new(scenario);
    let (watch, mut simulated, mut seed) = (Watch::start(), 0.0, 0);
    while watch.elapsed() < each {
        let outcome = run.watched(Full(Seeded::new(seed)), NoTrace, |world| {
            let tally = world.tally();
            tally.finished + tally.lost < flows && (world.events() % 1024 > 0 || watch.elapsed() < each)
        });
        simulated += outcome.time.since(Time::ZERO).as_secs_f64();
        seed += 1;
    }
    simulated / watch.seconds()
}

/// The speed of the profile `hosted` without budgets and a shared link, with this many flows of one kind.
fn hosted(each: Duration, flows: u64, settings: &[&str]) -> Result<f64, CliError> {
    let flows_setting = format!("flows=[{flows},{flows}]");
    let common = ["clients=[1,1]", &flows_setting, "link=none", "daily-calls=none", "openings=0s"];
    let scenario = Scenario::assemble(Some(Profile::Hosted), None, &[&common, settings].concat())?;
    Ok(speed(each, &scenario, flows))
}

/// 32 flows that exchange requests and answers of 5 kB for as long as their scripts last.
fn busy(each: Duration) -> Result<BenchFigure, CliError> {
    let speed = hosted(each, 32, &["scripts=['requests']", "bytes=320000", "fault-phase=1h"])?;
    Ok(least("32 busy flows", speed, "simulated s a second", ("at least 2 000", 2000.0)))
}

/// 8 flows that are open and silent.
fn idle(each: Duration) -> Result<BenchFigure, CliError> {
    let speed = hosted(each, 8, &["scripts=['idle']", "fault-phase=30d"])?;
    Ok(least("8 idle flows", speed, "simulated s a second", ("at least 100 000", 100_000.0)))
}

/// The cost of a replay, and of a determinism check.
fn again() -> Vec<BenchFigure> {
    const SEEDS: u64 = 400;
    let scenario = Profile::Swarm.scenario();
    let run = Run::new(&scenario);
    let decisions: Vec<_> =
        (0..SEEDS).map(|seed| run.record(&DecisionSource::Seed(seed)).decisions).collect();
    let slowest = decisions.into_iter().map(|decisions| {
        let watch = Watch::start();
        run.record(&DecisionSource::List(decisions));
        watch.seconds()
    });
    let slowest = slowest.fold(0.0, f64::max);
    let timed = |work: &dyn Fn(u64)| {
        let watch = Watch::start();
        (0..SEEDS).for_each(work);
        watch.seconds()
    };
    // Once each to warm up, then in turns, so that what else the machine does strikes both.
    let once = |seed| drop(run.seeded(seed));
    let twice = |seed| drop(run.twice(seed));
    timed(&once);
    timed(&twice);
    let (mut single, mut double) = (0.0, 0.0);
    for _ in 0..5 {
        single += timed(&once);
        double += timed(&twice);
    }
    vec![
        most("slowest replay of 400 seeds, traced", slowest, "s", ("under 1", 1.0)),
        most("determinism check", double / single, "times a run", ("at most 2.1", 2.1)),
    ]
}
