//! What the client must still hear of a stream that has ended (protocol.md 3.2 rule 5).

use crate::seq::Seq;
use crate::stream::owed::Owed;
use crate::wire::reset::ResetCode;

/// The last word about a stream. It is forgotten once an exchange that carried it is below `done`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) word: Word,
    pub(super) owed: Owed,
}

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Word {
    /// Both directions came to their end: the last ACK.
    Ack(Seq),
    /// The node reset it.
    Reset(ResetCode),
}
