//! Search for a mutant: the first seed of each batch that finds it, and the shortest run that shows it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use seqlane_sim::{Property, Seed};
use serde_json::Value;

use super::patch::{Check, Mutant, property};

/// Batches are this far apart.
const STRIDE: u64 = 1_000_000;

/// So many runs without a coverage point are no accident, where the clean core has it in each.
const ENOUGH: u64 = 10;

/// Runs with more events than this are measured by the lines of their timeline.
const MANY_EVENTS: u64 = 30;

/// How long a mutant is looked for.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Batches of seeds, for the median
    #[arg(long, default_value_t = 9)]
    batches: u64,
    /// Seeds of a batch, at most
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Runs that are shrunk; the shortest is reported
    #[arg(long, default_value_t = 4)]
    shrink: usize,
    /// Spend at most this long on shrinking one run
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    shrink_budget: Duration,
}

/// How a mutant was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The seeds that each batch took; none where it was not found.
    pub(crate) seeds: Vec<Option<u64>>,
    /// The property and the seed of each batch that found it.
    pub(crate) finds: Vec<(Property, u64)>,
    /// The shortest run.
    pub(crate) small: Option<Small>,
}

/// The size of a shrunk run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Small {
    pub(crate) decisions: u64,
    pub(crate) events: u64,
    pub(crate) lines: u64,
}

impl Small {
    /// How long the run is: as it has events or, if they are many, lines.
    fn length(self) -> (bool, u64, u64) {
        let many = self.events > MANY_EVENTS;
        (many, if many { self.lines } else { self.events }, self.decisions)
    }
}

/// The simulator with the mutant in it, and without it.
struct Pair<'a> {
    mutant: Program,
    clean: Program,
    with: &'a Mutant,
    failures: &'a Path,
}

/// A build of the simulator.
struct Program(PathBuf);

/// Looks for a mutant. What the clean core fails at too does not count.
pub(crate) fn hunt(program: &Path, with: &Mutant, effort: Effort, failures: &Path) -> Result<Found, String> {
    let clean = std::env::current_exe().map_err(|error| error.to_string())?;
    let pair = Pair { mutant: Program(program.to_owned()), clean: Program(clean), with, failures };
    let mut found = Found { seeds: Vec::new(), finds: Vec::new(), small: None };
    for batch in 0..effort.batches {
        let from = batch * STRIDE;
        let find = match &with.check {
            Check::Swarm(flags) => pair.first_failure(flags, from, from + effort.seeds)?,
            Check::Coverage(name) => pair.missing(name, from, from + effort.seeds)?,
        };
        found.seeds.push(find.map(|(_, seed)| seed - from + 1));
        found.finds.extend(find);
    }
    if with.check == Check::Swarm(&[]) {
        for (_, seed) in found.finds.iter().take(effort.shrink) {
            let small = pair.shrink(*seed, effort.shrink_budget)?;
            found.small = found.small.into_iter().chain(small).min_by_key(|small| small.length());
        }
    }
    Ok(found)
}

impl Pair<'_> {
    /// The first seed that violates a property of the header, and does not without the mutant.
    fn first_failure(
        &self,
        flags: &[&str],
        mut from: u64,
        until: u64,
    ) -> Result<Option<(Property, u64)>, String> {
        while from < until {
            let stop = [flags, &["--stop-on-first", "--jobs", "1", "--shrink-budget", "0s"]].concat();
            let figures = self.swarm(&self.mutant, &stop, from, until)?;
            let Some((property, seed)) = first(&figures)? else { return Ok(None) };
            let clean = self.swarm(&self.clean, &stop, seed, seed + 1)?;
            if self.with.noticed_by.contains(&property) && first(&clean)?.is_none() {
                return Ok(Some((property, seed)));
            }
            from = seed + 1;
        }
        Ok(None)
    }

    /// M1: the clean core covers this again and again, and the mutant never does.
    fn missing(&self, name: &str, from: u64, until: u64) -> Result<Option<(Property, u64)>, String> {
        let covered = |program, end| {
            let figures = self.swarm(program, &["--shrink-budget", "0s"], from, end)?;
            let runs = figures["sometimes"][name].as_u64();
            runs.ok_or_else(|| format!("`swarm` does not report the coverage of {name}"))
        };
        for end in (from..until).step_by(ENOUGH as usize).skip(1) {
            if covered(&self.clean, end)? >= ENOUGH {
                let missed = covered(&self.mutant, end)? == 0;
                return Ok(missed.then_some((Property::M1, end - 1)));
            }
        }
        Ok(None)
    }

    /// Shrinks the run of a seed. It counts only if it passes without the mutant.
    fn shrink(&self, seed: u64, budget: Duration) -> Result<Option<Small>, String> {
        let budget = humantime::format_duration(budget).to_string();
        let figures = self.swarm(&self.mutant, &["--shrink-budget", &budget], seed, seed + 1)?;
        let failure = &figures["failures"][0];
        let Some(bundle) = failure["small"].as_str() else { return Ok(None) };
        let clean = self.clean.ask(&["replay", bundle])?;
        if !clean["outcome"]["violation"].is_null() {
            return Ok(None);
        }
        let size = |name: &str| failure[name].as_u64().ok_or_else(|| format!("`swarm` reports no {name}"));
        Ok(Some(Small { decisions: size("decisions")?, events: size("events")?, lines: size("lines")? }))
    }

    fn swarm(&self, program: &Program, flags: &[&str], from: u64, until: u64) -> Result<Value, String> {
        let (seeds, failures) = (format!("{from}..{until}"), self.failures.display().to_string());
        let mut words = vec!["swarm", "--seeds", &seeds, "--bundle-dir", &failures];
        words.extend(flags);
        words.extend(self.with.scenario.iter().map(String::as_str));
        program.ask(&words)
    }
}

/// The lowest seed that failed.
fn first(figures: &Value) -> Result<Option<(Property, u64)>, String> {
    let mut lowest = None;
    for failure in figures["failures"].as_array().into_iter().flatten() {
        let seed = failure["seed"].as_str().and_then(|seed| seed.parse::<Seed>().ok());
        let Seed(seed) = seed.ok_or("`swarm` reports a failure without a seed")?;
        let property = property(failure["violation"]["property"].as_str().unwrap_or_default())?;
        lowest = lowest.into_iter().chain([(property, seed)]).min_by_key(|(_, seed)| *seed);
    }
    Ok(lowest)
}

impl Program {
    /// Runs a verb, and returns the document that it prints.
    fn ask(&self, words: &[&str]) -> Result<Value, String> {
        let output = Command::new(&self.0)
            .args(words)
            .arg("--json")
            .output()
            .map_err(|error| format!("{}: {error}", self.0.display()))?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let (said, verb) = (String::from_utf8_lossy(&output.stderr), words.join(" "));
            format!("`{verb}` ends with {}: {}", output.status, said.lines().last().unwrap_or_default())
        })
    }
}
