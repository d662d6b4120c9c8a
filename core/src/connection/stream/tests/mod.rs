//! The halves of a direction, alone and joined.

use bytes::Bytes;

use crate::Seq;
use crate::connection::stream::send::SendHalf;
use crate::wire::number::ExchangeNumber;

mod hostile;
mod joined;
mod receiving;
mod sending;

const ROOM: usize = usize::MAX;

fn exchange(number: u64) -> ExchangeNumber {
    ExchangeNumber::new(number)
}

fn seq(number: u64) -> Seq {
    Seq::new(number)
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from(text)
}

/// A chunk, its bytes joined.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    seq: u64,
    fin: bool,
    bytes: Bytes,
}

fn sent(seq: u64, text: &'static str) -> Option<Sent> {
    Some(Sent { seq, fin: false, bytes: bytes(text) })
}

fn sent_end(seq: u64, text: &'static str) -> Option<Sent> {
    Some(Sent { seq, fin: true, bytes: bytes(text) })
}

fn next(half: &mut SendHalf, by: u64, room: usize) -> Option<Sent> {
    half.next(exchange(by), room).map(|chunk| {
        let bytes: alloc::vec::Vec<u8> = chunk.slices.flatten().copied().collect();
        assert_eq!(bytes.len(), chunk.len);
        Sent { seq: chunk.seq.number(), fin: chunk.fin, bytes: bytes.into() }
    })
}

#[cfg(feature = "model")]
mod fingerprints {
    use core::hash::{Hash, Hasher};

    use super::*;
    use crate::connection::stream::recv::RecvHalf;
    use crate::fingerprint::Fnv;

    fn print(half: &impl Hash) -> u64 {
        let mut hasher = Fnv::default();
        half.hash(&mut hasher);
        hasher.finish()
    }

    fn sender(by: u64, text: &'static str) -> SendHalf {
        let mut half = SendHalf::new(10);
        half.write(bytes(text)).unwrap();
        next(&mut half, by, 2);
        half
    }

    #[test]
    fn what_is_kept_and_what_carries_it_matters() {
        assert_eq!(print(&sender(1, "abc")), print(&sender(1, "abc")));
        assert_ne!(print(&sender(1, "abc")), print(&sender(2, "abc")));
        assert_ne!(print(&sender(1, "abc")), print(&sender(1, "abd")));
        let mut arrived = sender(1, "abc");
        arrived.acked(seq(0));
        let mut lost = sender(1, "abc");
        lost.lost(seq(0), exchange(1));
        assert_ne!(print(&arrived), print(&lost));
    }

    #[test]
    fn what_waits_and_what_is_owed_matters() {
        let mut half = RecvHalf::new(10);
        let before = print(&half);
        half.receive(seq(1), false, bytes("b")).unwrap();
        let waiting = print(&half);
        half.receive(seq(1), false, bytes("b")).unwrap();
        let owing = print(&half);
        assert!(before != waiting && waiting != owing);
    }
}
