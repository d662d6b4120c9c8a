//! Repeats of small answers that are not confirmed (protocol.md 3.2 rule 5).

use super::*;

/// A client that wants small answers repeated after two seconds, and the answer of exchange 2 with `news`; more requests
/// are held.
fn answered_in_2() -> (Pair, UpstreamId, Vec<RequestId>) {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.terms.confirm = 2_000;
    pair.terms.hold = 50_000;
    pair.terms.max_held = 8;
    let held: Vec<RequestId> = (2..8).map(|exchange| pair.ask(exchange, &[])).collect();
    pair.rig.data(upstream, b"news");
    pair.rig.run(10);
    assert_eq!(pair.answer(held[0]).data(0), b"news");
    (pair, upstream, held)
}

#[test]
fn a_small_answer_is_repeated_in_the_oldest_held_request_when_it_is_not_confirmed() {
    let (mut pair, _, held) = answered_in_2();
    pair.rig.run(1_999);
    assert!(pair.rig.is_held(held[1]));
    pair.rig.run(1);
    assert_eq!(pair.answer(held[1]).data(0), b"news");
    assert!(pair.rig.is_held(held[2]));
}

#[test]
fn the_repeats_after_that_wait_longer_and_longer() {
    let (mut pair, _, held) = answered_in_2();
    pair.rig.run(2_000);
    for (place, wait) in [(2, 4_000), (3, 8_000), (4, 16_000), (5, 16_000)] {
        pair.rig.run(wait - 1);
        assert!(pair.rig.is_held(held[place]), "{place}");
        pair.rig.run(1);
        assert_eq!(pair.answer(held[place]).data(0), b"news");
    }
}

#[test]
fn what_is_confirmed_is_not_repeated() {
    let (mut pair, _, held) = answered_in_2();
    pair.terms.done = 3;
    pair.ask(8, &[]);
    pair.rig.run(20_000);
    assert!(pair.rig.is_held(held[1]));
}

#[test]
fn what_was_acknowledged_is_not_repeated() {
    let (mut pair, _, held) = answered_in_2();
    pair.ask(8, &[ack(0, 1)]);
    pair.rig.run(20_000);
    assert!(pair.rig.is_held(held[1]));
}

#[test]
fn an_answer_with_acknowledgements_alone_is_not_repeated() {
    let mut pair = Pair::new();
    pair.stream(0, 1);
    pair.terms.confirm = 1_000;
    pair.terms.max_held = 2;
    let first = pair.ask(2, &[chunk(0, 0, b"up")]);
    let second = pair.ask(3, &[]);
    pair.rig.run(10_000);
    assert!(!pair.rig.is_held(first) && pair.rig.is_held(second));
}

#[test]
fn a_large_answer_is_not_repeated() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.terms.confirm = 1_000;
    pair.terms.max_held = 2;
    let first = pair.ask(2, &[]);
    let second = pair.ask(3, &[]);
    pair.rig.fill(upstream, 20_000);
    pair.rig.run(10_000);
    assert!(!pair.rig.is_held(first) && pair.rig.is_held(second));
}

#[test]
fn a_client_that_wants_no_repeats_gets_none() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.terms.max_held = 2;
    let first = pair.ask(2, &[]);
    let second = pair.ask(3, &[]);
    pair.rig.data(upstream, b"news");
    pair.rig.run(20_000);
    assert!(!pair.rig.is_held(first) && pair.rig.is_held(second));
}

#[test]
fn opened_and_reset_are_repeated_too() {
    let mut pair = Pair::new();
    pair.terms.confirm = 1_000;
    pair.terms.max_held = 8;
    let held: Vec<RequestId> = (1..6).map(|exchange| pair.ask(exchange, &[open(0)])).collect();
    let upstream = pair.rig.last_opened();
    pair.rig.opened(upstream);
    pair.rig.run(1_010);
    assert!(pair.answer(held[0]).has(&opened(0)) && pair.answer(held[1]).has(&opened(0)));
    pair.rig.upstream(upstream, UpstreamEvent::Reset);
    pair.rig.run(1_010);
    assert!(pair.answer(held[2]).has(&reset(0, ResetCode::Aborted)));
    assert!(pair.answer(held[3]).has(&reset(0, ResetCode::Aborted)));
}
