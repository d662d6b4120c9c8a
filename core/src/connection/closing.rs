//! What the peer must still hear of a stream that has ended (protocol.md 3.2 rule 5).

use crate::connection::pending::Pending;
use crate::seq::Seq;
use crate::wire::reset::ResetCode;

/// The last word about a stream. It is forgotten once an exchange that carried it is known to have arrived (client), or
/// is below `done` (node).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClosingStream {
    pub(crate) word: Word,
    pub(crate) pending: Pending,
}

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    /// Both directions came to their end: the last ACK.
    Ack(Seq),
    /// It was reset.
    Reset(ResetCode),
}
