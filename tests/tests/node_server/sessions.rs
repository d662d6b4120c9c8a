//! Bytes and datagrams through a node, and how flows end.

use seqlane::{NodeNotice, NodeOptions, SessionEnd};
use seqlane_tests::deadline::soon;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::{Harness, encode, payload, tcp_echo, tcp_source, udp_echo, until};

#[tokio::test]
async fn a_tcp_session_echoes_and_closes() {
    let harness = Harness::new().await;
    let sid = harness.connect(tcp_echo().await).await;
    let reply = harness.op(json!({"op": "data", "sid": sid, "seq": 0, "d": encode(b"hello")})).await;
    assert_eq!(reply["seq"], 0);
    assert_eq!(payload(&reply), b"hello");
    let closed = harness.op(json!({"op": "close", "sid": sid})).await;
    assert_eq!(closed, json!({"sid": sid, "eof": true}));
    let after = harness.op(json!({"op": "data", "sid": sid, "seq": 1})).await;
    assert_eq!(after, json!({"sid": sid, "eof": true, "seq": 1}));
}

#[tokio::test]
async fn the_first_bytes_ride_with_the_connect() {
    let harness = Harness::new().await;
    let target = tcp_echo().await;
    let reply = harness
        .op(json!({"op": "connect_data", "host": "127.0.0.1", "port": target.port(), "d": encode(b"hi")}))
        .await;
    assert_eq!((payload(&reply), &reply["caps"]), (b"hi".to_vec(), &json!(3)));
}

#[tokio::test]
async fn a_single_op_each_works_without_a_batch() {
    let harness = Harness::new().await;
    let target = tcp_echo().await;
    let single = async |op: serde_json::Value| harness.post("/tunnel", op.to_string()).await.json();
    let opened =
        single(json!({"k": "key", "op": "connect", "host": "127.0.0.1", "port": target.port()})).await;
    let sid = opened["sid"].as_str().unwrap();
    let reply = single(json!({"k": "key", "op": "data", "sid": sid, "data": encode(b"one")})).await;
    assert_eq!(payload(&reply), b"one");
    let closed = single(json!({"k": "key", "op": "close", "sid": sid})).await;
    assert_eq!(closed["eof"], true);
}

#[tokio::test]
async fn a_download_is_whole_and_ends_after_its_last_byte() {
    let harness = Harness::new().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sid = harness.connect(tcp_source(bytes.clone()).await).await;
    let fetched = harness.fetch(&sid, usize::MAX).await;
    assert_eq!(fetched.len(), bytes.len());
    assert!(fetched == bytes);
}

#[tokio::test]
async fn an_upstream_is_not_read_beyond_the_buffer_and_goes_on_after_a_drain() {
    const BUFFER: usize = 64 * 1024;
    let buffer = |options: NodeOptions| options.session_buffer(BUFFER);
    let harness = Harness::with(|node| node.allow_private(true).options(buffer)).await;
    let bytes = vec![3; 20_000_000];
    let sid = harness.connect(tcp_source(bytes.clone()).await).await;
    until(async || harness.node.stats().await.buffered_bytes >= BUFFER).await;
    // Bytes of the source that are in flight do not get in.
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert_eq!(harness.node.stats().await.buffered_bytes, BUFFER);
    }
    assert!(harness.fetch(&sid, usize::MAX).await == bytes);
}

#[tokio::test]
async fn an_upload_arrives_whole_and_in_order() {
    let harness = Harness::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sid = harness.connect(listener.local_addr().unwrap()).await;
    let (mut upstream, _) = soon(listener.accept()).await.unwrap();
    let reader = tokio::spawn(async move {
        let mut received = Vec::new();
        upstream.read_to_end(&mut received).await.map(|_| received)
    });
    let mut sent = Vec::new();
    for seq in 0..8_u8 {
        let chunk = vec![seq; 500_000];
        let reply = harness.op(json!({"op": "data", "sid": sid, "seq": seq, "d": encode(&chunk)})).await;
        assert_eq!(reply["e"], json!(null));
        sent.extend(chunk);
    }
    harness.op(json!({"op": "close", "sid": sid})).await;
    assert!(soon(reader).await.unwrap().unwrap() == sent);
}

#[tokio::test]
async fn bytes_given_before_a_close_reach_a_peer_that_is_still_sending() {
    let harness = Harness::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sid = harness.connect(listener.local_addr().unwrap()).await;
    let (mut upstream, _) = soon(listener.accept()).await.unwrap();
    let mut events = harness.node.notices();
    let last_words = vec![9; 3_000_000];
    let ops = json!([{"op": "data", "sid": sid, "d": encode(&last_words)}, {"op": "close", "sid": sid}]);
    let closing = harness.batch(ops);
    let peer = async {
        upstream.write_all(&vec![1; 2_000_000]).await.unwrap();
        let mut received = Vec::new();
        upstream.read_to_end(&mut received).await.unwrap();
        received
    };
    let (_, received) = soon(async { tokio::join!(closing, peer) }).await;
    assert!(received == last_words);
    let ended = soon(async {
        loop {
            if let Ok(NodeNotice::SessionEnded { why, .. }) = events.recv().await {
                break why;
            }
        }
    });
    assert_eq!(ended.await, SessionEnd::Closed);
}

#[tokio::test]
async fn a_reset_upstream_is_told_apart_from_an_end() {
    let harness = Harness::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sid = harness.connect(listener.local_addr().unwrap()).await;
    let (upstream, _) = soon(listener.accept()).await.unwrap();
    upstream.set_zero_linger().unwrap();
    drop(upstream);
    let reply = harness.op(json!({"op": "data", "sid": sid})).await;
    assert_eq!(reply["e"], "upstream was reset", "{reply}");
}

#[tokio::test]
async fn a_udp_session_echoes_datagrams() {
    let harness = Harness::new().await;
    let target = udp_echo().await;
    let opened = harness
        .op(json!({"op": "udp_open", "host": "127.0.0.1", "port": target.port(), "d": encode(b"first")}))
        .await;
    let sid = opened["sid"].as_str().unwrap_or_else(|| panic!("{opened}")).to_owned();
    let mut datagrams: Vec<_> = opened["pkts"].as_array().cloned().unwrap_or_default();
    let second = vec![2; 9000];
    let sent = harness.op(json!({"op": "udp_data", "sid": sid, "d": encode(&second)})).await;
    datagrams.extend(sent["pkts"].as_array().cloned().unwrap_or_default());
    soon(async {
        while datagrams.len() < 2 {
            let reply = harness.op(json!({"op": "udp_data", "sid": sid})).await;
            datagrams.extend(reply["pkts"].as_array().cloned().unwrap_or_default());
        }
    })
    .await;
    assert_eq!(datagrams, [json!(encode(b"first")), json!(encode(&second))]);
}

#[tokio::test]
async fn a_udp_target_that_refuses_ends_its_session() {
    let harness = Harness::new().await;
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let opened = harness
        .op(json!({"op": "udp_open", "host": "127.0.0.1", "port": nobody.port(), "d": encode(b"anybody?")}))
        .await;
    let ended = |reply: &serde_json::Value| reply["eof"] == true || reply["e"].is_string();
    if !ended(&opened) {
        let sid = opened["sid"].as_str().unwrap();
        let reply = soon(harness.op(json!({"op": "udp_data", "sid": sid}))).await;
        assert!(ended(&reply), "{reply}");
    }
}
