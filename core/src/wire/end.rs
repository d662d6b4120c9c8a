//! Reasons of a node that ends a connection (protocol.md 3.1 END).

use core::fmt;

/// Why a node has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndCode {
    /// The user was removed or changed.
    User,
    /// The user is over quota, or there was no place for the connection.
    Quota,
    /// The node stops.
    Stop,
}

impl EndCode {
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::User => 1,
            Self::Quota => 2,
            Self::Stop => 3,
        }
    }

    /// The reason of this number; one that is not known counts as a stop.
    pub(super) const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::User,
            2 => Self::Quota,
            _ => Self::Stop,
        }
    }
}

impl fmt::Display for EndCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "the user was removed or changed",
            Self::Quota => "the user is over quota, or there was no place",
            Self::Stop => "the node stops",
        })
    }
}
