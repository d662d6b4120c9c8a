//! SOCKS5 at the proxy's port.

use std::time::Duration;

use seqlane::OpenMode;
use seqlane_tests::deadline::soon;
use seqlane_tokio::proxy::Credentials;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::application::{builder, flow, greeted, proxy, read, read_to_end, request};
use crate::scripted::{FAILURES, ScriptedRelay};

#[tokio::test]
async fn a_flow_carries_bytes_both_ways() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "echo", 7).await;
    for _ in 0..3 {
        socket.write_all(b"hello").await.unwrap();
        assert_eq!(read(&mut socket).await, *b"hello");
    }
    assert_eq!(relay.opened(), ["echo:7"]);
}

#[tokio::test]
async fn every_kind_of_address_reaches_the_node_as_it_was_written() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Confirmed).start().await.unwrap();
    for (address, expected) in [
        (&[1, 192, 0, 2, 7][..], "192.0.2.7:80"),
        (&[4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "2001:db8::1:80"),
        (&[3, 4, b'E', b'c', b'h', b'o'], "Echo:80"),
    ] {
        let mut socket = greeted(proxy.local_addr().unwrap()).await;
        socket.write_all(&[&[5, 1, 0], address, &[0, 80]].concat()).await.unwrap();
        assert_eq!(read(&mut socket).await, [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(relay.opened().last().unwrap(), expected);
    }
}

#[tokio::test]
async fn confirmed_opening_answers_with_the_reason_of_a_failure() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Confirmed).start().await.unwrap();
    for ((port, text), code) in (1..).zip(FAILURES).zip([5, 4, 4, 3, 6, 2, 1]) {
        let mut socket = greeted(proxy.local_addr().unwrap()).await;
        assert_eq!(request(&mut socket, "fail", port).await, code, "{text}");
        assert!(read_to_end(&mut socket).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn optimistic_opening_shows_a_failure_as_a_reset() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "fail", 1).await;
    let cut = read_to_end(&mut socket).await.unwrap_err();
    assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_target_known_to_be_unreachable_fails_at_once_in_optimistic_opening_too() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    read_to_end(&mut flow(&proxy, "fail", 2).await).await.unwrap_err();
    let mut socket = greeted(proxy.local_addr().unwrap()).await;
    assert_eq!(request(&mut socket, "fail", 2).await, 4);
}

#[tokio::test]
async fn a_wrong_password_opens_nothing_and_the_right_one_does() {
    let relay = ScriptedRelay::start().await;
    let credentials = Credentials::new("ann", "horse").unwrap();
    let proxy = builder(&relay, OpenMode::Optimistic).credentials(credentials).start().await.unwrap();
    for (password, verdict) in [("cart!", 1), ("horse", 0)] {
        let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
        socket.write_all(&[5, 2, 0, 2]).await.unwrap();
        assert_eq!(read(&mut socket).await, [5, 2]);
        socket.write_all(&[b"\x01\x03ann\x05", password.as_bytes()].concat()).await.unwrap();
        assert_eq!(read(&mut socket).await, [1, verdict]);
        if verdict == 0 {
            assert_eq!(request(&mut socket, "echo", 7).await, 0);
        } else {
            assert!(read_to_end(&mut socket).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn an_idle_handshake_is_closed() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Optimistic)
        .handshake_deadline(Duration::from_millis(100))
        .start()
        .await
        .unwrap();
    for said in [&[][..], &[5], &[5, 1, 0, 5, 1], b"CONN", b"CONNECT echo:7 HTTP/1.1\r\n"] {
        let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
        socket.write_all(said).await.unwrap();
        // Reset or closed: either ends the connection.
        let _ = read_to_end(&mut socket).await;
    }
    assert!(relay.opened().is_empty());
}

#[tokio::test]
async fn a_connection_that_is_neither_socks_nor_http_is_closed() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    for first in [0, 4, 22, b'0', b' ', 0xff] {
        let mut socket = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
        socket.write_all(&[first]).await.unwrap();
        let _ = read_to_end(&mut socket).await;
    }
}

#[tokio::test]
async fn a_full_house_waits_for_a_place() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Optimistic).max_connections(1).start().await.unwrap();
    let mut first = flow(&proxy, "echo", 7).await;
    let address = proxy.local_addr().unwrap();
    let second = tokio::spawn(async move { request(&mut greeted(address).await, "echo", 8).await });
    first.write_all(b"bye").await.unwrap();
    assert_eq!(read_to_end(&mut first).await.unwrap(), b"bye");
    assert_eq!(relay.opened(), ["echo:7"]);
    drop(first);
    assert_eq!(soon(second).await.unwrap(), 0);
}
