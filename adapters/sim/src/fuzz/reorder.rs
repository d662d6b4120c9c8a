//! The reorder queue, compared with a map.

use std::collections::BTreeMap;

use seqlane::{Rejected, ReorderLimits, ReorderQueue, Seq};

use crate::FromBytes;

/// Inserts, pops and removals: the queue does what a map with the same limits does.
///
/// # Panics
/// When it does something else.
pub fn reorder(data: &[u8]) {
    let mut decide = FromBytes::new(data);
    let limits = ReorderLimits { items: decide.one_of(9) as usize, bytes: decide.one_of(200) as usize };
    let mut queue = ReorderQueue::new(limits);
    let mut model: BTreeMap<u64, usize> = BTreeMap::new();
    let mut expected = 0_u64;
    for _ in 0..data.len().min(400) {
        let near = (expected + u64::from(decide.one_of(12))).saturating_sub(2);
        match decide.one_of(3) {
            0 => {
                assert_eq!(queue.pop(), model.remove(&expected));
                expected = queue.expected().number();
            }
            1 => assert_eq!(queue.remove(Seq::new(near)), model.remove(&near)),
            _ => insert(&mut queue, &mut model, limits, near, decide.one_of(60) as usize),
        }
        assert_eq!((queue.len(), queue.bytes()), (model.len(), model.values().sum::<usize>()));
    }
}

fn insert(
    queue: &mut ReorderQueue<usize>,
    model: &mut BTreeMap<u64, usize>,
    limits: ReorderLimits,
    seq: u64,
    bytes: usize,
) {
    let expected = queue.expected().number();
    let ahead = seq.saturating_sub(expected) as usize;
    let full = model.values().sum::<usize>() + bytes > limits.bytes || ahead > limits.items;
    let waits = model.contains_key(&seq);
    let outcome = queue.insert(Seq::new(seq), bytes, bytes);
    if seq < expected {
        assert_eq!(outcome, Err(Rejected::Old(bytes)));
    } else if waits {
        assert_eq!(outcome, Err(Rejected::Duplicate(bytes)));
    } else if full && seq != expected {
        assert_eq!(outcome, Err(Rejected::Full(bytes)));
    } else {
        assert_eq!(outcome, Ok(()), "the next expected is always accepted");
        model.insert(seq, bytes);
    }
}
