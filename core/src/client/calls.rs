//! A call in flight, with everything needed to send its ops again.

use alloc::vec::Vec;

use crate::client::relays::Path;
use crate::client::streams::PacketRef;
use crate::id::{FlowId, RelayId};
use crate::time::Instant;
use crate::timer::TimerSlot;
use crate::wire::Op;

/// One HTTP request of the client that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) relay: RelayId,
    pub(super) class: Class,
    pub(super) sent: Instant,
    pub(super) body_len: usize,
    pub(super) ops: Vec<Sent>,
    /// The packet that it carries instead of ops (level 2).
    pub(super) packet: Option<PacketRef>,
    pub(super) timer: TimerSlot,
}

/// An op of an exchange, and who waits for its reply.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) op: Op,
    pub(super) owner: OpOwner,
}

/// Who waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum OpOwner {
    /// A flow.
    Stream(FlowId),
    /// Nobody: a session that is not needed any more. How often the op was tried before, and until when it is of use.
    Close { tries: u8, until: Instant },
    /// The relay table, which asks whether `seq` passes.
    Probe,
}

/// What a batch is made of: ops of different classes never share one, so that none waits for another's
/// reason (protocol.md 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// Opens: each may wait for a dead target.
    Connect,
    /// Ops that carry bytes, and closes.
    Payload,
    /// Polls of sessions that are fetching much.
    BulkPoll,
    /// Polls that wait for whatever may come.
    IdlePoll,
    /// Closes and probes only.
    Control,
}

impl Exchange {
    /// What the relay of this exchange had to be good for.
    pub(super) fn path(ops: &[Sent]) -> Path {
        let sequenced =
            |sent: &Sent| sent.owner != OpOwner::Probe && matches!(sent.op, Op::Data { seq: Some(_), .. });
        if ops.iter().any(sequenced) { Path::Sequenced } else { Path::Any }
    }
}
