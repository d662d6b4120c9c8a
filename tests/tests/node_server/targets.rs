//! Targets that are reached, and errors of those that are not.

use seqlane::{ConnectFailure, NodeNotice};
use seqlane_tests::deadline::soon;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{Harness, encode, payload, tcp_echo};

/// A closed port of loopback.
async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_name_is_resolved() {
    let harness = Harness::new().await;
    let target = tcp_echo().await;
    let reply = harness
        .op(json!({"op": "connect_data", "host": "localhost", "port": target.port(), "d": encode(b"x")}))
        .await;
    assert_eq!(payload(&reply), b"x");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_said_so() {
    let reply =
        Harness::new().await.op(json!({"op": "connect", "host": "no-such-name.invalid", "port": 80})).await;
    assert_eq!(ConnectFailure::from_text(reply["e"].as_str().unwrap()), ConnectFailure::NoSuchName);
}

#[tokio::test]
async fn a_refusal_is_said_so_in_the_words_of_deployed_nodes() {
    let harness = Harness::new().await;
    let mut events = harness.node.notices();
    let reply = harness.op(json!({"op": "connect", "host": "127.0.0.1", "port": closed_port().await})).await;
    assert_eq!(reply, json!({"e": "connect failed: Connection refused (os error 111)"}));
    let failure = soon(async {
        loop {
            if let NodeNotice::ConnectFailed { failure, .. } = events.recv().await.unwrap() {
                break failure;
            }
        }
    });
    assert_eq!(failure.await, ConnectFailure::Refused);
}

#[tokio::test]
async fn private_targets_are_refused_by_default_however_they_are_named() {
    let harness = Harness::with(|node| node).await;
    let port = tcp_echo().await.port();
    for host in ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254"] {
        let reply = harness.op(json!({"op": "connect", "host": host, "port": port})).await;
        assert_eq!(reply, json!({"e": "connect failed: target not allowed"}), "{host}");
        let reply = harness.op(json!({"op": "udp_open", "host": host, "port": port})).await;
        assert_eq!(reply, json!({"e": "udp connect failed: target not allowed"}), "{host}");
    }
}

#[tokio::test]
async fn a_silent_target_does_not_delay_a_live_one_in_another_batch() {
    let harness = Harness::new().await;
    let live = tcp_echo().await;
    // A listener that never accepts and whose backlog is not reached answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sid = harness.connect(silent.local_addr().unwrap()).await;
    let held = harness.op(json!({"op": "data", "sid": sid}));
    let lively = async {
        let sid = harness.connect(live).await;
        payload(&harness.op(json!({"op": "data", "sid": sid, "d": encode(b"quick")})).await)
    };
    tokio::select! {
        biased;
        echoed = soon(lively) => assert_eq!(echoed, b"quick"),
        reply = held => panic!("a silent target gave {reply}"),
    }
}
