//! Sealed or not at all: what a client whose lowest level is 2 sends, whatever relays answer.

use core::time::Duration;

use bytes::Bytes;

use crate::client::{EndReason, LocalEvent};
use crate::config::ClientOptions;
use crate::level::Level;
use crate::secret::Secret;

use super::rig::{Rig, options};
use super::{CALM, MINUTE};

/// What relays answer that want the client to send in clear.
const LIES: [(u16, &str); 20] = [
    (200, r#"{"r":[{"e":"unknown op: streams","code":"UNSUPPORTED_OP"}]}"#),
    (200, r#"{"r":[{"e":"unknown op: streams"}]}"#),
    (200, r#"{"r":[{"e":"unsupported op","code":"UNSUPPORTED_OP"}]}"#),
    (200, r#"{"r":[{"e":"bad packet"}]}"#),
    (200, r#"{"r":[{"e":"unauthorized"}]}"#),
    (200, r#"{"r":[{"e":"node is busy"}]}"#),
    (200, r#"{"r":[{"d":""}]}"#),
    (200, r#"{"r":[{"d":"AAAA"}]}"#),
    (200, r#"{"r":[{"d":"not base64"}]}"#),
    (200, r#"{"r":[{"sid":"s","caps":1}]}"#),
    (200, r#"{"r":[{"eof":true,"seq":0}]}"#),
    (200, r#"{"r":[]}"#),
    (200, r#"{"e":"unauthorized"}"#),
    (200, r#"{"e":"quota exceeded"}"#),
    (200, "{}"),
    (200, ""),
    (200, "<!DOCTYPE html><title>Error</title>"),
    (429, ""),
    (413, ""),
    (500, "<html>"),
];

fn sealed() -> ClientOptions {
    options(2).secret(Secret::new("known to both ends"))
}

/// An answer by which the whole client knows that the node has no level 2.
fn is_unsupported(lie: &str) -> bool {
    lie.contains("unknown op") || lie.contains("UNSUPPORTED_OP")
}

/// An answer after which the relay is left alone for minutes, or gets no packets at all.
fn is_refusal(lie: (u16, &str)) -> bool {
    matches!(lie.0, 413 | 429) || lie.1.contains("quota")
}

#[test]
fn nothing_leaves_in_clear_whatever_relays_answer_from_the_start() {
    for lie in LIES {
        let mut rig = Rig::lying(sealed(), lie, CALM);
        let flow = rig.open("echo", 1_000, false);
        let udp = rig.open_udp("echo");
        rig.local(udp, LocalEvent::Data(Bytes::from_static(b"query")));
        rig.run(3 * MINUTE, |_| false);
        assert!(rig.unsealed.is_empty(), "{lie:?}: {:?}", rig.unsealed);
        assert!(
            rig.app(flow).ended.is_some() && rig.app(udp).ended.is_some(),
            "{lie:?}: {:?} {:?}",
            rig.app(flow),
            rig.app(udp)
        );
        if is_unsupported(lie.1) {
            assert_eq!(rig.app(flow).ended, Some(EndReason::LevelTooLow), "{lie:?}");
        }
    }
}

#[test]
fn nothing_leaves_in_clear_when_relays_begin_to_lie_and_flows_come_whole_once_they_stop() {
    for lie in LIES {
        let mut rig = Rig::new(sealed(), CALM, 1);
        let before = rig.open("echo", 100, true);
        assert!(rig.run(MINUTE, Rig::ended), "{lie:?}");
        rig.lie = Some(lie);
        let during = rig.open("echo", 1_000, false);
        rig.run(Duration::from_secs(20), |_| false);
        rig.lie = None;
        let after = rig.open("echo", 100, true);
        rig.run(15 * MINUTE, |rig| rig.app(after).ended.is_some());
        assert!(rig.unsealed.is_empty(), "{lie:?}: {:?}", rig.unsealed);
        assert_eq!(rig.app(before).ended, Some(EndReason::Finished));
        if !is_unsupported(lie.1) && !is_refusal(lie) {
            assert_eq!(rig.app(after).ended, Some(EndReason::Finished), "{lie:?}");
            assert_eq!(rig.app(during).got.len(), 1_000, "{lie:?}");
        }
    }
}

#[test]
fn a_relay_that_fails_for_a_while_only_delays_a_flow() {
    for lie in LIES.into_iter().filter(|lie| !is_refusal(*lie) && !is_unsupported(lie.1)) {
        let mut rig = Rig::lying(sealed(), lie, CALM);
        let flow = rig.open("echo", 1_000, true);
        rig.run(Duration::from_secs(10), |_| false);
        rig.lie = None;
        assert!(rig.run(MINUTE, Rig::ended), "{lie:?}");
        assert_eq!(rig.app(flow).ended, Some(EndReason::Finished), "{lie:?}");
    }
}

#[test]
fn a_node_without_level_2_gets_nothing_and_the_flow_ends_with_the_reason() {
    let mut rig = Rig::with_node(sealed(), Level::Sequenced, CALM, 1);
    let flow = rig.open("echo", 10, false);
    assert!(rig.run(MINUTE, Rig::ended));
    assert_eq!(rig.app(flow).ended, Some(EndReason::LevelTooLow));
    assert!(rig.unsealed.is_empty() && rig.upstreams.is_empty());
}

#[test]
fn with_a_lowest_level_of_0_a_secret_keeps_nobody_from_sessions() {
    let mut rig = Rig::with_node(sealed().min_level(Level::Legacy), Level::Sequenced, CALM, 1);
    let flow = rig.open("1000", 10, false);
    assert!(rig.run(MINUTE, Rig::ended));
    assert_eq!(rig.app(flow).ended, Some(EndReason::Finished));
    assert!(!rig.unsealed.is_empty());
}
