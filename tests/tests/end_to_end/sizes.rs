//! Bodies larger than deployed nodes take.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seqlane::ClientNotice;
use seqlane_tests::harness::{Harness, NODE_KEY, Origin, Pattern, push, read_to_end};
use seqlane_tests::http_client::HttpClient;
use serde_json::json;

use crate::{KIB, MIB};

#[tokio::test]
async fn our_node_takes_a_request_of_more_than_two_mebibytes() {
    let harness = Harness::start().await;
    let origin = Origin::sink(Pattern::new(0), 3 * MIB).await;
    let (http, url) = (HttpClient::http1(), format!("{}/tunnel/batch", harness.node_url()));
    let target = origin.address();
    let payload = STANDARD.encode(Pattern::new(0).bytes(3 * MIB));
    let open = json!({"k": NODE_KEY, "ops": [
        {"op": "connect_data", "host": target.ip(), "port": target.port(), "d": payload},
    ]});
    let answer = http.post(&url, open.to_string()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.json()["r"][0]["sid"].is_string(), "{}", answer.text());
}

#[tokio::test]
async fn a_client_that_is_told_so_sends_more_than_two_mebibytes_at_once() {
    let harness = Harness::builder()
        .calls(|relay| relay.max_body(8 * MIB))
        .client_options(|options| options.tuning.max_op_payload = 4 * MIB)
        .start()
        .await;
    upload(&harness, 16 * MIB).await;
    let calls = harness.relays[0].counters();
    assert!(calls.uplink_bytes / calls.calls > 0);
}

/// An op that is too large alone ends its flow, visibly; what was learned of the limit serves the next ones.
#[tokio::test]
async fn a_client_learns_what_a_node_refuses_for_its_size() {
    let harness = Harness::builder().old_node(512 * KIB).start().await;
    let mut notices = harness.notices();
    let origin = Origin::sink(Pattern::new(0), 4 * MIB).await;
    let mut refused = 0;
    loop {
        let mut socket = harness.connect(origin.address()).await;
        let sent = push(&mut socket, Pattern::new(0), 4 * MIB).await;
        let answer = if sent.is_ok() { read_to_end(&mut socket).await } else { sent.map(|()| Vec::new()) };
        if let Ok(count) = answer {
            assert_eq!(count, (4 * MIB).to_string().as_bytes());
            break;
        }
        refused += 1;
        assert!(refused < 10, "three quarters of 2 MiB, and so on, are soon below the limit");
    }
    let lowered = |notice: &ClientNotice| matches!(notice, ClientNotice::BodyLimitLowered { .. });
    assert_eq!(notices.so_far().iter().any(lowered), refused > 0);
}

#[tokio::test]
async fn a_client_keeps_below_the_limit_of_deployed_nodes_by_itself() {
    let harness = Harness::builder().old_node(2 * MIB).start().await;
    let mut notices = harness.notices();
    upload(&harness, 16 * MIB).await;
    let lowered = |notice: &ClientNotice| matches!(notice, ClientNotice::BodyLimitLowered { .. });
    assert!(!notices.so_far().iter().any(lowered));
}

/// Uploads this much and has it checked.
async fn upload(harness: &Harness, len: usize) {
    let origin = Origin::sink(Pattern::new(0), len).await;
    let mut socket = harness.connect(origin.address()).await;
    push(&mut socket, Pattern::new(0), len).await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap(), len.to_string().as_bytes());
}
