//! Tests of sequencing.

use bytes::Bytes;

use super::bench::*;
use crate::client::{ClientNotice, EndReason, ExchangeFailure};
use crate::wire::{Op, ReplyParts};
use crate::{Balance, Caps, ClientOptions};

#[test]
fn the_first_data_op_has_seq_0_and_polls_count() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    assert_eq!(poll.seqs(), [Some(0)]);
    bench.write(flow, "a");
    assert_eq!(bench.call().seqs(), [Some(1)]);
    assert_eq!(bench.call().seqs(), [Some(2)], "a poll behind the payload");
}

#[test]
fn replies_that_come_reversed_are_delivered_in_order() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    bench.write(flow, "a");
    let (payload, behind) = (bench.call(), bench.call());
    let (first, second, third) = (bytes("one "), bytes("two "), bytes("three"));
    bench.answer(&behind, &[bringing(behind.op(), &third)]);
    assert_eq!(bench.delivered(flow), b"", "nothing before the earlier ones");
    bench.answer(&payload, &[bringing(payload.op(), &second)]);
    assert_eq!(bench.delivered(flow), b"");
    bench.answer(&poll, &[bringing(poll.op(), &first)]);
    assert_eq!(bench.delivered(flow), b"one two three");
    assert_eq!(bench.client.stats().reordered, 2);
}

#[test]
fn ops_that_overtake_each_other_on_two_relays_are_delivered_in_order() {
    // Deployed clients of later generations deliver in the order of arrival, and mix the bytes up.
    let mut bench = Bench::new(ClientOptions { balance: Balance::RoundRobin, ..options(2) });
    let (flow, poll) = bench.sequenced("s");
    let bulk = [Bytes::from(alloc::vec![b'0'; 64 * 1024])];
    bench.answer(&poll, &[bringing(poll.op(), &bulk)]);
    let (slow, fast) = (bench.call(), bench.call());
    assert_ne!(slow.relay, fast.relay);
    assert_eq!((slow.seqs(), fast.seqs()), (alloc::vec![Some(1)], alloc::vec![Some(2)]));
    let (first, second) = (bytes("first "), bytes("second"));
    bench.answer(&fast, &[bringing(fast.op(), &second)]);
    bench.pass(ms(900));
    bench.answer(&slow, &[bringing(slow.op(), &first)]);
    assert!(bench.delivered(flow).ends_with(b"0first second"));
}

#[test]
fn a_foreign_seq_delivers_nothing_and_closes_the_session() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    let data = bytes("wrong");
    let reply = ReplyParts { seq: Some(crate::Seq::new(9)), ..bringing(poll.op(), &data) };
    bench.answer(&poll, &[reply]);
    assert_eq!(bench.ended[&flow], EndReason::SequenceBroken);
    assert_eq!(bench.delivered(flow), b"");
    assert!(bench.fins.is_empty(), "a cut is never shown as an end");
}

#[test]
fn a_session_without_the_caps_bit_speaks_level_0() {
    for (caps, seq) in [
        (None, None),
        (Some(Caps::from_bits(0)), None),
        (Some(Caps::from_bits(0xfffe)), None),
        (Some(Caps::from_bits(1)), Some(0)),
        (Some(Caps::from_bits(0xffff)), Some(0)),
    ] {
        let mut bench = Bench::plain();
        let flow = bench.open_tcp();
        let connect = bench.call();
        bench.answer(&connect, &[connected("s", caps)]);
        bench.write(flow, "x");
        bench.pass(ms(20));
        assert_eq!(bench.call().seqs()[0], seq, "{caps:?}");
    }
}

#[test]
fn a_reply_without_seq_closes_the_session_and_ends_level_1_through_that_relay_for_good() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    bench.answer(&poll, &[ReplyParts { seq: None, ..empty(poll.op()) }]);
    assert_eq!(bench.ended[&flow], EndReason::SequenceBroken);
    assert!(bench.notices.contains(&ClientNotice::SeqUnsupported { relay: poll.relay }));
    bench.pass(ms(100));
    bench.calls.clear();
    let (_, poll) = bench.linked("next", Some(Caps::PIPELINE_SEQ).filter(|_| false));
    assert_eq!(poll.seqs(), [None]);
    let third = bench.open_tcp();
    let connect = bench.call();
    bench.answer(&connect, &[connected("third", Some(Caps::PIPELINE_SEQ))]);
    bench.write(third, "x");
    let call = bench.calls.iter().find(|call| !call.is_poll()).unwrap();
    assert_eq!(call.seqs(), [None], "the node's caps do not overrule what was seen");
}

#[test]
fn an_error_reply_closes_the_session_after_what_came_before_it() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    bench.write(flow, "a");
    let (payload, _behind) = (bench.call(), bench.call());
    bench.answer(&payload, &[failing("seq 1 timed out waiting for 0 (waited 30.0s)")]);
    assert!(bench.ended.is_empty());
    let data = bytes("tail");
    bench.answer(&poll, &[bringing(poll.op(), &data)]);
    assert_eq!(bench.delivered(flow), b"tail");
    assert_eq!(bench.ended[&flow], EndReason::NodeError);
}

