//! Peers that keep no rule: nothing panics, and nothing is kept beyond the credit.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use super::{exchange, seq};
use crate::Seq;
use crate::connection::stream::recv::RecvHalf;
use crate::connection::stream::send::SendHalf;

/// Small numbers, and numbers from everywhere.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..8_u64, 1 => 4_090..4_100_u64, 1 => any::<u64>()]
}

proptest! {
    #[test]
    fn whatever_chunks_come_no_more_is_kept_than_was_promised(
        window in 1..64_u64,
        chunks in vec_of((number(), any::<bool>(), 0..40_usize, 0..40_usize), 0..60),
    ) {
        let mut half = RecvHalf::new(window);
        let mut limit = window;
        let mut taken = 0;
        for (number, fin, len, take) in chunks {
            // A violation fails the client: no chunk comes after it.
            if half.receive(seq(number), fin, Bytes::from(vec![0; len])).is_err() {
                break;
            }
            while half.deliver().is_some() {}
            let take = take.min(half.untaken());
            half.take(take).unwrap();
            taken += take;
            prop_assert!((half.waiting() + half.untaken() + taken) as u64 <= limit);
            if half.is_window_due() {
                limit = half.put_window(exchange(number));
                prop_assert_eq!(limit, taken as u64 + window);
            }
        }
    }

    #[test]
    fn whatever_is_acknowledged_or_promised_no_byte_is_freed_that_was_not_sent(
        events in vec_of((0..5_u8, number(), 0..40_usize), 0..60),
    ) {
        let mut half = SendHalf::new(20);
        let mut sent: Vec<usize> = Vec::new();
        let mut acknowledged = Seq::ZERO;
        for (event, number, len) in events {
            match event {
                0 => half.write(Bytes::from(vec![0; len])).unwrap(),
                1 => half.window(number),
                2 => {
                    let chunk = half.next(exchange(number), len);
                    sent.extend(chunk.filter(|chunk| chunk.first).map(|chunk| chunk.len));
                }
                3 => {
                    half.lost(seq(number), exchange(number));
                    half.acked(seq(number));
                }
                _ => {
                    let below = |seq: Seq| sent.iter().take(usize::try_from(seq.number()).unwrap()).sum::<usize>();
                    let known = usize::try_from(number).is_ok_and(|number| number <= sent.len());
                    match half.acknowledge(seq(number)) {
                        Ok(freed) => {
                            prop_assert!(known);
                            let next = acknowledged.max(seq(number));
                            prop_assert_eq!(freed, below(next) - below(acknowledged));
                            acknowledged = next;
                        }
                        Err(_) => prop_assert!(!known),
                    }
                }
            }
            half.assert_consistent();
        }
    }
}
