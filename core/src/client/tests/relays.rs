//! Tests of the relays: choice, limits, backoff.

use core::time::Duration;

use super::bench::*;
use crate::client::{ClientNotice, EndReason, ExchangeFailure};
use crate::{Balance, ClientOptions, RelayId};

fn two(balance: Balance) -> ClientOptions {
    ClientOptions { balance, ..options(2) }
}

const FIRST: RelayId = RelayId::new(0);

#[test]
fn round_robin_takes_each_relay_in_turn() {
    let mut bench = Bench::new(two(Balance::RoundRobin));
    let places: alloc::vec::Vec<u32> = (0..4)
        .map(|_| {
            bench.open_tcp();
            bench.call().relay.index()
        })
        .collect();
    assert_eq!(places, [0, 1, 0, 1]);
}

#[test]
fn the_faster_relay_gets_more() {
    let mut bench = Bench::new(ClientOptions { max_level: crate::Level::Legacy, ..two(Balance::Fastest) });
    let mut counts = [0; 2];
    for n in 0..40 {
        let flow = bench.open_tcp();
        let connect = bench.calls.pop_back().unwrap();
        bench.pass(ms(if connect.relay == FIRST { 900 } else { 50 }));
        bench.answer(&connect, &[connected(&alloc::format!("s{n}"), None)]);
        counts[connect.relay.index() as usize] += 1;
        bench.local(flow, crate::LocalEvent::Reset).unwrap();
        bench.pass(ms(41));
        for call in bench.calls.drain(..).collect::<alloc::vec::Vec<_>>() {
            bench.answer(
                &call,
                &call.ops.iter().map(|_| crate::wire::ReplyParts::default()).collect::<alloc::vec::Vec<_>>(),
            );
        }
    }
    assert!(counts[0] < 5 && counts[1] > 30, "{counts:?}");
}

#[test]
fn no_relay_gets_more_calls_at_a_time_than_it_may() {
    let mut options = options(1);
    options.relays[0].max_concurrent = 3;
    let mut bench = Bench::new(options);
    for port in 1000..1010 {
        bench.open(target(port), crate::FlowKind::Tcp);
    }
    bench.pass(ms(20));
    assert_eq!(bench.calls.len(), 3);
    let opens: usize = bench.calls.iter().map(|call| call.ops.len()).sum();
    assert_eq!(opens, 10, "the last call takes along what found no place");
    bench.open_tcp();
    assert_eq!(bench.calls.len(), 3);
    let call = bench.call();
    bench.fail(&call, ExchangeFailure::Unknown);
    assert_eq!(bench.calls.len(), 3);
}

#[test]
fn polls_never_take_the_last_places() {
    let mut options = options(1);
    options.relays[0].max_concurrent = 5;
    let mut bench = Bench::new(options);
    for n in 0..4 {
        bench.linked(&alloc::format!("s{n}"), None);
    }
    bench.open_tcp();
    let connect = bench.only_call();
    assert_eq!(connect.names(), ["connect"]);
    bench.answer(&connect, &[connected("last", None)]);
    bench.pass(ms(20));
    assert!(bench.calls.is_empty(), "the fifth poll waits; a write would not");
}

#[test]
fn a_poll_beyond_the_places_for_polls_goes_out_when_it_sets_held_ones_free() {
    let mut options = options(1);
    options.relays[0].max_concurrent = 5;
    options.tuning.idle_exchanges = 100;
    let mut bench = Bench::new(options);
    for n in 0..4 {
        bench.sequenced(&alloc::format!("s{n}"));
    }
    let (_, poll) = bench.sequenced("last");
    assert_eq!(poll.ops.len(), 5, "with newer polls of the four, so that the node answers the older ones");
    bench.open_tcp();
    assert!(bench.calls.is_empty(), "every place is taken until then");
}

#[test]
fn three_timeouts_within_30_seconds_take_a_relay_out_and_another_takes_over() {
    let mut bench = Bench::new(two(Balance::RoundRobin));
    for _ in 0..6 {
        bench.open_tcp();
        let call = bench.call();
        if call.relay == FIRST {
            bench.fail(&call, ExchangeFailure::Unknown);
        } else {
            bench.answer(&call, &[failing("connect failed: Connection refused")]);
        }
    }
    assert!(
        bench.notices.iter().any(|notice| matches!(notice, ClientNotice::RelayDown { relay: FIRST, .. }))
    );
    for _ in 0..4 {
        bench.open_tcp();
        assert_ne!(bench.call().relay, FIRST);
    }
}

#[test]
fn timeouts_far_apart_take_nobody_out() {
    let mut bench = Bench::plain();
    for _ in 0..10 {
        bench.open_tcp();
        let call = bench.call();
        bench.fail(&call, ExchangeFailure::Unknown);
        bench.pass(Duration::from_secs(31));
        bench.calls.clear();
    }
    assert!(!bench.notices.iter().any(|notice| matches!(notice, ClientNotice::RelayDown { .. })));
}

