//! The runs of a plan, on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use seqlane::Client;

use crate::guard::guarded;
use crate::plan::aggregate::Aggregate;
use crate::plan::definition::Plan;
use crate::plan::measure::Measurement;
use crate::plan::network::NetworkOnly;
use crate::plan::point::Point;
use crate::plan::probe::Probe;
use crate::world::World;
use crate::{Property, Time, Violation};

/// No run takes longer than this in virtual time; what has not finished by then has not finished.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// What the points of a plan showed, by their places.
#[derive(Clone, Debug, PartialEq)]
pub struct Results(Vec<Aggregate>);

/// A run of a plan that violated a property: no figure is worth anything until that is mended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{:?} violated by seed {seed} of {:?} under {:?}: {}",
    .violation.property, .point.workload, .point.conditions, .violation.what
)]
pub struct BadRun {
    /// What it is a run of.
    pub point: Box<Point>,
    /// Its seed.
    pub seed: u64,
    /// What was violated.
    pub violation: Violation,
}

impl Results {
    /// Of the point at this place.
    pub fn of(&self, point: usize) -> &Aggregate {
        &self.0[point]
    }
}

impl Plan {
    /// Makes all runs on `jobs` threads. The results do not depend on their number.
    ///
    /// `progress` is called after every run.
    ///
    /// # Errors
    /// [`BadRun`]: the first one, in the order of the plan, of those that were made.
    pub fn run(&self, jobs: usize, progress: impl Fn() + Sync) -> Result<Results, BadRun> {
        let work: Vec<(usize, u64)> = (0..self.points.len())
            .flat_map(|place| (0..u64::from(self.points[place].seeds)).map(move |seed| (place, seed)))
            .collect();
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let done = Mutex::new(Vec::with_capacity(work.len()));
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                scope.spawn(|| {
                    while !failed.load(Ordering::Relaxed)
                        && let Some((place, seed)) = work.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let taken = measure(&self.points[*place], *seed);
                        failed.fetch_or(taken.is_err(), Ordering::Relaxed);
                        done.lock().expect("no thread panics with it").push((*place, *seed, taken));
                        progress();
                    }
                });
            }
        });
        self.put_together(done.into_inner().expect("no thread panics with it"))
    }

    fn put_together(
        &self,
        mut done: Vec<(usize, u64, Result<Measurement, Violation>)>,
    ) -> Result<Results, BadRun> {
        done.sort_by_key(|(place, seed, _)| (*place, *seed));
        let empty = |point: &Point| Aggregate { point: point.clone(), runs: Vec::new() };
        let mut results: Vec<Aggregate> = self.points.iter().map(empty).collect();
        for (place, seed, taken) in done {
            let Aggregate { point, runs } = &mut results[place];
            runs.push(taken.map_err(|violation| BadRun {
                point: Box::new(point.clone()),
                seed,
                violation,
            })?);
        }
        Ok(Results(results))
    }
}

/// Makes a run of a point.
///
/// # Errors
/// A violation: figures of machines that do wrong are worth nothing.
pub fn measure(point: &Point, seed: u64) -> Result<Measurement, Violation> {
    guarded(|| unguarded(point, seed))
        .unwrap_or_else(|what| Err(Violation { property: Property::S11, at: Time::ZERO, event: 0, what }))
}

