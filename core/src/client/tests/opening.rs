//! Tests of opening: first bytes, confirmation, failures, the unreachable cache.

use bytes::Bytes;

use super::bench::*;
use crate::client::{ClientEvent, EndReason, LocalEvent};
use crate::wire::{Op, ReplyParts};
use crate::{Caps, ConnectFailure, FlowKind, OpenMode, Target};

#[test]
fn first_bytes_ride_with_an_optimistic_open() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(443), FlowKind::Tcp);
    assert_eq!(bench.opened, [flow]);
    assert!(bench.calls.is_empty());
    bench.write(flow, "hello");
    let call = bench.only_call();
    assert_eq!(*call.op(), Op::ConnectData { target: target(443), payload: Bytes::from_static(b"hello") });
    assert_eq!(bench.client.stats().first_bytes_hit, 1);
}

#[test]
fn an_open_waits_for_first_bytes_no_longer_than_20_ms() {
    let mut bench = Bench::plain();
    bench.open(target(443), FlowKind::Tcp);
    bench.pass(ms(19));
    assert!(bench.calls.is_empty());
    bench.pass(ms(1));
    assert_eq!(bench.only_call().names(), ["connect"]);
    assert_eq!(bench.client.stats().first_bytes_missed, 1);
}

/// Deployed clients have port 80 in this list, so that plain HTTP pays two round trips; ours has not.
#[test]
fn exactly_the_ports_where_servers_speak_first_do_not_wait() {
    for port in [21, 22, 25, 110, 143, 587] {
        let mut bench = Bench::plain();
        bench.open(target(port), FlowKind::Tcp);
        assert_eq!(bench.only_call().names(), ["connect"], "{port}");
        assert_eq!(bench.client.stats().first_bytes_skipped, 1);
    }
    for port in [20, 23, 80, 443, 465, 993, 995, 8080] {
        let mut bench = Bench::plain();
        bench.open(target(port), FlowKind::Tcp);
        assert!(bench.calls.is_empty(), "{port}");
    }
}

#[test]
fn a_confirmed_open_tells_and_credits_the_application_when_the_node_did() {
    let mut options = options(1);
    options.open = OpenMode::Confirmed;
    let mut bench = Bench::new(options);
    let flow = bench.open(target(443), FlowKind::Tcp);
    let connect = bench.only_call();
    assert_eq!(connect.names(), ["connect"]);
    assert!(bench.opened.is_empty() && bench.credit.is_empty());
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    assert_eq!(bench.opened, [flow]);
    assert!(bench.credit[&flow] > 0);
}

#[test]
fn a_failed_open_ends_with_its_reason() {
    for (text, failure) in [
        ("connect failed: Connection refused (os error 111)", ConnectFailure::Refused),
        ("connect failed: No route to host (os error 113)", ConnectFailure::HostUnreachable),
        ("connect failed: connect timeout", ConnectFailure::TimedOut),
        ("connect failed: target not allowed", ConnectFailure::NotAllowed),
        ("connect failed: whatever", ConnectFailure::Other),
    ] {
        let mut bench = Bench::plain();
        let flow = bench.open_tcp();
        let connect = bench.only_call();
        bench.answer(&connect, &[failing(text)]);
        assert_eq!(bench.ended[&flow], EndReason::ConnectFailed(failure));
        assert!(bench.fins.is_empty());
    }
}

#[test]
fn an_error_that_is_not_about_the_target_is_the_nodes() {
    let mut bench = Bench::plain();
    let flow = bench.open_tcp();
    let connect = bench.only_call();
    bench.answer(&connect, &[failing("missing host")]);
    assert_eq!(bench.ended[&flow], EndReason::NodeError);
}

#[test]
fn an_unreachable_target_fails_at_once_for_30_seconds_and_only_on_its_port() {
    let mut bench = Bench::plain();
    bench.open_tcp();
    let connect = bench.only_call();
    bench.answer(&connect, &[failing("connect failed: Network is unreachable (os error 101)")]);

    let again = Target::new("HOST.example.", SERVER_FIRST).unwrap();
    let flow = bench.open(again.clone(), FlowKind::Tcp);
    assert_eq!(bench.ended[&flow], EndReason::ConnectFailed(ConnectFailure::NetworkUnreachable));
    assert!(bench.calls.is_empty() && !bench.opened.contains(&flow));
    assert_eq!(bench.client.stats().unreachable_hits, 1);

    bench.open(target(22), FlowKind::Tcp);
    assert_eq!(bench.only_call().names(), ["connect"]);

    bench.pass(ms(30_000));
    bench.calls.clear();
    bench.open(again, FlowKind::Tcp);
    assert!(bench.calls.iter().any(|call| call.names() == ["connect"]));
}

#[test]
fn a_failed_relay_does_not_make_a_target_unreachable() {
    let mut bench = Bench::plain();
    bench.open_tcp();
    let connect = bench.only_call();
    bench.answer_raw(&connect, r#"{"e":"network is unreachable"}"#);
    bench.open_tcp();
    assert_eq!(bench.only_call().names(), ["connect"]);
}

#[test]
fn connects_to_different_targets_never_share_a_batch() {
    let mut bench = Bench::plain();
    for port in [21, 22, 22] {
        bench.client.open(bench.now, target(port), FlowKind::Tcp).unwrap();
    }
    bench.drain();
    let ports: alloc::vec::Vec<_> =
        bench.calls.iter().map(|call| (call.ops.len(), call.names()[0])).collect();
    assert_eq!(ports, [(1, "connect"), (2, "connect")]);
}

#[test]
fn connects_never_share_a_batch_with_data() {
    let mut bench = Bench::plain();
    let (flow, _poll) = bench.sequenced("s");
    bench.client.open(bench.now, target(22), FlowKind::Tcp).unwrap();
    let event = LocalEvent::Data(Bytes::from_static(b"x"));
    bench.handle(ClientEvent::Local { flow, event }).unwrap();
    for call in &bench.calls {
        let connects = call.names().iter().filter(|name| **name == "connect").count();
        assert!(connects == 0 || connects == call.ops.len(), "{call:?}");
    }
}

#[test]
fn the_reply_to_first_bytes_is_delivered() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(443), FlowKind::Tcp);
    bench.write(flow, "hello");
    let call = bench.only_call();
    let data = bytes("world");
    bench.answer(&call, &[ReplyParts { data: &data, ..connected("s", Some(Caps::PIPELINE_SEQ)) }]);
    assert_eq!(bench.delivered(flow), b"world");
}

#[test]
fn a_flow_that_ended_while_its_open_was_on_the_way_is_closed_at_the_node() {
    let mut bench = Bench::plain();
    let flow = bench.open_tcp();
    let connect = bench.only_call();
    bench.local(flow, LocalEvent::Reset).unwrap();
    assert_eq!(bench.ended[&flow], EndReason::Local);
    bench.answer(&connect, &[connected("orphan", None)]);
    assert_eq!(*bench.only_call().op(), Op::Close { sid: sid("orphan") });
}

#[test]
fn an_upload_does_not_ride_with_its_open() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(443), FlowKind::Tcp);
    bench.write(flow, alloc::vec![7; 16 * 1024 + 1]);
    let connect = bench.only_call();
    assert_eq!(connect.names(), ["connect"], "the node would hold it for an answer that does not come");
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    assert_eq!(bench.call().op().payload().unwrap().len(), 16 * 1024 + 1);
}
