//! Level 2 from end to end: the real client and the real node, with relays made of seeds.

mod nodes;
mod rig;
mod sealed;

use alloc::vec::Vec;
use core::time::Duration;

use crate::client::{ClientNotice, EndReason, ExchangeFailure, LocalEvent};
use crate::error::ConnectFailure;
use crate::id::RelayId;
use crate::level::Level;
use crate::wire::reset::ResetCode;

use rig::{Faults, Rig, byte, node_options, options};

const MINUTE: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

const CALM: Faults = Faults { lose_request: 0, lose_reply: 0, double: 0, way: (400, 600) };
const LOSSY: Faults = Faults { lose_request: 50, lose_reply: 50, double: 20, way: (300, 1_500) };

/// What an upstream sends.
fn sent(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| byte(1_000, place)).collect()
}

/// How many connections the client has.
fn connections(rig: &Rig) -> usize {
    rig.client.streams.as_ref().unwrap().connections().count()
}

#[test]
fn a_download_comes_whole_and_ends_in_order() {
    let mut rig = Rig::new(options(2), CALM, 1);
    let stream = rig.open("3000000", 10, true);
    assert!(rig.run(5 * MINUTE, Rig::ended));
    assert_eq!(rig.app(stream).ended, Some(EndReason::Finished));
    assert!(rig.app(stream).got == sent(3_000_000));
}

#[test]
fn an_upload_comes_whole_and_ends_in_order() {
    let mut rig = Rig::new(options(2), CALM, 1);
    let stream = rig.open("sink", 3 * MIB, true);
    assert!(rig.run(5 * MINUTE, Rig::ended));
    assert_eq!(rig.app(stream).ended, Some(EndReason::Finished));
    let upstream = rig.upstreams.values().next().unwrap();
    let expected: Vec<u8> = (0..3 * MIB).map(|place| byte(stream.number(), place)).collect();
    assert!(upstream.got == expected);
}

#[test]
fn flows_come_whole_through_relays_that_lose_and_double() {
    for seed in 1..4 {
        let mut rig = Rig::new(options(3), LOSSY, seed);
        let download = rig.open("2000000", 10, true);
        let echo = rig.open("echo", MIB, true);
        let upload = rig.open("sink", MIB, true);
        assert!(rig.run(20 * MINUTE, Rig::ended), "seed {seed}: {:?}", rig.client);
        for stream in [download, echo, upload] {
            assert_eq!(rig.app(stream).ended, Some(EndReason::Finished), "seed {seed}");
        }
        assert!(rig.app(download).got == sent(2_000_000), "seed {seed}");
        let expected: Vec<u8> = (0..MIB).map(|place| byte(echo.number(), place)).collect();
        assert!(rig.app(echo).got == expected, "seed {seed}");
        assert_eq!(rig.upstreams.len(), 3, "S3, seed {seed}");
    }
}

#[test]
fn answers_that_are_opened_elsewhere_do_the_same() {
    let play = |opens: bool, binary: bool, node: Level| {
        let mut options = options(2);
        options.relays.iter_mut().for_each(|relay| relay.binary = binary);
        let mut rig = Rig::with_node(options, node, LOSSY, 3);
        rig.opens = opens;
        let stream = rig.open("500000", 10, true);
        rig.run(20 * MINUTE, Rig::ended);
        let app = rig.app(stream);
        (rig.now, rig.calls, alloc::format!("{:?}", rig.client.stats()), app.ended, app.got.clone())
    };
    for binary in [true, false] {
        for node in [Level::Streams, Level::Sequenced] {
            assert!(play(true, binary, node) == play(false, binary, node), "{binary}, {node:?}");
        }
    }
}

#[test]
fn a_keystroke_is_echoed_in_about_a_round_trip() {
    let mut rig = Rig::new(options(1), CALM, 1);
    let stream = rig.open("echo", 1, false);
    assert!(rig.run(MINUTE, |rig| rig.app(stream).got.len() == 1));
    for typed in 2..10 {
        rig.run(Duration::from_secs(5), |_| false);
        let before = rig.now;
        rig.write(stream, 1);
        assert!(rig.run(MINUTE, |rig| rig.app(stream).got.len() == typed));
        let took = rig.now.saturating_since(before);
        assert!(took <= Duration::from_millis(1_300), "{took:?}");
    }
}

#[test]
fn an_idle_client_makes_one_call_for_each_hold() {
    let mut rig = Rig::new(options(2), CALM, 1);
    for _ in 0..100 {
        rig.open("echo", 1, false);
    }
    rig.run(2 * MINUTE, |_| false);
    let before = rig.calls;
    rig.run(60 * MINUTE, |_| false);
    let calls = rig.calls - before;
    assert!((130..=152).contains(&calls), "{calls} calls in an hour");
}

