//! Runs of many seeds, with a progress bar.

use std::time::{Duration, Instant};

use seqlane_sim::swarm::SeedCheck;
use seqlane_sim::{Figures, Run, Scenario, Seeds, Swarm};

use crate::cli::console::Console;
use crate::cli::scenario::ScenarioArgs;

/// Seeds of a swarm without --seeds and --for.
const SEEDS: u64 = 10_000;

/// Which runs, and how many at a time.
#[derive(clap::Args, Debug)]
pub(crate) struct ManyArgs {
    /// The seeds: A..B, where B does not belong to them, or A.. without an end
    #[arg(long, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// Go on for this long
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Runs at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
}

/// The totals of many runs, and how long they took.
pub(crate) struct Ran {
    pub(crate) figures: Figures,
    pub(crate) took: Duration,
}

impl ManyArgs {
    fn seeds(&self) -> Seeds {
        let seeds = self.seeds.unwrap_or(Seeds { first: 0, end: None });
        let usual = seeds.first.checked_add(SEEDS).filter(|_| self.duration.is_none());
        Seeds { end: seeds.end.or(usual), ..seeds }
    }

    /// Makes the runs, with a bar that shows how far they are.
    pub(crate) fn run<'s>(
        &self,
        console: &Console,
        scenario: &'s Scenario,
        check: SeedCheck<'s>,
        hashes: bool,
        mut go_on: impl FnMut(&Figures) -> bool,
    ) -> Ran {
        let run = Run::new(scenario).within(self.scenario.limits());
        let swarm = Swarm { run, jobs: usize::from(self.jobs), check, hashes };
        let seeds = self.seeds();
        let bar = console.bar(seeds.end.filter(|_| self.duration.is_none()).map(|end| end - seeds.first));
        let start = Instant::now();
        let figures = swarm.run(seeds, |figures| {
            bar.set_position(figures.seeds);
            let rate = figures.seeds as f64 / start.elapsed().as_secs_f64();
            bar.set_message(format!("{} seeds, {rate:.0}/s, {} failed", figures.seeds, figures.failed()));
            go_on(figures) && self.duration.is_none_or(|most| start.elapsed() < most)
        });
        bar.finish_and_clear();
        Ran { figures, took: start.elapsed() }
    }
}
