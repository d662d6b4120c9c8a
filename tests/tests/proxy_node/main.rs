//! Proxy client, stand-in relay, node and a real target, all over loopback sockets.

use std::io::ErrorKind;
use std::net::SocketAddr;

use seqlane::OpenMode;
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{FREE_PORT, node_url};
use seqlane_tokio::relay::RelayBuilder;
use seqlane_tokio::{Client, Node, Relay, StandInRelay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::AbortHandle;

/// One of everything.
struct Path {
    proxy: Client,
    _relay: Option<StandInRelay>,
    _node: Node,
}

impl Path {
    async fn new(open: OpenMode) -> Self {
        Self::through(open, |relay| relay).await
    }

    /// A path through a relay with faults.
    async fn through(open: OpenMode, faults: impl FnOnce(RelayBuilder) -> RelayBuilder) -> Self {
        let node = node(true).await;
        let builder = StandInRelay::builder(node_url(&node), "key", "node key");
        let relay = faults(builder).start().await.unwrap();
        let proxy = proxy(open, Relay::new(relay.url(), "key")).await;
        Self { proxy, _relay: Some(relay), _node: node }
    }

    /// A path without a relay.
    async fn direct(open: OpenMode, allow_private: bool) -> Self {
        let node = node(allow_private).await;
        let proxy = proxy(open, Relay::direct(node_url(&node), "node key")).await;
        Self { proxy, _relay: None, _node: node }
    }

    async fn connect(&self, target: SocketAddr) -> TcpStream {
        let mut socket = TcpStream::connect(self.proxy.local_addr().unwrap()).await.unwrap();
        assert_eq!(request(&mut socket, target).await, 0);
        socket
    }
}

async fn node(allow_private: bool) -> Node {
    Node::builder("node key").allow_private(allow_private).listen(FREE_PORT).start().await.unwrap()
}

async fn proxy(open: OpenMode, relay: Relay) -> Client {
    let builder = Client::builder().relay(relay).socks(FREE_PORT);
    builder.options(|options| options.open(open)).start().await.unwrap()
}

/// Greets, asks for a TCP flow to an IPv4 address; returns the reply code.
async fn request(socket: &mut TcpStream, target: SocketAddr) -> u8 {
    let SocketAddr::V4(target) = target else { panic!("the tests use IPv4") };
    let address = [&[5, 1, 0, 1][..], &target.ip().octets(), &target.port().to_be_bytes()].concat();
    socket.write_all(&[&[5, 1, 0][..], &address].concat()).await.unwrap();
    let mut answer = [0; 12];
    soon(socket.read_exact(&mut answer)).await.unwrap();
    let [5, 0, 5, code, ..] = answer else { panic!("no answer of SOCKS5: {answer:?}") };
    code
}

/// A target that ends with the value.
struct Server {
    address: SocketAddr,
    serving: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Sends back what it gets, and ends when its peer has.
async fn echo() -> Server {
    let listener = TcpListener::bind(FREE_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut reader, mut writer) = socket.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    Server { address, serving: serving.abort_handle() }
}

/// Sends `bytes` and ends.
async fn source(bytes: Vec<u8>) -> Server {
    let listener = TcpListener::bind(FREE_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let bytes = bytes.clone();
            tokio::spawn(async move { socket.write_all(&bytes).await });
        }
    });
    Server { address, serving: serving.abort_handle() }
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..u32::MAX).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).take(bytes).collect()
}

async fn echoed(socket: &mut TcpStream, bytes: &[u8]) {
    socket.write_all(bytes).await.unwrap();
    let mut received = vec![0; bytes.len()];
    soon(socket.read_exact(&mut received)).await.unwrap();
    assert!(received == bytes);
}

async fn downloaded(socket: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    soon(socket.read_to_end(&mut received)).await.unwrap();
    received
}

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_download_of_a_mebibyte_arrives_whole() {
    let bytes = pattern(MIB);
    let source = source(bytes.clone()).await;
    let path = Path::new(OpenMode::Optimistic).await;
    assert!(downloaded(&mut path.connect(source.address).await).await == bytes);
}

#[tokio::test]
async fn an_upload_of_a_mebibyte_comes_back_whole() {
    let echo = echo().await;
    let path = Path::new(OpenMode::Optimistic).await;
    let (mut reader, mut writer) = path.connect(echo.address).await.into_split();
    let bytes = pattern(MIB);
    let sent = bytes.clone();
    let upload = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer
    });
    let mut received = vec![0; bytes.len()];
    soon(reader.read_exact(&mut received)).await.unwrap();
    assert!(received == bytes);
    drop(upload.await.unwrap());
}

