//! Packets of level 2 as they are.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, StatusCode};
use seqlane::wire::frame::Frame;
use seqlane::wire::handshake::{Notice, SecretKeys};
use seqlane::{EndCode, Level, NodeOptions, NoticeKind, Secret};
use seqlane_tests::deadline::soon;
use seqlane_tests::http_client::{Answer, HttpClient};
use seqlane_tests::packets::{Hand, PACKET};

use crate::{Harness, until};

const PATH: &str = "/tunnel/streams";

/// A node that offers level 2 and has this key, and `secret` as its secret.
async fn harness() -> Harness {
    with(|_| {}).await
}

async fn with(tune: impl FnOnce(&mut NodeOptions)) -> Harness {
    let tune = |mut options| {
        tune(&mut options);
        options
    };
    Harness::with(|node| {
        node.secret("known to both ends").min_level(Level::Legacy).allow_private(true).options(tune)
    })
    .await
}

/// A client that has a connection.
async fn connected(harness: &Harness) -> Hand {
    let mut hand = Hand::new("known to both ends", 1);
    let answer = send(harness, "Bearer key", hand.hello()).await;
    hand.greeted(&answer.body);
    hand
}

async fn send(harness: &Harness, authorization: &str, body: impl Into<Bytes>) -> Answer {
    let headers = [PACKET, ("authorization", authorization), ("accept-encoding", "gzip")];
    harness.http.send(Method::POST, &harness.url(PATH), &headers, body).await.unwrap()
}

#[tokio::test]
async fn a_packet_is_answered_by_a_packet() {
    let harness = harness().await;
    let mut hand = connected(&harness).await;
    for http in [HttpClient::http1(), HttpClient::http2()] {
        let headers = [PACKET, ("authorization", "Bearer key")];
        let answer = http.send(Method::POST, &harness.url(PATH), &headers, hand.knock()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), PACKET.1);
        hand.open(&answer.body);
    }
}

#[tokio::test]
async fn a_wrong_key_or_none_gets_the_same_page_as_elsewhere() {
    let harness = harness().await;
    let elsewhere = harness.post("/tunnel/batch", r#"{"k":"wrong","ops":[]}"#).await;
    for authorization in ["Bearer wrong", "Basic key", "key", ""] {
        let answer = send(&harness, authorization, Hand::new("known to both ends", 1).hello()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{authorization}");
        assert_eq!(answer.header("content-type"), elsewhere.header("content-type"));
        assert_eq!(answer.body, elsewhere.body);
    }
    let answer = harness.http.send(Method::POST, &harness.url(PATH), &[], Bytes::new()).await.unwrap();
    assert_eq!((answer.status, answer.body), (StatusCode::NOT_FOUND, elsewhere.body));
}

#[tokio::test]
async fn a_malformed_packet_or_one_with_another_secret_is_a_bad_request() {
    let harness = harness().await;
    for body in [Bytes::new(), Bytes::from_static(b"{}"), Hand::new("another secret altogether", 1).hello()] {
        assert_eq!(send(&harness, "Bearer key", body).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_node_without_level_2_has_no_such_path() {
    let harness = with(|options| options.max_level = Level::Sequenced).await;
    let answer = send(&harness, "Bearer key", Hand::new("known to both ends", 1).hello()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn where_there_is_no_secret_the_empty_one_stands_for_it() {
    let harness = with(|options| options.secret = None).await;
    let mut hand = Hand::new("", 1);
    let answer = send(&harness, "Bearer key", hand.hello()).await;
    hand.greeted(&answer.body);
}

#[tokio::test]
async fn a_node_with_a_secret_says_so_to_a_client_without_one() {
    let harness = harness().await;
    let hello = Hand::new("", 1).hello();
    let answer = send(&harness, "Bearer key", hello.clone()).await;
    let keys = SecretKeys::new(&Secret::new(""));
    let notice = Notice::open(keys.notice(), hello.first_chunk().unwrap(), &answer.body).unwrap();
    assert_eq!((notice.kind, &*notice.text), (NoticeKind::NotAllowed, "this node wants a secret"));
}

#[tokio::test]
async fn a_node_that_stops_lets_nobody_in_and_the_flows_end_before() {
    let harness = harness().await;
    let mut hand = connected(&harness).await;
    let answer = send(&harness, "Bearer key", hand.knock()).await;
    hand.open(&answer.body);
    let held = hand.packet(Duration::from_secs(50), &[]);
    let (url, http) = (harness.url(PATH), harness.http.clone());
    let held = tokio::spawn(async move {
        let headers = [PACKET, ("authorization", "Bearer key")];
        http.send(Method::POST, &url, &headers, held).await
    });
    until(|| async { harness.node.stats().await.held_requests == 1 }).await;
    soon(harness.node.shutdown()).await;
    let answer = soon(held).await.unwrap().unwrap();
    let (header, mut frames) = hand.open(&answer.body);
    let ended = matches!(frames.next(), Some(Frame::End { code: EndCode::Stop, .. }));
    assert!(header.flags.draining || ended);
}

#[tokio::test]
async fn a_packet_over_the_body_limit_is_refused() {
    let harness = with(|options| options.max_body = 1 << 20).await;
    let answer = send(&harness, "Bearer key", vec![2; (1 << 20) + 1]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn nothing_is_inflated_and_nothing_is_compressed() {
    let harness = harness().await;
    let mut hand = connected(&harness).await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&hand.knock()).unwrap();
    let gzip = gzip.finish().unwrap();
    let (plain, of_gzip) =
        (send(&harness, "Bearer key", "no packet").await, send(&harness, "Bearer key", gzip).await);
    assert_eq!((of_gzip.status, of_gzip.body), (StatusCode::BAD_REQUEST, plain.body));
    let answer = send(&harness, "Bearer key", hand.knock()).await;
    assert_eq!(answer.header("content-encoding"), "");
    hand.open(&answer.body);
}

#[tokio::test]
async fn a_held_packet_whose_caller_hung_up_is_held_no_longer() {
    let harness = harness().await;
    let mut hand = connected(&harness).await;
    let answer = send(&harness, "Bearer key", hand.knock()).await;
    hand.open(&answer.body);
    let (http, url, packet) =
        (harness.http.clone(), harness.url(PATH), hand.packet(Duration::from_secs(50), &[]));
    let held = tokio::spawn(async move {
        let headers = [PACKET, ("authorization", "Bearer key")];
        http.send(Method::POST, &url, &headers, packet).await
    });
    until(|| async { harness.node.stats().await.held_requests == 1 }).await;
    held.abort();
    until(|| async { harness.node.stats().await.held_requests == 0 }).await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let harness = harness().await;
    let answer = harness.http.send(Method::GET, &harness.url(PATH), &[], Bytes::new()).await.unwrap();
    assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
}
