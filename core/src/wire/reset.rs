//! Reset codes of streams (protocol.md 3.1).

use core::fmt;

use crate::error::ConnectFailure;

/// Why a stream is over before both directions were finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ResetCode {
    /// 0: the socket was reset, or whoever used it gave up. Unknown codes are read as this one.
    Aborted,
    /// 1 to 7: the node could not open the upstream.
    Connect(ConnectFailure),
    /// 8: the socket took no bytes for as long as a write may wait.
    Stalled,
    /// 9: no traffic for the idle limit.
    Idle,
    /// 10: the sender does not have the stream's state any more.
    Gone,
    /// 11: the node shuts down and opens no new streams.
    Draining,
    /// 12: as many streams are open as the node allows the client, or allows altogether.
    TooManyStreams,
    /// 13: the peer broke a rule of this stream.
    Violation,
}

impl ResetCode {
    /// The one table: every code with its number.
    pub(super) const TABLE: [(Self, u64); 14] = [
        (Self::Aborted, 0),
        (Self::Connect(ConnectFailure::Refused), 1),
        (Self::Connect(ConnectFailure::HostUnreachable), 2),
        (Self::Connect(ConnectFailure::NetworkUnreachable), 3),
        (Self::Connect(ConnectFailure::NoSuchName), 4),
        (Self::Connect(ConnectFailure::TimedOut), 5),
        (Self::Connect(ConnectFailure::NotAllowed), 6),
        (Self::Connect(ConnectFailure::Other), 7),
        (Self::Stalled, 8),
        (Self::Idle, 9),
        (Self::Gone, 10),
        (Self::Draining, 11),
        (Self::TooManyStreams, 12),
        (Self::Violation, 13),
    ];

    /// The code's number on the wire.
    pub fn number(self) -> u64 {
        Self::TABLE.iter().find(|(code, _)| *code == self).map_or(0, |(_, number)| *number)
    }

    /// The code with this number. One that is not known says no more than that the stream is over.
    pub fn from_number(number: u64) -> Self {
        Self::TABLE.iter().find(|(_, known)| *known == number).map_or(Self::Aborted, |(code, _)| *code)
    }
}

impl fmt::Display for ResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aborted => "the other side gave up",
            Self::Connect(failure) => return failure.fmt(f),
            Self::Stalled => "the socket takes no bytes",
            Self::Idle => "idle",
            Self::Gone => "the other side does not know the stream any more",
            Self::Draining => "the node is shutting down",
            Self::TooManyStreams => "as many streams are open as the node allows",
            Self::Violation => "the protocol was broken on this stream",
        })
    }
}

impl core::error::Error for ResetCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_number_of_its_own() {
        for (place, (code, number)) in (0_u64..).zip(ResetCode::TABLE) {
            assert_eq!(number, place);
            assert_eq!(code.number(), number);
            assert_eq!(ResetCode::from_number(number), code);
        }
    }

    #[test]
    fn a_code_that_is_not_known_still_ends_the_stream() {
        assert_eq!(ResetCode::from_number(14), ResetCode::Aborted);
        assert_eq!(ResetCode::from_number(u64::MAX), ResetCode::Aborted);
    }
}
