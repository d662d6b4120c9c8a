//! The sending half.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{ROOM, bytes, exchange, next, sent, sent_end, seq};
use crate::Misuse;
use crate::connection::stream::send::{SendHalf, SendState};
use crate::connection::stream::violation::{MAX_AHEAD, Violation};
use crate::wire::frame::{DataHead, MAX_CHUNK};
use crate::wire::number::StreamNumber;

/// A half in each state. `Open`, `Ending` and `Sent` have chunk 0 under way in exchange 1; `Ending` has a byte more
/// that lacks credit.
fn in_state(state: SendState) -> SendHalf {
    let mut half = SendHalf::new(3);
    half.write(bytes("abc")).unwrap();
    match state {
        SendState::Open => assert_eq!(next(&mut half, 1, ROOM), sent(0, "abc")),
        SendState::Ending => {
            half.write(bytes("d")).unwrap();
            half.finish().unwrap();
            assert_eq!(next(&mut half, 1, ROOM), sent(0, "abc"));
        }
        SendState::Sent | SendState::Finished => {
            half.finish().unwrap();
            assert_eq!(next(&mut half, 1, ROOM), sent_end(0, "abc"));
            if state == SendState::Finished {
                half.acknowledge(seq(1)).unwrap();
            }
        }
    }
    assert_eq!(half.state(), state);
    half
}

const STATES: [SendState; 4] = [SendState::Open, SendState::Ending, SendState::Sent, SendState::Finished];

/// What an event did, in words that a table can compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Done,
    AfterFin,
    Freed(usize),
    AckOfUnsent,
    Chunk(u64),
    Nothing,
}

fn misuse(result: Result<(), Misuse>) -> Did {
    match result {
        Ok(()) => Did::Done,
        Err(Misuse::AfterFin) => Did::AfterFin,
        Err(other) => panic!("{other}"),
    }
}

fn freed(result: Result<usize, Violation>) -> Did {
    match result {
        Ok(freed) => Did::Freed(freed),
        Err(Violation::AckOfUnsent) => Did::AckOfUnsent,
        Err(other) => panic!("{other}"),
    }
}

fn chunk(half: &mut SendHalf) -> Did {
    next(half, 2, ROOM).map_or(Did::Nothing, |sent| Did::Chunk(sent.seq))
}

