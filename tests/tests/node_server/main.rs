//! A node over real loopback sockets, spoken to in the node's form by hand.

mod compressed_ops;
mod endpoints;
mod gzip;
mod lifecycle;
mod packets;
mod patience;
mod sessions;
mod targets;

use std::future::Future;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::FREE_PORT;
use seqlane_tests::http_client::{Answer, HttpClient};
use seqlane_tokio::Node;
use seqlane_tokio::node::NodeBuilder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// A node and a client.
struct Harness {
    http: HttpClient,
    node: Node,
}

impl Harness {
    /// A node that may reach loopback.
    async fn new() -> Self {
        Self::with(|node| node.allow_private(true)).await
    }

    /// A node with these settings.
    async fn with(settings: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Self {
        let builder = Node::builder("key").listen(FREE_PORT);
        Self { http: HttpClient::http1(), node: settings(builder).start().await.unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.node.local_addr().unwrap())
    }

    async fn post(&self, path: &str, body: impl Into<bytes::Bytes>) -> Answer {
        self.http.post(&self.url(path), body).await
    }

    /// The replies to a batch.
    async fn batch(&self, ops: Value) -> Vec<Value> {
        let answer = self.post("/tunnel/batch", batch(&ops)).await;
        assert_eq!(answer.status, 200);
        let Value::Array(replies) = answer.json()["r"].take() else { panic!("{}", answer.text()) };
        replies
    }

    /// The reply to an op in a batch of its own.
    async fn op(&self, op: Value) -> Value {
        let [reply] = <[Value; 1]>::try_from(self.batch(json!([op])).await).unwrap();
        reply
    }

    /// The session of a fresh connection.
    async fn connect(&self, target: SocketAddr) -> String {
        let reply = self.op(json!({"op": "connect", "host": target.ip(), "port": target.port()})).await;
        reply["sid"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    /// Polls a session until it has given `len` bytes or ended.
    async fn fetch(&self, sid: &str, len: usize) -> Vec<u8> {
        soon(async {
            let mut bytes = Vec::new();
            while bytes.len() < len {
                let reply = self.op(json!({"op": "data", "sid": sid})).await;
                bytes.extend(payload(&reply));
                if reply["eof"] == true {
                    break;
                }
            }
            bytes
        })
        .await
    }
}

fn batch(ops: &Value) -> String {
    json!({"k": "key", "ops": ops}).to_string()
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a reply.
fn payload(reply: &Value) -> Vec<u8> {
    STANDARD.decode(reply["d"].as_str().unwrap_or_default()).unwrap()
}

/// Waits for a condition that will hold.
async fn until<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    soon(async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A server that sends everything back, and ends when its peer has.
async fn tcp_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await?;
                write.shutdown().await
            });
        }
    });
    address
}

/// A server that sends this to everyone and ends.
async fn tcp_source(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                stream.write_all(&bytes).await?;
                stream.shutdown().await?;
                stream.read_to_end(&mut Vec::new()).await
            });
        }
    });
    address
}

/// A socket that sends every datagram back.
async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = vec![0; 65_535];
        while let Ok((len, peer)) = socket.recv_from(&mut datagram).await {
            let _ = socket.send_to(&datagram[..len], peer).await;
        }
    });
    address
}
