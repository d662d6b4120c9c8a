//! Hellos, epochs and grants (protocol.md 3.1).

use super::*;

#[test]
fn a_hello_is_answered_at_once_with_an_epoch_and_what_is_granted() {
    let mut pair = Pair::strangers(|_| {});
    let grants = pair.hello(0);
    assert_eq!(grants.uplink_total, 128 * MIB);
    assert_eq!(grants.max_hold, Duration::from_secs(50));
    // What fits into a body of 16 MiB as base64.
    assert!(grants.max_packet <= 12 * MIB && grants.max_packet > 11 * MIB);
}

#[test]
fn a_doubled_hello_gets_the_same_epoch() {
    let mut pair = Pair::strangers(|_| {});
    pair.hello(0);
    let epoch = pair.epoch;
    pair.hello(0);
    assert_eq!(pair.epoch, epoch);
    pair.hello(1);
    assert_eq!(pair.epoch, epoch);
    assert_eq!(pair.rig.node.stats().clients, 1);
}

#[test]
fn a_late_hello_kills_no_stream() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.hello(0);
    pair.terms.hold = 0;
    pair.ask(2, &[chunk(0, 0, b"alive")]);
    assert_eq!(pair.rig.written(upstream), b"alive");
}

#[test]
fn two_clients_have_different_epochs() {
    let mut pair = Pair::new();
    let epoch = pair.epoch;
    pair.client = ClientId([2; 16]);
    pair.terms.done = 0;
    pair.hello(0);
    assert_ne!(pair.epoch, epoch);
}

#[test]
fn a_request_of_an_unknown_epoch_is_told_so_and_does_nothing() {
    let mut pair = Pair::new();
    let epoch = pair.epoch;
    pair.epoch = Some(Epoch([0; 16]));
    let request = pair.ask(1, &[open(0), chunk(0, 0, b"old")]);
    let answer = pair.answer(request);
    assert!(answer.header.flags.unknown);
    assert_eq!(answer.header.epoch, Epoch([0; 16]));
    assert!(pair.rig.opens.is_empty());
    // The client itself is none the worse for it.
    pair.epoch = epoch;
    pair.stream(0, 1);
}

#[test]
fn a_request_of_an_unknown_client_is_told_so() {
    let mut pair = Pair::strangers(|_| {});
    pair.epoch = Some(Epoch([3; 16]));
    let request = pair.ask(7, &[open(0)]);
    assert!(pair.answer(request).header.flags.unknown);
    assert!(pair.rig.opens.is_empty());
}

#[test]
fn the_state_begins_at_the_done_of_the_hello() {
    let mut pair = Pair::strangers(|_| {});
    pair.terms.done = 100;
    pair.hello(104);
    let request = pair.ask(103, &[open(0), chunk(0, 0, b"x")]);
    let answer = pair.answer_after(request, 25_000);
    assert_eq!(answer.header.statuses.len(), 5);
    assert_eq!(answer.status(100), Some(Status::Missing));
    assert_eq!(answer.status(104), Some(Status::Answered { size: 0 }));
}

#[test]
fn only_so_many_clients_are_known() {
    let mut pair = Pair::with(|options| options.tuning.streams.max_clients = 1);
    pair.client = ClientId([2; 16]);
    pair.terms.done = 0;
    let header = RequestHeader { epoch: None, ..pair.header(0) };
    let request = pair.send(&header, &[]);
    assert!(pair.is_bad_packet(request));
    let limit = NodeNotice::LimitReached { limit: "streams.max_clients" };
    assert!(pair.rig.notices.contains(&limit));
}

#[test]
fn what_is_promised_to_clients_is_bounded_together() {
    let mut pair = Pair::strangers(|options| options.tuning.streams.uplink_memory = 8 * MIB);
    let mut promised = 0;
    for client in 0..200 {
        pair.client = ClientId([client; 16]);
        let header = RequestHeader { epoch: None, ..pair.header(0) };
        let request = pair.send(&header, &[]);
        if pair.is_bad_packet(request) {
            break;
        }
        promised += pair.answer(request).header.grants.unwrap().uplink_total;
    }
    assert!(promised > 7 * MIB && promised <= 8 * MIB, "{promised}");
}

#[test]
fn a_client_that_is_not_heard_of_is_dropped_with_its_streams() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.run(600_000);
    assert_eq!(pair.rig.shut[&upstream], Shut::Reset);
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::ClientLost);
    let ended = NodeNotice::ClientEnded { client: pair.client, why: ClientEnd::Idle };
    assert!(pair.rig.notices.contains(&ended));
    let request = pair.ask(2, &[]);
    assert!(pair.answer(request).header.flags.unknown);
    assert_eq!(pair.rig.wake, None);
}

#[test]
fn a_client_that_asks_lives_on() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    for exchange in 2..60 {
        let request = pair.ask(exchange, &[]);
        pair.answer_after(request, 25_000);
        pair.terms.done = exchange + 1;
    }
    assert!(!pair.rig.shut.contains_key(&upstream));
}