#[test]
fn a_node_that_restarts_ends_every_stream_with_that_reason_and_new_ones_go_on() {
    let mut rig = Rig::new(options(2), CALM, 1);
    let first = rig.open("echo", 1, false);
    let second = rig.open("echo", 1, false);
    rig.run(MINUTE, |_| false);
    rig.restart_node();
    rig.write(first, 1);
    assert!(rig.run(3 * MINUTE, Rig::ended));
    for stream in [first, second] {
        assert_eq!(rig.app(stream).ended, Some(EndReason::Reset(ResetCode::Gone)));
    }
    let third = rig.open("echo", 5, true);
    assert!(rig.run(MINUTE, Rig::ended));
    assert_eq!(rig.app(third).ended, Some(EndReason::Finished));
}

#[test]
fn a_client_that_lost_its_node_says_hello_again_when_a_flow_opens_and_not_before() {
    let mut rig = Rig::new(options(2), CALM, 1);
    let first = rig.open("echo", 1, false);
    rig.run(MINUTE, |_| false);
    rig.restart_node();
    rig.write(first, 1);
    assert!(rig.run(3 * MINUTE, Rig::ended));
    rig.run(MINUTE, |_| false);
    let calls = rig.calls;
    rig.run(60 * MINUTE, |_| false);
    assert_eq!(rig.calls, calls);
    assert_eq!(connections(&rig), 0, "there was no use for one");
    rig.open("echo", 1, true);
    assert!(rig.run(MINUTE, Rig::ended));
}

#[test]
fn a_refused_target_ends_its_flow_alone_with_the_reason() {
    let mut rig = Rig::new(options(2), CALM, 1);
    let refused = rig.open("refuse", 5, false);
    let other = rig.open("echo", 5, true);
    assert!(rig.run(MINUTE, Rig::ended));
    assert_eq!(rig.app(refused).ended, Some(EndReason::ConnectFailed(ConnectFailure::Refused)));
    assert_eq!(rig.app(other).ended, Some(EndReason::Finished));
}

#[test]
fn a_node_without_level_2_gets_sessions() {
    let mut rig = Rig::with_node(
        crate::ClientOptions {
            relays: alloc::vec![crate::RelayOptions::new(crate::Secret::new("k"))],
            ..options(1)
        },
        Level::Sequenced,
        CALM,
        1,
    );
    let stream = rig.open("1000", 10, false);
    assert!(rig.run(MINUTE, Rig::ended));
    assert_eq!(rig.app(stream).ended, Some(EndReason::Finished));
    assert!(rig.app(stream).got == sent(1_000));
    assert!(rig.notices.iter().any(|notice| matches!(notice, ClientNotice::StreamsUnsupported { .. })));
}

#[test]
fn a_relay_that_dies_takes_no_flow_with_it() {
    for seed in 1..6 {
        let mut rig = Rig::new(options(3), CALM, seed);
        let stream = rig.open("4000000", 10, true);
        rig.run(Duration::from_secs(4), |_| false);
        rig.dead.push(1);
        assert!(rig.run(5 * MINUTE, Rig::ended), "seed {seed}");
        assert!(rig.app(stream).got == sent(4_000_000));
    }
}

#[test]
fn flows_outlive_a_minute_of_silence() {
    let mut rig = Rig::new(options(2), CALM, 3);
    let stream = rig.open("4000000", 10, true);
    rig.run(Duration::from_millis(1_900), |_| false);
    rig.dead = alloc::vec![0, 1];
    rig.run(MINUTE, |_| false);
    let before = rig.calls;
    assert!(rig.app(stream).ended.is_none());
    rig.dead.clear();
    assert!(rig.run(5 * MINUTE, Rig::ended));
    assert!(rig.app(stream).got == sent(4_000_000));
    assert!(before < 60, "{before} calls");
}

#[test]
fn streams_outlive_a_refusal_of_their_only_relay() {
    let mut rig = Rig::new(options(1), CALM, 3);
    let stream = rig.open("echo", 1, false);
    assert!(rig.run(MINUTE, |rig| rig.app(stream).got.len() == 1));
    rig.refusing.push(0);
    rig.write(stream, 1);
    rig.run(MINUTE, |_| false);
    rig.refusing.clear();
    assert!(rig.run(10 * MINUTE, |rig| rig.app(stream).got.len() == 2));
}

