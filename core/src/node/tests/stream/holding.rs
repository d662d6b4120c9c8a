//! Holds of requests at level 2 (protocol.md 3.2 rule 7).

use super::*;

#[test]
fn a_request_is_held_for_as_long_as_it_asks_and_no_longer() {
    let mut pair = Pair::new();
    pair.terms.hold = 20_000;
    let request = pair.ask(1, &[]);
    pair.rig.run(19_999);
    assert!(pair.rig.is_held(request));
    assert!(pair.answer_after(request, 1).frames.is_empty());
}

#[test]
fn no_request_is_held_longer_than_was_granted() {
    let mut pair = Pair::new();
    pair.terms.hold = 1_000_000;
    let request = pair.ask(1, &[]);
    pair.rig.run(49_999);
    assert!(pair.rig.is_held(request));
    pair.answer_after(request, 1);
}

#[test]
fn frames_are_answered_after_a_settle() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let request = pair.ask(2, &[]);
    pair.rig.data(upstream, b"one ");
    pair.rig.run(9);
    pair.rig.data(upstream, b"two");
    assert!(pair.rig.is_held(request));
    assert_eq!(pair.answer_after(request, 1).data(0), b"one two");
}

/// Upstream 0 says a byte every 5 ms, while a request is held.
fn chattering(pair: &mut Pair) -> (UpstreamId, RequestId) {
    pair.terms.confirm = 1_600;
    let (chatter, other) = (pair.stream(0, 1), pair.stream(1, 2));
    let request = pair.ask(3, &[]);
    for _ in 0..10 {
        pair.rig.data(chatter, b".");
        pair.rig.run(5);
    }
    assert!(pair.rig.is_held(request));
    (other, request)
}

#[test]
fn a_stream_that_goes_on_speaking_is_answered_after_a_sixteenth_of_confirm() {
    let mut pair = Pair::new();
    let (_, request) = chattering(&mut pair);
    assert_eq!(pair.answer_after(request, 10).data(0).len(), 10);
}

#[test]
fn a_stream_that_goes_on_speaking_delays_no_other() {
    let mut pair = Pair::new();
    let (other, request) = chattering(&mut pair);
    pair.rig.data(other, b"key");
    assert_eq!(pair.answer(request).data(1), b"key");
}

#[test]
fn what_came_before_the_request_is_answered_at_once() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.data(upstream, b"news");
    pair.rig.run(1_000);
    let request = pair.ask(2, &[]);
    assert_eq!(pair.answer(request).data(0), b"news");
}

#[test]
fn beyond_max_held_the_lowest_exchange_is_answered_first_whichever_came_first() {
    let mut pair = Pair::new();
    pair.terms.max_held = 2;
    let high = pair.ask(3, &[]);
    let higher = pair.ask(4, &[]);
    let low = pair.ask(2, &[]);
    assert!(!pair.rig.is_held(low) && pair.rig.is_held(high) && pair.rig.is_held(higher));
    pair.ask(5, &[]);
    assert!(!pair.rig.is_held(high) && pair.rig.is_held(higher));
}

#[test]
fn no_more_are_held_than_was_granted_whatever_the_client_keeps() {
    let mut pair = Pair::with(|options| options.tuning.streams.max_held = 2);
    pair.terms.max_held = 1000;
    let requests: Vec<RequestId> = (1..5).map(|exchange| pair.ask(exchange, &[])).collect();
    let held = requests.iter().filter(|request| pair.rig.is_held(**request)).count();
    assert_eq!(held, 2);
}

#[test]
fn an_acknowledgement_waits_for_company() {
    let mut pair = Pair::new();
    pair.stream(0, 1);
    let request = pair.ask(2, &[chunk(0, 0, b"up")]);
    pair.rig.run(49);
    assert!(pair.rig.is_held(request));
    assert_eq!(pair.answer_after(request, 1).frames, [ack(0, 1)]);
}

#[test]
fn an_acknowledgement_rides_with_bytes() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let request = pair.ask(2, &[chunk(0, 0, b"ping")]);
    pair.rig.run(5);
    pair.rig.data(upstream, b"pong");
    let answer = pair.answer_after(request, 10);
    assert!(answer.has(&ack(0, 1)) && answer.data(0) == b"pong");
}

#[test]
fn beyond_max_held_an_acknowledgement_does_not_wait() {
    let mut pair = Pair::new();
    pair.stream(0, 1);
    let first = pair.ask(2, &[chunk(0, 0, b"up")]);
    pair.ask(3, &[]);
    assert_eq!(pair.answer(first).frames, [ack(0, 1)]);
}

#[test]
fn a_quarter_of_the_window_taken_is_reported_without_waiting() {
    let mut pair = Pair::with(|options| options.tuning.streams.uplink_window = 64 * 1024);
    pair.stream(0, 1);
    let bytes = Bytes::from(alloc::vec![7; 16 * 1024]);
    let data = Frame::Data { stream: number(0), seq: Seq::ZERO, fin: false, bytes };
    let request = pair.ask(2, &[data]);
    let answer = pair.answer_after(request, 10);
    assert!(answer.has(&ack(0, 1)) && answer.has(&window(0, 80 * 1024)), "{answer:?}");
}

#[test]
fn uplink_does_not_wait_behind_a_hold() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.ask(2, &[]);
    pair.ask(3, &[chunk(0, 0, b"now")]);
    assert_eq!(pair.rig.written(upstream), b"now");
}

#[test]
fn an_idle_client_costs_one_call_per_hold_with_any_number_of_streams() {
    let mut pair = Pair::new();
    for stream in 0..20 {
        pair.stream(stream, stream + 1);
    }
    let mut calls = 0;
    for exchange in 30..40 {
        pair.terms.done = exchange;
        let request = pair.ask(exchange, &[]);
        calls += 1;
        assert!(pair.answer_after(request, 25_000).frames.is_empty());
    }
    assert_eq!(calls, 10);
    assert_eq!(pair.rig.millis() / 25_000, 10);
}
