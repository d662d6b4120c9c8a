//! Replies without payload (protocol.md 2.2, 2.3).

use alloc::borrow::Cow;
use alloc::string::ToString;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::level::Caps;
use crate::seq::Seq;
use crate::target::FlowKind;
use crate::wire::{BadOp, Code, ReplyParts, Sid};

/// A reply without payload, owned until its batch is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FixedReply {
    pub(super) sid: Option<Sid>,
    pub(super) eof: Option<bool>,
    pub(super) error: Option<Cow<'static, str>>,
    pub(super) code: Option<Code>,
    pub(super) seq: Option<Seq>,
    pub(super) caps: Option<Caps>,
}

/// Some texts of errors contain numbers, which no machine reads. Without a session, a number only comes back to whoever
/// sent it.
impl Hash for FixedReply {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { sid, eof, error, code, seq, caps } = self;
        (eof, error.is_some(), code.is_some(), caps, seq.is_some(), sid, seq.filter(|_| sid.is_some()))
            .hash(state);
    }
}

impl FixedReply {
    /// The session is over, or was never there: the two look the same to a client.
    pub(super) fn eof(sid: Sid, seq: Option<Seq>) -> Self {
        Self { sid: Some(sid), eof: Some(true), seq, ..Self::default() }
    }

    /// The op has run, and there is nothing to say.
    pub(super) fn empty(sid: Sid, seq: Option<Seq>) -> Self {
        Self { sid: Some(sid), eof: Some(false), seq, ..Self::default() }
    }

    /// The op failed.
    pub(super) fn error(text: impl Into<Cow<'static, str>>, seq: Option<Seq>) -> Self {
        Self { error: Some(text.into()), seq, ..Self::default() }
    }

    /// The op opens no upstream.
    pub(super) fn not_opened(kind: FlowKind, why: &str) -> Self {
        let what = match kind {
            FlowKind::Tcp => "connect failed",
            FlowKind::Udp => "udp connect failed",
        };
        Self::error(alloc::format!("{what}: {why}"), None)
    }

    /// The session is over: why it was cut, or its end. A cut must not look like an end.
    pub(super) fn over(cut: Option<&'static str>, sid: Sid, seq: Option<Seq>) -> Self {
        match cut {
            Some(why) => Self::error(why, seq),
            None => Self::eof(sid, seq),
        }
    }

    /// The op could not be read.
    pub(super) fn bad_op(bad: &BadOp, seq: Option<Seq>) -> Self {
        Self { code: bad.code(), ..Self::error(bad.to_string(), seq) }
    }

    /// The number was used before.
    pub(super) fn already_processed(seq: Seq, expected: Seq) -> Self {
        Self::error(alloc::format!("seq {seq} already processed (expected {expected})"), Some(seq))
    }

    /// Another copy of the op waits for its turn.
    pub(super) fn already_waits(seq: Seq, expected: Seq) -> Self {
        Self::error(alloc::format!("seq {seq} already waits (expected {expected})"), Some(seq))
    }

    /// The reorder queue has no room for it.
    pub(super) fn too_far_ahead(seq: Seq, expected: Seq) -> Self {
        Self::error(alloc::format!("seq {seq} refused: too much waits for {expected} already"), Some(seq))
    }

    /// The op waited too long for an earlier one.
    pub(super) fn timed_out(seq: Seq, expected: Seq, waited: Duration) -> Self {
        let (seconds, tenths) = (waited.as_secs(), waited.subsec_millis() / 100);
        let text = alloc::format!("seq {seq} timed out waiting for {expected} (waited {seconds}.{tenths}s)");
        Self::error(text, Some(seq))
    }

    /// The reply, ready to be written.
    pub(super) fn parts(&self) -> ReplyParts<'_> {
        ReplyParts {
            sid: self.sid,
            eof: self.eof,
            error: self.error.as_deref(),
            code: self.code,
            seq: self.seq,
            caps: self.caps,
            ..ReplyParts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_says_what_was_missing_and_how_long() {
        let reply = FixedReply::timed_out(Seq::new(9), Seq::new(7), Duration::from_millis(30_049));
        assert_eq!(reply.error.unwrap(), "seq 9 timed out waiting for 7 (waited 30.0s)");
        assert_eq!(reply.seq, Some(Seq::new(9)));
    }
}