#[test]
fn a_stream_whose_chunks_no_relay_takes_ends_at_once_and_later_flows_are_sessions() {
    let mut rig = Rig::new(options(1), CALM, 1);
    rig.largest_body = 60 * 1024;
    let stream = rig.open("sink", 1_000_000, true);
    assert!(rig.run(MINUTE, Rig::ended));
    assert_eq!(rig.app(stream).ended, Some(EndReason::ExchangeLost(ExchangeFailure::TooLarge)));
    let later = rig.open("echo", 1, false);
    assert!(rig.run(MINUTE, |rig| rig.app(later).got.len() == 1));
    rig.run(MINUTE, |_| false);
    assert!(!rig.client.streams.as_ref().unwrap().is_in_use(), "the node knows of the end");
}

#[test]
fn a_node_that_takes_no_whole_chunk_gets_sessions() {
    let narrow = node_options(Level::Streams).max_body(64 << 10);
    let mut rig = Rig::with_nodes(options(1), (1, narrow), CALM, 1);
    let stream = rig.open("echo", 1, false);
    assert!(rig.run(MINUTE, |rig| rig.app(stream).got.len() == 1));
    assert_eq!(connections(&rig), 0);
}

#[test]
fn a_relay_that_carries_much_is_not_down_because_a_few_calls_were_lost() {
    let is_down = |rig: &Rig| rig.client.relays.iter().any(|relay| relay.health().probe_at().is_some());
    // Near the end little is out, and three that are lost may be all.
    let is_full = |rig: &Rig| rig.upstreams.values().all(|upstream| upstream.got.len() < 60 * MIB);
    for seed in 1..6 {
        let mut rig = Rig::new(options(2), LOSSY, seed);
        rig.open("sink", 120 * MIB, true);
        assert!(rig.run(20 * MINUTE, |rig| is_down(rig) || !is_full(rig)) && !is_down(&rig), "seed {seed}");
    }
}

#[test]
fn a_full_relay_is_waited_for_where_the_other_one_is_down() {
    let mut options = options(2);
    options.relays[0].max_concurrent = 1;
    let mut rig = Rig::new(options, CALM, 1);
    let stream = rig.open("echo", 1, false);
    // Both relays have brought answers.
    for place in 1..20 {
        assert!(rig.run(MINUTE, |rig| rig.app(stream).got.len() == place));
        rig.write(stream, 1);
    }
    assert!(rig.run(MINUTE, |rig| rig.app(stream).got.len() == 20));
    rig.dead.push(1);
    for place in 21..60 {
        rig.write(stream, 1);
        assert!(rig.run(5 * MINUTE, |rig| rig.app(stream).got.len() == place));
    }
    assert!(
        rig.client.relays.get(RelayId::new(1)).unwrap().health().probe_at().is_some(),
        "known to be down"
    );
    let before = rig.calls_of[&1];
    for place in 60..120 {
        rig.write(stream, 1);
        assert!(rig.run(5 * MINUTE, |rig| rig.app(stream).got.len() == place));
    }
    assert!(rig.calls_of[&1] - before < 10, "probes alone, and not what waits for the other relay");
}

#[test]
fn an_upload_goes_on_in_smaller_packets_where_a_relay_refuses_large_ones() {
    let mut rig = Rig::new(options(1), CALM, 1);
    rig.largest_body = 200 * 1024;
    let stream = rig.open("sink", 4_000_000, true);
    assert!(rig.run(10 * MINUTE, Rig::ended));
    assert_eq!(rig.app(stream).ended, Some(EndReason::Finished));
}

#[test]
fn a_client_whose_flows_have_ended_asks_no_more_relays() {
    let mut rig = Rig::new(options(1), CALM, 1);
    rig.dead.push(0);
    rig.open("echo", 1, true);
    assert!(rig.run(2 * MINUTE, Rig::ended));
    let calls = rig.calls;
    rig.run(10 * MINUTE, |_| false);
    assert_eq!(rig.calls, calls);
}

#[test]
fn what_is_still_owed_when_the_last_flow_has_ended_is_held_nowhere() {
    let in_use = |rig: &Rig| rig.client.streams.as_ref().unwrap().is_in_use();
    let mut owed = 0;
    for seed in 1..20 {
        let mut rig = Rig::new(options(2), Faults { lose_reply: 300, ..CALM }, seed);
        rig.open("echo", 1, true);
        assert!(rig.run(20 * MINUTE, Rig::ended), "seed {seed}");
        owed += usize::from(in_use(&rig));
        let end = rig.now;
        let is_held = |rig: &Rig| {
            let mut connections = rig.client.streams.as_ref().unwrap().connections();
            connections.any(|connection| {
                let mut records = connection.exchanges().iter();
                records.any(|(_, record)| record.sent > end && record.held_until > record.sent)
            })
        };
        assert!(!rig.run(MINUTE, is_held), "seed {seed}");
        assert!(!in_use(&rig), "seed {seed}");
    }
    assert!(owed > 10, "{owed}");
}

