//! What is known of a request that got no answer.

use std::future::pending;
use std::time::Duration;

use seqlane::ExchangeFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::relay::{Relay, empty, exchanger, soon, status, within};

/// A server that reads a request up to the end of its JSON body, writes `answer`, and closes.
async fn blunt(answer: &'static str) -> http::Uri {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
    });
    url
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let answer = exchanger().exchange(&url, "batch".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::NotSent));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_sent_nothing() {
    let url = "http://relay.invalid/".parse().unwrap();
    let answer = exchanger().exchange(&url, "batch".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::NotSent));
}

#[tokio::test]
async fn an_untrusted_certificate_sent_nothing() {
    let (relay, _) = Relay::tls(&["h2"], |_| async { crate::relay::text("answer") }).await;
    let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::NotSent));
    assert!(relay.asked().is_empty());
}

#[tokio::test]
async fn a_handshake_that_outlasts_the_deadline_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
    let deadline = Instant::now() + Duration::from_millis(50);
    let answer = within(exchanger().exchange(&url, "batch".into(), deadline)).await;
    assert_eq!(answer, Err(ExchangeFailure::NotSent));
}

#[tokio::test]
async fn an_upload_that_stalls_until_the_deadline_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let deadline = Instant::now() + Duration::from_millis(200);
    let body = vec![7; 64 * 1024 * 1024];
    let answer = within(exchanger().exchange(&url, body.into(), deadline)).await;
    assert_eq!(answer, Err(ExchangeFailure::NotSent));
}

#[tokio::test]
async fn silence_until_the_deadline_leaves_the_request_unknown() {
    let relay = Relay::plain(|_| pending()).await;
    let deadline = Instant::now() + Duration::from_millis(200);
    let answer = within(exchanger().exchange(&relay.url("/"), "batch".into(), deadline)).await;
    assert_eq!(answer, Err(ExchangeFailure::Unknown));
}

#[tokio::test]
async fn the_deadline_covers_redirects() {
    let relay = Relay::plain(|asked| async move {
        match asked.uri().path() {
            "/run" => empty(status(302).header("location", "/answer")),
            _ => pending().await,
        }
    })
    .await;
    let deadline = Instant::now() + Duration::from_millis(200);
    let answer = within(exchanger().exchange(&relay.url("/run"), "batch".into(), deadline)).await;
    assert_eq!(answer, Err(ExchangeFailure::Unknown));
}

#[tokio::test]
async fn a_connection_closed_instead_of_an_answer_leaves_the_request_unknown() {
    let answer = exchanger().exchange(&blunt("").await, "{}".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::Unknown));
}

#[tokio::test]
async fn a_connection_closed_inside_the_answer_leaves_the_request_unknown() {
    let url = blunt("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"r\":[").await;
    let answer = exchanger().exchange(&url, "{}".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::Unknown));
}

#[tokio::test]
async fn an_answer_that_is_not_http_leaves_the_request_unknown() {
    let answer = exchanger().exchange(&blunt("220 mail ready\r\n\r\n").await, "{}".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::Unknown));
}

#[tokio::test]
async fn a_refusal_says_how_long_to_wait() {
    for code in [403, 429, 503] {
        let relay =
            Relay::plain(move |_| async move { empty(status(code).header("retry-after", "12")) }).await;
        let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
        let retry_after = Some(Duration::from_secs(12));
        assert_eq!(answer, Err(ExchangeFailure::Refused { retry_after }), "{code}");
    }
}

#[tokio::test]
async fn a_refusal_counts_even_when_its_page_never_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"batch") {
            assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
        }
        let page = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 100\r\n\r\n<html>";
        socket.write_all(page).await.unwrap();
        pending::<()>().await;
    });
    let answer = within(exchanger().exchange(&url, "batch".into(), soon())).await;
    assert_eq!(answer, Err(ExchangeFailure::Refused { retry_after: None }));
}

#[tokio::test]
async fn a_body_too_large_for_the_relay_is_told_apart() {
    let relay = Relay::plain(|_| async { empty(status(413)) }).await;
    let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::TooLarge));
}

#[tokio::test]
async fn a_relay_that_refuses_a_body_before_it_has_read_it_is_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1024];
        socket.read_exact(&mut head).await.unwrap();
        let answer = b"HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(answer).await.unwrap();
        pending::<()>().await;
    });
    let body = vec![7; 64 * 1024 * 1024];
    let answer = within(exchanger().exchange(&url, body.into(), soon())).await;
    assert_eq!(answer, Err(ExchangeFailure::TooLarge));
}

#[tokio::test]
async fn any_other_status_is_garbage() {
    for code in [204, 400, 404, 500, 502, 503, 504] {
        let relay = Relay::plain(move |_| async move { empty(status(code)) }).await;
        let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
        assert_eq!(answer, Err(ExchangeFailure::Garbage), "{code}");
    }
}
