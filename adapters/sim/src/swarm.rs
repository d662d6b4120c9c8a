//! Runs of many seeds on several threads, and their totals.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use seqlane::Client;

use crate::{ClientHost, CoveragePoint, Fault, Outcome, Property, Run, Seeds, Time, Violation};

/// Failing seeds that are kept for each property: the lowest.
const KEPT: usize = 8;
/// Seeds that a thread takes before it reports. A report wakes the listener, which costs as much as a run.
const REPORT_EVERY: u64 = 16;

/// Checks a seed by one or more runs, and returns the outcome of one of them.
pub type SeedCheck<'a, H = Client> = fn(&Run<'a, H>, u64) -> Outcome;

/// Runs many seeds.
#[derive(Debug)]
pub struct Swarm<'a, H = Client> {
    /// The runs to make.
    pub run: Run<'a, H>,
    /// Threads.
    pub jobs: usize,
    /// How a seed is checked: by [`Run::seeded`], by [`Run::twice`] (D1), by [`copies::check`](crate::copies::check)
    /// (D2), or by [`isolation::check`](crate::isolation::check) (I1).
    pub check: SeedCheck<'a, H>,
    /// Whether the hash of every run is kept.
    pub hashes: bool,
}

/// The totals of many runs.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Runs.
    pub seeds: u64,
    /// Events.
    pub events: u64,
    /// Virtual time.
    pub simulated: Duration,
    /// Flows that came to their orderly end.
    pub finished: u64,
    /// Flows that were lost, visibly.
    pub lost: u64,
    /// Calls.
    pub calls: u64,
    /// How often each kind of fault struck.
    pub faults: [u64; Fault::ALL.len()],
    /// Runs in which each point was set, in the order of [`CoveragePoint::all`].
    pub coverage: Vec<u64>,
    /// What was violated, and by which seeds.
    pub failures: BTreeMap<Property, Failures>,
    /// The hash and events of every run by seed, if they were to be kept.
    pub hashes: BTreeMap<u64, (u64, u64)>,
}

/// Seeds that violate one property.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    /// How many.
    pub count: u64,
    /// The lowest of them.
    pub seeds: BTreeMap<u64, Violation>,
}

impl Figures {
    /// The figures of one run.
    fn of(seed: u64, outcome: Outcome, keep_hash: bool) -> Self {
        let tally = outcome.tally;
        let failure = outcome.violation.map(|violation| {
            (violation.property, Failures { count: 1, seeds: BTreeMap::from([(seed, violation)]) })
        });
        Self {
            seeds: 1,
            events: outcome.events,
            simulated: outcome.time.since(Time::ZERO),
            finished: tally.finished,
            lost: tally.lost,
            calls: tally.calls,
            faults: tally.faults,
            coverage: CoveragePoint::all().map(|point| u64::from(outcome.coverage.has(point))).collect(),
            failures: failure.into_iter().collect(),
            hashes: keep_hash.then_some((seed, (outcome.hash, outcome.events))).into_iter().collect(),
        }
    }

    fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.simulated += other.simulated;
        self.finished += other.finished;
        self.lost += other.lost;
        self.calls += other.calls;
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, count)| *sum += count);
        self.coverage.resize(self.coverage.len().max(other.coverage.len()), 0);
        self.coverage.iter_mut().zip(other.coverage).for_each(|(sum, count)| *sum += count);
        for (property, failures) in other.failures {
            self.failures.entry(property).or_default().join(failures);
        }
        self.hashes.extend(other.hashes);
    }

    /// How many runs violated something.
    pub fn failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// The lowest seed that violated something.
    pub fn first_failure(&self) -> Option<(u64, &Violation)> {
        let firsts = self.failures.values().filter_map(|failures| failures.seeds.first_key_value());
        firsts.map(|(seed, violation)| (*seed, violation)).min_by_key(|(seed, _)| *seed)
    }

    /// Each point with the number of runs that set it.
    pub fn covered(&self) -> impl Iterator<Item = (CoveragePoint, u64)> {
        CoveragePoint::all()
            .enumerate()
            .map(|(place, point)| (point, self.coverage.get(place).copied().unwrap_or(0)))
    }
}

impl Failures {
    fn join(&mut self, other: Self) {
        self.count += other.count;
        self.seeds.extend(other.seeds);
        while self.seeds.len() > KEPT {
            self.seeds.pop_last();
        }
    }
}

impl<H: ClientHost> Swarm<'_, H> {
    /// Runs the seeds until all are done or `go_on`, which gets the totals so far, returns false.
    pub fn run(&self, seeds: Seeds, mut go_on: impl FnMut(&Figures) -> bool) -> Figures {
        let (next, stop) = (AtomicU64::new(seeds.first), AtomicBool::new(false));
        let (reports, heard) = sync_channel(4 * self.jobs.max(1));
        let mut figures = Figures::default();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let (reports, next, stop) = (reports.clone(), &next, &stop);
                scope.spawn(move || self.work(seeds, next, stop, &reports));
            }
            drop(reports);
            for report in heard {
                figures.join(report);
                if !go_on(&figures) {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        figures
    }

    fn work(&self, seeds: Seeds, next: &AtomicU64, stop: &AtomicBool, reports: &SyncSender<Figures>) {
        let through = |seed: u64| seeds.end.is_some_and(|end| seed >= end);
        let mut figures = Figures::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if through(seed) {
                break;
            }
            figures.join(Figures::of(seed, (self.check)(&self.run, seed), self.hashes));
            let news = figures.seeds >= REPORT_EVERY || !figures.failures.is_empty();
            if news && reports.send(std::mem::take(&mut figures)).is_err() {
                return;
            }
        }
        // Whoever listens is gone only when the program ends.
        drop(reports.send(figures));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Profile;

    fn figures(jobs: usize) -> Figures {
        let scenario = Profile::Swarm.scenario();
        let swarm = Swarm { run: Run::new(&scenario), jobs, check: Run::seeded, hashes: true };
        swarm.run(Seeds { first: 10, end: Some(60) }, |_| true)
    }

    #[test]
    fn every_seed_is_run_once_and_threads_change_nothing() {
        let (one, three) = (figures(1), figures(3));
        assert_eq!(one.seeds, 50);
        assert_eq!(one.hashes, three.hashes);
        assert_eq!(
            (one.events, one.simulated, one.coverage),
            (three.events, three.simulated, three.coverage)
        );
    }

    #[test]
    fn a_swarm_without_an_end_is_stopped_by_its_listener() {
        let scenario = Profile::Calm.scenario();
        let swarm = Swarm { run: Run::new(&scenario), jobs: 2, check: Run::seeded, hashes: false };
        let figures = swarm.run(Seeds { first: 0, end: None }, |figures| figures.seeds < 100);
        assert!(figures.seeds >= 100, "{}", figures.seeds);
    }
}
