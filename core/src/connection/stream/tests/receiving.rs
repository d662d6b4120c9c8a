//! The receiving half.

use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{bytes, exchange, seq};
use crate::Misuse;
use crate::connection::pending::Pending;
use crate::connection::stream::recv::{Delivery, RecvHalf, RecvState};
use crate::connection::stream::violation::{MAX_AHEAD, Violation};

const WINDOW: u64 = 8;

/// A half in each state: chunk 0 is `ab`, chunk 1, with the end, `cd`. Neither was taken, unless Finished.
fn in_state(state: RecvState) -> RecvHalf {
    let mut half = RecvHalf::new(WINDOW);
    half.receive(seq(0), false, bytes("ab")).unwrap();
    match state {
        RecvState::Receiving => {}
        RecvState::EndKnown(_) => {
            half.receive(seq(1), true, bytes("cd")).unwrap();
        }
        RecvState::Delivered(_) | RecvState::Finished(_) => {
            half.receive(seq(1), true, bytes("cd")).unwrap();
            while half.deliver().is_some() {}
            if matches!(state, RecvState::Finished(_)) {
                half.take(4).unwrap();
            }
        }
    }
    assert_eq!(half.state(), state);
    settle(&mut half);
    half
}

/// The sender hears everything.
fn settle(half: &mut RecvHalf) {
    half.put_ack(exchange(9));
    half.put_window(exchange(9));
    half.acked(exchange(9));
    assert!(half.ack().is_clear());
}

/// What an event did, in words that a table can compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    New,
    AckOwed,
    Violated(Violation),
    Delivered(&'static str, bool),
    Taken,
    TooMuch,
    Nothing,
}

fn receive(half: &mut RecvHalf, number: u64, fin: bool, text: &'static str) -> Did {
    match half.receive(seq(number), fin, bytes(text)) {
        Ok(true) => Did::New,
        Ok(false) => {
            assert!(half.is_ack_due());
            Did::AckOwed
        }
        Err(violation) => Did::Violated(violation),
    }
}

fn deliver(half: &mut RecvHalf) -> Did {
    match half.deliver() {
        Some(delivery) if delivery.bytes == "ab" => Did::Delivered("ab", delivery.fin),
        Some(delivery) => panic!("{delivery:?}"),
        None => Did::Nothing,
    }
}