type Event = (&'static str, fn(&mut SendHalf) -> Did, [(Did, SendState); 4]);

#[test]
fn every_state_takes_every_event() {
    use Did::*;
    use SendState::{Ending, Finished, Open, Sent};
    let stays = |did: [Did; 4]| [(did[0], Open), (did[1], Ending), (did[2], Sent), (did[3], Finished)];
    let events: [Event; 11] = [
        ("write", |half| misuse(half.write(bytes("x"))), stays([Done, AfterFin, AfterFin, AfterFin])),
        (
            "finish",
            |half| misuse(half.finish()),
            [(Done, Ending), (AfterFin, Ending), (AfterFin, Sent), (AfterFin, Finished)],
        ),
        ("next", chunk, stays([Nothing; 4])),
        (
            "window, next",
            |half| {
                half.window(4);
                chunk(half)
            },
            [(Nothing, Open), (Chunk(1), Sent), (Nothing, Sent), (Nothing, Finished)],
        ),
        (
            "lost, next",
            |half| {
                half.lost(seq(0), exchange(1));
                chunk(half)
            },
            stays([Chunk(0), Chunk(0), Chunk(0), Nothing]),
        ),
        (
            "lost in another exchange, next",
            |half| {
                half.lost(seq(0), exchange(0));
                chunk(half)
            },
            stays([Nothing; 4]),
        ),
        (
            "arrived, lost, next",
            |half| {
                half.acked(seq(0));
                half.lost(seq(0), exchange(1));
                chunk(half)
            },
            stays([Nothing; 4]),
        ),
        ("acknowledge nothing", |half| freed(half.acknowledge(seq(0))), stays([Freed(0); 4])),
        (
            "acknowledge",
            |half| freed(half.acknowledge(seq(1))),
            [(Freed(3), Open), (Freed(3), Ending), (Freed(3), Finished), (Freed(0), Finished)],
        ),
        (
            "acknowledge what was not sent",
            |half| freed(half.acknowledge(seq(2))),
            stays([AckOfUnsent, AckOfUnsent, AckOfUnsent, AckOfUnsent]),
        ),
        (
            "repeat",
            |half| half.repeat(seq(0), exchange(2), ROOM).map_or(Nothing, |sent| Chunk(sent.seq.number())),
            stays([Chunk(0), Chunk(0), Chunk(0), Nothing]),
        ),
    ];
    for (name, event, expected) in events {
        for (state, expected) in STATES.into_iter().zip(expected) {
            let mut half = in_state(state);
            let did = event(&mut half);
            assert_eq!((did, half.state()), expected, "{state:?}, {name}");
            half.assert_consistent();
        }
    }
}

#[test]
fn chunks_are_cut_to_the_room_when_first_sent_and_never_again() {
    let mut half = SendHalf::new(100);
    half.write(bytes("abcdefgh")).unwrap();
    assert_eq!(next(&mut half, 1, 3), sent(0, "abc"));
    assert_eq!(next(&mut half, 1, 4), sent(1, "defg"));
    assert!(half.lost(seq(0), exchange(1)));
    assert!(half.lost(seq(1), exchange(1)));
    assert_eq!(next(&mut half, 2, 2), None, "a chunk that was cut is not cut to fit");
    assert_eq!(next(&mut half, 2, 3), sent(0, "abc"));
    assert_eq!(next(&mut half, 2, ROOM), sent(1, "defg"));
    assert_eq!(next(&mut half, 2, ROOM), sent(2, "h"));
}

#[test]
fn a_chunk_has_at_most_64_kib() {
    let mut half = SendHalf::new(u64::MAX);
    half.write(Bytes::from(vec![7; MAX_CHUNK + 1])).unwrap();
    let lens = [next(&mut half, 1, ROOM), next(&mut half, 1, ROOM)].map(|sent| sent.unwrap().bytes.len());
    assert_eq!(lens, [MAX_CHUNK, 1]);
}

#[test]
fn credit_bounds_what_is_cut_and_not_what_is_sent_again() {
    let mut half = SendHalf::new(2);
    half.write(bytes("abcd")).unwrap();
    assert_eq!(next(&mut half, 1, ROOM), sent(0, "ab"));
    assert!(half.is_blocked() && !half.is_ready());
    half.lost(seq(0), exchange(1));
    assert_eq!(next(&mut half, 2, ROOM), sent(0, "ab"));
    assert_eq!(next(&mut half, 2, ROOM), None);
    half.window(3);
    half.window(1);
    assert_eq!(next(&mut half, 2, ROOM), sent(1, "c"), "credit is never taken back");
}

#[test]
fn an_end_without_bytes_needs_no_credit() {
    let mut half = SendHalf::new(1);
    half.write(bytes("a")).unwrap();
    assert_eq!(next(&mut half, 1, ROOM), sent(0, "a"));
    half.finish().unwrap();
    assert!(half.is_ready());
    assert_eq!(half.sendable(), 0);
    assert_eq!(next(&mut half, 1, 0), sent_end(1, ""));
    assert_eq!(next(&mut half, 1, ROOM), None);
}

#[test]
fn an_end_waits_for_the_bytes_before_it() {
    let mut half = SendHalf::new(1);
    half.write(bytes("ab")).unwrap();
    half.finish().unwrap();
    assert_eq!(next(&mut half, 1, ROOM), sent(0, "a"));
    assert_eq!(next(&mut half, 1, ROOM), None);
    half.window(2);
    assert_eq!(next(&mut half, 1, ROOM), sent_end(1, "b"));
}

#[test]
fn only_the_last_carrier_makes_a_chunk_sendable_again() {
    let mut half = SendHalf::new(10);
    half.write(bytes("a")).unwrap();
    next(&mut half, 1, ROOM);
    assert!(half.lost(seq(0), exchange(1)));
    assert_eq!(next(&mut half, 2, ROOM), sent(0, "a"));
    assert!(!half.lost(seq(0), exchange(1)), "exchange 2 carries it now");
    assert!(half.lost(seq(0), exchange(2)));
    assert!(!half.lost(seq(0), exchange(2)), "it is lost already");
}

#[test]
fn a_chunk_that_arrived_in_any_exchange_is_not_sent_again() {
    let mut half = SendHalf::new(10);
    half.write(bytes("a")).unwrap();
    next(&mut half, 1, ROOM);
    half.lost(seq(0), exchange(1));
    half.acked(seq(0));
    assert_eq!(next(&mut half, 2, ROOM), None);
    assert_eq!(half.buffered(), 1, "it is kept until it is taken");
}

#[test]
fn what_is_lost_goes_first_and_in_order() {
    let mut half = SendHalf::new(10);
    half.write(bytes("abcdef")).unwrap();
    for _ in 0..4 {
        next(&mut half, 1, 1);
    }
    for lost in [2, 0, 3] {
        half.lost(seq(lost), exchange(1));
    }
    assert_eq!(half.sendable(), 5);
    for (number, text) in [(0, "a"), (2, "c"), (3, "d"), (4, "ef")] {
        assert_eq!(next(&mut half, 2, ROOM), sent(number, text));
    }
}

#[test]
fn an_acknowledgement_frees_its_chunks_and_what_they_owed() {
    let mut half = SendHalf::new(10);
    half.write(bytes("abc")).unwrap();
    for _ in 0..3 {
        next(&mut half, 1, 1);
    }
    half.lost(seq(0), exchange(1));
    half.lost(seq(2), exchange(1));
    assert_eq!(half.acknowledge(seq(2)), Ok(2));
    assert_eq!(half.buffered(), 1);
    assert_eq!(next(&mut half, 2, ROOM), sent(2, "c"));
    assert_eq!(half.acknowledge(seq(1)), Ok(0), "one that was overtaken says nothing new");
    half.assert_consistent();
}

#[test]
fn no_more_chunks_are_out_than_the_peer_must_keep() {
    let mut half = SendHalf::new(u64::MAX);
    half.write(Bytes::from(vec![7; MAX_AHEAD + 1])).unwrap();
    half.finish().unwrap();
    for number in 0..MAX_AHEAD {
        assert_eq!(next(&mut half, 1, 1).unwrap().seq, number as u64);
    }
    assert_eq!(next(&mut half, 1, 1), None);
    assert!(half.is_blocked() && !half.is_ready());
    half.acknowledge(seq(1)).unwrap();
    assert!(next(&mut half, 1, 1).unwrap().fin);
}

#[test]
fn a_chunk_is_sent_from_the_buffer_that_was_written() {
    let written = Bytes::from(vec![7; 5_000]);
    let mut half = SendHalf::new(u64::MAX);
    half.write(written.clone()).unwrap();
    let mut chunk = half.next(exchange(1), 3_000).unwrap();
    assert_eq!(chunk.slices.next().unwrap().as_ptr(), written.as_ptr());
    assert!(chunk.first);
    half.lost(seq(0), exchange(1));
    assert!(!half.next(exchange(2), 3_000).unwrap().first);
}

#[test]
fn only_small_writes_that_follow_waiting_bytes_are_joined() {
    let first = Bytes::from(vec![b'a'; 3]);
    let mut half = SendHalf::new(u64::MAX);
    half.write(first.clone()).unwrap();
    half.write(bytes("b")).unwrap();
    half.write(bytes("c")).unwrap();
    let chunk = half.next(exchange(1), ROOM).unwrap();
    let slices: Vec<_> = chunk.slices.collect();
    assert_eq!(slices, [b"aaa".as_slice(), b"bc"]);
    assert_eq!(slices[0].as_ptr(), first.as_ptr());
}

#[test]
fn the_length_of_the_next_chunk_is_known_before() {
    let mut half = SendHalf::new(3);
    assert_eq!(half.next_len(), 0);
    half.write(Bytes::from(vec![7; MAX_CHUNK + 7])).unwrap();
    assert_eq!(half.next_len(), 3, "no more than there is credit for");
    next(&mut half, 1, 2);
    next(&mut half, 1, 1);
    half.window(u64::MAX);
    assert_eq!(half.next_len(), MAX_CHUNK);
    half.lost(seq(1), exchange(1));
    assert_eq!(half.next_len(), 1, "what was lost goes first");
    half.lost(seq(0), exchange(1));
    assert_eq!(half.next_len(), 2);
}

#[test]
fn an_end_without_bytes_that_was_lost_goes_again() {
    let mut half = SendHalf::new(1);
    half.finish().unwrap();
    assert_eq!(next(&mut half, 1, ROOM), sent_end(0, ""));
    assert!(!half.is_ready() && !half.has_lost());
    half.lost(seq(0), exchange(1));
    assert!(half.is_ready() && half.has_lost());
    assert_eq!(next(&mut half, 2, ROOM), sent_end(0, ""));
}

#[test]
fn an_end_without_bytes_waits_until_one_more_chunk_may_be_out() {
    let mut half = SendHalf::new(u64::MAX);
    half.write(Bytes::from(vec![7; MAX_AHEAD])).unwrap();
    while next(&mut half, 1, 1).is_some() {}
    half.finish().unwrap();
    assert!(!half.is_ready() && !half.is_blocked());
    half.acknowledge(seq(1)).unwrap();
    assert!(half.is_ready());
    assert_eq!(next(&mut half, 1, 1), sent_end(MAX_AHEAD as u64, ""));
}

#[test]
fn nothing_is_ready_before_it_is_written_or_without_credit() {
    let mut half = SendHalf::new(0);
    assert!(!half.is_ready() && !half.is_blocked());
    half.write(bytes("ab")).unwrap();
    half.finish().unwrap();
    assert!(!half.is_ready() && half.is_blocked());
    half.window(1);
    assert!(half.is_ready() && !half.is_blocked());
    assert_eq!(half.sendable(), 1);
}

#[test]
fn a_chunk_has_a_carrier_until_it_is_lost_or_has_arrived() {
    let mut half = SendHalf::new(10);
    half.write(bytes("ab")).unwrap();
    next(&mut half, 1, 1);
    next(&mut half, 2, 1);
    assert_eq!([half.carrier(seq(0)), half.carrier(seq(1))], [Some(exchange(1)), Some(exchange(2))]);
    half.lost(seq(0), exchange(1));
    half.acked(seq(1));
    assert_eq!([0, 1, 2].map(|number| half.carrier(seq(number))), [None; 3]);
}

#[test]
fn another_copy_of_an_answer_has_its_chunks_until_they_are_acknowledged() {
    let mut half = SendHalf::new(10);
    half.write(bytes("ab")).unwrap();
    next(&mut half, 1, 1);
    next(&mut half, 1, 1);
    half.acknowledge(seq(1)).unwrap();
    assert!(half.again(seq(0)).is_none() && half.again(seq(2)).is_none());
    let chunk = half.again(seq(1)).unwrap();
    let stream = StreamNumber::new(5);
    assert_eq!(chunk.head(stream), DataHead { stream, seq: seq(1), fin: false });
    assert_eq!(chunk.slices.collect::<Vec<_>>(), [b"b"]);
    assert!(!chunk.first);
}
