//! Peers that are slow, silent or gone.

use std::net::SocketAddr;
use std::time::Duration;

use seqlane_tests::deadline::soon;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{Harness, batch, until};

const SHORT: Duration = Duration::from_millis(50);

/// Says something and returns all that is answered until the other side ends.
async fn say(address: SocketAddr, words: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(words).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = soon(stream.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test]
async fn a_connection_that_does_not_get_to_its_request_is_closed() {
    let harness = Harness::with(|node| node.header_deadline(SHORT)).await;
    for words in [&b""[..], b"PRI * HT", b"POST /tunnel HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let answer = say(harness.node.local_addr().unwrap(), words).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    }
    until(async || harness.node.stats().await.connections == 0).await;
}

#[tokio::test]
async fn an_http2_connection_without_requests_is_closed() {
    let harness = Harness::with(|node| node.header_deadline(SHORT).idle_deadline(SHORT)).await;
    let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let words = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &empty_settings[..]].concat();
    say(harness.node.local_addr().unwrap(), &words).await;
    until(async || harness.node.stats().await.connections == 0).await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let harness = Harness::with(|node| node.body_deadline(SHORT)).await;
    let words = b"POST /tunnel/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    let answer = say(harness.node.local_addr().unwrap(), words).await;
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_caller_that_goes_away_releases_its_hold() {
    let harness = Harness::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sid = harness.connect(silent.local_addr().unwrap()).await;
    let body = batch(&json!([{"op": "data", "sid": sid, "seq": 0}]));
    let request =
        format!("POST /tunnel/batch HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut caller = TcpStream::connect(harness.node.local_addr().unwrap()).await.unwrap();
    caller.write_all(request.as_bytes()).await.unwrap();
    until(async || harness.node.stats().await.held_requests == 1).await;
    drop(caller);
    until(async || harness.node.stats().await.held_requests == 0).await;
    assert_eq!(harness.node.stats().await.stats.requests_gone, 1);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let harness = Harness::with(|node| node.max_connections(1)).await;
    let mut first = TcpStream::connect(harness.node.local_addr().unwrap()).await.unwrap();
    until(async || harness.node.stats().await.connections == 1).await;
    let (http, url) = (harness.http.clone(), harness.url("/health"));
    let second = tokio::spawn(async move { http.get(&url).await });
    first.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    soon(first.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(soon(second).await.unwrap().text(), "ok");
}
