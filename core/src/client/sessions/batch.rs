//! Batch assembly: which flows share a call, and how many bytes each of them may put into it.

use alloc::vec::Vec;

use crate::client::calls::{OpOwner, Sent};
use crate::client::relays::Path;
use crate::config::RelayOptions;
use crate::id::{FlowId, RelayId};
use crate::wire::{self, Op};

/// Bytes of one turn of the deficit round robin.
const QUANTUM: usize = 64 * 1024;

/// A flow that wants to send no more than this goes before those that send much.
const SMALL: usize = 16 * 1024;

/// What an op costs beside its base64: keys, numbers, and a session id of which every character is escaped.
const OP_OVERHEAD: usize = 512;

/// A flow that takes part in a batch.
#[derive(Clone, Debug)]
pub(in crate::client) struct Share {
    pub(in crate::client) stream: FlowId,
    /// Bytes that the flow could send.
    pub(in crate::client) wanted: usize,
    /// What is left of a turn that the end of a batch cut short, before and after.
    pub(in crate::client) deficit: usize,
    /// Bytes that it may put into this batch.
    pub(in crate::client) granted: usize,
    /// The batch was full before its turn came or was over: it comes first in the next one.
    pub(in crate::client) owed: bool,
}

impl Share {
    /// A turn of the deficit round robin: a quantum, or what is left of one.
    fn turn(&mut self, room: &mut usize, most: usize) {
        let missing = self.wanted.min(most).saturating_sub(self.granted);
        self.owed = missing > 0 && *room == 0;
        if missing == 0 || *room == 0 {
            return;
        }
        if self.deficit == 0 {
            self.deficit = QUANTUM;
        }
        let piece = missing.min(self.deficit).min(*room);
        self.granted = self.granted.saturating_add(piece);
        *room = room.saturating_sub(piece);
        self.owed = piece < missing.min(self.deficit);
        // Unused turns are not saved up: a flow that could not use its turn does not get it later.
        self.deficit = if self.owed { self.deficit.saturating_sub(piece) } else { 0 };
    }
}

/// Divides `room` bytes among the flows: small writes first and whole, the rest by deficit round robin in
/// the order given. No flow gets more than `most`, which is what one op carries.
pub(in crate::client) fn share(shares: &mut [Share], mut room: usize, most: usize) {
    shares.sort_by_key(|share| share.wanted > SMALL);
    let bulk = shares.partition_point(|share| share.wanted <= SMALL);
    let (small, bulk) = shares.split_at_mut(bulk);
    for share in small {
        let wanted = share.wanted.min(most);
        share.granted = wanted.min(room);
        share.owed = share.granted < wanted;
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

/// A batch that is being put together.
#[derive(Debug)]
pub(in crate::client) struct Batch {
    pub(in crate::client) ops: Vec<Sent>,
    len: usize,
    max_len: usize,
    max_ops: usize,
}

impl Batch {
    /// An empty batch for this relay.
    pub(in crate::client) fn new(relay: &RelayOptions, max_body: usize, max_ops: usize) -> Self {
        let len = wire::request_overhead(relay.form, &relay.key);
        Self { ops: Vec::new(), len, max_len: max_body, max_ops }
    }

    /// Payload bytes that `ops` more ops could carry together.
    pub(in crate::client) fn room(&self, ops: usize) -> usize {
        let free = self.max_len.saturating_sub(self.len).saturating_sub(OP_OVERHEAD.saturating_mul(ops));
        (free / 4).saturating_mul(3)
    }

    /// Whether one op more may join.
    pub(in crate::client) fn has_place(&self) -> bool {
        self.ops.len() < self.max_ops.saturating_add(usize::from(planted!(Overfull)))
    }

    /// Whether `op` may join: the first one always may, since it cannot be helped.
    pub(in crate::client) fn fits(&self, op: &Op) -> bool {
        let len = self.len.saturating_add(op.encoded_len());
        self.ops.is_empty() || (self.has_place() && len <= self.max_len)
    }

    pub(in crate::client) fn push(&mut self, owner: OpOwner, op: Op) {
        self.len = self.len.saturating_add(op.encoded_len());
        self.ops.push(Sent { op, owner });
    }
}

/// A batch that has its relay.
#[derive(Debug)]
pub(in crate::client) struct Draft {
    pub(in crate::client) relay: RelayId,
    /// What the relay is good for.
    pub(in crate::client) carries: Path,
    pub(in crate::client) batch: Batch,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(wanted: &[usize]) -> Vec<Share> {
        (0..)
            .zip(wanted)
            .map(|(id, &wanted)| Share {
                stream: FlowId::new(id),
                wanted,
                deficit: 0,
                granted: 0,
                owed: false,
            })
            .collect()
    }

    fn granted(shares: &[Share]) -> Vec<usize> {
        let mut sorted = shares.to_vec();
        sorted.sort_by_key(|share| share.stream);
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
    fn a_flow_whose_turn_the_batch_cut_short_is_owed_the_rest_of_it_and_no_more() {
        let mut all = shares(&[10 << 20; 3]);
        share(&mut all, QUANTUM + 1000, 1 << 20);
        assert_eq!(granted(&all), [QUANTUM, 1000, 0]);
        let owed: Vec<_> = all.iter().map(|share| (share.owed, share.deficit)).collect();
        assert_eq!(owed, [(false, 0), (true, QUANTUM - 1000), (true, 0)]);
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
