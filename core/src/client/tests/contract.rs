//! Tests of the clauses of the client's contract.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use bytes::Bytes;

use super::bench::*;
use crate::client::relays::{Path, Purpose};
use crate::client::{Client, ClientAction, ClientEvent, ExchangeFailure, LocalEvent};
use crate::{ClientOptions, ExchangeId, FlowId, FlowKind, Instant, Misuse, TimerKind};

#[test]
fn events_may_come_in_any_number_before_a_drain() {
    let mut bench = Bench::plain();
    let (flow, _) = bench.sequenced("s");
    for _ in 0..100 {
        let event = LocalEvent::Data(Bytes::from_static(b"x"));
        bench.client.handle(bench.now, ClientEvent::Local { flow, event }).unwrap();
    }
    bench.drain();
    let sent: usize =
        bench.calls.iter().flat_map(|call| &call.ops).map(|op| op.payload().unwrap().len()).sum();
    assert_eq!(sent, 100);
}

#[test]
fn an_older_time_counts_as_the_last_one() {
    let mut bench = Bench::plain();
    let before = bench.client.clone();
    bench.client.handle(Instant::ZERO, ClientEvent::Timeout).unwrap();
    assert_eq!(bench.client.context.now(), before.context.now());
}

#[test]
fn polling_takes_no_time_and_idle_stays_idle() {
    let mut bench = Bench::plain();
    bench.sequenced("s");
    let first = bench.client.poll();
    assert!(matches!(first, ClientAction::Idle { .. }));
    assert_eq!(bench.client.poll(), first);
}

#[test]
fn after_a_timeout_at_the_wake_time_the_next_wake_is_later_whatever_it_was_for() {
    // The workbench checks each wake; here there is one of every kind.
    let mut options = options(1);
    options.relays[0].daily_calls = Some(1000);
    let mut bench = Bench::new(options);
    let (writer, _held) = bench.sequenced("writer");
    let (finished, poll) = bench.sequenced("finished");
    bench.local(finished, LocalEvent::Fin).unwrap();
    bench.answer(&poll, &[empty(poll.op())]);
    let udp = bench.open(target(53), FlowKind::Udp);
    bench.write(udp, "query");
    let open = bench.calls.pop_back().unwrap();
    bench.answer(&open, &[connected("u", None)]);
    bench.open(target(443), FlowKind::Tcp);
    bench.write(writer, "a");
    bench.write(writer, "gathers");
    let mut kinds = BTreeSet::new();
    for round in 0..500 {
        let Some(wake) = bench.wake else { break };
        kinds.insert(wake.timer);
        let left = wake.at.saturating_since(bench.now);
        bench.pass(left);
        if round == 10 {
            let call = bench.calls.pop_back().unwrap();
            bench.fail(&call, ExchangeFailure::NotSent);
        }
    }
    let all = [
        TimerKind::FirstBytes,
        TimerKind::Coalesce,
        TimerKind::Poll,
        TimerKind::ReplyWatchdog,
        TimerKind::HalfClose,
        TimerKind::RelayRetry,
        TimerKind::BudgetReset,
        TimerKind::IdleFlow,
    ];
    let missing: Vec<_> = all.iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "never woken for {missing:?}");
}

#[test]
fn the_end_of_time_is_no_busy_loop() {
    let mut options = options(1);
    options.relays[0].daily_calls = Some(1000);
    let mut bench = Bench::new(options);
    bench.sequenced("s");
    bench.now = Instant::from_micros(u64::MAX);
    for _ in 0..2 {
        bench.handle(ClientEvent::Timeout).unwrap();
    }
    assert_eq!(bench.ended.len(), 1);
}

#[test]
fn an_idle_poll_looks_at_no_queue() {
    let mut bench = Bench::plain();
    let (flow, _) = bench.sequenced("s");
    // An entry that any walk over the queues would take out, since its flow wants nothing.
    bench.client.sessions.push_stale_poll(flow);
    for _ in 0..3 {
        assert!(matches!(bench.client.poll(), ClientAction::Idle { .. }));
    }
    assert_eq!(bench.client.sessions.idle_polls(), [flow]);
    bench.handle(ClientEvent::Timeout).unwrap();
    assert!(bench.client.sessions.idle_polls().is_empty(), "an event makes it look");
}

#[test]
fn an_event_costs_no_walk_over_the_flows_that_wait_for_a_place() {
    let mut options = ClientOptions { max_level: crate::Level::Legacy, ..options(1) };
    options.relays[0].max_concurrent = 10;
    let mut bench = Bench::new(options);
    for n in 0..30 {
        bench.open_tcp();
        let connect = bench.calls.pop_back().unwrap();
        bench.answer(&connect, &[connected(&alloc::format!("s{n}"), None)]);
        bench.pass(ms(20));
    }
    // Eight polls are held; two opens take the places that are left.
    bench.open_tcp();
    bench.open_tcp();
    assert!(bench.client.sessions.idle_polls().len() >= 20);
    // An entry that any walk over the queue would take out: there is no such flow.
    let nobody = FlowId::new(9_999);
    bench.client.sessions.push_stale_poll(nobody);
    bench.handle(ClientEvent::Timeout).unwrap();
    assert_eq!(bench.client.sessions.idle_polls().last(), Some(&nobody));
    assert!(!bench.client.relays.has_room(bench.now, Purpose::Active(Path::Any)));
}

