//! Relays that misbehave, and relays that only look as if.

use std::time::Duration;

use seqlane::{ClientNotice, ExchangeFailure, NodeNotice};
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{Harness, Origin, Pattern, echo, fetch, push, read_to_end, take, was_reset};
use tokio::io::AsyncWriteExt;

use crate::MIB;

fn is_garbage(notice: &ClientNotice) -> bool {
    matches!(notice, ClientNotice::ExchangeFailed { why: ExchangeFailure::Garbage, .. })
}

#[tokio::test]
async fn a_key_that_the_relay_does_not_take_ends_the_flow_visibly() {
    let harness = Harness::builder().client_key("guessed").start().await;
    let mut notices = harness.notices();
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert!(was_reset(&mut socket).await);
    notices.wait_for(is_garbage).await;
    assert_eq!(harness.node.stats().await.stats.requests, 0);
}

#[tokio::test]
async fn a_key_that_the_node_does_not_take_ends_the_flow_visibly() {
    let harness = Harness::builder().relay_with_wrong_key().start().await;
    let (mut notices, mut node) = (harness.notices(), harness.node.notices());
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert!(was_reset(&mut socket).await);
    notices.wait_for(|notice| matches!(notice, ClientNotice::Unauthorized { .. })).await;
    assert!(matches!(soon(node.recv()).await.unwrap(), NodeNotice::Unauthorized { .. }));
}

#[tokio::test]
async fn a_page_instead_of_an_answer_ends_the_flow_visibly() {
    let harness = Harness::builder().relay(|relay| relay.html(1.0)).start().await;
    let mut notices = harness.notices();
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert!(was_reset(&mut socket).await);
    notices.wait_for(is_garbage).await;
}

#[tokio::test]
async fn an_answer_that_was_cut_ends_the_flow_visibly() {
    let harness = Harness::builder().relay(|relay| relay.truncate(1.0)).start().await;
    let mut notices = harness.notices();
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert!(was_reset(&mut socket).await);
    notices.wait_for(is_garbage).await;
}

#[tokio::test]
async fn answers_behind_a_redirect_are_fetched() {
    let harness = Harness::builder().relay(|relay| relay.redirect(true)).start().await;
    let origin = Origin::source(Pattern::new(0), MIB).await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), MIB);
    assert!(harness.relays[0].counters().redirected > 0);
}

#[tokio::test]
async fn a_relay_that_compresses_is_understood() {
    let harness = Harness::builder().relay(|relay| relay.gzip(true)).start().await;
    let origin = Origin::source(Pattern::new(0), MIB).await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), MIB);
}

#[tokio::test]
async fn a_node_that_compresses_is_understood() {
    let harness = Harness::builder().direct().start().await;
    let origin = Origin::source(Pattern::new(0), MIB).await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), MIB);
}

#[tokio::test]
async fn a_relay_that_delivers_calls_out_of_order_changes_nothing() {
    let harness = Harness::builder()
        .relay(|relay| relay.delay(Duration::from_millis(20)).jitter(Duration::from_millis(20)).seed(1))
        .start()
        .await;
    let origin = Origin::echo().await;
    let socket = harness.connect(origin.address()).await;
    let (mut read, mut write) = socket.into_split();
    let sent = tokio::spawn(async move {
        push(&mut write, Pattern::new(0), 2 * MIB).await.unwrap();
        write
    });
    take(&mut read, Pattern::new(0), 2 * MIB).await.unwrap();
    sent.await.unwrap();
}

#[tokio::test]
async fn a_relay_that_refuses_for_a_moment_costs_time_and_no_flow() {
    let harness = Harness::builder().relay(|relay| relay.max_concurrent(1)).start().await;
    let origin = Origin::sink(Pattern::new(0), MIB / 4).await;
    let mut socket = harness.connect(origin.address()).await;
    push(&mut socket, Pattern::new(0), MIB / 4).await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap(), (MIB / 4).to_string().as_bytes());
}

#[tokio::test]
async fn a_relay_that_fails_beside_one_that_works_is_left_alone() {
    let harness = Harness::builder()
        .relay(|relay| relay.html(1.0))
        .relay(|relay| relay)
        .client_options(|options| options.tuning.strikes = 1)
        .start()
        .await;
    let mut notices = harness.notices();
    let origin = Origin::echo().await;
    let mut first = harness.connect(origin.address()).await;
    first.write_all(b"x").await.unwrap();
    notices.wait_for(|notice| matches!(notice, ClientNotice::RelayDown { .. })).await;
    for _ in 0..5 {
        let mut socket = harness.connect(origin.address()).await;
        assert_eq!(echo(&mut socket, b"over the other").await.unwrap(), b"over the other");
    }
}
