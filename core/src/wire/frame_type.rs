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
    /// The client ends the connection.
    Goodbye,
    /// The node has ended the connection.
    End,
}

impl FrameType {
    /// The one table: every type, its number, its name, and the only direction it may go, if there is one.
    pub(super) const TABLE: [(Self, u64, &'static str, Option<Direction>); 12] = [
        (Self::Open, 1, "OPEN", Some(Direction::Up)),
        (Self::Opened, 3, "OPENED", Some(Direction::Down)),
        (Self::Data, 5, "DATA", None),
        (Self::Ack, 7, "ACK", None),
        (Self::Window, 9, "WINDOW", None),
        (Self::Reset, 11, "RESET", None),
        (Self::Datagram, 2, "DATAGRAM", None),
        (Self::Resend, 13, "RESEND", Some(Direction::Up)),
        (Self::Backlog, 4, "BACKLOG", Some(Direction::Down)),
        (Self::Gone, 15, "GONE", Some(Direction::Down)),
        (Self::Goodbye, 17, "GOODBYE", Some(Direction::Up)),
        (Self::End, 19, "END", Some(Direction::Down)),
    ];

    /// Whether it ends the connection, alone in its packet.
    pub(super) const fn is_alone(self) -> bool {
        matches!(self, Self::Goodbye | Self::End)
    }

    /// The type's number on the wire, and its name.
    fn number_and_name(self) -> (u64, &'static str) {
        let row = Self::TABLE.iter().find(|(kind, ..)| *kind == self);
        row.map_or((0, ""), |(_, number, name, _)| (*number, *name))
    }

    /// The type's number on the wire.
    pub fn number(self) -> u64 {
        self.number_and_name().0
    }

    /// The type with this number, and the only direction it may go.
    pub(super) fn find(number: u64) -> Option<(Self, Option<Direction>)> {
        Self::TABLE.iter().find(|(_, known, ..)| *known == number).map(|(kind, .., way)| (*kind, *way))
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number_and_name().1)
    }
}
