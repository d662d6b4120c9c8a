//! Packets of level 2 as they are, through a relay that takes them and one that does not.

use bytes::Bytes;
use http::{Method, StatusCode};
use seqlane_tests::http_client::{Answer, HttpClient};
use seqlane_tests::packets::{Hand, PACKET};
use seqlane_tokio::relay::RelayBuilder;
use seqlane_tokio::{StandInRelay, StartError};

use crate::through::pair;
use crate::{DECOY, Harness};

/// Noise that begins like gzip and is no UTF-8.
const NOISE: &[u8] = b"\x1f\x8b\x00\xff\xfe {\"k\":";

const ANSWER: &[u8] = b"\xff\x00 answer";

/// A relay with these settings before a stub that answers with noise.
async fn harness(settings: impl FnOnce(RelayBuilder) -> RelayBuilder) -> Harness {
    let harness = Harness::new(|relay| settings(relay.binary(true))).await;
    harness.node.set_answer(200, ANSWER);
    harness
}

async fn try_send(harness: &Harness, key: &str, body: impl Into<Bytes>) -> Result<Answer, String> {
    let authorization = format!("Bearer {key}");
    let headers = [PACKET, ("authorization", authorization.as_str())];
    harness.http.send(Method::POST, &harness.relay.url(), &headers, body).await
}

async fn send(harness: &Harness, key: &str) -> Answer {
    try_send(harness, key, NOISE).await.unwrap()
}

#[tokio::test]
async fn a_packet_passes_byte_for_byte_both_ways() {
    let mut harness = harness(|relay| relay).await;
    let answer = send(&harness, "outer").await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, ANSWER));
    assert_eq!(answer.header("content-type"), PACKET.1);
    let (path, body) = harness.node.next_request().await;
    assert_eq!((path.as_str(), &body[..]), ("/tunnel/streams", NOISE));
}

#[tokio::test]
async fn the_node_is_shown_its_own_key() {
    let (_node, relay) = pair(|relay| relay.binary(true)).await;
    let mut hand = Hand::new("known to both ends", 1);
    let headers = [PACKET, ("authorization", "Bearer outer")];
    let answer = HttpClient::http1().send(Method::POST, &relay.url(), &headers, hand.hello()).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    hand.greeted(&answer.body);
}

#[tokio::test]
async fn a_stranger_with_a_packet_sees_the_decoy() {
    let mut harness = harness(|relay| relay).await;
    for key in ["", "inner"] {
        assert!(send(&harness, key).await.text().contains(DECOY));
    }
    assert!(harness.node.is_unasked());
    assert_eq!(harness.relay.counters().rejected, 2);
}

#[tokio::test]
async fn a_relay_that_takes_no_packets_answers_them_as_a_hosted_one_does() {
    let mut harness = harness(|relay| relay.binary(false)).await;
    assert!(send(&harness, "outer").await.text().contains(DECOY));
    assert!(harness.node.is_unasked());
}

#[tokio::test]
async fn batches_pass_beside_packets() {
    let harness = harness(|relay| relay).await;
    harness.node.set_answer(200, crate::REPLY);
    assert_eq!(harness.poll().await.text(), crate::REPLY);
}

#[tokio::test]
async fn another_status_of_the_node_is_the_answers() {
    let harness = harness(|relay| relay).await;
    harness.node.set_answer(400, "bad packet");
    let answer = send(&harness, "outer").await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::BAD_REQUEST, r#"{"e":"tunnel streams HTTP 400"}"#)
    );
}

#[tokio::test]
async fn an_answer_behind_a_redirect_is_the_packet() {
    let harness = harness(|relay| relay.redirect(true)).await;
    let moved = send(&harness, "outer").await;
    assert_eq!(moved.status, StatusCode::FOUND);
    let answer = harness.http.get(moved.header("location")).await;
    assert_eq!((&answer.body[..], answer.header("content-type")), (ANSWER, PACKET.1));
}

#[tokio::test]
async fn lost_packets_are_not_answered() {
    let mut harness = harness(|relay| relay.lose_request(1.0)).await;
    assert!(try_send(&harness, "outer", NOISE).await.is_err());
    assert!(harness.node.is_unasked());
    let mut harness = self::harness(|relay| relay.lose_reply(1.0)).await;
    assert!(try_send(&harness, "outer", NOISE).await.is_err());
    harness.node.next_request().await;
}

#[tokio::test]
async fn a_duplicated_packet_reaches_the_node_twice() {
    let mut harness = harness(|relay| relay.duplicate(1.0)).await;
    assert_eq!(&send(&harness, "outer").await.body[..], ANSWER);
    let first = harness.node.next_request().await;
    assert_eq!(harness.node.next_request().await, first);
}

#[tokio::test]
async fn answers_to_packets_are_cut_and_replaced_like_others() {
    let cut = harness(|relay| relay.truncate(1.0)).await;
    let answer = send(&cut, "outer").await;
    assert!(answer.body.len() < ANSWER.len() && ANSWER.starts_with(&answer.body));
    let page = harness(|relay| relay.html(1.0)).await;
    assert!(send(&page, "outer").await.text().contains(DECOY));
    let mut refusing = harness(|relay| relay.status(429, 1.0)).await;
    assert_eq!(send(&refusing, "outer").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refusing.node.is_unasked());
}

#[tokio::test]
async fn packets_take_the_relays_time() {
    let harness = harness(|relay| relay.bandwidth(1000)).await;
    let start = std::time::Instant::now();
    send(&harness, "outer").await;
    let least = std::time::Duration::from_millis((NOISE.len() + ANSWER.len()) as u64 - 1);
    assert!(start.elapsed() >= least, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_node_key_that_no_header_carries_is_named() {
    let relay = StandInRelay::builder("http://x", "outer", "in\nner").binary(true).start().await;
    assert!(matches!(relay, Err(StartError::Config(error)) if error.option == "node_key"));
}
