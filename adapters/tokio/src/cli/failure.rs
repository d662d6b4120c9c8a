//! How a command fails, and the exit code that says so.

use std::process::ExitCode;

use seqlane::ConfigError;
use seqlane_tokio::StartError;

/// Why the program ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What it was told makes no sense: exit code 2.
    Usage(String),
    /// It could not do what it was told: exit code 1.
    Failed(String),
    /// The command has already printed what is wrong: exit code 1.
    Reported,
    /// The command line reader has something to say: its own text and exit code (2, or 0 for help).
    CommandLine(clap::Error),
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// The standard output does not take what is printed.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        Self::Failed(format!("cannot write to the standard output: {error}"))
    }

    /// Prints the failure, in one line where it is ours, and names the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(text) => {
                eprintln!("seqlane: {text}");
                ExitCode::from(2)
            }
            Self::Failed(text) => {
                eprintln!("seqlane: {text}");
                ExitCode::from(1)
            }
            Self::Reported => ExitCode::from(1),
            Self::CommandLine(error) => {
                // A closed terminal leaves nobody to tell.
                drop(error.print());
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
        }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::CommandLine(error)
    }
}

/// Options of the library whose flag has another name. All others have theirs: `max_body` is `--max-body`.
const RENAMED: [(&str, &str); 3] = [("max_depth", "depth"), ("node_url", "node"), ("relays", "relay")];

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let renamed = RENAMED.iter().find(|(option, _)| *option == error.option);
        let flag = renamed.map_or_else(|| error.option.replace('_', "-"), |(_, flag)| (*flag).to_owned());
        Self::Usage(format!("--{flag}: {}", error.reason))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => error.into(),
            unusable @ (StartError::CaFile { .. } | StartError::Certificates(_)) => {
                Self::Usage(format!("--ca: {unusable}"))
            }
            other => Self::Failed(other.to_string()),
        }
    }
}