fn unguarded(Point { conditions, workload, .. }: &Point, seed: u64) -> Result<Measurement, Violation> {
    let setup = conditions.setup(*workload);
    let probe = Probe::new(*workload, setup.flows.len());
    let chooser = if conditions.lose_one { NetworkOnly::losing_one(seed) } else { NetworkOnly::new(seed) };
    let mut world = World::from_setup(setup, chooser, probe, Client::unsealed);
    let end = Time::ZERO.after(LONGEST);
    while !world.sink().is_done(world.now()) && world.now() < end && world.step() {}
    match world.outcome().violation {
        Some(violation) => Err(violation),
        None => Ok(world.sink().measurement(world.now())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::conditions::Conditions;
    use crate::plan::figure::Figure;
    use crate::plan::limit::limit;
    use crate::plan::size::Size;
    use crate::plan::workload::Workload;
    use crate::plan::{BUILT_IN, Choice};

    fn measured(conditions: &Conditions, workload: Workload, seed: u64) -> Aggregate {
        let point = Point { conditions: conditions.clone(), workload, seeds: 1 };
        let run = measure(&point, seed).unwrap();
        Aggregate { point, runs: vec![run] }
    }

    /// The plan that is built in, smaller: a few cases, a sweep, a few seeds.
    fn plan() -> Plan {
        let only = ["echo-lossy", "one-lost", "loss-upload"].map(str::to_owned).to_vec();
        Plan::parse(BUILT_IN, &Choice { only, seeds: Some(2) }).expect("the built-in plan is well")
    }

    #[test]
    fn the_same_plan_has_the_same_figures_again_and_on_any_number_of_threads() {
        let plan = plan();
        let once = plan.run(1, || {}).unwrap();
        assert_eq!(once, plan.run(1, || {}).unwrap());
        assert_eq!(once, plan.run(3, || {}).unwrap());
    }

    #[test]
    fn no_transfer_is_faster_than_its_limit() {
        const MIB: u64 = 1 << 20;
        for level in [0, 1] {
            for (cap, depth, link) in [(MIB, 1, 100_000_000), (MIB, 8, 100_000_000), (16 * MIB, 8, 2_000_000)]
            {
                let conditions = Conditions {
                    level,
                    depth,
                    round_trip: "1s".parse().unwrap(),
                    link: Size(link),
                    per_call: Size(link),
                    response_cap: Size(cap),
                    ..Conditions::default()
                };
                for workload in [Workload::Download(Size(16 * MIB)), Workload::Upload(Size(8 * MIB))] {
                    let goodput = Figure::Goodput.of(&measured(&conditions, workload, 1)).unwrap();
                    let most = limit(&conditions, workload).unwrap() / 1e6;
                    assert!(goodput > most / 50.0 && goodput <= most, "{goodput} of {most}: {conditions:?}");
                }
            }
        }
    }

    /// Seconds, at level 2, to the last of so many bytes that come from the upstream at 5 MB/s, where a round trip takes 1 s.
    fn fetched(bytes: u64) -> f64 {
        let conditions = Conditions {
            round_trip: "1s".parse().unwrap(),
            per_call: Size(100_000_000),
            link: Size(100_000_000),
            upstream: Size(5_000_000),
            binary: true,
            begins: 40,
            ..Conditions::default()
        };
        let workload = Workload::Download(Size(bytes));
        bytes as f64 / 1e6 / Figure::Goodput.of(&measured(&conditions, workload, 1)).unwrap()
    }

    #[test]
    fn what_comes_from_an_upstream_in_a_tenth_of_a_round_trip_needs_no_second_one() {
        let seconds = fetched(500_000);
        assert!(seconds < 1.4, "{seconds}");
    }

    #[test]
    fn a_file_whose_upstream_is_slow_is_asked_for_ahead() {
        // The upstream alone takes 2 s, and the first round trip brings less than 1 MB of it.
        let seconds = fetched(10_000_000);
        assert!(seconds < 3.6, "{seconds}");
    }

    #[test]
    fn an_echo_on_a_still_path_takes_a_round_trip_and_one_lost_answer_ends_its_flow_visibly() {
        let conditions = Conditions { level: 1, round_trip: "1s".parse().unwrap(), ..Conditions::default() };
        let run = &measured(&conditions, Workload::Echo(5), 3).runs[0];
        assert_eq!((run.flows, run.finished, run.echoes.len()), (1, 1, 5));
        assert!(run.echoes.iter().all(|echo| (1.0..1.5).contains(&echo.as_secs_f64())), "{:?}", run.echoes);
        let lossy = Conditions { lose_one: true, ..conditions };
        let run = &measured(&lossy, Workload::Echo(50), 3).runs[0];
        assert_eq!((run.flows, run.finished, run.noticed.len()), (1, 0, 1));
    }
}
