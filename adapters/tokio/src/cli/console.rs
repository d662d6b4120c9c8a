//! Settings of every command's output.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags of every command.
#[derive(Args, Debug)]
pub(crate) struct Console {
    /// Log more: -v every flow and every change of a relay, -vv every call, -vvv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Console")]
    pub(crate) verbose: u8,
    /// The form of log lines on the standard error
    #[arg(long, global = true, value_name = "FORM", default_value = "text", value_enum)]
    #[arg(env = "SEQLANE_LOG_FORMAT", help_heading = "Console")]
    pub(crate) log_format: LogFormat,
    /// No colours, as with NO_COLOR set. Without a terminal there are none in any case
    #[arg(long, global = true, help_heading = "Console")]
    no_color: bool,
    /// A TOML file with values for flags, named like them; flags and environment win over it
    #[arg(long, global = true, value_name = "FILE", env = "SEQLANE_CONFIG", help_heading = "Console")]
    pub(crate) config: Option<PathBuf>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line of text.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

impl Console {
    /// Whether to use colours on an output that is, or is not, a terminal. <https://no-color.org>
    pub(crate) fn colour(&self, is_terminal: bool) -> bool {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        is_terminal && !self.no_color && !unwanted
    }
}
