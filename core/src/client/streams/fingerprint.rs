//! The part of the client's fingerprint that is level 2.
//!
//! Numbers of exchanges and streams are shared with the node and stay what they are. Which answer is the newest counts by
//! those that are on their way, which only the harness knows; names and nonces do not matter.

use crate::client::streams::Streams;
use crate::client::streams::exchanges::{Progress, Record};
use crate::fingerprint::Fingerprint;
use crate::id::FlowId;
use crate::wire::number::AnswerNumber;

impl Streams {
    /// The newest answer.
    pub(in crate::client) fn newest(&self) -> Option<AnswerNumber> {
        self.connection()?.newest()
    }

    /// Everything that decides what level 2 does. `rank` numbers the flows.
    pub(in crate::client) fn fingerprint(
        &self,
        rank: impl Fn(FlowId) -> Option<usize>,
        print: &mut Fingerprint<'_>,
    ) {
        print.value(&self.handshake);
        if let Some(connection) = self.connection() {
            connection.fingerprint(&rank, print);
        }
    }
}

impl Record {
    pub(super) fn fingerprint(&self, print: &mut Fingerprint<'_>) {
        print.value((self.relay, self.size, self.bytes, self.max_response, self.payload, &self.resends));
        print.value((self.arrived, self.accompanied, self.answering));
        print.time(self.sent);
        print.time(self.held_until);
        match self.progress {
            Progress::Out => print.value(0_u8),
            Progress::Reported { at, size } => {
                print.value((1_u8, size));
                print.time(at);
            }
            Progress::Lost { resend, size } => print.value((2_u8, resend, size)),
            Progress::Done => print.value(3_u8),
        }
    }
}
