//! Logs on the standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::console::{Console, LogFormat};

/// The variable for a filter in the syntax of `tracing`, which wins over `-v`.
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
    // Libraries are logged at their warnings only.
    let of_levels = format!("warn,seqlane={level},seqlane_tokio={level}");
    EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(of_levels))
}