#[tokio::test]
async fn a_relay_that_redirects_compresses_and_delays_changes_nothing() {
    let bytes = pattern(MIB);
    let (source, echo) = (source(bytes.clone()).await, echo().await);
    let delay = std::time::Duration::from_millis(20);
    let path =
        Path::through(OpenMode::Confirmed, |relay| relay.redirect(true).delay(delay).jitter(delay)).await;
    assert!(downloaded(&mut path.connect(source.address).await).await == bytes);
    let mut socket = path.connect(echo.address).await;
    for _ in 0..3 {
        echoed(&mut socket, b"hello").await;
    }
}

#[tokio::test]
async fn a_node_can_be_spoken_to_without_a_relay() {
    let echo = echo().await;
    let path = Path::direct(OpenMode::Confirmed, true).await;
    let mut socket = path.connect(echo.address).await;
    echoed(&mut socket, &pattern(100_000)).await;
}

#[tokio::test]
async fn http_connect_carries_a_flow() {
    let echo = echo().await;
    let path = Path::new(OpenMode::Optimistic).await;
    let mut socket = TcpStream::connect(path.proxy.local_addr().unwrap()).await.unwrap();
    socket.write_all(format!("CONNECT {} HTTP/1.1\r\n\r\n", echo.address).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(soon(socket.read_u8()).await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    echoed(&mut socket, b"hello").await;
}

#[tokio::test]
async fn datagrams_are_echoed() {
    let target = UdpSocket::bind(FREE_PORT).await.unwrap();
    let target_address = target.local_addr().unwrap();
    let echoing = tokio::spawn(async move {
        let mut bytes = [0; 2048];
        loop {
            let (length, from) = target.recv_from(&mut bytes).await.unwrap();
            target.send_to(&bytes[..length], from).await.unwrap();
        }
    });
    let path = Path::new(OpenMode::Optimistic).await;
    let mut control = TcpStream::connect(path.proxy.local_addr().unwrap()).await.unwrap();
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let mut answer = [0; 12];
    soon(control.read_exact(&mut answer)).await.unwrap();
    let [5, 0, 5, 0, 0, 1, a, b, c, d, high, low] = answer else { panic!("refused: {answer:?}") };
    let socket = UdpSocket::bind(FREE_PORT).await.unwrap();
    socket.connect(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))).await.unwrap();
    for payload in [&b"first"[..], b"second", &[7; 1200]] {
        let port = target_address.port().to_be_bytes();
        let datagram = [&[0, 0, 0, 1, 127, 0, 0, 1][..], &port, payload].concat();
        socket.send(&datagram).await.unwrap();
        let mut received = vec![0; 2048];
        let length = soon(socket.recv(&mut received)).await.unwrap();
        assert_eq!(received[..length], datagram);
    }
    echoing.abort();
}

#[tokio::test]
async fn a_closed_port_is_a_refused_connection() {
    let closed = TcpListener::bind(FREE_PORT).await.unwrap().local_addr().unwrap();
    let path = Path::new(OpenMode::Confirmed).await;
    let mut socket = TcpStream::connect(path.proxy.local_addr().unwrap()).await.unwrap();
    assert_eq!(request(&mut socket, closed).await, 5);
}

#[tokio::test]
async fn a_private_target_is_not_allowed() {
    let echo = echo().await;
    let path = Path::direct(OpenMode::Confirmed, false).await;
    let mut socket = TcpStream::connect(path.proxy.local_addr().unwrap()).await.unwrap();
    assert_eq!(request(&mut socket, echo.address).await, 2);
}

#[tokio::test]
async fn a_program_opens_flows_without_a_socket() {
    let echo = echo().await;
    let path = Path::new(OpenMode::Confirmed).await;
    let mut stream = path.proxy.connect(echo.address).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut received = [0; 5];
    soon(stream.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"hello");
}

#[tokio::test]
async fn a_program_sends_datagrams_without_a_socket() {
    let target = UdpSocket::bind(FREE_PORT).await.unwrap();
    let path = Path::new(OpenMode::Confirmed).await;
    let mut flow = path.proxy.connect_udp(target.local_addr().unwrap()).await.unwrap();
    for payload in [&b"first"[..], b"second", &[7; 1200]] {
        flow.send(payload).await.unwrap();
        let mut received = [0; 2048];
        let (length, from) = soon(target.recv_from(&mut received)).await.unwrap();
        assert_eq!(received[..length], *payload);
        target.send_to(&received[..length], from).await.unwrap();
        assert_eq!(soon(flow.recv()).await.unwrap(), payload);
    }
    assert_eq!(flow.send(&[0; 65_536]).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn many_flows_at_once_do_not_mix() {
    let echo = echo().await;
    let path = Path::new(OpenMode::Optimistic).await;
    let mut flows = tokio::task::JoinSet::new();
    for n in 0..50_u8 {
        let mut socket = path.connect(echo.address).await;
        flows.spawn(async move {
            for size in [1, 1000, 40_000] {
                echoed(&mut socket, &vec![n; size]).await;
            }
        });
    }
    soon(flows.join_all()).await;
}
