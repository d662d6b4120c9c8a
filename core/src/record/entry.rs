//! Entries: what a machine was told, and what it wanted done.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::check::Check;
use super::error::Problem;
use super::machine::Machine;
use super::mask::Mask;
use crate::error::Misuse;
use crate::time::Instant;
use crate::wire::{Cursor, PacketError, varint};

/// One thing that was recorded, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<E> {
    /// An event is handed in.
    Event {
        /// When, by the driver's clock.
        now: Instant,
        /// What.
        event: E,
    },
    /// The machine refused the event before this, in these words.
    Refused(Box<str>),
    /// A poll gave an action.
    Action(Told),
    /// Nothing more was recorded.
    End(Ending),
}

/// An action as a recording has it: enough to tell whether another is the same, and to tell people about it.
#[derive(Clone, PartialEq, Eq)]
pub struct Told {
    /// What its debug print says, lengths of payloads included.
    pub text: Box<str>,
    /// A hash of the payload or body, keys and seals covered; 0 where there is none.
    pub payload: u64,
}

impl Told {
    pub(super) fn new(action: &impl fmt::Debug, payload: Option<&[u8]>) -> Self {
        Self { text: format!("{action:?}").into(), payload: payload.map_or(0, Check::of) }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.payload == 0 { Ok(()) } else { write!(f, " with bytes #{:016x}", self.payload) }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why nothing more was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The machine was stopped.
    Stopped,
    /// More happened than could be written down in time.
    FellBehind,
    /// The file has the size that it may have.
    Full,
}

impl Ending {
    const ALL: [Self; 3] = [Self::Stopped, Self::FellBehind, Self::Full];

    const fn number(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::FellBehind => 1,
            Self::Full => 2,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "the machine was stopped",
            Self::FellBehind => "more happened than could be written down in time",
            Self::Full => "the file had the size that it may have",
        })
    }
}

const EVENT: u64 = 0;
const REFUSED: u64 = 1;
const ACTION: u64 = 2;
const END: u64 = 3;

/// The longest text of an action: a target has at most 255 bytes, and each of them six when it is escaped.
const MAX_TEXT: usize = 16 * 1024;

pub(super) fn write_event<M: Machine>(now: Instant, event: &M::Event, mask: &Mask, out: &mut Vec<u8>) {
    varint::encode(EVENT, out);
    varint::encode(now.as_micros(), out);
    M::write_event(event, mask, out);
}

pub(super) fn write_refused(misuse: Misuse, out: &mut Vec<u8>) {
    varint::encode(REFUSED, out);
    out.extend_from_slice(misuse.to_string().as_bytes());
}

pub(super) fn write_action(told: &Told, out: &mut Vec<u8>) {
    varint::encode(ACTION, out);
    out.extend_from_slice(&told.payload.to_be_bytes());
    out.extend_from_slice(told.text.as_bytes());
}

pub(super) fn write_end(ending: Ending, out: &mut Vec<u8>) {
    varint::encode(END, out);
    varint::encode(ending.number().into(), out);
}

/// Reads the body of an entry.
pub(super) fn read<M: Machine>(body: &Bytes, mask: &Mask) -> Result<Entry<M::Event>, Problem> {
    let mut cursor = Cursor::new(body, 0);
    match cursor.varint("its kind")? {
        EVENT => {
            let now = Instant::from_micros(cursor.varint("the time")?);
            Ok(Entry::Event { now, event: M::read_event(cursor.rest(usize::MAX, "the event")?, mask)? })
        }
        REFUSED => Ok(Entry::Refused(text(&mut cursor)?)),
        ACTION => {
            let payload = u64::from_be_bytes(cursor.array("the hash")?);
            Ok(Entry::Action(Told { text: text(&mut cursor)?, payload }))
        }
        END => {
            let number = cursor.varint("the ending")?;
            let ending = Ending::ALL.into_iter().find(|ending| u64::from(ending.number()) == number);
            Ok(Entry::End(ending.ok_or(Problem::Unknown("an ending of", number))?))
        }
        other => Err(Problem::Unknown("an entry of", other)),
    }
}

fn text(cursor: &mut Cursor<'_>) -> Result<Box<str>, PacketError> {
    let text = cursor.rest(MAX_TEXT, "the text")?;
    core::str::from_utf8(&text).map(Into::into).map_err(|_| PacketError::OutOfRange("the text"))
}
