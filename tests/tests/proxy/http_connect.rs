//! HTTP CONNECT at the same port.

use seqlane::OpenMode;
use seqlane_tokio::proxy::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::application::{builder, http, proxy, read, read_to_end};
use crate::scripted::{FAILURES, ScriptedRelay};

#[tokio::test]
async fn a_flow_carries_bytes_both_ways() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
    let answer = http(&mut socket, "CONNECT echo:7 HTTP/1.1\r\nhost: echo:7\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
    for _ in 0..3 {
        socket.write_all(b"hello").await.unwrap();
        assert_eq!(read(&mut socket).await, *b"hello");
    }
    assert_eq!(relay.opened(), ["echo:7"]);
}

#[tokio::test]
async fn bytes_behind_the_header_belong_to_the_flow() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
    socket.write_all(b"CONNECT echo:7 HTTP/1.1\r\n\r\nearly").await.unwrap();
    let answer = http(&mut socket, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(read(&mut socket).await, *b"early");
}

#[tokio::test]
async fn ipv6_targets_are_written_in_brackets() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Confirmed).start().await.unwrap();
    let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
    let answer = http(&mut socket, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(relay.opened(), ["2001:db8::1:443"]);
}

#[tokio::test]
async fn confirmed_opening_answers_with_the_reason_of_a_failure() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Confirmed).start().await.unwrap();
    for ((port, text), status) in (1..).zip(FAILURES).zip([502, 502, 502, 502, 504, 403, 502]) {
        let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
        let answer = http(&mut socket, &format!("CONNECT fail:{port} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text}: {answer}");
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    for request in
        ["GET http://echo:7/ HTTP/1.1\r\nhost: echo:7\r\n\r\n", "get / HTTP/1.1\r\nhost: x\r\n\r\n"]
    {
        let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
        let answer = http(&mut socket, request).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.contains("allow: CONNECT"), "{answer}");
    }
    assert!(relay.opened().is_empty());
}

#[tokio::test]
async fn connect_without_a_port_is_a_bad_request() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    for authority in ["echo", "echo:0"] {
        let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
        let answer = http(&mut socket, &format!("CONNECT {authority} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[tokio::test]
async fn a_header_without_end_is_refused() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
    socket.write_all(b"CONNECT echo:7 HTTP/1.1\r\nx: ").await.unwrap();
    // It may be refused before everything was written.
    let _ = socket.write_all(&[b'y'; 64 * 1024]).await;
    let mut answer = [0; 12];
    if seqlane_tests::deadline::soon(socket.read_exact(&mut answer)).await.is_ok() {
        assert_eq!(&answer, b"HTTP/1.1 431");
    }
    assert!(relay.opened().is_empty());
}

#[tokio::test]
async fn credentials_are_asked_for_and_can_follow_on_the_same_connection() {
    let relay = ScriptedRelay::start().await;
    let credentials = Credentials::new("ann", "horse").unwrap();
    let proxy = builder(&relay, OpenMode::Optimistic).credentials(credentials).start().await.unwrap();
    let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
    for header in ["", "proxy-authorization: Basic YW5uOmNhcnQ=\r\n"] {
        let answer = http(&mut socket, &format!("CONNECT echo:7 HTTP/1.1\r\n{header}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
        assert!(answer.contains("proxy-authenticate: Basic realm="), "{answer}");
        let length = answer.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut text = vec![0; length.parse().unwrap()];
        socket.read_exact(&mut text).await.unwrap();
    }
    let right = "CONNECT echo:7 HTTP/1.1\r\nproxy-authorization: Basic YW5uOmhvcnNl\r\n\r\n";
    let answer = http(&mut socket, right).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    socket.write_all(b"bye").await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap(), b"bye");
}
