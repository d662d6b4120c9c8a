//! Tests of polls: how many, when, and in which batches.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::bench::*;
use crate::client::{EndReason, ExchangeFailure};
use crate::wire::{Op, ReplyParts};
use crate::{Caps, ClientOptions, LocalEvent};

#[test]
fn an_idle_session_has_one_poll_in_flight_and_renews_it_at_once() {
    let mut bench = Bench::plain();
    let (_, mut poll) = bench.sequenced("s");
    for _ in 0..5 {
        bench.pass(ms(15_000));
        assert!(bench.calls.is_empty());
        bench.answer(&poll, &[empty(poll.op())]);
        poll = bench.only_call();
    }
}

#[test]
fn bulk_replies_bring_pipelined_polls_and_empty_ones_take_them_back() {
    let mut bench = Bench::plain();
    let (_, poll) = bench.sequenced("s");
    let bulk = vec![Bytes::from(vec![1; 64 * 1024])];
    bench.answer(&poll, &[bringing(poll.op(), &bulk)]);
    let mut in_flight: Vec<Call> = bench.calls.drain(..).collect();
    for _ in 0..10 {
        let poll = in_flight.remove(0);
        bench.answer(&poll, &[bringing(poll.op(), &bulk)]);
        in_flight.extend(bench.calls.drain(..));
    }
    assert_eq!(in_flight.len(), 4, "half of the maximum, so that payload finds a place");
    for _ in 0..10 {
        bench.pass(ms(15_000));
        let poll = in_flight.remove(0);
        bench.answer(&poll, &[empty(poll.op())]);
        in_flight.extend(bench.calls.drain(..));
    }
    assert_eq!(in_flight.len(), 1);
}

#[test]
fn a_session_whose_end_came_before_an_earlier_reply_is_polled_no_more() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    let bulk = vec![Bytes::from(vec![1; 64 * 1024])];
    bench.answer(&poll, &[bringing(poll.op(), &bulk)]);
    for _ in 0..10 {
        let poll = bench.call();
        bench.answer(&poll, &[bringing(poll.op(), &bulk)]);
    }
    let missing = bench.call();
    assert_eq!(bench.calls.len(), 3);
    for _ in 0..3 {
        let poll = bench.call();
        bench.answer(&poll, &[ReplyParts { eof: Some(true), ..empty(poll.op()) }]);
    }
    bench.pass(ms(10_000));
    assert!(bench.calls.is_empty(), "it asks for more than what is missing");
    bench.answer(&missing, &[bringing(missing.op(), &bulk)]);
    assert_eq!(bench.ended[&flow], EndReason::Finished);
}

#[test]
fn with_a_depth_of_1_nothing_is_pipelined() {
    let mut bench = Bench::new(ClientOptions { max_depth: 1, ..options(1) });
    let (flow, poll) = bench.sequenced("s");
    bench.write(flow, "x");
    assert!(bench.calls.is_empty());
    bench.answer(&poll, &[empty(poll.op())]);
    assert_eq!(bench.only_call().op().payload().unwrap(), "x");
}

#[test]
fn polls_never_share_a_batch_with_payload() {
    let mut bench = Bench::plain();
    let (a, poll) = bench.sequenced("a");
    let (b, _) = bench.sequenced("b");
    bench.answer(&poll, &[empty(poll.op())]);
    bench.calls.clear();
    bench.write(a, "x");
    bench.write(b, "y");
    for call in &bench.calls {
        let polls = call.ops.iter().filter(|op| op.payload().is_some_and(Bytes::is_empty)).count();
        assert!(polls == 0 || polls == call.ops.len(), "{call:?}");
    }
}

#[test]
fn many_idle_sessions_end_up_in_few_calls() {
    let mut bench = Bench::plain();
    let mut polls: Vec<Call> = (0..20).map(|n| bench.sequenced(&alloc::format!("s{n}")).1).collect();
    polls.extend(bench.calls.drain(..));
    // The node answers a poll at once when a newer one of the same session arrives.
    let newest = |polls: &[Call], op: &Op| {
        let (Op::Data { sid, .. }, number) = (op, seq_of(op)) else { return true };
        let later =
            |other: &Op| matches!(other, Op::Data { sid: of, .. } if of == sid) && seq_of(other) > number;
        !polls.iter().flat_map(|call| &call.ops).any(later)
    };
    loop {
        let released = polls.iter().position(|call| call.ops.iter().any(|op| !newest(&polls, op)));
        let Some(index) = released else { break };
        let call = polls.remove(index);
        bench.answer(&call, &call.ops.iter().map(empty).collect::<Vec<_>>());
        polls.extend(bench.calls.drain(..));
    }
    assert!(polls.len() <= 4, "{} calls hold the polls", polls.len());
    assert_eq!(polls.iter().map(|call| call.ops.len()).sum::<usize>(), 20);
}

