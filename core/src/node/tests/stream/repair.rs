//! Repair of lost exchanges (protocol.md 3.2 rule 5).

use super::*;

/// A stream whose downlink `news` went into the answer of exchange 2.
fn answered_in_2() -> (Pair, UpstreamId) {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.data(upstream, b"news");
    pair.terms.hold = 0;
    let request = pair.ask(2, &[]);
    assert_eq!(pair.answer(request).data(0), b"news");
    (pair, upstream)
}

#[test]
fn a_lost_answer_is_sent_again_when_it_is_named() {
    let (mut pair, _) = answered_in_2();
    let request = pair.ask(3, &[resend(2)]);
    assert_eq!(pair.answer(request).frames, [chunk(0, 0, b"news")]);
}

#[test]
fn what_was_named_goes_only_once() {
    let (mut pair, _) = answered_in_2();
    pair.ask(3, &[resend(2)]);
    // 3 carries it now: naming 2 again moves nothing.
    let request = pair.ask(4, &[resend(2)]);
    assert!(pair.answer(request).frames.is_empty());
    let request = pair.ask(5, &[resend(3)]);
    assert_eq!(pair.answer(request).data(0), b"news");
}

#[test]
fn an_exchange_that_was_named_is_answered_by_a_header_for_ever() {
    let (mut pair, upstream) = answered_in_2();
    pair.ask(3, &[resend(2)]);
    pair.rig.data(upstream, b"more");
    let copy = pair.ask(2, &[]);
    assert!(pair.answer(copy).frames.is_empty());
}

#[test]
fn an_exchange_that_was_named_before_it_came_carries_nothing() {
    let (mut pair, upstream) = answered_in_2();
    pair.ask(4, &[resend(3)]);
    pair.rig.data(upstream, b"more");
    let late = pair.ask(3, &[chunk(0, 0, b"late")]);
    assert!(pair.answer(late).frames.is_empty());
    assert_eq!(pair.rig.written(upstream), b"late");
    let next = pair.ask(5, &[]);
    assert_eq!(pair.answer(next).data(0), b"more");
}

#[test]
fn a_held_exchange_that_is_named_is_answered_at_once_by_a_header() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let held = pair.ask(2, &[]);
    pair.rig.data(upstream, b"news");
    pair.terms.max_held = 2;
    let other = pair.ask(3, &[resend(2)]);
    assert!(pair.answer(held).frames.is_empty());
    pair.rig.run(10);
    assert_eq!(pair.answer(other).data(0), b"news");
}

#[test]
fn what_is_below_done_is_not_repeated() {
    let (mut pair, _) = answered_in_2();
    pair.terms.done = 3;
    let request = pair.ask(3, &[resend(2)]);
    assert!(pair.answer(request).frames.is_empty());
}

#[test]
fn opened_is_owed_until_it_is_confirmed() {
    let mut pair = Pair::new();
    pair.terms.hold = 0;
    pair.ask(1, &[open(0)]);
    let upstream = pair.rig.last_opened();
    pair.rig.opened(upstream);
    let lost = pair.ask(2, &[]);
    assert!(pair.answer(lost).has(&opened(0)));
    let again = pair.ask(3, &[resend(2)]);
    assert!(pair.answer(again).has(&opened(0)));
    pair.terms.done = 4;
    let last = pair.ask(4, &[resend(2), resend(3)]);
    assert!(pair.answer(last).frames.is_empty());
}

#[test]
fn acknowledgements_are_repeated_as_they_are_by_then() {
    let mut pair = Pair::new();
    pair.stream(0, 1);
    let lost = pair.ask(2, &[chunk(0, 0, b"a")]);
    assert!(pair.answer_after(lost, 50).has(&ack(0, 1)));
    let next = pair.ask(3, &[resend(2), chunk(0, 1, b"b")]);
    assert_eq!(pair.answer_after(next, 50).frames, [ack(0, 2)]);
}

#[test]
fn an_acknowledgement_that_was_overtaken_is_not_repeated() {
    let mut pair = Pair::new();
    pair.stream(0, 1);
    let lost = pair.ask(2, &[chunk(0, 0, b"a")]);
    assert_eq!(pair.answer_after(lost, 50).frames, [ack(0, 1)]);
    let newer = pair.ask(3, &[chunk(0, 1, b"b")]);
    assert_eq!(pair.answer_after(newer, 50).frames, [ack(0, 2)]);
    pair.terms.hold = 1_000;
    let next = pair.ask(4, &[resend(2)]);
    assert!(pair.answer_after(next, 1_000).frames.is_empty());
}

#[test]
fn a_reset_outlives_its_stream_until_it_is_confirmed() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.upstream(upstream, UpstreamEvent::Reset);
    pair.terms.hold = 0;
    let lost = pair.ask(2, &[]);
    assert_eq!(pair.answer(lost).frames, [reset(0, ResetCode::Aborted)]);
    let again = pair.ask(3, &[resend(2)]);
    assert_eq!(pair.answer(again).frames, [reset(0, ResetCode::Aborted)]);
    pair.terms.done = 4;
    // Once it is confirmed, even DATA does not call it back.
    let last = pair.ask(4, &[chunk(0, 0, b"late")]);
    assert!(pair.answer(last).frames.is_empty());
}

#[test]
fn data_for_an_ended_stream_makes_its_end_owed_again() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.upstream(upstream, UpstreamEvent::Reset);
    pair.terms.hold = 0;
    pair.ask(2, &[]);
    let next = pair.ask(3, &[chunk(0, 0, b"late")]);
    assert_eq!(pair.answer(next).frames, [reset(0, ResetCode::Aborted)]);
    assert!(pair.rig.written(upstream).is_empty());
}

#[test]
fn the_last_acknowledgement_outlives_its_stream() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.fin(upstream);
    pair.terms.hold = 0;
    let request = pair.ask(2, &[]);
    assert_eq!(pair.answer(request).frames, [last(0, 0, b"")]);
    pair.terms.hold = 1_000;
    let lost = pair.ask(3, &[ack(0, 1), last(0, 0, b"bye")]);
    assert_eq!(pair.answer_after(lost, 50).frames, [ack(0, 1)]);
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::Finished);
    let again = pair.ask(4, &[resend(3)]);
    assert_eq!(pair.answer_after(again, 10).frames, [ack(0, 1)]);
    let copy = pair.ask(5, &[last(0, 0, b"bye")]);
    assert_eq!(pair.answer_after(copy, 10).frames, [ack(0, 1)]);
    pair.terms.done = 6;
    let done = pair.ask(6, &[]);
    assert!(pair.answer_after(done, 1_000).frames.is_empty());
}
