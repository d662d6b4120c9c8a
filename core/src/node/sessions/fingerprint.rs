//! The fingerprint of levels 0 and 1: sequence numbers count from the one that their session expects.

use crate::fingerprint::Fingerprint;
use crate::id::UpstreamId;
use crate::node::fingerprint::{Ranks, SessionPlace};
use crate::node::sessions::Sessions;
use crate::node::sessions::batch::{Batch, Drain, PendingReply};
use crate::node::sessions::reply::FixedReply;
use crate::node::sessions::table::UpstreamState;
use crate::seq::Seq;
use crate::wire::Sid;

impl Sessions {
    pub(in crate::node) fn fingerprint(&self, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
        print.each(self.batches.iter(), |print, batch| self.print_batch(batch, ranks, print));
        print.each(self.table.iter(), |print, state| print_state(state, ranks, print));
        print.each(self.closed.iter(), |print, closed| print.value(closed.map(|closed| closed.cut)));
    }

    /// Where the node has the session `sid`; `rank` gives the rank of an upstream.
    pub(in crate::node) fn place_of(
        &self,
        sid: &Sid,
        rank: impl Fn(UpstreamId) -> Option<usize>,
    ) -> SessionPlace {
        if let Some(upstream) = self.table.find(sid)
            && let Some(session) = self.table.session(upstream)
            && let Some(rank) = rank(upstream)
        {
            return SessionPlace::Live { rank, expected: session.expected() };
        }
        match (self.closed.rank(sid), self.closed.get(sid)) {
            (Some(rank), Some(closed)) => SessionPlace::Departed { rank, expected: closed.expected },
            _ => SessionPlace::Unknown,
        }
    }

    /// The id of some session.
    #[cfg(test)]
    pub(in crate::node) fn first_sid(&self) -> Option<Sid> {
        self.table.session(self.table.first()?).map(|session| session.sid())
    }

    fn print_batch(&self, batch: &Batch, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
        batch.fingerprint(print);
        print.each(batch.replies().iter(), |print, reply| match reply {
            PendingReply::Unread => print.value(0_u8),
            PendingReply::Connecting(upstream) => {
                print.value(1_u8);
                ranks.upstream(*upstream, print);
            }
            PendingReply::Queued { upstream, seq } => {
                print.value(2_u8);
                self.print_seq(*upstream, *seq, ranks, print);
            }
            PendingReply::Waiting(drain) => {
                print.value(3_u8);
                self.print_drain(batch, drain, ranks, print);
            }
            PendingReply::Closing(sid) => {
                print.value(4_u8);
                self.print_op(sid, None, ranks, print);
            }
            PendingReply::Ready(reply) => {
                print.value(5_u8);
                self.print_reply(reply, ranks, print);
            }
            PendingReply::Packet => print.value(6_u8),
        });
    }

    fn print_drain(&self, batch: &Batch, drain: &Drain, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
        self.print_seq(drain.upstream, drain.seq, ranks, print);
        print.value((drain.role, drain.wait.is_some()));
        if let Some(wait) = drain.wait {
            batch.wait_fingerprint(wait, print);
        }
    }

    /// Texts of errors count as one: some have absolute numbers in them, and the node reads none.
    fn print_reply(&self, reply: &FixedReply, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
        let FixedReply { sid, eof, error, code, seq, caps } = reply;
        print.value((eof, error.is_some(), code.is_some(), caps, sid.is_some(), seq.is_some()));
        if let Some(sid) = sid {
            self.print_op(sid, *seq, ranks, print);
        }
    }

    /// A session by its place, and the number of an op of it relative to what it expects. An op of a session
    /// that the node does not know gets its own name and number back, whatever they are.
    fn print_op(&self, sid: &Sid, seq: Option<Seq>, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
        print.value(seq.is_some());
        match self.place_of(sid, |upstream| ranks.rank(upstream)) {
            SessionPlace::Live { rank, expected } => {
                print.value((0_u8, rank));
                seq.into_iter().for_each(|seq| print.seq(seq, expected));
            }
            SessionPlace::Departed { rank, expected } => {
                print.value((1_u8, rank));
                seq.into_iter().for_each(|seq| print.seq(seq, expected));
            }
            SessionPlace::Unknown => print.value(2_u8),
        }
    }

    /// The number of an op of an open upstream.
    fn print_seq(
        &self,
        upstream: UpstreamId,
        seq: Option<Seq>,
        ranks: &Ranks<'_>,
        print: &mut Fingerprint<'_>,
    ) {
        ranks.upstream(upstream, print);
        print.value(seq.is_some());
        let expected = self.table.session(upstream).map(|session| session.expected());
        if let (Some(seq), Some(expected)) = (seq, expected) {
            print.seq(seq, expected);
        }
    }
}

fn print_state(state: &UpstreamState, ranks: &Ranks<'_>, print: &mut Fingerprint<'_>) {
    match state {
        UpstreamState::Connecting(connect) => {
            print.value(0_u8);
            connect.socket.fingerprint(ranks, print);
            ranks.op(connect.op, print);
            print.value(&connect.first);
        }
        UpstreamState::Open(session) => {
            print.value(1_u8);
            session.fingerprint(ranks, print);
        }
        UpstreamState::Lingering(socket) => {
            print.value(2_u8);
            print.value(socket);
        }
    }
}
