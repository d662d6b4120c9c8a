//! Patches with a header that says what the bug breaks and how it is found.
//!
//! ```text
//! Breaks: an op that goes again gets a new number
//! Area: sequence
//! Noticed by: S7
//! In: swarm
//! Check: runs
//! Scenario: profile=swarm
//!
//! --- a/core/src/…
//! ```
//! `Check` is `runs`, `repeats` (D1), `copies` (D2), `pairs` (I1), or `coverage NAME` (M1: this is never seen again).
//! `Scenario` lists settings as `--set` takes them, and the profile.
//!
//! `git apply` applies the patches: it demands the context to the letter, and allows it to move.

use std::path::{Path, PathBuf};
use std::process::Command;

use seqlane_sim::{Property, Scenario};

use crate::cli::verdict::CliError;

/// A bug of the core, as a patch.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// The name of its file.
    pub(crate) name: String,
    /// The patch itself.
    pub(crate) patch: PathBuf,
    /// What goes wrong, in one line.
    pub(crate) breaks: String,
    /// The part of the protocol that it is in.
    pub(crate) area: String,
    /// The properties that find it.
    pub(crate) noticed_by: Vec<Property>,
    /// Where it is looked for, in words.
    pub(crate) place: String,
    /// How a seed is checked.
    pub(crate) check: Check,
    /// The scenario, as flags.
    pub(crate) scenario: Vec<String>,
}

/// How a seed is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// By a run, with these flags of `swarm`.
    Swarm(&'static [&'static str]),
    /// By whether runs set this.
    Coverage(String),
}

/// The workspace that the current directory is in.
pub(crate) fn workspace() -> Result<PathBuf, CliError> {
    let here = std::env::current_dir().map_err(|error| CliError::usage(error.to_string()))?;
    let root = here.ancestors().find(|directory| mutants(directory).is_dir());
    root.map(Path::to_owned).ok_or_else(|| CliError::usage("run it inside the project's workspace"))
}

fn mutants(root: &Path) -> PathBuf {
    root.join("adapters/sim/mutants")
}

/// Every mutant, by name.
pub(crate) fn all(root: &Path) -> Result<Vec<Mutant>, CliError> {
    let directory = mutants(root);
    let failed = |error| CliError::file(&directory, error);
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let text = std::fs::read_to_string(&path).map_err(|error| CliError::file(&path, error))?;
        all.push(Mutant::read(path.clone(), &text).map_err(|error| CliError::file(&path, error))?);
    }
    all.sort_by(|one, other| (&one.area, &one.name).cmp(&(&other.area, &other.name)));
    Ok(all)
}

impl Mutant {
    fn read(patch: PathBuf, text: &str) -> Result<Self, String> {
        let header = text.split("\n---").next().unwrap_or(text);
        let field = |name: &str| {
            let mut values = header.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            values.next().map(str::to_owned).ok_or_else(|| format!("the header has no line `{name}: `"))
        };
        let stem = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            name: stem,
            breaks: field("Breaks")?,
            area: field("Area")?,
            noticed_by: field("Noticed by")?.split(", ").map(property).collect::<Result<_, _>>()?,
            place: field("In")?,
            check: check(&field("Check")?)?,
            scenario: scenario(&field("Scenario")?)?,
            patch,
        })
    }
}

/// The property with this id.
pub(crate) fn property(id: &str) -> Result<Property, String> {
    let known = Property::ALL.iter().copied().find(|property| property.id() == id);
    known.ok_or_else(|| format!("no property is called {id}"))
}

fn check(text: &str) -> Result<Check, String> {
    match text.split_once(' ') {
        None if text == "runs" => Ok(Check::Swarm(&[])),
        None if text == "repeats" => Ok(Check::Swarm(&["--check-determinism"])),
        None if text == "copies" => Ok(Check::Swarm(&["--check-copies"])),
        None if text == "pairs" => Ok(Check::Swarm(&["--check-isolation"])),
        Some(("coverage", name)) => Ok(Check::Coverage(name.to_owned())),
        _ => Err(format!("no check is called {text}")),
    }
}

/// The flags of a scenario, which must make sense.
fn scenario(text: &str) -> Result<Vec<String>, String> {
    let (profiles, settings): (Vec<&str>, Vec<&str>) =
        text.split(' ').partition(|word| word.starts_with("profile="));
    let profile = profiles.first().map(|word| word.trim_start_matches("profile="));
    let parsed = profile
        .map(str::parse)
        .transpose()
        .map_err(|error: seqlane_sim::UnknownProfile| error.to_string())?;
    Scenario::assemble(parsed, None, &settings).map_err(|error| error.to_string())?;
    let flags = profile.into_iter().map(|profile| ["--profile", profile]);
    let flags = flags.chain(settings.into_iter().map(|setting| ["--set", setting]));
    Ok(flags.flatten().map(str::to_owned).collect())
}

/// Runs `git apply` in a directory, whatever repository that is in.
pub(crate) fn git_apply(directory: &Path, flags: &[&str], patch: &Path) -> Result<(), String> {
    let parent = directory.parent().unwrap_or(directory);
    let output = Command::new("git")
        .arg("apply")
        .args(flags)
        .arg(patch)
        .current_dir(directory)
        .env("GIT_CEILING_DIRECTORIES", parent)
        .output()
        .map_err(|error| format!("git cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("does not apply: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Breaks: something\nArea: turn\nNoticed by: S3, S1\nIn: F3 only\nCheck: runs\n\
         Scenario: profile=calm level=1 net={duplicate=\"1/5\"}\n\n--- a/core/src/lib.rs\n";

    fn read(text: &str) -> Result<Mutant, String> {
        Mutant::read(PathBuf::from("mutants/some-bug.patch"), text)
    }

    #[test]
    fn the_header_says_everything_about_a_mutant() {
        let mutant = read(HEADER).expect("a mutant");
        assert_eq!((&*mutant.name, &*mutant.breaks, &*mutant.area), ("some-bug", "something", "turn"));
        assert_eq!(mutant.noticed_by, [Property::S3, Property::S1]);
        assert_eq!(mutant.check, Check::Swarm(&[]));
        assert_eq!(mutant.scenario[..2], ["--profile", "calm"]);
        assert_eq!(mutant.scenario[4..], ["--set", "net={duplicate=\"1/5\"}"]);
    }

    #[test]
    fn a_header_that_makes_no_sense_is_an_error_that_names_it() {
        for (from, to, named) in [
            ("Area", "Erea", "`Area: `"),
            ("S3", "S99", "S99"),
            ("runs", "stares", "stares"),
            ("calm", "storm", "storm"),
            ("level=1", "level=7", "7"),
        ] {
            let error = read(&HEADER.replace(from, to)).expect_err(from);
            assert!(error.contains(named), "{error}");
        }
    }
}
