//! `mutants`: the bugs of `adapters/sim/mutants/`, each built into a copy of the core and looked for.

mod build;
mod hunt;
mod patch;
mod report;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use seqlane_sim::Property;
use serde_json::Value;

use self::build::Scratch;
use self::hunt::{Effort, hunt};
use self::patch::Mutant;
use self::report::Row;
use crate::cli::console::{Console, count};
use crate::cli::verdict::{CliError, Verdict};

/// Apply each mutant to a copy of the core, build it, and count the seeds that it takes to find it.
#[derive(clap::Args, Debug)]
pub(crate) struct MutantsArgs {
    /// Only these mutants
    names: Vec<String>,
    /// Only check that every mutant applies to the core
    #[arg(long, conflicts_with = "sample")]
    check: bool,
    /// Only so many, others every day
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// The day that --sample goes by, counted from 1970; today if left out
    #[arg(long, value_name = "D", requires = "sample")]
    day: Option<u64>,
    #[command(flatten)]
    effort: Effort,
}

pub(crate) fn run(args: MutantsArgs, console: &Console) -> Result<Verdict, CliError> {
    let root = patch::workspace()?;
    let all = patch::all(&root)?;
    let mutants = args.chosen(&all)?;
    if args.check {
        return check(&root, &mutants, console);
    }
    let scratch = Scratch::new(&root)?;
    let bar = console.bar(Some(mutants.len() as u64));
    let mut rows = Vec::new();
    console.say(report::HEAD)?;
    for mutant in &mutants {
        bar.set_message(format!("{}: building", mutant.name));
        let found = scratch.build(&mutant.patch).and_then(|program| {
            bar.set_message(format!("{}: looking for it", mutant.name));
            hunt(&program, mutant, args.effort, &scratch.failures(&mutant.name))
        });
        scratch.restore(&mutant.patch)?;
        let row = Row { mutant, found };
        bar.suspend(|| console.say(&row.markdown()))?;
        bar.inc(1);
        rows.push(row);
    }
    bar.finish_and_clear();
    console.document(&rows.iter().map(Row::document).collect::<Value>())?;
    let mut complete = rows.iter().all(Row::is_found);
    if mutants.len() == all.len() {
        let finders: BTreeSet<Property> = rows.iter().flat_map(Row::properties).collect();
        for idle in Property::ALL.iter().filter(|property| !finders.contains(property)) {
            console.say(&format!("{} finds no mutant\n", idle.id()))?;
            complete = false;
        }
    }
    Ok(if complete { Verdict::Pass } else { Verdict::Missed })
}

impl MutantsArgs {
    /// The mutants that were asked for.
    fn chosen<'a>(&self, all: &'a [Mutant]) -> Result<Vec<&'a Mutant>, CliError> {
        if let Some(name) = self.names.iter().find(|name| all.iter().all(|mutant| mutant.name != **name)) {
            return Err(CliError::usage(format!("no mutant has the name {name}")));
        }
        let named = |mutant: &&Mutant| self.names.is_empty() || self.names.contains(&mutant.name);
        let mut mutants: Vec<&Mutant> = all.iter().filter(named).collect();
        if let Some(sample) = self.sample
            && !mutants.is_empty()
        {
            let day = self.day.unwrap_or_else(today);
            let first = day.wrapping_mul(sample as u64) % mutants.len() as u64;
            mutants.rotate_left(first as usize);
            mutants.truncate(sample);
        }
        Ok(mutants)
    }
}

/// Days since 1970.
fn today() -> u64 {
    const DAY: u64 = 24 * 60 * 60;
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() / DAY)
}

/// Whether every mutant applies to the core as it is.
fn check(root: &Path, mutants: &[&Mutant], console: &Console) -> Result<Verdict, CliError> {
    let mut bad = Vec::new();
    for mutant in mutants {
        if let Err(why) = patch::git_apply(root, &["--check"], &mutant.patch) {
            console.say(&format!("{}: {why}\n", mutant.name))?;
            bad.push(&mutant.name);
        }
    }
    console.document(&serde_json::json!({ "mutants": mutants.len(), "do_not_apply": bad }))?;
    if bad.is_empty() {
        console.say(&format!("{}, and each applies\n", count(mutants.len() as u64, "mutant")))?;
        return Ok(Verdict::Pass);
    }
    Ok(Verdict::Missed)
}
