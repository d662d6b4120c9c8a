//! Errors of reading a recording.

use std::fmt;

use seqlane::ConfigError;

/// A recording that cannot be read from some place on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecording {
    /// The place, in bytes from the start of the file.
    pub at: usize,
    /// The number of entries before it.
    pub entries: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It does not begin as a recording does.
    NoRecording,
    /// It is of another version.
    Version,
    /// The head cannot be read: the reader's message.
    Head(Box<str>),
    /// The machine refuses the options.
    Options(ConfigError),
    /// It has no end: writing was interrupted.
    Cut,
    /// The checksum does not match.
    Damaged,
    /// An intact entry ends within this field.
    Truncated(&'static str),
    /// An intact entry has an invalid value in this field.
    OutOfRange(&'static str),
    /// An entry, an event, an action or an ending of this number is not known.
    Unknown(&'static str, u64),
    /// Bytes follow the end.
    Trailing,
}

impl fmt::Display for BadRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, entries, problem } = self;
        match problem {
            Problem::NoRecording | Problem::Version | Problem::Head(_) | Problem::Options(_) => {
                problem.fmt(f)
            }
            Problem::Cut
            | Problem::Damaged
            | Problem::Truncated(_)
            | Problem::OutOfRange(_)
            | Problem::Unknown(..)
            | Problem::Trailing => {
                write!(f, "after {entries} entries, at byte {at}: {problem}")
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecording => f.write_str("not a recording: its first line is another"),
            Self::Version => f.write_str("a recording of another version; this program reads version 2"),
            Self::Head(text) => write!(f, "invalid head of the recording: {text}"),
            Self::Options(error) => write!(f, "invalid options in the recording: {error}"),
            Self::Cut => f.write_str("the recording has no end: writing was interrupted"),
            Self::Damaged => f.write_str("the recording is damaged: the checksum does not match"),
            Self::Truncated(field) => write!(f, "the entry ends within {field}"),
            Self::OutOfRange(field) => write!(f, "invalid value of {field} in the entry"),
            Self::Unknown(what, number) => write!(f, "unknown {what}: number {number}"),
            Self::Trailing => f.write_str("bytes follow the end of the recording"),
        }
    }
}

impl std::error::Error for BadRecording {}