#[test]
fn the_last_poll_of_a_download_is_gathered_like_any_other() {
    let mut options = options(1);
    options.relays[0].max_concurrent = 3;
    let mut bench = Bench::new(options);
    let (flow, mut poll) = bench.sequenced("download");
    let data = [Bytes::from(alloc::vec![7; 40_000])];
    bench.answer(&poll, &[bringing(poll.op(), &data)]);
    bench.local(flow, LocalEvent::Written(40_000)).unwrap();
    while bench.calls.len() > 1 {
        poll = bench.call();
        bench.answer(&poll, &[empty(poll.op())]);
    }
    bench.calls.clear();
    let (_, other) = bench.sequenced("other");
    assert_eq!(other.ops.len(), 1, "there is a place for it");
    let (_, third) = bench.sequenced("third");
    assert_eq!(third.ops.len(), 3, "the places for polls are taken: it takes along what is held");
}

#[test]
fn level_0_has_one_op_in_flight_and_gives_the_application_time_to_speak() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.linked("s", None);
    bench.write(flow, "late");
    assert!(bench.calls.is_empty(), "one op in flight");
    let data = bytes("answer");
    bench.answer(&poll, &[bringing(poll.op(), &data)]);
    let payload = bench.only_call();
    assert_eq!(payload.op().payload().unwrap(), "late");
    bench.answer(&payload, &[empty(payload.op())]);
    assert!(bench.calls.is_empty(), "the next poll waits a little");
    bench.write(flow, "quick");
    assert_eq!(bench.only_call().op().payload().unwrap(), "quick");
}

#[test]
fn level_0_polls_slow_down_while_nothing_comes() {
    let mut bench = Bench::plain();
    let (_, mut poll) = bench.linked("s", None);
    for wait in [80, 200, 500, 500] {
        bench.answer(&poll, &[empty(poll.op())]);
        bench.pass(ms(wait - 1));
        assert!(bench.calls.is_empty(), "{wait}");
        bench.pass(ms(1));
        poll = bench.only_call();
        bench.pass(ms(2000));
    }
}

/// A relay or node that answers polls at once, without holding them.
fn answer_unheld(bench: &mut Bench, poll: &Call) {
    bench.pass(ms(100));
    bench.answer(poll, &[empty(poll.op())]);
}

