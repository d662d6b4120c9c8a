//! Entries of a recording: events, refusals, actions and the end.

use std::fmt;

use bytes::Bytes;

use seqlane::Instant;

use crate::checksum::Checksum;
use crate::cursor::Cursor;
use crate::error::Problem;
use crate::machine::Machine;
use crate::mask::Mask;

/// One entry of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<E> {
    /// An event was handed in.
    Event {
        /// The time of the driver's clock.
        now: Instant,
        /// The event.
        event: E,
    },
    /// The machine refused the event before this for this reason.
    Refused(Box<str>),
    /// A poll returned an action.
    Action(RecordedAction),
    /// The recording ends.
    End(Ending),
}

/// An action as it is recorded: enough to compare it with another, and to print it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAction {
    /// Its debug print, lengths of payloads included.
    pub text: Box<str>,
    /// A hash of the payload or body, with keys and seals masked; 0 without one.
    pub payload: u64,
}

impl RecordedAction {
    pub(crate) fn new(action: &impl fmt::Debug, payload: Option<&[u8]>) -> Self {
        Self { text: format!("{action:?}").into(), payload: payload.map_or(0, Checksum::of) }
    }
}

impl fmt::Display for RecordedAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.payload == 0 { Ok(()) } else { write!(f, " with bytes #{:016x}", self.payload) }
    }
}

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The machine was stopped.
    Stopped,
    /// The writer could not keep up.
    FellBehind,
    /// The file has reached its largest size.
    Full,
}

impl Ending {
    /// In the order of their numbers in a file.
    const ALL: [Self; 3] = [Self::Stopped, Self::FellBehind, Self::Full];
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "the machine was stopped",
            Self::FellBehind => "the writer could not keep up",
            Self::Full => "the file has reached its largest size",
        })
    }
}

pub(crate) const EVENT: u64 = 0;
pub(crate) const REFUSED: u64 = 1;
pub(crate) const ACTION: u64 = 2;
pub(crate) const END: u64 = 3;

/// The longest text of an action: a target has at most 255 bytes, of six each when it is escaped.
const MAX_TEXT: usize = 16 * 1024;

/// Reads the body of an entry.
pub(crate) fn read<M: Machine>(body: Bytes, mask: &mut Mask) -> Result<Entry<M::Event>, Problem> {
    let mut cursor = Cursor::new(body);
    match cursor.varint("its kind")? {
        EVENT => {
            let now = Instant::from_micros(cursor.varint("the time")?);
            Ok(Entry::Event { now, event: M::read_event(cursor.rest(), mask)? })
        }
        REFUSED => Ok(Entry::Refused(text(&mut cursor)?)),
        ACTION => {
            let payload = u64::from_be_bytes(cursor.array("the hash")?);
            Ok(Entry::Action(RecordedAction { text: text(&mut cursor)?, payload }))
        }
        END => {
            let number = cursor.varint("the ending")?;
            let ending = Ending::ALL.into_iter().find(|ending| *ending as u64 == number);
            ending.map(Entry::End).ok_or(Problem::Unknown("ending", number))
        }
        other => Err(Problem::Unknown("entry", other)),
    }
}

fn text(cursor: &mut Cursor) -> Result<Box<str>, Problem> {
    cursor.text(MAX_TEXT, "the text").map(Into::into)
}
