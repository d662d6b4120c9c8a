//! Obligations of a stream that has ended (protocol.md 3.2 rule 5).

use crate::connection::pending::Pending;
use crate::connection::sent::SentFrame;
use crate::seq::Seq;
use crate::wire::frame::Frame;
use crate::wire::number::StreamNumber;
use crate::wire::reset::ResetCode;

/// The last frame of a stream. It is forgotten once a packet that carried it is known to have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClosingStream {
    last: LastFrame,
    pending: Pending,
}

/// What the last frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LastFrame {
    /// Both directions came to their end: the last ACK.
    Ack(Seq),
    /// The stream was reset.
    Reset(ResetCode),
}

impl ClosingStream {
    /// A stream that came to its end; `pending` is the state of its last ACK.
    pub(super) const fn finished(next: Seq, pending: Pending) -> Self {
        Self { last: LastFrame::Ack(next), pending }
    }

    /// A stream that was reset at this end.
    pub(super) const fn reset(code: ResetCode) -> Self {
        Self { last: LastFrame::Reset(code), pending: Pending::Queued }
    }

    /// The frame, and how it is remembered while it is in flight.
    pub(super) const fn frame(&self, stream: StreamNumber) -> (Frame, SentFrame) {
        match self.last {
            LastFrame::Ack(next) => (Frame::Ack { stream, next }, SentFrame::Ack(stream)),
            LastFrame::Reset(code) => (Frame::Reset { stream, code }, SentFrame::Reset(stream)),
        }
    }

    /// Whether the peer has the frame.
    pub(super) const fn pending(&self) -> Pending {
        self.pending
    }

    /// Whether the peer has the frame, to be changed.
    pub(super) const fn pending_mut(&mut self) -> &mut Pending {
        &mut self.pending
    }
}
