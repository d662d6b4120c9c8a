//! Tests of flows: uplink, backpressure, half-close, reset.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::bench::*;
use crate::client::{ClientEvent, EndReason, ExchangeFailure, LocalEvent};
use crate::wire::{Op, ReplyParts};
use crate::{Caps, FlowKind, Misuse, OpenError};

#[test]
fn a_lone_write_is_sent_at_once_beside_a_held_poll() {
    let mut bench = Bench::plain();
    let (flow, _held) = bench.sequenced("s");
    bench.pass(ms(300));
    bench.write(flow, "think");
    let call = bench.call();
    assert_eq!(call.op().payload().unwrap(), "think");
}

#[test]
fn small_writes_gather_only_while_payload_is_in_flight() {
    let mut bench = Bench::plain();
    let (flow, _held) = bench.sequenced("s");
    bench.write(flow, "a");
    let first = bench.call();
    bench.calls.clear();
    bench.write(flow, "b");
    bench.write(flow, "c");
    assert!(bench.calls.is_empty());
    bench.answer(&first, &[empty(first.op())]);
    assert_eq!(bench.call().op().payload().unwrap(), "bc");
}

#[test]
fn a_gathering_write_waits_no_longer_than_the_coalescing_time() {
    let mut bench = Bench::plain();
    let (flow, _held) = bench.sequenced("s");
    bench.write(flow, "a");
    bench.calls.clear();
    bench.write(flow, "b");
    bench.pass(ms(40));
    assert_eq!(bench.call().op().payload().unwrap(), "b");
}

#[test]
fn as_many_payload_ops_are_in_flight_as_the_depth_allows() {
    let mut bench = Bench::plain();
    let (flow, _held) = bench.sequenced("s");
    for _ in 0..20 {
        bench.write(flow, vec![7; 1000]);
        bench.pass(ms(50));
    }
    let payloads = bench.calls.iter().filter(|call| !call.is_poll()).count();
    let polls = 1 + bench.calls.len() - payloads;
    assert!(payloads >= 4 && payloads + polls == 8, "{payloads} payloads and {polls} polls");
}

#[test]
fn buffered_first_bytes_leave_before_later_ones() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(443), FlowKind::Tcp);
    bench.write(flow, "first ");
    bench.write(flow, "second ");
    let connect = bench.call();
    assert_eq!(connect.op().payload().unwrap(), "first ");
    bench.write(flow, "third");
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    assert_eq!(bench.call().op().payload().unwrap(), "second third");
}

#[test]
fn a_flow_reads_no_more_than_its_credit_and_gets_more_as_ops_are_answered() {
    let mut options = options(1);
    options.uplink_window = 100_000;
    let mut bench = Bench::new(options);
    let (flow, _held) = bench.sequenced("s");
    assert_eq!(bench.credit[&flow], 100_000);
    bench.write(flow, vec![1; 100_000]);
    assert_eq!(bench.credit[&flow], 0);
    let event = LocalEvent::Data(Bytes::from_static(b"x"));
    assert_eq!(bench.local(flow, event), Err(Misuse::CreditExceeded));
    let payload = bench.call();
    bench.answer(&payload, &[empty(payload.op())]);
    assert_eq!(bench.credit[&flow], 100_000);
}

#[test]
fn one_flow_cannot_use_up_the_floor_of_another() {
    let mut options = options(1);
    options.uplink_total = 0;
    let mut bench = Bench::new(options);
    let (greedy, _) = bench.sequenced("greedy");
    bench.write(greedy, vec![1; 64 * 1024]);
    bench.calls.clear();
    let (other, _) = bench.sequenced("other");
    assert_eq!(bench.credit[&greedy], 0);
    assert_eq!(bench.credit[&other], 64 * 1024);
}

#[test]
fn an_application_that_does_not_read_stops_the_polls() {
    let mut options = options(1);
    options.downlink_window = 5;
    let mut bench = Bench::new(options);
    let (flow, poll) = bench.sequenced("s");
    let data = bytes("12345");
    bench.answer(&poll, &[bringing(poll.op(), &data)]);
    bench.pass(ms(60_000));
    assert!(bench.calls.is_empty());
    bench.local(flow, LocalEvent::Written(1)).unwrap();
    assert!(bench.only_call().is_poll());
}

#[test]
fn after_a_half_close_replies_in_flight_and_later_polls_still_deliver() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    bench.write(flow, "request");
    bench.local(flow, LocalEvent::Fin).unwrap();
    let (payload, behind) = (bench.call(), bench.call());
    assert_eq!(payload.op().payload().unwrap(), "request");
    bench.answer(&poll, &[empty(poll.op())]);
    bench.answer(&payload, &[empty(payload.op())]);
    bench.pass(ms(14_000));
    let (half, rest) = (bytes("half "), bytes("rest"));
    bench.answer(&behind, &[bringing(behind.op(), &half)]);
    let later = bench.call();
    assert!(later.is_poll());
    bench.pass(ms(14_000));
    bench.answer(&later, &[ReplyParts { eof: Some(true), ..bringing(later.op(), &rest) }]);
    assert_eq!(bench.delivered(flow), b"half rest");
    assert_eq!(bench.ended[&flow], EndReason::Finished);
}

#[test]
fn a_half_closed_session_without_downlink_for_30_seconds_is_closed_with_a_reset() {
    let mut bench = Bench::plain();
    let (flow, _poll) = bench.sequenced("s");
    bench.local(flow, LocalEvent::Fin).unwrap();
    bench.pass(ms(29_999));
    assert!(bench.ended.is_empty());
    bench.pass(ms(1));
    assert_eq!(bench.ended[&flow], EndReason::HalfCloseQuiet);
    assert!(!EndReason::HalfCloseQuiet.is_orderly() && bench.fins.is_empty());
    bench.pass(ms(100));
    assert!(bench.calls.iter().any(|call| call.ops == [Op::Close { sid: sid("s") }]));
}

