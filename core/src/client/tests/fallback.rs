//! Tests of fallback, where a relay or a node supports less.

use alloc::vec;

use super::bench::*;
use crate::client::{ClientNotice, EndReason};
use crate::wire::{Code, Op, ReplyParts};
use crate::{Balance, Caps, ClientOptions, FlowKind, Level};

fn unsupported() -> [ReplyParts<'static>; 4] {
    [
        ReplyParts { code: Some(Code::UnsupportedOp), ..failing("unknown op: connect_data") },
        failing("unknown op: connect_data"),
        failing("Unknown Tunnel OP: connect_data"),
        failing("UNKNOWN OP 'connect_data'"),
    ]
}

#[test]
fn a_way_without_connect_data_gets_a_connect_and_the_first_bytes_behind_it() {
    for reply in unsupported() {
        let mut bench = Bench::plain();
        let flow = bench.open(target(443), FlowKind::Tcp);
        bench.write(flow, "first");
        let bundled = bench.call();
        bench.answer(&bundled, &[reply]);
        let plain = bench.only_call();
        assert_eq!(plain.names(), ["connect"]);
        bench.answer(&plain, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
        let payload = bench.call();
        assert_eq!(
            (payload.op().payload().unwrap().as_ref(), payload.seqs()),
            (&b"first"[..], vec![Some(0)])
        );
        assert!(bench.notices.contains(&ClientNotice::ConnectDataUnsupported { relay: plain.relay }));
    }
}

#[test]
fn the_connect_data_fallback_is_sticky() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(443), FlowKind::Tcp);
    bench.write(flow, "first");
    let bundled = bench.call();
    bench.answer(&bundled, &[unsupported()[0]]);
    bench.calls.clear();
    let next = bench.open(target(443), FlowKind::Tcp);
    bench.write(next, "x");
    assert_eq!(bench.only_call().names(), ["connect"]);
}

#[test]
fn other_errors_are_no_reason_to_fall_back() {
    for text in ["unknown op: data", "connect failed: unknown", "bad base64: x", "connect_data"] {
        let mut bench = Bench::plain();
        let flow = bench.open(target(443), FlowKind::Tcp);
        bench.write(flow, "first");
        let bundled = bench.call();
        bench.answer(&bundled, &[failing(text)]);
        assert!(bench.ended.contains_key(&flow), "{text}");
        assert!(bench.calls.is_empty());
    }
}

#[test]
fn one_relay_without_connect_data_does_not_disable_another() {
    let mut bench = Bench::new(ClientOptions { balance: Balance::RoundRobin, ..options(2) });
    let first = bench.open(target(443), FlowKind::Tcp);
    bench.write(first, "x");
    let odd = bench.call();
    bench.answer(&odd, &[unsupported()[0]]);
    let again = bench.call();
    assert_ne!(again.relay, odd.relay);
    assert_eq!(again.names(), ["connect_data"]);
}

#[test]
fn a_relay_that_loses_seq_is_found_out_before_a_session_depends_on_it() {
    let mut bench = Bench::plain();
    bench.ways = vec![Way::LosesSeq];
    let flow = bench.open_tcp();
    let connect = bench.only_call();
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    bench.write(flow, "x");
    assert_eq!(bench.only_call().seqs(), [None]);
    assert!(bench.ended.is_empty());
    assert!(bench.notices.contains(&ClientNotice::SeqUnsupported { relay: connect.relay }));
}

#[test]
fn a_relay_is_not_blamed_for_a_node_that_knows_no_seq() {
    let mut bench = Bench::plain();
    bench.ways = vec![Way::LosesSeq];
    let (_, poll) = bench.linked("s", None);
    assert_eq!(poll.seqs(), [None]);
    assert!(!bench.notices.iter().any(|notice| matches!(notice, ClientNotice::SeqUnsupported { .. })));
}

