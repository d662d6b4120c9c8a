//! `bench`: how fast runs are.

use std::time::{Duration, Instant};

use seqlane_sim::trace::NoTrace;
use seqlane_sim::{Chooser, Decisions, Odds, Profile, Run, Scenario, Seeded, Site, Time};
use serde_json::json;

use crate::cli::console::Console;
use crate::cli::table::table;
use crate::cli::verdict::{Failure, Verdict};

/// Measure how fast runs are, on one core.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Spend this long on each figure
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    each: Duration,
}

/// A figure, and the least that it shall be.
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    bound: &'static str,
    holds: bool,
}

pub(crate) fn run(args: Args, console: &Console) -> Result<Verdict, Failure> {
    let mut figures = swarm(args.each);
    figures.push(busy(args.each)?);
    figures.push(idle(args.each)?);
    figures.extend(again());
    let mut table = table(&["figure", "measured ", "", "bound", ""]);
    for Figure { name, value, unit, bound, holds } in &figures {
        let value = if *value < 100.0 { format!("{value:.3}") } else { format!("{value:.0}") };
        let held = if *holds { "" } else { "MISSED" };
        table.add_row([name, value.as_str(), unit, bound, held]);
    }
    let assertions = if cfg!(debug_assertions) { "on" } else { "off" };
    console.say(&format!(
        "{}\n\nassertions {assertions}, traces off, hashes on, one core\n",
        table.trim_fmt()
    ))?;
    let all = figures.iter().map(|figure| {
        json!({
            "name": figure.name, "value": figure.value, "unit": figure.unit,
            "bound": figure.bound, "holds": figure.holds,
        })
    });
    console.document(&json!({ "assertions": assertions, "figures": all.collect::<Vec<_>>() }))?;
    Ok(Verdict::Pass)
}

fn least(name: &'static str, value: f64, unit: &'static str, bound: (&'static str, f64)) -> Figure {
    Figure { name, value, unit, bound: bound.0, holds: value >= bound.1 }
}

fn most(name: &'static str, value: f64, unit: &'static str, bound: (&'static str, f64)) -> Figure {
    Figure { name, value, unit, bound: bound.0, holds: value <= bound.1 }
}

/// Short runs of the profile `swarm`, one after the other.
fn swarm(each: Duration) -> Vec<Figure> {
    let scenario = Profile::Swarm.scenario();
    let run = Run::new(&scenario);
    let (start, mut events, mut seeds) = (Instant::now(), 0, 0);
    while start.elapsed() < each {
        events += run.seeded(seeds).events;
        seeds += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    vec![
        least("events", events as f64 / seconds, "a second", ("at least 500 000", 500_000.0)),
        least("short seeds", seeds as f64 / seconds, "a second", ("at least 1 000", 1000.0)),
    ]
}

/// Draws everything from a seed, but the workload is always the largest and begins at once.
struct Full(Seeded);

impl Chooser for Full {
    fn pick(&mut self, site: Site, key: u64, n: u32) -> u32 {
        match site {
            Site::Size | Site::Flows | Site::Clients => n - 1,
            Site::Pace => 0,
            _ => self.0.pick(site, key, n),
        }
    }

    fn weigh(&mut self, site: Site, odds: Odds) {
        self.0.weigh(site, odds);
    }
}

/// Virtual seconds a second of a scenario, as long as its flows last.
fn speed(each: Duration, scenario: &Scenario, flows: u64) -> f64 {
    let run = Run::new(scenario);
    let (start, mut simulated, mut seed) = (Instant::now(), 0.0, 0);
    while start.elapsed() < each {
        let outcome = run.watched(Full(Seeded::new(seed)), NoTrace, |world| {
            let tally = world.tally();
            tally.finished + tally.lost < flows && (world.events() % 1024 > 0 || start.elapsed() < each)
        });
        simulated += outcome.time.since(Time::ZERO).as_secs_f64();
        seed += 1;
    }
    simulated / start.elapsed().as_secs_f64()
}

/// 32 flows that exchange requests and answers of 5 kB for as long as their scripts last.
fn busy(each: Duration) -> Result<Figure, Failure> {
    let settings = [
        "clients=[1,1]",
        "flows=[32,32]",
        "scripts=['requests']",
        "bytes=320000",
        "link=none",
        "daily-calls=none",
        "storm=1h",
        "openings=0s",
    ];
    let scenario = Scenario::assemble(Some(Profile::Hosted), None, &settings)?;
    let speed = speed(each, &scenario, 32);
    Ok(least("32 busy flows", speed, "simulated s a second", ("at least 2 000", 2000.0)))
}

/// 8 flows that are open and say nothing.
fn idle(each: Duration) -> Result<Figure, Failure> {
    let settings = [
        "clients=[1,1]",
        "flows=[8,8]",
        "scripts=['idle']",
        "link=none",
        "daily-calls=none",
        "storm=30d",
        "openings=0s",
    ];
    let scenario = Scenario::assemble(Some(Profile::Hosted), None, &settings)?;
    let speed = speed(each, &scenario, 8);
    Ok(least("8 idle flows", speed, "simulated s a second", ("at least 100 000", 100_000.0)))
}

/// What it takes to see a run again, and to see that it is the same.
fn again() -> Vec<Figure> {
    const SEEDS: u64 = 400;
    let scenario = Profile::Swarm.scenario();
    let run = Run::new(&scenario);
    let picks: Vec<_> = (0..SEEDS).map(|seed| run.record(&Decisions::Seed(seed)).picks).collect();
    let slowest = picks.into_iter().map(|picks| {
        let start = Instant::now();
        run.record(&Decisions::Picks(picks));
        start.elapsed().as_secs_f64()
    });
    let slowest = slowest.fold(0.0, f64::max);
    let timed = |work: &dyn Fn(u64)| {
        let start = Instant::now();
        (0..SEEDS).for_each(work);
        start.elapsed().as_secs_f64()
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