#[test]
fn a_long_upload_before_a_half_close_is_not_cut_by_the_quiet_time() {
    let mut bench = Bench::plain();
    let (flow, _poll) = bench.sequenced("s");
    bench.write(flow, "slow upload");
    let payload = bench.call();
    bench.local(flow, LocalEvent::Fin).unwrap();
    bench.pass(ms(50_000));
    assert!(bench.ended.is_empty());
    bench.answer(&payload, &[empty(payload.op())]);
    bench.pass(ms(29_000));
    assert!(bench.ended.is_empty(), "the quiet time begins when the upload is taken");
    bench.pass(ms(1_000));
    assert_eq!(bench.ended[&flow], EndReason::HalfCloseQuiet);
}

#[test]
fn a_reset_by_the_application_closes_the_session_at_the_node() {
    let mut bench = Bench::plain();
    let (flow, _poll) = bench.sequenced("s");
    bench.local(flow, LocalEvent::Reset).unwrap();
    assert_eq!(bench.ended[&flow], EndReason::Local);
    assert_eq!(*bench.only_call().op(), Op::Close { sid: sid("s") });
}

#[test]
fn a_close_that_cannot_be_sent_is_left_to_the_node_when_that_has_forgotten_the_session() {
    let mut bench = Bench::plain();
    let (flow, _poll) = bench.sequenced("s");
    bench.local(flow, LocalEvent::Reset).unwrap();
    let mut tries = 0;
    for _ in 0..40 {
        for call in core::mem::take(&mut bench.calls) {
            tries += 1;
            bench.fail(&call, ExchangeFailure::NotSent);
        }
        bench.pass(ms(30_000));
    }
    assert!((3..12).contains(&tries), "{tries}");
    let (other, _poll) = bench.sequenced("t");
    bench.write(other, "x");
    assert_eq!(bench.call().names(), ["data"]);
}

#[test]
fn a_close_rides_with_the_next_payload() {
    let mut bench = Bench::plain();
    let (gone, _) = bench.sequenced("gone");
    let (flow, _) = bench.sequenced("s");
    bench.local(gone, LocalEvent::Reset).unwrap();
    assert!(bench.calls.is_empty(), "it waits for others");
    bench.write(flow, "x");
    assert_eq!(bench.call().names(), ["data", "close"]);
}

#[test]
fn closes_never_make_a_body_larger_than_its_relay_takes() {
    let mut options = options(1);
    options.tuning.idle_exchanges = 100;
    options.relays[0].max_body = 64 * 1024;
    options.relays[0].max_concurrent = 100;
    let mut bench = Bench::new(options);
    let (writer, _) = bench.sequenced("writer");
    let gone: Vec<_> = (0..30).map(|n| bench.sequenced(&alloc::format!("{n:-<64}")).0).collect();
    bench.calls.clear();
    for flow in gone {
        bench.local(flow, LocalEvent::Reset).unwrap();
    }
    bench.write(writer, vec![7; 64 * 1024]);
    bench.pass(ms(100));
    let closes = bench.calls.iter().flat_map(|call| &call.ops).filter(|op| matches!(op, Op::Close { .. }));
    assert_eq!(closes.count(), 30);
    for call in &bench.calls {
        assert!(call.body_len <= 64 * 1024, "{}", call.body_len);
    }
}

#[test]
fn closing_the_client_ends_every_flow_and_opens_no_new_one() {
    let mut bench = Bench::plain();
    let (a, _) = bench.sequenced("a");
    let b = bench.open(target(443), FlowKind::Udp);
    bench.handle(ClientEvent::Close).unwrap();
    assert_eq!(bench.ended[&a], EndReason::ClientClosed);
    assert_eq!(bench.ended[&b], EndReason::ClientClosed);
    assert_eq!(bench.client.open(bench.now, target(1), FlowKind::Tcp), Err(OpenError::Closed));
    assert_eq!(*bench.call().op(), Op::Close { sid: sid("a") });
}

#[test]
fn a_client_is_closed_when_its_last_call_is_answered() {
    let mut bench = Bench::plain();
    let (_, poll) = bench.sequenced("a");
    bench.handle(ClientEvent::Close).unwrap();
    let close = bench.call();
    bench.answer(&poll, &[empty(poll.op())]);
    assert!(!bench.closed);
    bench.answer(&close, &[ReplyParts { sid: Some(sid("a")), eof: Some(true), ..ReplyParts::default() }]);
    assert!(bench.closed);
}

#[test]
fn a_client_without_flows_is_closed_at_once() {
    let mut bench = Bench::plain();
    bench.handle(ClientEvent::Close).unwrap();
    assert!(bench.closed);
}

#[test]
fn a_close_that_is_overdue_waits_for_a_relay_and_names_no_time_that_has_passed() {
    let mut options = options(1);
    options.tuning.max_batch_ops = 1;
    options.relays[0].max_concurrent = 2;
    let mut bench = Bench::new(options);
    let sessions = [bench.sequenced("a"), bench.sequenced("b")];
    for (_, poll) in &sessions {
        bench.fail(poll, ExchangeFailure::Refused { retry_after: Some(ms(30_000)) });
    }
    for (flow, _) in &sessions {
        bench.local(*flow, LocalEvent::Reset).unwrap();
    }
    bench.pass(ms(10_000));
    bench.open_tcp();
    // The relay takes two calls, the open and one close. The bench looks at every wake time.
    bench.pass(ms(25_000));
    let names: Vec<_> = bench.calls.iter().flat_map(Call::names).collect();
    assert_eq!(names, ["connect", "close"]);
}
