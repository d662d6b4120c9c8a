//! Start, observation and end.

use seqlane::NodeNotice;
use seqlane_tests::deadline::soon;
use seqlane_tests::http_client::HttpClient;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::{Harness, batch, tcp_echo, until};

#[tokio::test]
async fn shutting_down_answers_held_polls_and_ends_sessions() {
    for http in [HttpClient::http1(), HttpClient::http2()] {
        let harness = Harness::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sid = harness.connect(listener.local_addr().unwrap()).await;
        let (mut upstream, _) = soon(listener.accept()).await.unwrap();
        let (url, body) =
            (harness.url("/tunnel/batch"), batch(&json!([{"op": "data", "sid": sid, "seq": 0}])));
        let poll = tokio::spawn(async move { http.post(&url, body).await });
        until(async || harness.node.stats().await.held_requests == 1).await;
        let address = harness.node.local_addr().unwrap();
        soon(harness.node.shutdown()).await;
        let answer = soon(poll).await.unwrap();
        assert_eq!(answer.json()["r"].as_array().map(Vec::len), Some(1));
        assert_eq!(soon(upstream.read(&mut [0; 8])).await.unwrap(), 0);
        assert!(TcpStream::connect(address).await.is_err());
    }
}

#[tokio::test]
async fn dropping_a_node_frees_its_port_and_its_upstreams() {
    let harness = Harness::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    harness.connect(listener.local_addr().unwrap()).await;
    let (mut upstream, _) = soon(listener.accept()).await.unwrap();
    let address = harness.node.local_addr().unwrap();
    drop(harness);
    // An end or a reset: nothing is held in either case.
    assert!(matches!(soon(upstream.read(&mut [0; 8])).await, Ok(0) | Err(_)));
    until(async || TcpListener::bind(address).await.is_ok()).await;
}

#[tokio::test]
async fn the_machines_events_and_counters_are_visible() {
    let harness = Harness::new().await;
    let mut events = harness.node.notices();
    let target = tcp_echo().await;
    let sid = harness.connect(target).await;
    let opened = soon(events.recv()).await.unwrap();
    assert!(
        matches!(&opened, NodeNotice::SessionOpened { target: seen, .. } if seen.port() == target.port()),
        "{opened:?}"
    );
    harness.op(json!({"op": "close", "sid": sid})).await;
    assert!(matches!(soon(events.recv()).await.unwrap(), NodeNotice::SessionEnded { .. }));
    let snapshot = harness.node.stats().await;
    assert_eq!((snapshot.stats.sessions_opened, snapshot.stats.sessions_ended), (1, 1));
    assert_eq!((snapshot.upstreams, snapshot.held_requests), (0, 0));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_session_ids() {
    let mut sids = Vec::new();
    for seed in [[1; 32], [1; 32], [2; 32]] {
        let harness = Harness::with(|node| node.allow_private(true).seed(seed)).await;
        sids.push(harness.connect(tcp_echo().await).await);
    }
    assert_eq!(sids[0], sids[1]);
    assert_ne!(sids[0], sids[2]);
}