#[test]
fn a_relay_that_only_fails_is_still_used_when_there_is_no_other() {
    let mut bench = Bench::plain();
    for _ in 0..5 {
        bench.open_tcp();
        let call = bench.call();
        bench.fail(&call, ExchangeFailure::Unknown);
    }
    bench.open_tcp();
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn pauses_double_and_an_answer_ends_them() {
    let mut bench = Bench::new(two(Balance::RoundRobin));
    let mut pauses = alloc::vec::Vec::new();
    for _ in 0..20 {
        bench.open_tcp();
        for call in bench.calls.drain(..).collect::<alloc::vec::Vec<_>>() {
            bench.fail(&call, ExchangeFailure::Garbage);
        }
        for notice in bench.notices_of() {
            if let ClientNotice::RelayDown { relay: FIRST, until } = notice {
                pauses.push(until.saturating_since(bench.now).as_secs());
                bench.pass(until.saturating_since(bench.now));
            }
        }
    }
    assert!(pauses.starts_with(&[15, 30, 60]), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= 120));
}

#[test]
fn a_relay_that_asks_for_a_pause_gets_it_and_its_ops_go_elsewhere() {
    let mut bench = Bench::new(two(Balance::RoundRobin));
    let flow = bench.open_tcp();
    let call = bench.call();
    let retry_after = Some(Duration::from_secs(77));
    bench.fail(&call, ExchangeFailure::Refused { retry_after });
    let again = bench.only_call();
    assert_ne!(again.relay, call.relay);
    assert_eq!(again.ops, call.ops);
    let until = bench.now.saturating_add(Duration::from_secs(77));
    assert!(bench.notices.contains(&ClientNotice::RelayDown { relay: call.relay, until }));
    assert!(!bench.ended.contains_key(&flow));
}

#[test]
fn an_answer_to_an_earlier_call_does_not_end_the_pause_that_a_relay_asked_for() {
    let mut bench = Bench::new(two(Balance::RoundRobin));
    let calls: alloc::vec::Vec<Call> = [21, 22, 25, 110]
        .map(|port| {
            bench.open(target(port), crate::FlowKind::Tcp);
            bench.call()
        })
        .into();
    let [earlier, refused] = [0, 2].map(|index| &calls[index]);
    assert_eq!((earlier.relay, refused.relay), (FIRST, FIRST));
    bench.fail(refused, ExchangeFailure::Refused { retry_after: Some(Duration::from_secs(77)) });
    bench.answer(earlier, &[connected("s", None)]);
    bench.calls.clear();
    assert!(!bench.notices.contains(&ClientNotice::RelayUp { relay: FIRST }));
    for port in 1000..1004 {
        bench.open(target(port), crate::FlowKind::Tcp);
    }
    bench.pass(ms(20));
    assert!(bench.calls.iter().all(|call| call.relay != FIRST), "{:?}", bench.calls);
    bench.pass(Duration::from_secs(77));
    bench.calls.clear();
    for _ in 0..2 {
        bench.open_tcp();
    }
    let back = bench.calls.iter().find(|call| call.relay == FIRST).expect("its time has come").clone();
    bench.answer(&back, &[connected("t", None)]);
    assert!(bench.notices.contains(&ClientNotice::RelayUp { relay: FIRST }));
}

/// The only relay asks to be left alone for an hour.
fn refuse_everything(bench: &mut Bench) {
    bench.open_tcp();
    let connect = bench.calls.pop_back().unwrap();
    bench.fail(&connect, ExchangeFailure::Refused { retry_after: Some(Duration::from_secs(3600)) });
}

#[test]
fn an_op_that_no_relay_takes_again_ends_its_session_after_the_watchdog_time() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    refuse_everything(&mut bench);
    bench.fail(&poll, ExchangeFailure::NotSent);
    bench.pass(Duration::from_secs(134));
    assert!(!bench.ended.contains_key(&flow));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.ended[&flow], EndReason::NoRelay);
}

#[test]
fn a_payload_that_no_relay_takes_ends_its_session_after_the_watchdog_time() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    refuse_everything(&mut bench);
    bench.answer(&poll, &[empty(poll.op())]);
    bench.write(flow, "never sent");
    assert!(bench.calls.is_empty());
    bench.pass(Duration::from_secs(134));
    assert!(!bench.ended.contains_key(&flow));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.ended[&flow], EndReason::NoRelay);
}

