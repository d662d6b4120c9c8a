//! Output: text for people, or one JSON document for programs.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cli::verdict::CliError;

/// Arguments of every verb.
#[derive(Args, Debug)]
pub(crate) struct Console {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Console {
    /// Prints text, unless JSON is wanted.
    pub(crate) fn say(&self, text: &str) -> Result<(), CliError> {
        if self.json { Ok(()) } else { print(text) }
    }

    /// Prints a JSON document, if it is wanted.
    pub(crate) fn document(&self, document: &impl Serialize) -> Result<(), CliError> {
        if !self.json {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(document).expect("documents have keys of text");
        print(&format!("{text}\n"))
    }

    /// A progress bar on standard error, if that is a terminal.
    pub(crate) fn bar(&self, length: Option<u64>) -> ProgressBar {
        let shown = std::io::stderr().is_terminal() && !self.json;
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let template = match length {
            Some(_) => "{wide_bar} {pos}/{len} {msg} [{elapsed}, {eta} left]",
            None => "{spinner} {msg} [{elapsed}]",
        };
        let style = ProgressStyle::with_template(template).expect("the templates are fixed");
        ProgressBar::with_draw_target(length, target).with_style(style)
    }
}

/// Prints to the standard output at once.
fn print(text: &str) -> Result<(), CliError> {
    let mut output = std::io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(|error| CliError::usage(format!("cannot write to the standard output: {error}")))
}

/// Writes a file, or the standard output for `-`.
pub(crate) fn write_to(path: &Path, text: &str) -> Result<(), CliError> {
    if path == Path::new("-") {
        return print(text);
    }
    std::fs::write(path, text).map_err(|error| CliError::file(path, error))
}

/// A command line that can be pasted into a shell, for this very program.
pub(crate) fn command<I: IntoIterator<Item = S>, S: Into<String>>(words: I) -> String {
    let program = std::env::args_os().next().unwrap_or_else(|| OsString::from("seqlane-sim"));
    let program = quoted(&program.to_string_lossy());
    words.into_iter().fold(program, |line, word| format!("{line} {}", quoted(&word.into())))
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The number of something, with its noun.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell_are_quoted_where_they_must_be() {
        assert_eq!(quoted("net.late=1/50"), "net.late=1/50");
        assert_eq!(quoted("flows=[1,8]"), "'flows=[1,8]'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
