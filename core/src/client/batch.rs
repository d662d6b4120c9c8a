//! Batch assembly: which flows share a call, and how many bytes each of them may put into it.

use alloc::vec::Vec;

use crate::client::exchange::{OpOwner, Sent};
use crate::config::RelayOptions;
use crate::id::StreamId;
use crate::wire::{self, Op};

/// Bytes of one turn of the deficit round robin.
const QUANTUM: usize = 64 * 1024;

/// A flow that wants to send no more than this goes before those that send much.
const SMALL: usize = 16 * 1024;

/// What an op costs beside its base64: keys, numbers, and a session id of which every character is escaped.
const OP_OVERHEAD: usize = 512;

/// A flow that takes part in a batch.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) stream: StreamId,
    /// Bytes that the flow could send.
    pub(super) wanted: usize,
    /// Its deficit, before and after.
    pub(super) deficit: usize,
    /// Bytes that it may put into this batch.
    pub(super) granted: usize,
}

/// Divides `room` bytes among the flows: small writes first and whole, the rest by deficit round robin.
/// No flow gets more than `most`, which is what one op carries.
pub(super) fn share(shares: &mut [Share], mut room: usize, most: usize) {
    shares.sort_by_key(|share| share.wanted > SMALL);
    for share in shares.iter_mut().filter(|share| share.wanted <= SMALL) {
        share.granted = share.wanted.min(most).min(room);
        room = room.saturating_sub(share.granted);
    }
    let mut active = true;
    while active && room > 0 {
        active = false;
        for share in shares.iter_mut().filter(|share| share.wanted > SMALL) {
            let missing = share.wanted.min(most).saturating_sub(share.granted);
            if missing == 0 {
                continue;
            }
            share.deficit = share.deficit.saturating_add(QUANTUM);
            let piece = missing.min(share.deficit).min(room);
            share.granted = share.granted.saturating_add(piece);
            share.deficit = share.deficit.saturating_sub(piece);
            room = room.saturating_sub(piece);
            active = true;
        }
    }
    for share in shares.iter_mut() {
        // Unused turns are not saved up: a flow that could not use its turn does not get it later.
        share.deficit = if share.granted >= share.wanted { 0 } else { share.deficit.min(QUANTUM) };
    }
}

/// A batch that is being put together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) ops: Vec<Sent>,
    len: usize,
    max_len: usize,
    max_ops: usize,
}

impl Batch {
    /// An empty batch for this relay.
    pub(super) fn new(relay: &RelayOptions, max_body: usize, max_ops: usize) -> Self {
        let len = wire::request_overhead(relay.form, &relay.key);
        Self { ops: Vec::new(), len, max_len: max_body, max_ops }
    }

    /// Payload bytes that `ops` more ops could carry together.
    pub(super) fn room(&self, ops: usize) -> usize {
        let free = self.max_len.saturating_sub(self.len).saturating_sub(OP_OVERHEAD.saturating_mul(ops));
        (free / 4).saturating_mul(3)
    }

    /// Whether one op more may join.
    pub(super) fn has_place(&self) -> bool {
        self.ops.len() < self.max_ops.saturating_add(usize::from(planted!(Overfull)))
    }

    pub(super) fn push(&mut self, owner: OpOwner, op: Op) {
        self.len = self.len.saturating_add(op.encoded_len());
        self.ops.push(Sent { op, owner });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(wanted: &[usize]) -> Vec<Share> {
        (0..)
            .zip(wanted)
            .map(|(id, &wanted)| Share { stream: StreamId::new(id), wanted, deficit: 0, granted: 0 })
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
    fn what_a_flow_missed_it_gets_in_the_next_batch() {
        let mut totals = [0; 3];
        let mut all = shares(&[100 << 20; 3]);
        for _ in 0..300 {
            for share in &mut all {
                share.granted = 0;
            }
            share(&mut all, 100_000, 1 << 20);
            for one in &all {
                totals[one.stream.number() as usize] += one.granted;
            }
            all.rotate_left(1);
        }
        let (least, most) = (totals.iter().min().unwrap(), totals.iter().max().unwrap());
        assert!(most - least <= 2 * QUANTUM, "{totals:?}");
    }

    #[test]
    fn nobody_gets_more_than_there_is() {
        let mut all = shares(&[16 * 1024; 10]);
        share(&mut all, 20_000, 1 << 20);
        assert_eq!(granted(&all).iter().sum::<usize>(), 20_000);
    }
}
