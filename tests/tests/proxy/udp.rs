//! SOCKS5 UDP ASSOCIATE.

use std::net::SocketAddr;

use seqlane_tests::deadline::soon;
use seqlane_tokio::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

use crate::application::{greeted, proxy, read};
use crate::scripted::ScriptedRelay;

/// An association: the connection that keeps it, and a socket connected to it.
async fn associate(proxy: &Client) -> (TcpStream, UdpSocket) {
    let mut control = greeted(proxy.local_addr().unwrap()).await;
    control.write_all(&[5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let [5, 0, 0, 1, a, b, c, d, high, low] = read(&mut control).await else { panic!("refused") };
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])));
    assert!(address.ip().is_loopback());
    socket.connect(address).await.unwrap();
    (control, socket)
}

fn datagram(fragment: u8, host: &str, port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(host.len()).unwrap();
    [&[0, 0, fragment, 3, length][..], host.as_bytes(), &port.to_be_bytes(), payload].concat()
}

async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    let length = soon(socket.recv(&mut bytes)).await.unwrap();
    bytes.truncate(length);
    bytes
}

#[tokio::test]
async fn datagrams_go_out_and_come_back_under_the_name_that_was_asked_for() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let (_control, socket) = associate(&proxy).await;
    for host in ["echo", "other.example", "echo"] {
        let sent = datagram(0, host, 53, b"question");
        socket.send(&sent).await.unwrap();
        assert_eq!(receive(&socket).await, sent);
    }
    assert_eq!(relay.opened(), ["echo:53", "other.example:53"]);
}

#[tokio::test]
async fn fragments_and_nonsense_are_dropped() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let (_control, socket) = associate(&proxy).await;
    socket.send(&datagram(1, "fragment", 53, b"x")).await.unwrap();
    socket.send(b"nonsense").await.unwrap();
    socket.send(&[]).await.unwrap();
    let sent = datagram(0, "echo", 53, b"question");
    socket.send(&sent).await.unwrap();
    assert_eq!(receive(&socket).await, sent);
    assert_eq!(relay.opened(), ["echo:53"]);
}

#[tokio::test]
async fn only_the_first_sender_is_served() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let (_control, socket) = associate(&proxy).await;
    let sent = datagram(0, "echo", 53, b"question");
    socket.send(&sent).await.unwrap();
    assert_eq!(receive(&socket).await, sent);
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let strange = datagram(0, "stranger", 53, b"x");
    stranger.send_to(&strange, socket.peer_addr().unwrap()).await.unwrap();
    socket.send(&sent).await.unwrap();
    assert_eq!(receive(&socket).await, sent);
    assert_eq!(relay.opened(), ["echo:53"]);
}

#[tokio::test]
async fn the_association_ends_with_its_connection() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let (control, socket) = associate(&proxy).await;
    socket.send(&datagram(0, "echo", 53, b"question")).await.unwrap();
    receive(&socket).await;
    drop(control);
    soon(relay.all_closed()).await;
}

#[tokio::test]
async fn the_target_used_longest_ago_makes_room() {
    let relay = ScriptedRelay::start().await;
    let proxy = crate::application::builder(&relay, seqlane::OpenMode::Optimistic)
        .udp_targets(2)
        .start()
        .await
        .unwrap();
    let (_control, socket) = associate(&proxy).await;
    for host in ["a", "b", "a", "c", "a", "b"] {
        let sent = datagram(0, host, 53, b"question");
        socket.send(&sent).await.unwrap();
        assert_eq!(receive(&socket).await, sent);
    }
    assert_eq!(relay.opened(), ["a:53", "b:53", "c:53", "b:53"]);
}
