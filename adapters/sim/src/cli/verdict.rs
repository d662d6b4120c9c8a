//! Results of verbs, and their exit codes.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use seqlane_sim::{BadScenario, Property, Violation};

/// The result of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is wrong.
    Pass,
    /// This must hold, and does not.
    Violated(Property),
    /// The run is not the one that was recorded.
    Differs,
    /// There was more to search than was allowed.
    Unfinished,
    /// A mutant was not found.
    Missed,
}

impl Verdict {
    /// Of a run.
    pub(crate) fn of(violation: Option<&Violation>) -> Self {
        violation.map_or(Self::Pass, |violation| Self::Violated(violation.property))
    }

    /// The exit code.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Pass => 0,
            Self::Unfinished => 6,
            Self::Differs | Self::Violated(Property::D1) => 3,
            Self::Violated(Property::M1) => 5,
            Self::Violated(property) if property.is_liveness() => 4,
            Self::Violated(property) if property.is_resource() => 6,
            Self::Violated(_) | Self::Missed => 1,
        })
    }
}

/// An error of a verb: exit code 2.
#[derive(Debug)]
pub(crate) enum CliError {
    /// Invalid arguments, or an unusable file.
    Usage(String),
    /// The command line reader has something to say: its own text and exit code (2, or 0 for help).
    CommandLine(clap::Error),
}

impl CliError {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// A file that cannot be used.
    pub(crate) fn file(path: &Path, error: impl fmt::Display) -> Self {
        Self::Usage(format!("{}: {error}", path.display()))
    }

    /// Prints the error and answers the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(text) => {
                eprintln!("seqlane-sim: {text}");
                ExitCode::from(2)
            }
            Self::CommandLine(error) => {
                // A closed terminal cannot be written to.
                drop(error.print());
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
        }
    }
}

impl From<clap::Error> for CliError {
    fn from(error: clap::Error) -> Self {
        Self::CommandLine(error)
    }
}

impl From<BadScenario> for CliError {
    fn from(error: BadScenario) -> Self {
        Self::Usage(error.to_string())
    }
}
