//! Logs: to the standard error, quiet unless asked.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::Console;

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// A filter in the syntax of `tracing`, for those who need more than `-v`; it wins over `-v`.
const FILTER: &str = "SEQLANE_LOG";

/// Starts logging for the whole process.
pub(crate) fn start(console: &Console) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(console.verbose))
        .with_writer(std::io::stderr)
        .with_ansi(console.colour(std::io::stderr().is_terminal()));
    match console.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

fn filter(verbose: u8) -> EnvFilter {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    // The libraries below have their own idea of what is worth telling.
    let quiet_below = format!("warn,seqlane={level},seqlane_tokio={level}");
    EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(quiet_below))
}
