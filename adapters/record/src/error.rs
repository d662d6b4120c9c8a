//! Errors of reading a recording.

use std::fmt;

use seqlane::ConfigError;

/// A recording that cannot be read from some place on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadRecording {
    /// The place, in bytes from the start of the file.
    pub at: usize,
    /// The number of entries before it.
    pub entries: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It does not begin as a recording does.
    #[error("not a recording: its first line is another")]
    NoRecording,
    /// It is of another version.
    #[error("a recording of another version; this program reads version 3")]
    Version,
    /// The head cannot be read: the reader's message.
    #[error("invalid head of the recording: {0}")]
    Head(Box<str>),
    /// The machine refuses the options.
    #[error("invalid options in the recording: {0}")]
    Options(ConfigError),
    /// It has no end: writing was interrupted.
    #[error("the recording has no end: writing was interrupted")]
    Cut,
    /// The checksum does not match.
    #[error("the recording is damaged: the checksum does not match")]
    Damaged,
    /// An intact entry ends within this field.
    #[error("the entry ends within {0}")]
    Truncated(&'static str),
    /// An intact entry has an invalid value in this field.
    #[error("invalid value of {0} in the entry")]
    OutOfRange(&'static str),
    /// An entry, an event, an action or an ending of this number is not known.
    #[error("unknown {0}: number {1}")]
    Unknown(&'static str, u64),
    /// Bytes follow the end.
    #[error("bytes follow the end of the recording")]
    Trailing,
}

impl fmt::Display for BadRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, entries, problem } = self;
        let of_head = matches!(
            problem,
            Problem::NoRecording | Problem::Version | Problem::Head(_) | Problem::Options(_)
        );
        if of_head { problem.fmt(f) } else { write!(f, "after {entries} entries, at byte {at}: {problem}") }
    }
}