#[test]
fn caps_that_pass_a_relay_which_loses_seq_do_not_mislead() {
    let mut bench = Bench::plain();
    bench.ways = vec![Way::LosesSeq];
    let flow = bench.open_tcp();
    let connect = bench.call();
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    assert!(bench.notices.contains(&ClientNotice::Connected { flow, level: Level::Legacy }));
}

#[test]
fn a_clean_relay_keeps_level_1_beside_one_that_loses_seq() {
    let mut bench = Bench::new(ClientOptions { balance: Balance::RoundRobin, ..options(2) });
    bench.ways = vec![Way::LosesSeq, Way::KeepsSeq];
    let mut clean = 0;
    for n in 0..6 {
        let flow = bench.open_tcp();
        let index = bench.calls.iter().position(|call| call.names().contains(&"connect")).unwrap();
        let connect = bench.calls.remove(index).unwrap();
        bench.answer(&connect, &[connected(&alloc::format!("s{n}"), Some(Caps::PIPELINE_SEQ))]);
        bench.write(flow, "x");
        for call in bench.calls.drain(..) {
            let sequenced = call.seqs().iter().any(Option::is_some);
            assert!(!sequenced || call.relay.index() == 1, "{call:?}");
            clean += usize::from(sequenced);
        }
    }
    assert!(clean >= 5, "{clean}");
    assert!(bench.ended.is_empty(), "no session was spent to find out");
}

#[test]
fn with_level_0_configured_nothing_is_numbered_and_nobody_is_probed() {
    let mut bench = Bench::new(ClientOptions { max_level: Level::Legacy, ..options(1) });
    bench.open_tcp();
    let connect = bench.only_call();
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    bench.pass(ms(20));
    assert_eq!(bench.client.stats().calls, 2);
    assert_eq!(bench.call().seqs(), [None]);
}

#[test]
fn level_1_sessions_without_any_way_left_end_and_say_so() {
    let mut bench = Bench::plain();
    let (other, _) = bench.sequenced("other");
    let (_, poll) = bench.sequenced("s");
    bench.answer(&poll, &[ReplyParts { seq: None, ..empty(poll.op()) }]);
    assert_eq!(bench.ended[&other], EndReason::SequenceBroken);
    bench.pass(ms(100));
    let closes = bench.calls.iter().flat_map(|call| &call.ops).filter(|op| matches!(op, Op::Close { .. }));
    assert_eq!(closes.count(), 2);
}

#[test]
fn a_session_that_was_linked_before_the_probe_came_back_goes_on_at_level_0() {
    let mut bench = Bench::plain();
    bench.ways = vec![Way::Silent];
    let flow = bench.open_tcp();
    let (connect, probe) = (bench.call(), bench.only_call());
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    bench.write(flow, "x");
    assert!(bench.calls.is_empty(), "nothing is numbered before it is known that numbers pass");
    bench.answer(&probe, &[ReplyParts { seq: None, ..empty(probe.op()) }]);
    assert_eq!(bench.call().seqs(), [None]);
    assert!(bench.ended.is_empty());
}

#[test]
fn a_dead_target_does_not_keep_others_from_level_1() {
    let mut bench = Bench::plain();
    bench.open(target(22), FlowKind::Tcp);
    let dead = bench.only_call();
    assert_eq!(dead.names(), ["connect"]);
    let (_, poll) = bench.sequenced("live");
    assert_eq!(poll.seqs(), [Some(0)]);
}

#[test]
fn a_lost_probe_is_sent_again() {
    let mut bench = Bench::plain();
    bench.ways = vec![Way::Silent];
    bench.open_tcp();
    let (connect, probe) = (bench.call(), bench.only_call());
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    bench.fail(&probe, crate::ExchangeFailure::Unknown);
    let again = bench.only_call();
    assert_eq!(again.ops, probe.ops);
    bench.answer(&again, &[ReplyParts { eof: Some(true), ..empty(again.op()) }]);
    assert_eq!(bench.only_call().seqs(), [Some(0)]);
}
