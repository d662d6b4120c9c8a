//! The relay in front of a real node.

use seqlane::Level;
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{FREE_PORT, node_url};
use seqlane_tests::http_client::HttpClient;
use seqlane_tokio::relay::RelayBuilder;
use seqlane_tokio::{Node, StandInRelay};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{DECOY, batch};

/// A node of every level, and a relay with these settings before it.
pub(crate) async fn pair(settings: impl FnOnce(RelayBuilder) -> RelayBuilder) -> (Node, StandInRelay) {
    let node = Node::builder("inner")
        .secret("known to both ends")
        .min_level(Level::Legacy)
        .allow_private(true)
        .listen(FREE_PORT);
    let node = node.start().await.unwrap();
    let builder = StandInRelay::builder(node_url(&node), "outer", "inner");
    (node, settings(builder).start().await.unwrap())
}

async fn connect(relay: &StandInRelay, port: u16) -> Value {
    let ops = format!(r#"[{{"op":"connect","host":"127.0.0.1","port":{port}}}]"#);
    HttpClient::http1().post(&relay.url(), batch(&ops)).await.json()
}

#[tokio::test]
async fn a_connect_goes_through() {
    let (node, relay) = pair(|relay| relay).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let answer = connect(&relay, target.local_addr().unwrap().port()).await;
    assert!(answer["r"][0]["sid"].is_string(), "{answer}");
    soon(target.accept()).await.unwrap();
    assert_eq!(node.stats().await.stats.sessions_opened, 1);
}

#[tokio::test]
async fn a_duplicated_connect_opens_two_upstreams() {
    let (_node, relay) = pair(|relay| relay.duplicate(1.0)).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    connect(&relay, target.local_addr().unwrap().port()).await;
    soon(target.accept()).await.unwrap();
    soon(target.accept()).await.unwrap();
}

#[tokio::test]
async fn a_wrong_node_key_shows_as_an_error_of_the_exchange() {
    let node = Node::builder("other").listen(FREE_PORT).start().await.unwrap();
    let relay = StandInRelay::builder(node_url(&node), "outer", "inner").start().await.unwrap();
    assert_eq!(connect(&relay, 80).await["e"], "tunnel batch HTTP 404");
    node.shutdown().await;
    let answer = HttpClient::http1().post(&relay.url(), batch("[]")).await;
    assert!(answer.text().contains(DECOY));
}
