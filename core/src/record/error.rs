//! What can be wrong with a recording.

use alloc::boxed::Box;
use core::fmt;

use crate::config::ConfigError;
use crate::wire::PacketError;

/// A recording that cannot be read, or not from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecording {
    /// Where in the file, in bytes from its start.
    pub at: usize,
    /// How many entries stand before that.
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
    /// It is one of another version.
    Version,
    /// The head cannot be read: what its reader says.
    Head(Box<str>),
    /// The machine's options make no sense.
    Options(ConfigError),
    /// It has no end: whoever wrote it was cut short.
    Cut,
    /// The bytes are not those that were written.
    Damaged,
    /// An entry is well preserved and still none: where it ends too early, or has a value that it cannot have.
    Entry(PacketError),
    /// An entry, an event, an action or an ending of this number is not known.
    Unknown(&'static str, u64),
    /// Something follows the end.
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
            | Problem::Entry(_)
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
            Self::NoRecording => f.write_str("no recording: it begins like something else"),
            Self::Version => f.write_str("a recording of another version; this program reads version 1"),
            Self::Head(text) => write!(f, "the head of the recording: {text}"),
            Self::Options(error) => write!(f, "the options in the recording: {error}"),
            Self::Cut => f.write_str("the recording breaks off: whoever wrote it was cut short"),
            Self::Damaged => {
                f.write_str("the recording is damaged: these are not the bytes that were written")
            }
            Self::Entry(PacketError::Truncated(field)) => write!(f, "the entry ends within {field}"),
            Self::Entry(error) => write!(f, "in the entry, {error}"),
            Self::Unknown(what, number) => write!(f, "{what} number {number} is not known"),
            Self::Trailing => f.write_str("something follows the end of the recording"),
        }
    }
}

impl core::error::Error for BadRecording {}

impl From<PacketError> for Problem {
    fn from(error: PacketError) -> Self {
        Self::Entry(error)
    }
}
