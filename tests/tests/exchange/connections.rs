//! Connections: kept, shared, and never the reason for a lost batch.

use std::sync::Arc;

use http::Version;
use seqlane::ExchangeFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use crate::relay::{Relay, exchanger, exchanger_trusting, soon, text, within};

#[tokio::test]
async fn a_connection_is_used_again() {
    let relay = Relay::plain(|_| async { text("answer") }).await;
    let exchanger = exchanger();
    for _ in 0..5 {
        exchanger.exchange(&relay.url("/"), "batch".into(), soon()).await.unwrap();
    }
    assert_eq!(relay.connections(), 1);
    assert!(relay.asked().iter().all(|asked| asked.version() == Version::HTTP_11));
}

#[tokio::test]
async fn https_with_h2_carries_exchanges_beside_each_other_on_one_connection() {
    let all = Arc::new(Barrier::new(20));
    let (relay, roots) = Relay::tls(&["h2", "http/1.1"], move |asked| {
        let all = all.clone();
        async move {
            if asked.uri().path() == "/together" {
                all.wait().await;
            }
            text(asked.body().clone())
        }
    })
    .await;
    let exchanger = exchanger_trusting(&roots);
    exchanger.exchange(&relay.url("/first"), "batch".into(), soon()).await.unwrap();
    let together: Vec<_> = (0..20)
        .map(|n| {
            let (exchanger, url) = (exchanger.clone(), relay.url("/together"));
            tokio::spawn(async move { exchanger.exchange(&url, format!("{n}").into(), soon()).await })
        })
        .collect();
    for (n, answer) in together.into_iter().enumerate() {
        assert_eq!(within(answer).await.unwrap().unwrap(), n.to_string());
    }
    assert_eq!(relay.connections(), 1);
    assert!(relay.asked().iter().all(|asked| asked.version() == Version::HTTP_2));
}

#[tokio::test]
async fn https_without_h2_is_http_1_1() {
    let (relay, roots) = Relay::tls(&["http/1.1"], |_| async { text("answer") }).await;
    let answer = exchanger_trusting(&roots).exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer.unwrap(), "answer");
    assert_eq!(relay.asked()[0].version(), Version::HTTP_11);
}

#[tokio::test]
async fn large_bodies_pass_both_ways_over_h2() {
    let (relay, roots) =
        Relay::tls(&["h2"], |asked| async move { text(asked.body().slice(..1_000_000)) }).await;
    let body = bytes::Bytes::from((0..5_000_000_u32).map(|n| n as u8).collect::<Vec<_>>());
    let answer = exchanger_trusting(&roots).exchange(&relay.url("/"), body.clone(), soon()).await;
    assert_eq!(answer.unwrap(), body.slice(..1_000_000));
}

#[tokio::test]
async fn a_stale_pooled_connection_loses_no_batch() {
    let mut relay = Relay::plain(|_| async { text("answer") }).await;
    let exchanger = exchanger();
    for round in 1..=50 {
        exchanger.exchange(&relay.url("/"), "batch".into(), soon()).await.unwrap();
        assert_eq!(relay.connections(), round);
        relay.hang_up().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_pooled_connection_loses_no_batch_on_a_runtime_of_many_threads() {
    let mut relay = Relay::plain(|_| async { text("answer") }).await;
    let exchanger = exchanger();
    for _ in 0..50 {
        exchanger.exchange(&relay.url("/"), "batch".into(), soon()).await.unwrap();
        relay.hang_up().await;
    }
}

#[tokio::test]
async fn a_stale_h2_connection_loses_no_batch() {
    let (mut relay, roots) = Relay::tls(&["h2"], |_| async { text("answer") }).await;
    let exchanger = exchanger_trusting(&roots);
    for _ in 0..20 {
        exchanger.exchange(&relay.url("/"), "batch".into(), soon()).await.unwrap();
        relay.hang_up().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_h2_connection_loses_no_batch_on_a_runtime_of_many_threads() {
    let (mut relay, roots) = Relay::tls(&["h2"], |_| async { text("answer") }).await;
    let exchanger = exchanger_trusting(&roots);
    for _ in 0..20 {
        exchanger.exchange(&relay.url("/"), "batch".into(), soon()).await.unwrap();
        relay.hang_up().await;
    }
}

/// Answers one request on the first connection; when the second arrives there, closes without an answer.
async fn closes_on_the_second_request(listener: TcpListener) {
    let (mut socket, _) = listener.accept().await.unwrap();
    read_request(&mut socket).await;
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    read_request(&mut socket).await;
}

async fn read_request(socket: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"batch") {
        assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_reused_connection_that_closes_after_it_took_the_request_leaves_it_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(closes_on_the_second_request(listener));
    let exchanger = exchanger();
    exchanger.exchange(&url, "batch".into(), soon()).await.unwrap();
    let second = within(exchanger.exchange(&url, "batch".into(), soon())).await;
    assert_eq!(second, Err(ExchangeFailure::Unknown));
}