type Event = (&'static str, fn(&mut RecvHalf) -> Did, [(Did, RecvState); 4]);

#[test]
fn a_copy_of_a_packet_makes_no_acknowledgement_owed_again_but_what_is_new_in_it_does() {
    let mut half = RecvHalf::new(100);
    half.receive(seq(0), false, bytes("ab")).unwrap();
    half.deliver().unwrap();
    half.take(2).unwrap();
    half.put_ack(exchange(0));
    half.receive_copy(seq(0), false, bytes("ab")).unwrap();
    assert!(!half.is_ack_due());
    half.receive_copy(seq(1), false, bytes("c")).unwrap();
    half.deliver().unwrap();
    half.take(1).unwrap();
    assert!(half.is_ack_due());
}

#[test]
fn every_state_takes_every_event() {
    use Did::{AckOwed, New, Nothing, Taken, TooMuch};
    const END: RecvState = RecvState::EndKnown(seq_1());
    const DELIVERED: RecvState = RecvState::Delivered(seq_1());
    const FINISHED: RecvState = RecvState::Finished(seq_1());
    use RecvState::Receiving;
    let states = [Receiving, END, DELIVERED, FINISHED];
    let moved = Did::Violated(Violation::EndMoved);
    let stays = |did: [Did; 4]| core::array::from_fn(|place| (did[place], states[place]));
    let events: [Event; 8] = [
        ("a new chunk", |half| receive(half, 1, false, "cd"), stays([New, moved, moved, moved])),
        (
            "the end",
            |half| receive(half, 1, true, "cd"),
            [(New, END), (AckOwed, END), (AckOwed, DELIVERED), (AckOwed, FINISHED)],
        ),
        (
            "a chunk that came before",
            |half| receive(half, 0, false, "ab"),
            stays([AckOwed, AckOwed, AckOwed, AckOwed]),
        ),
        (
            "an end where a chunk was",
            |half| receive(half, 0, true, "ab"),
            stays([moved, moved, moved, moved]),
        ),
        ("a chunk behind the end", |half| receive(half, 2, false, "e"), stays([New, moved, moved, moved])),
        (
            "deliver",
            deliver,
            stays([Did::Delivered("ab", false), Did::Delivered("ab", false), Nothing, Nothing]),
        ),
        (
            "take",
            |half| match half.take(4) {
                Ok(()) => Taken,
                Err(Misuse::WrittenTooMuch) => TooMuch,
                Err(other) => panic!("{other}"),
            },
            [(TooMuch, Receiving), (TooMuch, END), (Taken, FINISHED), (TooMuch, FINISHED)],
        ),
        (
            "a chunk beyond the credit",
            |half| receive(half, 3, false, "efghijk"),
            stays([Did::Violated(Violation::CreditExceeded), moved, moved, moved]),
        ),
    ];
    for (name, event, expected) in events {
        for (state, expected) in states.into_iter().zip(expected) {
            let mut half = in_state(state);
            let did = event(&mut half);
            assert_eq!((did, half.state()), expected, "{state:?}, {name}");
        }
    }
}

const fn seq_1() -> crate::Seq {
    crate::Seq::new(1)
}

#[test]
fn chunks_are_delivered_in_order_whatever_their_arrival() {
    let mut half = RecvHalf::new(WINDOW);
    for (number, fin, text) in [(2, true, "c"), (1, false, "b"), (0, false, "a")] {
        assert_eq!(half.deliver(), None);
        assert_eq!(half.receive(seq(number), fin, bytes(text)), Ok(true));
    }
    assert_eq!(half.waiting(), 3);
    let delivered: Vec<_> =
        core::iter::from_fn(|| half.deliver()).map(|part| (part.bytes, part.fin)).collect();
    assert_eq!(delivered, [(bytes("a"), false), (bytes("b"), false), (bytes("c"), true)]);
    assert_eq!(half.state(), RecvState::Delivered(seq(2)));
}

#[test]
fn a_chunk_is_acknowledged_when_all_of_it_was_taken() {
    let mut half = RecvHalf::new(WINDOW);
    half.receive(seq(0), false, bytes("ab")).unwrap();
    half.receive(seq(1), false, bytes("cd")).unwrap();
    while half.deliver().is_some() {}
    for (take, next) in [(1, 0), (1, 1), (1, 1), (1, 2)] {
        half.take(take).unwrap();
        assert_eq!(half.put_ack(exchange(1)), seq(next));
    }
}

#[test]
fn an_end_without_bytes_is_taken_with_what_is_before_it() {
    let mut half = RecvHalf::new(WINDOW);
    half.receive(seq(0), false, bytes("ab")).unwrap();
    half.receive(seq(1), true, Bytes::new()).unwrap();
    while half.deliver().is_some() {}
    assert_eq!(half.state(), RecvState::Delivered(seq(1)));
    half.take(2).unwrap();
    assert_eq!(half.state(), RecvState::Finished(seq(1)));
    assert_eq!(half.put_ack(exchange(1)), seq(2));
}

#[test]
fn an_empty_direction_finishes_at_once() {
    let mut half = RecvHalf::new(WINDOW);
    half.receive(seq(0), true, Bytes::new()).unwrap();
    assert!(half.deliver().unwrap().fin);
    assert_eq!(half.state(), RecvState::Finished(seq(0)));
    assert!(half.is_ack_due());
}

#[test]
fn a_chunk_inside_the_credit_and_4096_ahead_is_never_refused() {
    let ahead = MAX_AHEAD as u64;
    let mut half = RecvHalf::new(2 * ahead);
    assert_eq!(half.receive(seq(ahead + 1), false, bytes("x")), Err(Violation::TooFarAhead));
    assert_eq!(half.receive(seq(u64::MAX), false, bytes("x")), Err(Violation::TooFarAhead));
    for number in (0..=ahead).rev() {
        assert_eq!(half.receive(seq(number), false, bytes("x")), Ok(true));
    }
    assert_eq!(core::iter::from_fn(|| half.deliver()).count(), MAX_AHEAD + 1);
}

#[test]
fn how_far_ahead_counts_from_what_was_taken() {
    let ahead = MAX_AHEAD as u64;
    let mut half = RecvHalf::new(2 * ahead);
    half.receive(seq(0), false, bytes("x")).unwrap();
    half.deliver().unwrap();
    assert_eq!(half.receive(seq(ahead + 1), false, bytes("x")), Err(Violation::TooFarAhead));
    half.take(1).unwrap();
    assert_eq!(half.receive(seq(ahead + 1), false, bytes("x")), Ok(true));
}

#[test]
fn copies_use_no_credit() {
    let mut half = RecvHalf::new(2);
    for _ in 0..5 {
        half.receive(seq(1), false, bytes("b")).unwrap();
        half.receive(seq(0), false, bytes("a")).unwrap();
    }
    assert_eq!(half.receive(seq(2), false, bytes("c")), Err(Violation::CreditExceeded));
}

#[test]
fn credit_is_promised_when_it_is_sent_and_then_kept() {
    let mut half = RecvHalf::new(WINDOW);
    half.receive(seq(0), false, bytes("abcdefgh")).unwrap();
    half.deliver().unwrap();
    half.take(1).unwrap();
    assert!(!half.is_window_due(), "an eighth is not worth a frame");
    half.take(1).unwrap();
    assert!(half.is_window_due() && half.is_report_due());
    assert_eq!(half.put_window(exchange(1)), WINDOW + 2);
    assert!(!half.is_window_due() && !half.is_report_due());
    half.lost(exchange(1));
    assert!(half.is_window_due());
    assert_eq!(half.receive(seq(1), false, bytes("ij")), Ok(true), "the lost one may still have come");
}

#[test]
fn a_report_is_due_when_a_quarter_of_the_window_was_taken() {
    let mut half = RecvHalf::new(WINDOW);
    for (number, due) in [(0, false), (1, true)] {
        half.receive(seq(number), false, bytes("a")).unwrap();
        half.deliver().unwrap();
        half.take(1).unwrap();
        assert_eq!((half.is_ack_due(), half.is_report_due()), (true, due));
    }
    half.put_ack(exchange(1));
    assert_eq!((half.is_ack_due(), half.is_report_due(), half.unreported()), (false, false, 0));
}

#[test]
fn nothing_is_due_when_there_is_nothing_to_tell() {
    let mut half = RecvHalf::new(WINDOW);
    half.receive(seq(0), true, bytes("abcdefgh")).unwrap();
    half.deliver().unwrap();
    half.take(7).unwrap();
    assert!(!half.is_report_due(), "no chunk was taken whole, and no credit is needed");
    half.take(1).unwrap();
    assert!(half.is_report_due());
}

#[test]
fn a_lost_acknowledgement_is_owed_again_unless_a_newer_one_is_under_way() {
    let mut half = in_state(RecvState::Finished(seq_1()));
    half.receive(seq(0), false, bytes("ab")).unwrap();
    half.put_ack(exchange(1));
    half.put_ack(exchange(2));
    half.lost(exchange(1));
    assert!(!half.is_ack_due());
    half.lost(exchange(2));
    assert!(half.is_ack_due());
    half.put_ack(exchange(3));
    half.acked(exchange(3));
    assert!(half.ack().is_clear());
}

#[test]
fn no_credit_is_owed_when_no_new_chunk_can_come() {
    let mut half = in_state(RecvState::Delivered(seq_1()));
    half.take(4).unwrap();
    assert!(!half.is_window_due());
    assert!(half.is_ack_due());
}

#[test]
fn another_copy_of_an_answer_says_what_the_first_said() {
    let mut half = RecvHalf::new(WINDOW);
    half.receive(seq(0), false, bytes("abcd")).unwrap();
    half.deliver().unwrap();
    half.take(4).unwrap();
    let told = (half.put_ack(exchange(1)), half.put_window(exchange(1)));
    assert_eq!(told, (seq(1), WINDOW + 4));
    assert_eq!((half.taken(), half.limit()), told);
    assert_eq!(half.ack(), Pending::InFlight(exchange(1)));
}

#[test]
fn the_span_is_from_the_chunk_that_is_expected_to_the_last_that_came() {
    let mut half = RecvHalf::new(WINDOW);
    assert_eq!(half.span(), 0);
    half.receive(seq(3), false, bytes("d")).unwrap();
    assert_eq!(half.span(), 4, "what is missing has its place too");
    half.receive(seq(0), false, bytes("a")).unwrap();
    half.deliver().unwrap();
    assert_eq!(half.span(), 3);
}

#[test]
fn a_delivery_shows_its_length_and_not_its_bytes() {
    let delivery = Delivery { bytes: bytes("secret"), fin: true };
    assert_eq!(format!("{delivery:?}"), "Delivery { len: 6, fin: true }");
}
