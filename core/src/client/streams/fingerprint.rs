//! The part of the client's fingerprint that is level 2.
//!
//! Numbers of exchanges and streams are shared with the node and stay what they are. Which answer is the newest counts by
//! those that are on their way, which only the harness knows; names and nonces do not matter.

use crate::client::streams::Streams;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::exchanges::{Progress, Record};
use crate::fingerprint::Fingerprint;
use crate::id::FlowId;
use crate::wire::number::AnswerNumber;

impl Streams {
    /// The newest answer.
    pub(in crate::client) fn newest(&self) -> Option<AnswerNumber> {
        self.connection()?.newest
    }

    /// Everything that decides what level 2 does. `rank` numbers the flows.
    pub(in crate::client) fn fingerprint(
        &self,
        rank: impl Fn(FlowId) -> Option<usize>,
        print: &mut Fingerprint<'_>,
    ) {
        self.handshake.fingerprint(print);
        if let Some(connection) = self.connection() {
            connection.fingerprint(&rank, print);
        }
    }
}

impl NodeConnection {
    fn fingerprint(&self, rank: &impl Fn(FlowId) -> Option<usize>, print: &mut Fingerprint<'_>) {
        print.value((self.exchanges.next(), self.exchanges.done(), self.exchanges.tally()));
        print.each(
            self.exchanges.iter().collect::<alloc::vec::Vec<_>>().into_iter(),
            |print, (number, record)| {
                print.value(number);
                record.fingerprint(print);
            },
        );
        self.shared.fingerprint(print, |print, socket| {
            print.value(rank(socket.flow()));
            socket.fingerprint(print);
        });
        print.value((self.next_stream, self.newest.is_some(), self.backlog));
        print.value((self.peer_credit, self.draining, self.unreported, self.reported));
        for time in [self.heard, self.traffic, self.taken] {
            print.time(time);
        }
        self.controllers.fingerprint(print);
    }
}

impl Record {
    fn fingerprint(&self, print: &mut Fingerprint<'_>) {
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
