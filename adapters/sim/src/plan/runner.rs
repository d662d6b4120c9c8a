//! The runs of a plan, on several threads.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::plan::aggregate::Aggregate;
use crate::plan::measure::Measurement;
use crate::plan::resolve::{Plan, Point};
use crate::property::Violation;

/// What the points of a plan showed, by their places.
#[derive(Clone, Debug, PartialEq)]
pub struct Results(Vec<Aggregate>);

/// A run of a plan that violated a property: no figure is worth anything until that is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl fmt::Display for BadRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { point, seed, violation } = self;
        let Violation { property, what, .. } = violation;
        write!(
            f,
            "{property:?} violated by seed {seed} of {:?} under {:?}: {what}",
            point.workload, point.conditions
        )
    }
}

impl std::error::Error for BadRun {}

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
                        let Point { conditions, workload, .. } = &self.points[*place];
                        let taken = Measurement::take(conditions, *workload, *seed);
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
        let mut runs = vec![Vec::new(); self.points.len()];
        for (place, seed, taken) in done {
            match taken {
                Ok(measurement) => runs[place].push(measurement),
                Err(violation) => {
                    let point = Box::new(self.points[place].clone());
                    return Err(BadRun { point, seed, violation });
                }
            }
        }
        Ok(Results(runs.iter().map(|runs| Aggregate::new(runs)).collect()))
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
                    let run = Measurement::take(&conditions, workload, 1).unwrap();
                    let goodput = Figure::Goodput.of(&Aggregate::new(&[run]), &conditions, workload).unwrap();
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
        let run = Measurement::take(&conditions, workload, 1).unwrap();
        bytes as f64 / 1e6 / Figure::Goodput.of(&Aggregate::new(&[run]), &conditions, workload).unwrap()
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
        let run = Measurement::take(&conditions, Workload::Echo(5), 3).unwrap();
        assert_eq!((run.flows, run.finished, run.echoes.len()), (1, 1, 5));
        assert!(run.echoes.iter().all(|echo| (1.0..1.5).contains(&echo.as_secs_f64())), "{:?}", run.echoes);
        let lossy = Conditions { lose_one: true, ..conditions };
        let run = Measurement::take(&lossy, Workload::Echo(50), 3).unwrap();
        assert_eq!((run.flows, run.finished, run.noticed.len()), (1, 0, 1));
    }
}
