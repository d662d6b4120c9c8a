//! The halves of a direction, alone and joined.

use bytes::Bytes;

use crate::Seq;
use crate::stream::send::SendHalf;
use crate::wire::number::ExchangeNumber;

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
