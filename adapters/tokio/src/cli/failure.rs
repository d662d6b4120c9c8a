//! Failures of commands, with their exit codes.

use std::process::ExitCode;

use clap::error::ErrorKind;
use seqlane::ConfigError;
use seqlane_tokio::StartError;

/// Why a command does not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or a setting is wrong: exit code 2.
    Usage(String),
    /// The command could not be carried out: exit code 1.
    Failed(String),
    /// The command has already printed what is wrong: exit code 1.
    Reported,
    /// Help or the version was asked for, or nothing at all: the text, and its own exit code (0 or 2).
    Help(clap::Error),
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// What is wrong, in one line.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Usage(text) | Self::Failed(text) => text.clone(),
            Self::Reported => String::new(),
            Self::Help(error) => one_line(error),
        }
    }

    /// An error of the standard output.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        Self::Failed(format!("cannot write to the standard output: {error}"))
    }

    /// Prints the failure and returns the exit code.
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
            Self::Help(error) => {
                // A closed output cannot be reported anywhere.
                drop(error.print());
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
        }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Self::Help(error),
            _ => Self::Usage(format!("{}; see --help", one_line(&error))),
        }
    }
}

/// An error of the command line in one line, without the usage, which `--help` shows.
pub(super) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut line = String::new();
    for paragraph in text.trim_start_matches("error: ").split("\n\n") {
        let mut parts = paragraph.lines().map(str::trim).filter(|part| !part.is_empty());
        match parts.next() {
            None => {}
            Some(first) if first.starts_with("Usage:") || first.starts_with("For more") => {}
            Some(first) => {
                let glue = if first.ends_with(':') { ", " } else { " " };
                let rest = parts.collect::<Vec<_>>().join(glue);
                let between = if line.is_empty() { "" } else { "; " };
                line.push_str(format!("{between}{first} {rest}").trim_end());
            }
        }
    }
    line
}

/// Options of the library whose flag has another name. The others are named alike: `max_body` is `--max-body`.
const RENAMED: [(&str, &str); 4] =
    [("max_depth", "depth"), ("max_flows", "max-streams"), ("node_url", "node"), ("relays", "relay")];

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
            unusable @ StartError::Record { .. } => Self::Usage(format!("--record: {unusable}")),
            wrong @ StartError::User(_) => Self::Usage(format!("--users: {wrong}")),
            invalid @ StartError::Url { .. } => Self::Usage(invalid.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
