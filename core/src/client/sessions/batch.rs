//! Batch: its ops and their owners, and the share of each flow (protocol.md 2.5 "Batches").

use alloc::vec::Vec;

use crate::client::relays::{Path, Relay};
use crate::client::sessions::closes::SessionClose;
use crate::config::RelayOptions;
use crate::id::{FlowId, RelayId};
use crate::wire::{self, Op};

/// Bytes of one turn of the deficit round robin.
const QUANTUM: usize = 64 * 1024;

/// A flow that wants to send no more than this goes before bulk flows.
const SMALL: usize = 16 * 1024;

/// Overhead of an op beside its base64: keys, numbers, and a session id with every character escaped.
const OP_OVERHEAD: usize = 512;

/// The class of a batch. Ops of different classes never share one, so none is delayed by another class
/// (protocol.md 2.5 "Batches").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// Opens: each may wait for a dead target.
    Connect,
    /// Ops that carry bytes, and closes.
    Payload,
    /// Polls of idle sessions, or of sessions with bulk downlink.
    Poll(Polling),
    /// Closes and probes only.
    Control,
}

/// The class of a poll, which decides the batches that it may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Polling {
    Idle,
    Bulk,
}

/// A send queue of flows, in turn order. An entry may be stale, so whoever takes it asks the flow again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum SendQueue {
    Connect,
    Payload,
    Poll(Polling),
}

/// The receiver of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum OpOwner {
    Flow(FlowId),
    /// Nobody: the op closes a session.
    Close(SessionClose),
    /// The relays: the op asks whether `seq` passes.
    Probe,
}

/// An op, and the receiver of its reply.
#[derive(Clone, Debug, Hash)]
pub(in crate::client) struct SentOp {
    pub(super) op: Op,
    pub(super) owner: OpOwner,
}

/// A batch under way, with everything needed to send its ops again.
#[derive(Clone, Debug, Hash)]
pub(in crate::client) struct SentBatch {
    class: Class,
    ops: Vec<SentOp>,
}

impl SentBatch {
    pub(super) const fn class(&self) -> Class {
        self.class
    }

    pub(in crate::client) fn ops(&self) -> &[SentOp] {
        &self.ops
    }

    pub(super) fn into_ops(self) -> Vec<SentOp> {
        self.ops
    }

    /// The path that the relay had to offer.
    pub(super) fn path(&self) -> Path {
        let sequenced =
            |sent: &SentOp| sent.owner != OpOwner::Probe && matches!(sent.op, Op::Data { seq: Some(_), .. });
        if self.ops.iter().any(sequenced) { Path::Sequenced } else { Path::Any }
    }

    /// Whether the batch is a probe for `seq`.
    pub(super) fn is_probe(&self) -> bool {
        self.ops.iter().any(|sent| sent.owner == OpOwner::Probe)
    }
}

/// A flow that takes part in a batch.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) flow: FlowId,
    /// Bytes that the flow could send.
    pub(super) wanted: usize,
    /// The rest of a turn that the end of the last batch cut short; after sharing, of this batch.
    pub(super) deficit: usize,
    /// Bytes that it may put into this batch.
    pub(super) granted: usize,
    /// The batch was full before its turn was over: the flow comes first in the next one.
    pub(super) cut_short: bool,
}

impl Share {
    /// A turn of the deficit round robin: a quantum, or what is left of one.
    fn turn(&mut self, room: &mut usize, most: usize) {
        let missing = self.wanted.min(most).saturating_sub(self.granted);
        self.cut_short = missing > 0 && *room == 0;
        if missing == 0 || *room == 0 {
            return;
        }
        if self.deficit == 0 {
            self.deficit = QUANTUM;
        }
        let piece = missing.min(self.deficit).min(*room);
        self.granted = self.granted.saturating_add(piece);
        *room = room.saturating_sub(piece);
        self.cut_short = piece < missing.min(self.deficit);
        // Unused turns are not saved up.
        self.deficit = if self.cut_short { self.deficit.saturating_sub(piece) } else { 0 };
    }
}

/// Divides `room` bytes among the flows: small writes first and whole, the rest by deficit round robin in
/// the order given. No flow gets more than `most`, which is what one op carries.
pub(super) fn share(shares: &mut [Share], mut room: usize, most: usize) {
    shares.sort_by_key(|share| share.wanted > SMALL);
    let bulk = shares.partition_point(|share| share.wanted <= SMALL);
    let (small, bulk) = shares.split_at_mut(bulk);
    for share in small {
        let wanted = share.wanted.min(most);
        share.granted = wanted.min(room);
        share.cut_short = share.granted < wanted;
        room = room.saturating_sub(share.granted);
    }
    loop {
        let before = room;
        for share in bulk.iter_mut() {
            share.turn(&mut room, most);
        }
        if room == 0 || room == before {
            return;
        }
    }
}

