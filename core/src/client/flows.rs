//! A flow of either kind, with what the machine keeps beside it.

use crate::client::action::EndReason;
use crate::client::context::Outbox;
use crate::client::relays::Path;
use crate::client::sessions::datagrams::Association;
use crate::client::sessions::sequencing::Circumstances;
use crate::client::sessions::session::{Outcome, Session, Start, Wants};
use crate::config::ClientOptions;
use crate::level::Level;
use crate::target::Target;
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::number::StreamNumber;
use crate::wire::{Op, Sid};

/// One flow of the client.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) kind: Kind,
    pub(super) timer: TimerSlot,
    /// The queues of [`Ready`](super::ready::Ready) that the flow stands in.
    pub(super) queued: Queued,
    /// What is left of the flow's turn to send, after a batch cut it short (deficit round robin).
    pub(super) deficit: usize,
}

/// The kinds of flow. A flow begins as a session or an association, and becomes a stream when its open is due and there
/// is level 2.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Session(Session),
    Association(Association),
    /// At level 2: its place in the connection.
    Stream(StreamNumber),
}

impl Kind {
    /// What a stream begins with that takes the place of a flow whose open is due.
    pub(super) fn start(&mut self) -> Option<Start> {
        match self {
            Self::Session(session) => Some(session.start()),
            Self::Association(association) => Some(association.start()),
            Self::Stream(_) => None,
        }
    }
}

/// Marks that keep a flow from standing in a queue twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queued {
    pub(super) connect: bool,
    pub(super) payload: bool,
    pub(super) poll: bool,
}

impl Flow {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, timer: TimerSlot::default(), queued: Queued::default(), deficit: 0 }
    }

    pub(super) const fn target(&self) -> Option<&Target> {
        match &self.kind {
            Kind::Session(session) => Some(session.target()),
            Kind::Association(association) => Some(association.target()),
            Kind::Stream(_) => None,
        }
    }

    pub(super) const fn sid(&self) -> Option<Sid> {
        match &self.kind {
            Kind::Session(session) => session.sid(),
            Kind::Association(association) => association.sid(),
            Kind::Stream(_) => None,
        }
    }

    /// What a relay must be good for to carry this flow's data ops.
    pub(super) const fn path(&self) -> Path {
        match &self.kind {
            Kind::Session(session) if matches!(session.level(), Some(Level::Sequenced)) => Path::Sequenced,
            Kind::Session(_) | Kind::Association(_) | Kind::Stream(_) => Path::Any,
        }
    }

    pub(super) fn kept(&self) -> usize {
        match &self.kind {
            Kind::Session(session) => session.kept(),
            Kind::Association(association) => association.kept(),
            Kind::Stream(_) => 0,
        }
    }

    pub(super) fn wants(&self, circumstances: Circumstances, config: &ClientOptions) -> Wants {
        match &self.kind {
            Kind::Session(session) => session.wants(circumstances, config),
            Kind::Association(association) => association.wants(circumstances.now, config),
            Kind::Stream(_) => Wants::default(),
        }
    }

    pub(super) fn deadline(
        &self,
        circumstances: Circumstances,
        config: &ClientOptions,
    ) -> Option<(Instant, TimerKind)> {
        match &self.kind {
            Kind::Session(session) => session.deadline(circumstances, config),
            Kind::Association(association) => association.deadline(circumstances.now, config),
            Kind::Stream(_) => None,
        }
    }

    pub(super) fn on_timeout(&mut self, now: Instant, config: &ClientOptions, out: &mut Outbox) -> Outcome {
        match &mut self.kind {
            Kind::Session(session) => session.on_timeout(now, config, out),
            Kind::Association(association) => association.on_timeout(now, config),
            Kind::Stream(_) => Ok(()),
        }
    }

    pub(super) fn take_connect(&mut self, with_data: bool, most: usize) -> Option<Op> {
        match &mut self.kind {
            Kind::Session(session) => Some(session.take_connect(with_data, most)),
            Kind::Association(association) => Some(association.take_open()),
            Kind::Stream(_) => None,
        }
    }

    pub(super) fn take_payload(&mut self, most: usize, now: Instant, config: &ClientOptions) -> Option<Op> {
        match &mut self.kind {
            Kind::Session(session) => session.take_payload(most, now, config),
            Kind::Association(association) => association.take_payload(),
            Kind::Stream(_) => None,
        }
    }

    pub(super) fn take_poll(&mut self, now: Instant) -> Option<Op> {
        match &mut self.kind {
            Kind::Session(session) => session.take_poll(now),
            Kind::Association(association) => association.take_poll(),
            Kind::Stream(_) => None,
        }
    }

    /// Whether the next op of this flow has its size already: a datagram, or an op that goes again.
    pub(super) fn has_fixed_op(&self) -> bool {
        match &self.kind {
            Kind::Session(session) => session.first_unsent().is_some(),
            Kind::Association(_) | Kind::Stream(_) => true,
        }
    }

    /// Whether nothing newer than `op` was sent for this flow.
    pub(super) fn is_newest(&self, op: &Op) -> bool {
        match &self.kind {
            Kind::Session(session) => session.is_newest(op),
            Kind::Association(_) | Kind::Stream(_) => true,
        }
    }

    pub(super) fn on_unsent(&mut self, op: Op, now: Instant) {
        match &mut self.kind {
            Kind::Session(session) => session.on_unsent(op, now),
            Kind::Association(association) => association.on_unsent(op),
            Kind::Stream(_) => {}
        }
    }

    /// The node may have had `op`, and its reply is lost. Tells whether the flow survives: a session would
    /// have a gap (protocol.md 2), datagrams may be lost.
    pub(super) fn on_lost(&mut self, op: &Op, now: Instant, why: EndReason) -> Outcome {
        match &mut self.kind {
            Kind::Session(_) if planted!(LostResent) => {
                self.on_unsent(op.clone(), now);
                Ok(())
            }
            Kind::Session(_) if planted!(FinAfterLoss) => Err(EndReason::Finished),
            Kind::Session(_) => Err(why),
            Kind::Association(association) => association.on_lost(op, now).map_err(|()| why),
            Kind::Stream(_) => Ok(()),
        }
    }
}
