//! What applications do: SOCKS5, HTTP CONNECT, and the proxy that they do it to.

use std::net::SocketAddr;

use seqlane::{Level, OpenMode, Target};
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::FREE_PORT;
use seqlane_tokio::client::ClientBuilder;
use seqlane_tokio::{Client, Relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scripted::ScriptedRelay;

/// A builder of a proxy that uses this relay, on a free port.
pub(crate) fn builder(relay: &ScriptedRelay, open: OpenMode) -> ClientBuilder {
    let builder = Client::builder().relay(Relay::new(relay.url(), "key")).max_level(Level::Sequenced);
    builder.socks(FREE_PORT).options(|options| options.open(open))
}

/// A proxy with every default but its port.
pub(crate) async fn proxy(relay: &ScriptedRelay) -> Client {
    builder(relay, OpenMode::Optimistic).start().await.unwrap()
}

pub(crate) fn target(host: &str, port: u16) -> Target {
    Target::new(host, port).unwrap()
}

/// A SOCKS5 connection without authentication, ready for its request.
pub(crate) async fn greeted(proxy: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(proxy).await.unwrap();
    socket.write_all(&[5, 1, 0]).await.unwrap();
    assert_eq!(read::<2>(&mut socket).await, [5, 0]);
    socket
}

/// Asks for a TCP flow; returns the reply code.
pub(crate) async fn request(socket: &mut TcpStream, host: &str, port: u16) -> u8 {
    let length = u8::try_from(host.len()).unwrap();
    let request = [&[5, 1, 0, 3, length][..], host.as_bytes(), &port.to_be_bytes()].concat();
    socket.write_all(&request).await.unwrap();
    let [5, code, 0, 1, 0, 0, 0, 0, 0, 0] = read(socket).await else { panic!("no reply of SOCKS5") };
    code
}

/// An open flow through SOCKS5.
pub(crate) async fn flow(proxy: &Client, host: &str, port: u16) -> TcpStream {
    let mut socket = greeted(proxy.local_addr().unwrap()).await;
    assert_eq!(request(&mut socket, host, port).await, 0);
    socket
}

pub(crate) async fn read<const N: usize>(socket: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    soon(socket.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Everything up to the end of the stream, or why there was none.
pub(crate) async fn read_to_end(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    soon(socket.read_to_end(&mut bytes)).await?;
    Ok(bytes)
}

/// Sends an HTTP header and returns what comes back up to its empty line.
pub(crate) async fn http(socket: &mut TcpStream, header: &str) -> String {
    socket.write_all(header.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(soon(socket.read_u8()).await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}
