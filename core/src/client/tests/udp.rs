//! Tests of UDP flows.

use bytes::Bytes;

use super::bench::*;
use crate::client::{ClientNotice, EndReason, ExchangeFailure, LocalEvent};
use crate::wire::{Op, ReplyParts};
use crate::{FlowId, FlowKind, Misuse};

fn opened(bench: &mut Bench) -> (FlowId, Call) {
    let flow = bench.open(target(53), FlowKind::Udp);
    bench.write(flow, "first");
    let open = bench.call();
    assert_eq!(*open.op(), Op::UdpOpen { target: target(53), payload: Bytes::from_static(b"first") });
    bench.answer(&open, &[connected("u", None)]);
    let poll = bench.call();
    assert!(poll.is_poll());
    (flow, poll)
}

#[test]
fn the_first_datagram_rides_with_the_open_and_its_answer_is_delivered() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(53), FlowKind::Udp);
    bench.write(flow, "query");
    let open = bench.only_call();
    let packets = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    bench.answer(&open, &[ReplyParts { packets: &packets, ..connected("u", None) }]);
    assert_eq!(bench.datagrams[&flow], packets);
}

#[test]
fn a_datagram_goes_at_once_beside_a_held_poll() {
    let mut bench = Bench::plain();
    let (flow, _poll) = opened(&mut bench);
    bench.write(flow, "next");
    assert_eq!(bench.call().op().payload().unwrap(), "next");
}

#[test]
fn a_full_queue_drops_the_oldest_datagram_and_counts_it() {
    let mut options = options(1);
    options.tuning.udp_queue = 2;
    let mut bench = Bench::new(options);
    let flow = bench.open(target(53), FlowKind::Udp);
    for text in ["1", "2", "3", "4"] {
        bench.write(flow, text);
    }
    assert_eq!(bench.client.stats().datagrams_dropped, 1);
    let open = bench.call();
    bench.answer(&open, &[connected("u", None)]);
    assert_eq!(bench.call().op().payload().unwrap(), "3");
}

#[test]
fn a_lost_exchange_loses_datagrams_and_not_the_flow() {
    let mut bench = Bench::plain();
    let (flow, poll) = opened(&mut bench);
    bench.fail(&poll, ExchangeFailure::Unknown);
    assert!(bench.ended.is_empty());
    bench.pass(ms(500));
    let poll = bench.call();
    let packets = [Bytes::from_static(b"still here")];
    bench.answer(&poll, &[ReplyParts { packets: &packets, ..empty(poll.op()) }]);
    assert_eq!(bench.delivered(flow), b"still here");
}

#[test]
fn a_lost_open_ends_the_flow() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(53), FlowKind::Udp);
    bench.write(flow, "x");
    let open = bench.call();
    bench.fail(&open, ExchangeFailure::Garbage);
    assert_eq!(bench.ended[&flow], EndReason::ExchangeLost(ExchangeFailure::Garbage));
}

#[test]
fn an_answer_from_a_relays_cache_does_not_lose_the_queries_behind_it() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(53), FlowKind::Udp);
    bench.write(flow, "q1");
    bench.write(flow, "q2");
    let open = bench.call();
    let packets = [Bytes::from_static(b"a1")];
    let cached = ReplyParts { packets: &packets, eof: Some(true), ..connected("edns-cache", None) };
    bench.answer(&open, &[cached]);
    assert_eq!(bench.delivered(flow), b"a1");
    let second = bench.only_call();
    assert_eq!(*second.op(), Op::UdpOpen { target: target(53), payload: Bytes::from_static(b"q2") });
    bench.answer(&second, &[cached]);
    assert_eq!(bench.delivered(flow), b"a1a1");
}

#[test]
fn a_flow_that_a_relays_cache_answered_takes_the_next_query_with_a_new_open() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(53), FlowKind::Udp);
    bench.write(flow, "q1");
    let open = bench.call();
    let packets = [Bytes::from_static(b"a1")];
    bench.answer(&open, &[ReplyParts { packets: &packets, eof: Some(true), ..connected("edns-doh", None) }]);
    assert!(bench.ended.is_empty(), "an application asks again as soon as it has its answer");
    assert!(bench.calls.is_empty(), "there is no session to poll");
    bench.pass(ms(119_000));
    bench.write(flow, "q2");
    let again = bench.only_call();
    assert_eq!(*again.op(), Op::UdpOpen { target: target(53), payload: Bytes::from_static(b"q2") });
    bench.answer(&again, &[connected("u", None)]);
    assert!(bench.call().is_poll());
}

#[test]
fn a_flow_that_a_relays_cache_answered_ends_when_idle() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(53), FlowKind::Udp);
    bench.write(flow, "q1");
    let open = bench.call();
    bench.answer(&open, &[ReplyParts { eof: Some(true), ..connected("edns-doh", None) }]);
    bench.pass(ms(120_000));
    assert_eq!(bench.ended[&flow], EndReason::Idle);
}

#[test]
fn a_flow_without_traffic_ends_after_120_seconds() {
    let mut bench = Bench::plain();
    let (flow, mut poll) = opened(&mut bench);
    for _ in 0..8 {
        bench.pass(ms(14_999));
        bench.answer(&poll, &[empty(poll.op())]);
        poll = bench.call();
    }
    assert!(bench.ended.is_empty());
    bench.pass(ms(8));
    assert_eq!(bench.ended[&flow], EndReason::Idle);
}

#[test]
fn a_datagram_larger_than_udp_allows_is_misuse() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(53), FlowKind::Udp);
    let event = LocalEvent::Data(Bytes::from(alloc::vec![0; 65_536]));
    assert_eq!(bench.local(flow, event), Err(Misuse::DatagramTooLarge));
}

#[test]
fn the_application_that_goes_away_ends_the_flow_and_the_session() {
    let mut bench = Bench::plain();
    let (flow, _poll) = opened(&mut bench);
    bench.local(flow, LocalEvent::Fin).unwrap();
    assert_eq!(bench.ended[&flow], EndReason::Local);
    assert_eq!(*bench.only_call().op(), Op::Close { sid: sid("u") });
}

#[test]
fn eof_ends_the_flow_in_order() {
    let mut bench = Bench::plain();
    let (flow, poll) = opened(&mut bench);
    bench.answer(&poll, &[ReplyParts { eof: Some(true), ..empty(poll.op()) }]);
    assert_eq!(bench.ended[&flow], EndReason::Finished);
}

#[test]
fn a_flow_that_could_not_be_opened_says_why() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(53), FlowKind::Udp);
    bench.write(flow, "x");
    let open = bench.call();
    bench.answer(&open, &[failing("udp connect failed: target not allowed")]);
    assert_eq!(bench.ended[&flow], EndReason::ConnectFailed(crate::ConnectFailure::NotAllowed));
    assert!(!bench.notices_of().iter().any(|notice| matches!(notice, ClientNotice::Connected { .. })));
}