#[test]
fn a_way_that_does_not_hold_polls_is_hardly_polled_while_idle() {
    let mut bench = Bench::plain();
    slowed_down(&mut bench);
    bench.pass(ms(25_000));
    assert!(bench.calls.is_empty(), "quiet for half a minute");
    bench.pass(ms(10_000));
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn a_session_that_half_closed_is_polled_there_before_its_quiet_time_is_over() {
    let mut bench = Bench::plain();
    let flow = slowed_down(&mut bench);
    bench.local(flow, LocalEvent::Fin).unwrap();
    bench.pass(ms(16_000));
    let poll = bench.only_call();
    bench.answer(&poll, &[bringing(poll.op(), &bytes("late"))]);
    assert_eq!(bench.delivered(flow), b"late");
}

#[test]
fn polls_go_on_when_only_some_relays_do_not_hold_them() {
    // The node behind the first relay answers polls at once; the one behind the second holds them.
    let mut bench = Bench::new(ClientOptions { balance: crate::Balance::RoundRobin, ..options(2) });
    let (_, mut poll) = bench.sequenced("s");
    let mut held = 0;
    for _ in 0..20 {
        let second = poll.relay.index() == 1;
        held += u32::from(second);
        bench.pass(ms(if second { 15_000 } else { 100 }));
        bench.answer(&poll, &[empty(poll.op())]);
        poll = bench.only_call();
        assert!(poll.is_poll(), "renewed at once, since there is a relay that holds it");
    }
    assert_eq!(held, 16, "through that relay, but for one poll a minute that asks the other one again");
}

#[test]
fn a_relay_that_is_out_does_not_count_as_one_that_holds() {
    let mut bench = Bench::new(options(2));
    let (_, mut poll) = bench.sequenced("s");
    let other = bench.open_tcp();
    let connect = bench.call();
    assert_ne!(connect.relay, poll.relay, "the other relay is idle, so the open goes there");
    bench.fail(&connect, ExchangeFailure::Refused { retry_after: None });
    bench.local(other, LocalEvent::Reset).unwrap();
    bench.calls.clear();
    for _ in 0..4 {
        answer_unheld(&mut bench, &poll);
        bench.pass(ms(600));
        poll = bench.calls.pop_front().unwrap_or(poll);
    }
    bench.calls.clear();
    bench.pass(ms(25_000));
    assert!(bench.calls.is_empty(), "quiet for half a minute");
}

/// A session with a client that has learned that polls are not held, and hardly polls any more.
fn slowed_down(bench: &mut Bench) -> crate::FlowId {
    let (flow, mut poll) = bench.sequenced("s");
    for _ in 0..4 {
        answer_unheld(bench, &poll);
        bench.pass(ms(600));
        if let Some(next) = bench.calls.pop_front() {
            poll = next;
        }
    }
    bench.calls.clear();
    flow
}

#[test]
fn a_poll_that_found_no_place_is_made_up_for_when_it_turns_out_that_polls_are_not_held() {
    let mut options = options(1);
    options.relays[0].max_concurrent = 5;
    let mut bench = Bench::new(options);
    let polls: Vec<Call> = (0..4).map(|n| bench.linked(&alloc::format!("s{n}"), None).1).collect();
    bench.pass(ms(100));
    bench.open_tcp();
    let connect = bench.call();
    bench.answer(&connect, &[connected("late", None)]);
    bench.pass(ms(20));
    assert!(bench.calls.is_empty(), "four calls hold polls, and the fifth place is not for polls");
    // Not held: from now on every poll waits a little first, and so does the one that waits for a place.
    bench.answer(&polls[0], &[empty(polls[0].op())]);
    bench.pass(ms(50));
    let of_late = |call: &&Call| matches!(call.ops[0], Op::Data { sid: of, .. } if of == sid("late"));
    assert_eq!(bench.calls.iter().filter(of_late).count(), 1, "{:?}", bench.calls);
}

#[test]
fn traffic_wakes_a_session_whose_polls_had_slowed_down() {
    let mut bench = Bench::plain();
    let flow = slowed_down(&mut bench);
    bench.write(flow, "hello?");
    let kinds: Vec<bool> = bench.calls.iter().map(Call::is_poll).collect();
    assert_eq!(kinds, [false, true], "the payload at once, and a poll behind it");
    for call in bench.calls.drain(..).collect::<Vec<_>>() {
        bench.answer(&call, &[empty(call.op())]);
    }
    bench.pass(ms(100));
    assert!(bench.only_call().is_poll(), "and short waits again");
}

#[test]
fn the_node_that_does_not_hold_is_tried_again_after_a_minute() {
    let mut bench = Bench::plain();
    let (_, poll) = bench.sequenced("s");
    answer_unheld(&mut bench, &poll);
    bench.pass(ms(61_000));
    let poll = bench.calls.pop_back().unwrap();
    bench.pass(ms(15_000));
    bench.answer(&poll, &[empty(poll.op())]);
    assert_eq!(bench.calls.len(), 1, "renewed at once");
}

#[test]
fn a_batch_never_carries_more_than_50_ops() {
    let mut options = options(1);
    options.tuning.idle_exchanges = 1;
    let mut bench = Bench::new(options);
    for n in 0..120 {
        bench.client.open(bench.now, target(SERVER_FIRST), crate::FlowKind::Tcp).unwrap();
        bench.drain();
        let call = bench.calls.pop_back().unwrap();
        let name = alloc::format!("s{n}");
        let replies: Vec<ReplyParts<'_>> =
            call.ops.iter().map(|_| connected(&name, Some(Caps::PIPELINE_SEQ))).collect();
        bench.answer(&call, &replies);
    }
    assert!(bench.calls.iter().all(|call| call.ops.len() <= 50));
}

#[test]
fn on_a_slow_path_the_poll_behind_a_payload_leaves_the_answer_time_to_ride_with_it() {
    let mut bench = Bench::plain();
    bench.ways = vec![Way::Silent];
    bench.open_tcp();
    let (connect, probe) = (bench.call(), bench.call());
    bench.pass(ms(1500));
    bench.answer(&probe, &[ReplyParts { eof: Some(true), ..empty(probe.op()) }]);
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    let flow = bench.opened[0];
    let _held = bench.only_call();
    bench.write(flow, "x");
    let payload = bench.only_call();
    assert!(!payload.is_poll());
    bench.pass(ms(249));
    assert!(bench.calls.is_empty());
    bench.pass(ms(1));
    assert!(bench.only_call().is_poll(), "it reaches the node before the wait of 350 ms is over");
}

#[test]
fn for_polls_with_seq_a_relay_that_loses_seq_does_not_count_as_one_that_holds() {
    let mut bench = Bench::new(options(2));
    bench.ways[1] = Way::LosesSeq;
    let flow = slowed_down(&mut bench);
    bench.pass(ms(25_000));
    assert!(bench.calls.is_empty(), "quiet for half a minute");
    assert!(!bench.ended.contains_key(&flow));
}

#[test]
fn a_relay_without_room_does_not_count_as_one_that_holds() {
    let mut options = options(2);
    options.relays[1].max_concurrent = 1;
    let mut bench = Bench::new(options);
    let (_, mut poll) = bench.sequenced("s");
    while poll.relay.index() == 1 {
        bench.pass(ms(15_000));
        bench.answer(&poll, &[empty(poll.op())]);
        poll = bench.only_call();
    }
    // The open is never answered, and takes the only place of the other relay.
    bench.open_tcp();
    assert_eq!(bench.call().relay.index(), 1);
    for _ in 0..4 {
        answer_unheld(&mut bench, &poll);
        bench.pass(ms(600));
        poll = bench.calls.pop_front().unwrap_or(poll);
    }
    bench.calls.clear();
    bench.pass(ms(5_000));
    assert!(bench.calls.is_empty(), "no more polls for a while");
}