#[test]
fn datagrams_go_both_ways() {
    let mut rig = Rig::new(options(1), CALM, 1);
    let stream = rig.open_udp("echo-udp");
    rig.local(stream, LocalEvent::Data("query".into()));
    assert!(rig.run(MINUTE, |rig| !rig.app(stream).datagrams.is_empty()));
    assert_eq!(rig.app(stream).datagrams, ["query"]);
    assert!(rig.run(5 * MINUTE, Rig::ended));
    assert_eq!(rig.app(stream).ended, Some(EndReason::Idle));
}

#[test]
fn an_application_that_does_not_read_stops_its_own_download_alone() {
    let mut options = options(2);
    options.tuning.streams.downlink_window = MIB as u64;
    options.tuning.streams.downlink_total = 2 * MIB as u64;
    let mut rig = Rig::new(options, CALM, 1);
    let stalled = rig.open("8000000", 1, true);
    rig.apps.get_mut(&stalled).unwrap().stalled = true;
    let other = rig.open("1000000", 1, true);
    assert!(rig.run(5 * MINUTE, |rig| rig.app(other).ended.is_some()));
    assert!(rig.app(stalled).got.len() <= MIB && rig.app(stalled).ended.is_none());
    rig.read(stalled);
    assert!(rig.run(10 * MINUTE, Rig::ended));
    assert!(rig.app(stalled).got == sent(8_000_000));
}

#[test]
fn a_lost_answer_holds_a_download_up_for_no_longer_than_its_repair_takes() {
    for seed in 1..12 {
        let mut rig = Rig::new(options(4), Faults { way: (300, 1_500), ..CALM }, seed);
        let stream = rig.open("60000000", 10, true);
        rig.run(Duration::from_secs(4) + Duration::from_millis(seed * 100), |_| false);
        rig.lose_next = Some(100_000);
        let (mut last, mut longest, mut got) = (rig.now, Duration::ZERO, 0);
        while rig.app(stream).ended.is_none() {
            let moved = |rig: &Rig| rig.app(stream).got.len() > got || rig.ended();
            assert!(rig.run(5 * MINUTE, moved), "seed {seed}");
            got = rig.app(stream).got.len();
            longest = longest.max(rig.now.saturating_since(last));
            last = rig.now;
        }
        assert!(longest < Duration::from_secs(13), "seed {seed}: {longest:?}");
    }
}

#[test]
fn the_rest_of_a_download_comes_as_quickly_as_the_most_of_it() {
    let mut rig = Rig::new(options(1), Faults { way: (750, 750), ..CALM }, 1);
    let stream = rig.open("10000000", 10, true);
    let begun = rig.now;
    assert!(rig.run(MINUTE, Rig::ended));
    assert!(rig.app(stream).got == sent(10_000_000));
    let took = rig.now.saturating_since(begun);
    // A hello, an open, a first answer with what is told to wait, that, and the end.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_flow_that_waits_for_a_lane_has_every_relay_asked_again_soon() {
    let mut rig = Rig::new(options(1), CALM, 1);
    rig.dead.push(0);
    // Flows come and go while nothing is answered.
    for _ in 0..4 {
        rig.open("echo", 1, true);
        rig.run(2 * MINUTE, |_| false);
    }
    let stream = rig.open("echo", 1, true);
    rig.run(Duration::from_secs(1), |_| false);
    rig.dead.clear();
    assert!(rig.run(Duration::from_secs(15), Rig::ended));
    assert_eq!(rig.app(stream).ended, Some(EndReason::Finished));
}

#[test]
fn a_download_goes_on_soon_after_its_only_relay_works_again() {
    let mut rig = Rig::new(options(1), CALM, 1);
    let stream = rig.open("60000000", 10, true);
    assert!(rig.run(MINUTE, |rig| rig.app(stream).got.len() > 8 * MIB));
    rig.dead.push(0);
    rig.run(MINUTE, |_| false);
    let got = rig.app(stream).got.len();
    rig.dead.clear();
    let before = rig.now;
    assert!(rig.run(5 * MINUTE, |rig| rig.app(stream).got.len() > got));
    let took = rig.now.saturating_since(before);
    // In silence a request is held for a quarter of it.
    assert!(took < MINUTE / 4, "{took:?}");
}
