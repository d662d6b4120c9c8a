//! Each fault alone, certain or impossible.

use std::time::{Duration, Instant};

use http::StatusCode;
use seqlane_tests::deadline::soon;
use seqlane_tests::http_client::HttpClient;

use crate::{DECOY, Harness, POLL, REPLY, batch};

#[tokio::test]
async fn a_lost_request_is_neither_run_nor_answered() {
    let mut harness = Harness::new(|relay| relay.lose_request(1.0)).await;
    harness.poll_in_vain().await;
    assert!(harness.node.is_unasked());
    assert!(harness.relay.counters().lost_requests > 0);
}

#[tokio::test]
async fn a_lost_reply_was_run_and_is_not_answered() {
    let mut harness = Harness::new(|relay| relay.lose_reply(1.0)).await;
    harness.poll_in_vain().await;
    harness.node.next_request().await;
    assert!(harness.relay.counters().lost_replies > 0);
}

#[tokio::test]
async fn a_loss_over_http2_ends_that_call_alone() {
    let harness = Harness::new(|relay| relay.lose_reply(1.0)).await;
    let http = HttpClient::http2();
    for _ in 0..2 {
        assert!(http.send(http::Method::POST, &harness.relay.url(), &[], batch(POLL)).await.is_err());
    }
    assert!(http.get(&harness.relay.url()).await.text().contains(DECOY));
}

#[tokio::test]
async fn a_duplicated_call_is_run_twice_and_answered_once() {
    let mut harness = Harness::new(|relay| relay.duplicate(1.0)).await;
    assert_eq!(harness.poll().await.text(), REPLY);
    let first = harness.node.next_request().await;
    assert_eq!(harness.node.next_request().await, first);
    assert!(harness.node.is_unasked());
    assert_eq!(harness.relay.counters().duplicated, 1);
    assert_eq!(harness.relay.calls(), 1);
}

#[tokio::test]
async fn a_cut_answer_is_a_prefix_with_status_200() {
    let harness = Harness::new(|relay| relay.truncate(1.0)).await;
    let answer = harness.poll().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.len() < REPLY.len());
    assert!(REPLY.starts_with(answer.text()));
    assert_eq!(harness.relay.counters().truncated, 1);
}

#[tokio::test]
async fn an_answer_can_become_a_page() {
    let mut harness = Harness::new(|relay| relay.html(1.0)).await;
    let answer = harness.poll().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains(DECOY));
    harness.node.next_request().await;
    assert_eq!(harness.relay.counters().html, 1);
}

#[tokio::test]
async fn the_first_status_that_befalls_a_call_answers_it_unrun() {
    let mut harness = Harness::new(|relay| relay.status(502, 0.0).status(503, 1.0).status(500, 1.0)).await;
    assert_eq!(harness.poll().await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(harness.node.is_unasked());
    assert_eq!(harness.relay.counters().statuses, 1);
}

#[tokio::test]
async fn impossible_faults_never_happen() {
    let harness = Harness::new(|relay| {
        relay.lose_request(0.0).lose_reply(0.0).duplicate(0.0).truncate(0.0).html(0.0).status(500, 0.0)
    })
    .await;
    for _ in 0..20 {
        assert_eq!(harness.poll().await.text(), REPLY);
    }
    assert_eq!(harness.relay.counters().forwarded, 20);
}

#[tokio::test]
async fn the_same_seed_spoils_the_same_calls() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let harness = Harness::new(|relay| relay.seed(seed).html(0.5)).await;
        let mut spoiled = Vec::new();
        for _ in 0..24 {
            spoiled.push(harness.poll().await.text() != REPLY);
        }
        runs.push(spoiled);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn calls_beyond_the_limit_are_told_to_come_again() {
    let mut harness = Harness::new(|relay| relay.max_concurrent(1)).await;
    harness.node.close_gate();
    let (http, url) = (harness.http.clone(), harness.relay.url());
    let first = tokio::spawn(async move { http.post(&url, batch(POLL)).await });
    harness.node.next_request().await;
    let refused = harness.poll().await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    harness.node.open_gate();
    assert_eq!(soon(first).await.unwrap().text(), REPLY);
    assert_eq!(harness.poll().await.text(), REPLY);
    let counters = harness.relay.counters();
    assert_eq!((counters.calls, counters.refused), (2, 1));
}

#[tokio::test]
async fn a_delayed_call_takes_at_least_its_delay() {
    let harness =
        Harness::new(|relay| relay.delay(Duration::from_millis(60)).jitter(Duration::from_millis(20))).await;
    let start = Instant::now();
    assert_eq!(harness.poll().await.text(), REPLY);
    assert!(start.elapsed() >= Duration::from_millis(40), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_narrow_relay_takes_time_for_every_byte() {
    let harness = Harness::new(|relay| relay.bandwidth(1000)).await;
    let start = Instant::now();
    assert_eq!(harness.poll().await.text(), REPLY);
    let bytes = batch(POLL).len() + REPLY.len();
    assert!(start.elapsed() >= Duration::from_millis(bytes as u64 - 1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_relay_without_seq_takes_it_out_both_ways() {
    let mut harness = Harness::new(|relay| relay.strip_seq(true)).await;
    let answer = harness.post(batch(r#"[{"op":"data","sid":"s","seq":3,"d":"QUJD"}]"#)).await.json();
    assert_eq!(answer, serde_json::json!({"r": [{"sid": "s", "d": "QUJD", "eof": false}]}));
    let (_, body) = harness.node.next_request().await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["ops"], serde_json::json!([{"op": "data", "sid": "s", "d": "QUJD"}]));
}