#[test]
fn the_same_seed_and_events_give_the_same_actions() {
    let run = || {
        let mut bench = Bench::plain();
        let (flow, poll) = bench.sequenced("s");
        bench.write(flow, "abc");
        bench.pass(ms(500));
        bench.fail(&poll, ExchangeFailure::Unknown);
        bench.pass(ms(500));
        (alloc::format!("{:?}", bench.calls), bench.client.stats().clone())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_clone_goes_on_like_the_original() {
    let mut bench = Bench::plain();
    let (flow, _) = bench.sequenced("s");
    let mut twin = bench.client.clone();
    let event = ClientEvent::Local { flow, event: LocalEvent::Data(Bytes::from_static(b"x")) };
    let drain = |client: &mut Client| {
        let actions = core::iter::from_fn(|| {
            Some(client.poll()).filter(|action| !matches!(action, ClientAction::Idle { .. }))
        });
        actions.collect::<Vec<_>>()
    };
    bench.client.handle(bench.now, event.clone()).unwrap();
    twin.handle(bench.now, event).unwrap();
    assert_eq!(drain(&mut bench.client), drain(&mut twin));
}

#[test]
fn what_never_existed_is_misuse_and_what_has_ended_is_ignored() {
    let mut bench = Bench::plain();
    let flow = FlowId::new(7);
    assert_eq!(bench.local(flow, LocalEvent::Fin), Err(Misuse::UnknownFlow(flow)));
    let exchange = ExchangeId::new(7);
    let reply = ClientEvent::Reply { exchange, body: Bytes::new() };
    assert_eq!(bench.handle(reply), Err(Misuse::UnknownExchange(exchange)));
    let failed = ClientEvent::ExchangeFailed { exchange, why: ExchangeFailure::Unknown };
    assert_eq!(bench.handle(failed), Err(Misuse::UnknownExchange(exchange)));

    let (flow, poll) = bench.sequenced("s");
    bench.fail(&poll, ExchangeFailure::Unknown);
    bench.fail(&poll, ExchangeFailure::Unknown);
    bench.answer(&poll, &[empty(poll.op())]);
    bench.local(flow, LocalEvent::Data(Bytes::from_static(b"late"))).unwrap();
    bench.local(flow, LocalEvent::Written(99)).unwrap();
    assert_eq!(bench.ended.len(), 1);
}

#[test]
fn misuse_changes_nothing() {
    let mut bench = Bench::plain();
    let (flow, _) = bench.sequenced("s");
    let wrongs = [LocalEvent::Written(1), LocalEvent::Data(Bytes::from(alloc::vec![0; 64 * 1024 * 1024]))];
    for event in wrongs {
        let before = alloc::format!("{:?}", bench.client.sessions);
        assert!(bench.local(flow, event).is_err());
        assert_eq!(alloc::format!("{:?}", bench.client.sessions), before);
    }
    bench.local(flow, LocalEvent::Fin).unwrap();
    assert_eq!(bench.local(flow, LocalEvent::Fin), Err(Misuse::AfterFin));
    assert_eq!(bench.local(flow, LocalEvent::Data(Bytes::from_static(b"x"))), Err(Misuse::AfterFin));
}

#[test]
fn the_limit_of_flows_holds() {
    let mut options = options(1);
    options.max_flows = 2;
    let mut bench = Bench::new(options);
    let first = bench.open(target(443), FlowKind::Tcp);
    bench.open(target(443), FlowKind::Tcp);
    assert_eq!(bench.client.open(bench.now, target(443), FlowKind::Tcp), Err(crate::OpenError::FlowLimit));
    bench.local(first, LocalEvent::Reset).unwrap();
    bench.client.open(bench.now, target(443), FlowKind::Tcp).unwrap();
}

#[test]
fn neither_key_nor_payload_is_ever_printed() {
    let mut bench = Bench::plain();
    let flow = bench.open(target(443), FlowKind::Tcp);
    bench.write(flow, "PAYLOADPAYLOAD");
    let printed = alloc::format!("{:?} {:?}", bench.client, bench.client.sessions);
    let event = alloc::format!("{:?}", LocalEvent::Data(Bytes::from_static(b"PAYLOADPAYLOAD")));
    bench.client.handle(bench.now, ClientEvent::Timeout).unwrap();
    for text in [printed, event] {
        assert!(!text.contains("PAYLOAD") && !text.contains("\"key\""), "{text}");
    }
}

#[test]
fn memory_is_what_is_buffered_and_returns_to_nothing() {
    let mut bench = Bench::plain();
    let (flow, _) = bench.sequenced("s");
    bench.write(flow, alloc::vec![1; 1000]);
    assert_eq!(bench.client.buffered_bytes(), 1000);
    let payload = bench.call();
    bench.answer(&payload, &[empty(payload.op())]);
    assert_eq!(bench.client.buffered_bytes(), 0);
}
