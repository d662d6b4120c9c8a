//! Tests of daily budgets.

use core::time::Duration;

use super::bench::*;
use crate::client::{ClientNotice, EndReason};
use crate::{ClientOptions, ExchangeFailure, RelayId};

fn limited(calls: u64) -> ClientOptions {
    let mut options = ClientOptions { max_level: crate::Level::Legacy, ..options(1) };
    options.relays[0].daily_calls = Some(calls);
    options.relays[0].budget_resets_in = Duration::from_secs(3600);
    options
}

#[test]
fn a_spent_budget_stops_calls_until_it_is_renewed() {
    let mut bench = Bench::new(limited(3));
    for _ in 0..5 {
        bench.open_tcp();
        if let Some(call) = bench.calls.pop_front() {
            bench.answer(&call, &[failing("connect failed: Connection refused")]);
        }
    }
    assert_eq!(bench.client.stats().calls, 3);
    let until = crate::Instant::from_micros(1_000_000).saturating_add(Duration::from_secs(3600));
    assert!(bench.notices.contains(&ClientNotice::BudgetSpent { relay: RelayId::new(0), until }));
    bench.pass(Duration::from_secs(3599));
    bench.open_tcp();
    assert!(bench.calls.is_empty());
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn a_budget_is_renewed_also_when_a_call_fails_at_that_time() {
    let mut bench = Bench::new(limited(1));
    bench.open_tcp();
    let call = bench.call();
    bench.now = bench.now.saturating_add(Duration::from_secs(3601));
    bench.fail(&call, ExchangeFailure::Unknown);
    bench.open_tcp();
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn a_call_counts_for_the_day_in_which_it_is_made() {
    let mut bench = Bench::new(limited(2));
    bench.open_tcp();
    bench.now = bench.now.saturating_add(Duration::from_secs(3601));
    for _ in 0..3 {
        bench.open_tcp();
    }
    assert_eq!(bench.client.stats().calls, 3, "one of the old day, two of the new one");
}

#[test]
fn a_session_ends_visibly_when_the_budget_leaves_it_without_calls() {
    let mut bench = Bench::new(limited(2));
    let (flow, poll) = bench.linked("s", None);
    bench.answer(&poll, &[empty(poll.op())]);
    bench.write(flow, [7; 10]);
    assert!(bench.calls.is_empty(), "both calls of the day are spent");
    bench.pass(Duration::from_secs(134));
    assert!(bench.ended.is_empty());
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.ended[&flow], EndReason::NoRelay, "after the reply watchdog's time");
}

#[test]
fn when_calls_run_short_no_poll_goes_behind_a_payload() {
    let mut bench = Bench::new(ClientOptions { max_level: crate::Level::Sequenced, ..limited(100) });
    let (flow, poll) = bench.sequenced("s");
    bench.answer(&poll, &[empty(poll.op())]);
    bench.calls.clear();
    let mut last = usize::MAX;
    while bench.client.stats().calls < 98 {
        bench.write(flow, "x");
        let calls: alloc::vec::Vec<Call> = bench.calls.drain(..).collect();
        last = calls.iter().filter(|call| call.is_poll()).count();
        for call in calls {
            bench.answer(&call, &call.ops.iter().map(empty).collect::<alloc::vec::Vec<_>>());
        }
    }
    assert_eq!(last, 0, "the first poll is still out; nothing more is spent on downlink");
}