#[test]
fn damaged_base64_closes_the_session() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    bench.answer_raw(&poll, r#"{"r":[{"sid":"s","d":"not base64","eof":false,"seq":0}]}"#);
    assert_eq!(bench.ended[&flow], EndReason::NodeError);
    assert_eq!(bench.delivered(flow), b"");
}

#[test]
fn eof_comes_after_the_bytes_before_it() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    bench.write(flow, "a");
    let (payload, behind) = (bench.call(), bench.call());
    bench.answer(&behind, &[ReplyParts { eof: Some(true), ..empty(behind.op()) }]);
    let data = bytes("tail");
    bench.answer(&payload, &[bringing(payload.op(), &data)]);
    assert!(bench.ended.is_empty());
    bench.answer(&poll, &[empty(poll.op())]);
    assert_eq!(bench.delivered(flow), b"tail");
    assert_eq!(bench.fins, [flow]);
    assert_eq!(bench.ended[&flow], EndReason::Finished);
    bench.pass(ms(1000));
    assert!(bench.calls.is_empty(), "the node has forgotten the session by itself");
}

#[test]
fn a_lost_exchange_ends_exactly_the_sessions_that_had_ops_in_it() {
    let mut bench = Bench::plain();
    let (lost, poll) = bench.sequenced("lost");
    let (other, _poll) = bench.sequenced("other");
    bench.fail(&poll, ExchangeFailure::Unknown);
    assert_eq!(bench.ended[&lost], EndReason::ExchangeLost(ExchangeFailure::Unknown));
    assert!(!bench.ended.contains_key(&other));
    assert!(!EndReason::ExchangeLost(ExchangeFailure::Unknown).is_orderly());
    bench.pass(ms(100));
    assert!(bench.calls.iter().any(|call| call.ops.contains(&Op::Close { sid: sid("lost") })));
}

#[test]
fn what_was_not_sent_goes_again_with_the_same_numbers_and_bytes() {
    let mut bench = Bench::plain();
    let (flow, _poll) = bench.sequenced("s");
    bench.write(flow, "abc");
    let (payload, behind) = (bench.call(), bench.call());
    bench.fail(&payload, ExchangeFailure::NotSent);
    bench.fail(&behind, ExchangeFailure::NotSent);
    bench.pass(ms(2000));
    let mut again = alloc::vec![];
    while let Some(call) = bench.calls.pop_front() {
        again.extend(call.ops.clone());
        if again.len() < 2 {
            bench.answer(&call, &call.ops.iter().map(empty).collect::<alloc::vec::Vec<_>>());
        }
    }
    assert_eq!(again[..2], [payload.op().clone(), behind.op().clone()]);
    assert!(bench.ended.is_empty());
    assert_eq!(bench.client.stats().ops_resent, 2);
}

#[test]
fn a_reply_is_given_up_after_twice_the_batch_timeout_and_15_seconds() {
    for (configured, watchdog) in [(30, 135), (100, 215)] {
        let mut options = options(1);
        options.request_timeout = core::time::Duration::from_secs(configured);
        let mut bench = Bench::new(options);
        let (flow, _poll) = bench.sequenced("s");
        bench.pass(ms(watchdog * 1000 - 1));
        assert!(bench.ended.is_empty());
        bench.pass(ms(1));
        assert_eq!(bench.ended[&flow], EndReason::ReplyOverdue);
    }
}

#[test]
fn an_open_without_seq_is_given_up_after_twice_what_is_configured_and_15_seconds() {
    let mut bench = Bench::plain();
    let flow = bench.open_tcp();
    bench.pass(ms(74_999));
    assert!(bench.ended.is_empty());
    bench.pass(ms(1));
    assert_eq!(bench.ended[&flow], EndReason::ReplyOverdue);
}

#[test]
fn a_batch_with_seq_has_at_least_60_seconds_and_others_what_is_configured() {
    let mut bench = Bench::plain();
    bench.open_tcp();
    let connect = bench.call();
    assert_eq!(connect.deadline, bench.now.saturating_add(ms(30_000)));
    bench.answer(&connect, &[connected("s", Some(Caps::PIPELINE_SEQ))]);
    assert_eq!(bench.call().deadline, bench.now.saturating_add(ms(60_000)));
}

#[test]
fn a_slow_reply_stops_the_session_before_its_reorder_queue_overflows() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    for _ in 0..200 {
        bench.write(flow, "x");
        for call in bench.calls.drain(..).collect::<alloc::vec::Vec<_>>() {
            bench.answer(&call, &[empty(call.op())]);
        }
    }
    assert!(bench.ended.is_empty());
    bench.answer(&poll, &[empty(poll.op())]);
    for _ in 0..200 {
        for call in bench.calls.drain(..).collect::<alloc::vec::Vec<_>>() {
            bench.answer(&call, &[empty(call.op())]);
        }
    }
    assert!(bench.ended.is_empty());
    assert_eq!(bench.client.buffered_bytes(), 0, "everything was taken in the end");
}
