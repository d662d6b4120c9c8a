//! Sources of arguments: flags, then the environment, then the file named by `--config`.
//!
//! Arguments that flags and environment do not give are taken from the file and parsed as if they were flags, so that a
//! value means the same in every source.

use std::ffi::OsString;
use std::path::Path;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};
use toml::{Table, Value};

use super::Cli;
use super::failure::{Failure, one_line};

/// Flags that a file cannot set.
const NOT_IN_FILES: [&str; 3] = ["config", "help", "version"];

/// Pairs of flags that exclude each other: the file is ignored for one when the other is given.
const EXCLUSIVE: [(&str, &str); 2] = [("relay", "node"), ("node", "relay")];

/// Reads the command line, the environment and the file.
pub(super) fn read(mut arguments: Vec<OsString>) -> Result<Cli, Failure> {
    let lenient = Cli::command().ignore_errors(true).try_get_matches_from(&arguments);
    let missing = match lenient.as_ref().ok().and_then(ArgMatches::subcommand) {
        Some((name, matches)) => Missing::new(name, matches),
        None => return parse(&arguments).map_err(Failure::from),
    };
    arguments.extend(missing.deployed_environment()?);
    let Some(path) = missing.matches.get_one::<std::path::PathBuf>("config") else {
        return parse(&arguments).map_err(Failure::from);
    };
    if let Err(error) = parse(&arguments)
        && error.kind() != ErrorKind::MissingRequiredArgument
    {
        return Err(error.into());
    }
    let table = table(path)?;
    arguments.extend(missing.of_file(path, &table)?);
    parse(&arguments).map_err(|error| match error.kind() {
        ErrorKind::MissingRequiredArgument => error.into(),
        // Flags and environment were in order without the file.
        _ => in_file(path, one_line(&error)),
    })
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    // Help and errors are printed before there is a `Console` to ask.
    if arguments.iter().any(|argument| argument == "--no-color") {
        command = command.color(clap::ColorChoice::Never);
    }
    Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// The arguments that flags and environment do not give.
struct Missing<'a> {
    command: Command,
    matches: &'a ArgMatches,
}

impl<'a> Missing<'a> {
    fn new(name: &str, matches: &'a ArgMatches) -> Self {
        let mut root = Cli::command();
        root.build();
        let command = root.find_subcommand(name).cloned().unwrap_or(root);
        Self { command, matches }
    }

    /// Arguments from the environment variables of deployed nodes.
    fn deployed_environment(&self) -> Result<Vec<OsString>, Failure> {
        let mut found = Vec::new();
        if self.command.get_name() != "node" {
            return Ok(found);
        }
        if let Ok(port) = std::env::var("PORT")
            && !self.is_given("listen")
        {
            let port: u16 =
                port.parse().map_err(|_| Failure::usage(format!("PORT: invalid port: {port}")))?;
            found.push(format!("--listen=0.0.0.0:{port}").into());
        }
        if let Ok(key) = std::env::var("TUNNEL_AUTH_KEY")
            && !self.is_given("key")
        {
            found.push(format!("--key={key}").into());
        }
        Ok(found)
    }

    /// Arguments from the file.
    fn of_file(&self, path: &Path, table: &Table) -> Result<Vec<OsString>, Failure> {
        let mut found = Vec::new();
        for (name, value) in table {
            let flag = self.flag(name).ok_or_else(|| in_file(path, self.unknown(name)))?;
            let values = as_arguments(flag, name, value).map_err(|reason| in_file(path, reason))?;
            let excluded = EXCLUSIVE.iter().any(|(own, other)| own == name && self.is_given(other));
            if !self.is_given(name) && !excluded {
                found.extend(values);
            }
        }
        Ok(found)
    }

    fn flag(&self, name: &str) -> Option<&Arg> {
        let flags = self.command.get_arguments().filter(|flag| flag.get_long() == Some(name));
        flags.into_iter().find(|_| !NOT_IN_FILES.contains(&name))
    }

    /// Whether a flag or its environment variable gave a value.
    fn is_given(&self, name: &str) -> bool {
        let Some(flag) = self.flag(name) else { return false };
        let id = flag.get_id().as_str();
        let source = self.matches.try_contains_id(id).ok().and_then(|_| self.matches.value_source(id));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    }

    fn unknown(&self, name: &str) -> String {
        let known = self.command.get_arguments().filter_map(Arg::get_long);
        let known: Vec<_> = known.filter(|name| !NOT_IN_FILES.contains(name)).collect();
        format!(
            "`{name}` is not a setting of `seqlane {}`; its settings are {}",
            self.command.get_name(),
            known.join(", ")
        )
    }
}

/// The flags for a value of the file.
fn as_arguments(flag: &Arg, name: &str, value: &Value) -> Result<Vec<OsString>, String> {
    let repeated = |times: i64| (0..times.clamp(0, 16)).map(|_| format!("--{name}").into()).collect();
    match (flag.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(set)) => Ok(repeated(i64::from(*set))),
        (ArgAction::SetTrue, _) => Err(format!("`{name}` must be true or false")),
        (ArgAction::Count, Value::Integer(times)) => Ok(repeated(*times)),
        (ArgAction::Count, _) => Err(format!("`{name}` must be a whole number")),
        (ArgAction::Append, Value::Array(values)) => {
            values.iter().map(|value| as_argument(name, value)).collect()
        }
        _ => Ok(vec![as_argument(name, value)?]),
    }
}

fn as_argument(name: &str, value: &Value) -> Result<OsString, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            return Err(format!("`{name}` must be a string or a number"));
        }
    };
    Ok(format!("--{name}={text}").into())
}

pub(super) fn table(path: &Path) -> Result<Table, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        in_file(path, format!("line {line}: {}", error.message()))
    })
}

pub(super) fn in_file(path: &Path, reason: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {reason}", path.display()))
}