/// A batch under assembly, for one relay.
#[derive(Debug)]
pub(super) struct Batch {
    relay: RelayId,
    /// The path that the relay offers.
    carries: Path,
    ops: Vec<SentOp>,
    body_len: usize,
    max_len: usize,
    max_ops: usize,
}

impl Batch {
    /// An empty batch for this relay.
    pub(super) fn new(relay: &Relay, max_ops: usize) -> Self {
        let RelayOptions { form, key, .. } = relay.options();
        Self {
            relay: relay.id(),
            carries: relay.carries(),
            ops: Vec::new(),
            body_len: wire::request_overhead(*form, key),
            max_len: relay.passes().max_body(),
            max_ops,
        }
    }

    pub(super) const fn relay(&self) -> RelayId {
        self.relay
    }

    pub(super) const fn carries(&self) -> Path {
        self.carries
    }

    /// Payload bytes that `ops` more ops could carry together.
    pub(super) fn room(&self, ops: usize) -> usize {
        let free = self.max_len.saturating_sub(self.body_len).saturating_sub(OP_OVERHEAD.saturating_mul(ops));
        (free / 4).saturating_mul(3)
    }

    /// Whether one op more may join.
    pub(super) fn has_place(&self) -> bool {
        self.ops.len() < self.max_ops
    }

    /// Whether `op` may join. The first one always may: no other batch has more room.
    pub(super) fn fits(&self, op: &Op) -> bool {
        let len = self.body_len.saturating_add(op.encoded_len());
        self.ops.is_empty() || (self.has_place() && len <= self.max_len)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The number of ops.
    pub(super) const fn len(&self) -> usize {
        self.ops.len()
    }

    /// The batch is complete and goes out.
    pub(super) fn send(self, class: Class) -> SentBatch {
        SentBatch { class, ops: self.ops }
    }

    /// Adds an op.
    pub(super) fn push(&mut self, owner: OpOwner, op: Op) {
        self.body_len = self.body_len.saturating_add(op.encoded_len());
        self.ops.push(SentOp { op, owner });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(wanted: &[usize]) -> Vec<Share> {
        (0..)
            .zip(wanted)
            .map(|(id, &wanted)| Share {
                flow: FlowId::new(id),
                wanted,
                deficit: 0,
                granted: 0,
                cut_short: false,
            })
            .collect()
    }

    fn granted(shares: &[Share]) -> Vec<usize> {
        let mut sorted = shares.to_vec();
        sorted.sort_by_key(|share| share.flow);
        sorted.iter().map(|share| share.granted).collect()
    }

    #[test]
    fn small_writes_go_first_and_whole() {
        let mut all = shares(&[10 << 20, 100, 10 << 20, 16 * 1024]);
        share(&mut all, 200_000, 1 << 20);
        let granted = granted(&all);
        assert_eq!((granted[1], granted[3]), (100, 16 * 1024));
        assert_eq!(granted.iter().sum::<usize>(), 200_000);
    }

    #[test]
    fn bulk_flows_share_evenly() {
        let mut all = shares(&[10 << 20, 10 << 20, 10 << 20, 10 << 20]);
        share(&mut all, 1 << 20, 1 << 20);
        assert_eq!(granted(&all), [256 * 1024; 4]);
    }

    #[test]
    fn a_lone_flow_gets_everything_up_to_one_op() {
        let mut all = shares(&[10 << 20]);
        share(&mut all, 4 << 20, 1 << 20);
        assert_eq!(granted(&all), [1 << 20]);
    }

    #[test]
    fn a_flow_whose_turn_the_batch_cut_short_gets_the_rest_of_it_and_no_more() {
        let mut all = shares(&[10 << 20; 3]);
        share(&mut all, QUANTUM + 1000, 1 << 20);
        assert_eq!(granted(&all), [QUANTUM, 1000, 0]);
        let cut_short: Vec<_> = all.iter().map(|share| (share.cut_short, share.deficit)).collect();
        assert_eq!(cut_short, [(false, 0), (true, QUANTUM - 1000), (true, 0)]);
        all.rotate_left(1);
        all.iter_mut().for_each(|share| share.granted = 0);
        share(&mut all, 2 * QUANTUM, 1 << 20);
        assert_eq!(granted(&all), [1000, QUANTUM - 1000, QUANTUM]);
    }

    #[test]
    fn nobody_gets_more_than_there_is() {
        let mut all = shares(&[16 * 1024; 10]);
        share(&mut all, 20_000, 1 << 20);
        assert_eq!(granted(&all).iter().sum::<usize>(), 20_000);
    }
}
