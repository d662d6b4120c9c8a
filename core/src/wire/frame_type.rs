//! Types of frames (protocol.md 3.1).

use core::fmt;

use crate::wire::direction::Direction;

/// The kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameType {
    /// Open an upstream.
    Open,
    /// The upstream is open.
    Opened,
    /// A chunk of a direction.
    Data,
    /// Chunks were taken.
    Ack,
    /// Credit.
    Window,
    /// The stream is over.
    Reset,
    /// A datagram.
    Datagram,
    /// A response may be lost.
    Resend,
    /// More waits at the node.
    Backlog,
    /// The node never heard of the stream.
    Gone,
}

impl FrameType {
    /// The one table: every type, its number, and the only direction it may go, if there is one.
    pub(super) const TABLE: [(Self, u64, Option<Direction>); 10] = [
        (Self::Open, 1, Some(Direction::Up)),
        (Self::Opened, 3, Some(Direction::Down)),
        (Self::Data, 5, None),
        (Self::Ack, 7, None),
        (Self::Window, 9, None),
        (Self::Reset, 11, None),
        (Self::Datagram, 2, None),
        (Self::Resend, 13, Some(Direction::Up)),
        (Self::Backlog, 4, Some(Direction::Down)),
        (Self::Gone, 15, Some(Direction::Down)),
    ];

    /// The type's number on the wire.
    pub fn number(self) -> u64 {
        Self::TABLE.iter().find(|(kind, ..)| *kind == self).map_or(0, |(_, number, _)| *number)
    }

    /// The type with this number, and the only direction it may go.
    pub(super) fn find(number: u64) -> Option<(Self, Option<Direction>)> {
        Self::TABLE.iter().find(|(_, known, _)| *known == number).map(|(kind, _, way)| (*kind, *way))
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "OPEN",
            Self::Opened => "OPENED",
            Self::Data => "DATA",
            Self::Ack => "ACK",
            Self::Window => "WINDOW",
            Self::Reset => "RESET",
            Self::Datagram => "DATAGRAM",
            Self::Resend => "RESEND",
            Self::Backlog => "BACKLOG",
            Self::Gone => "GONE",
        })
    }
}
