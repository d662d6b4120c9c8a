//! Levels side by side: old peers are detected, and do not affect flows over other relays.

use std::time::Duration;

use seqlane::{Balance, ClientNotice, Level, RelayId};
use seqlane_tests::harness::{Harness, HarnessBuilder, Origin, Pattern, push, take};

use crate::MIB;

/// Sends this much through an echo and checks what comes back.
async fn there_and_back(harness: &Harness, number: usize, len: usize) {
    let origin = Origin::echo().await;
    let pattern = Pattern::new(number);
    let socket = harness.connect(origin.address()).await;
    let (mut read, mut write) = socket.into_split();
    let sent = tokio::spawn(async move {
        push(&mut write, pattern, len).await.unwrap();
        write
    });
    take(&mut read, pattern, len).await.unwrap();
    sent.await.unwrap();
}

fn connected(notice: &ClientNotice) -> Option<Level> {
    match notice {
        ClientNotice::Connected { level, .. } => Some(*level),
        _ => None,
    }
}

fn unsupported(notices: &[ClientNotice]) -> Vec<RelayId> {
    let relays = notices.iter().filter_map(|notice| match notice {
        ClientNotice::SeqUnsupported { relay } => Some(*relay),
        _ => None,
    });
    relays.collect()
}

#[tokio::test]
async fn flows_are_sequenced_where_everything_on_the_way_is_new() {
    let harness = Harness::start().await;
    let mut notices = harness.notices();
    there_and_back(&harness, 0, MIB).await;
    let levels: Vec<Level> = notices.so_far().iter().filter_map(connected).collect();
    assert_eq!(levels, [Level::Sequenced]);
}

#[tokio::test]
async fn a_node_of_level_0_is_spoken_to_at_level_0() {
    let harness = Harness::builder().node_options(|options| options.max_level = Level::Legacy).start().await;
    let mut notices = harness.notices();
    there_and_back(&harness, 0, MIB).await;
    let notices = notices.so_far();
    let levels: Vec<Level> = notices.iter().filter_map(connected).collect();
    assert_eq!(levels, [Level::Legacy]);
    assert_eq!(unsupported(&notices), [], "the relay is not to blame");
}

#[tokio::test]
async fn a_client_of_level_0_is_served_by_a_new_node() {
    let harness =
        Harness::builder().client_options(|options| options.max_level = Level::Legacy).start().await;
    there_and_back(&harness, 0, MIB).await;
}

#[tokio::test]
async fn a_relay_that_loses_seq_is_used_at_level_0() {
    let harness = Harness::builder().relay(|relay| relay.strip_seq(true)).start().await;
    let mut notices = harness.notices();
    for number in 0..3 {
        there_and_back(&harness, number, MIB / 2).await;
    }
    let notices = notices.so_far();
    assert_eq!(unsupported(&notices), [RelayId::new(0)]);
    assert!(notices.iter().filter_map(connected).all(|level| level == Level::Legacy));
}

#[tokio::test]
async fn a_relay_that_loses_seq_does_not_degrade_the_one_beside_it() {
    let harness = round_robin().relay(|relay| relay.strip_seq(true)).relay(|relay| relay).start().await;
    let mut notices = harness.notices();
    for number in 0..6 {
        there_and_back(&harness, number, MIB / 2).await;
    }
    let notices = notices.so_far();
    assert_eq!(unsupported(&notices), [RelayId::new(0)]);
    assert_eq!(notices.iter().rev().find_map(connected), Some(Level::Sequenced));
    assert!(harness.relays[1].calls() > 0);
}

#[tokio::test]
async fn ops_that_overtake_each_other_through_relays_of_different_speed_change_nothing() {
    let harness = round_robin()
        .relay(|relay| relay.delay(Duration::from_millis(10)))
        .relay(|relay| relay.delay(Duration::from_millis(150)))
        .start()
        .await;
    let mut notices = harness.notices();
    tokio::join!(there_and_back(&harness, 0, 4 * MIB), there_and_back(&harness, 1, 4 * MIB));
    let levels: Vec<Level> = notices.so_far().iter().filter_map(connected).collect();
    assert_eq!(levels, [Level::Sequenced; 2]);
    assert!(harness.node.stats().await.stats.reordered > 0, "nothing overtook anything");
}

fn round_robin() -> HarnessBuilder {
    Harness::builder().client_options(|options| options.balance = Balance::RoundRobin)
}