#[test]
fn a_quota_text_is_a_refusal_for_ten_minutes() {
    let mut bench = Bench::new(two(Balance::RoundRobin));
    bench.open_tcp();
    let call = bench.call();
    bench.answer_raw(&call, r#"{"e":"Exception: Service invoked too many times for one day: urlfetch."}"#);
    let until = bench.now.saturating_add(Duration::from_secs(600));
    assert!(bench.notices.contains(&ClientNotice::RelayDown { relay: call.relay, until }));
    assert_ne!(bench.only_call().relay, call.relay);
}

#[test]
fn an_error_envelope_counts_against_the_relay() {
    let mut bench = Bench::plain();
    for _ in 0..3 {
        let flow = bench.open_tcp();
        let call = bench.call();
        bench.answer_raw(&call, r#"{"e":"tunnel batch HTTP 500"}"#);
        assert_eq!(bench.ended[&flow], EndReason::ExchangeLost(ExchangeFailure::Garbage));
    }
    assert!(bench.notices.iter().any(|notice| matches!(notice, ClientNotice::RelayDown { .. })));
    assert_eq!(bench.client.stats().failed, 3);
}

#[test]
fn html_cut_json_and_answers_of_the_wrong_length_are_failures() {
    for body in [
        "<html>The script completed but did not return anything</html>",
        r#"{"r":[{"sid":"#,
        r#"{"r":[]}"#,
        "",
    ] {
        let mut bench = Bench::plain();
        let flow = bench.open_tcp();
        let call = bench.call();
        bench.answer_raw(&call, body);
        assert_eq!(bench.ended[&flow], EndReason::ExchangeLost(ExchangeFailure::Garbage), "{body}");
    }
}

#[test]
fn a_relay_that_cannot_be_reached_is_tried_again_later_and_nothing_is_lost() {
    let mut bench = Bench::plain();
    let flow = bench.open_tcp();
    let call = bench.call();
    bench.fail(&call, ExchangeFailure::NotSent);
    assert!(bench.calls.is_empty(), "no hot loop");
    bench.pass(ms(250));
    let again = bench.only_call();
    assert_eq!(again.ops, call.ops);
    bench.answer(&again, &[connected("s", None)]);
    assert!(!bench.ended.contains_key(&flow));
}

#[test]
fn an_open_that_no_relay_takes_fails_after_the_request_timeout() {
    let mut bench = Bench::plain();
    let flow = bench.open_tcp();
    while bench.ended.is_empty() {
        for call in bench.calls.drain(..).collect::<alloc::vec::Vec<_>>() {
            bench.fail(&call, ExchangeFailure::NotSent);
        }
        bench.pass(ms(100));
        assert!(bench.client.stats().calls < 20, "pauses double");
    }
    assert_eq!(bench.ended[&flow], EndReason::NoRelay);
}

#[test]
fn a_session_whose_ops_come_back_requeued_for_too_long_ends_visibly() {
    let mut bench = Bench::plain();
    let (flow, poll) = bench.sequenced("s");
    bench.calls.push_back(poll);
    bench.write(flow, alloc::vec![7; 10]);
    let mut waited = 0;
    while bench.ended.is_empty() {
        for call in bench.calls.drain(..).collect::<alloc::vec::Vec<_>>() {
            bench.fail(&call, ExchangeFailure::NotSent);
        }
        bench.pass(ms(1000));
        waited += 1;
        assert!(waited < 400, "the reply watchdog bounds the wait");
    }
    assert_eq!(bench.ended[&flow], EndReason::NoRelay);
}

#[test]
fn a_body_that_is_too_large_goes_again_in_smaller_ones() {
    let mut bench = Bench::plain();
    let (a, _) = bench.sequenced("a");
    let (b, _) = bench.sequenced("b");
    bench.write(a, alloc::vec![1; 1000]);
    let first = bench.call();
    bench.calls.clear();
    bench.write(a, alloc::vec![2; 100_000]);
    bench.write(b, alloc::vec![3; 100_000]);
    bench.answer(&first, &[empty(first.op())]);
    let large = bench.call();
    assert_eq!(large.ops.len(), 2);
    bench.calls.clear();
    bench.answer_raw(&large, r#"{"e":"tunnel batch HTTP 413"}"#);
    assert!(bench.notices.iter().any(|notice| matches!(notice, ClientNotice::BodyLimitLowered { .. })));
    let again: alloc::vec::Vec<_> = bench.calls.iter().filter(|call| !call.is_poll()).collect();
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|call| call.body_len < large.body_len / 4 * 3));
    assert!(bench.ended.is_empty());
}

#[test]
fn an_op_that_is_too_large_alone_ends_its_session_and_no_other() {
    let mut bench = Bench::plain();
    let (a, _) = bench.sequenced("a");
    let (b, _) = bench.sequenced("b");
    bench.write(a, alloc::vec![2; 60_000]);
    let large = bench.call();
    bench.fail(&large, ExchangeFailure::TooLarge);
    bench.calls.clear();
    while let Some(call) = bench.calls.pop_front() {
        bench.fail(&call, ExchangeFailure::TooLarge);
    }
    assert_eq!(bench.ended[&a], EndReason::ExchangeLost(ExchangeFailure::TooLarge));
    assert!(!bench.ended.contains_key(&b));
}

#[test]
fn no_body_is_larger_than_a_deployed_node_takes() {
    let mut bench = Bench::plain();
    let (flow, _) = bench.sequenced("s");
    for _ in 0..64 {
        if bench.credit[&flow] >= 128 * 1024 {
            bench.write(flow, alloc::vec![9; 128 * 1024]);
        }
        bench.pass(ms(1));
        for call in bench.calls.drain(..).collect::<alloc::vec::Vec<_>>() {
            assert!(call.body_len < 2 * 1024 * 1024, "{}", call.body_len);
            if !call.is_poll() {
                bench.answer(&call, &[empty(call.op())]);
            }
        }
    }
}
