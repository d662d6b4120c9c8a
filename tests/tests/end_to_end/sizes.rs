//! Bodies larger than deployed nodes take.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seqlane::ClientNotice;
use seqlane_tests::http_client::HttpClient;
use seqlane_tests::rig::{NODE_KEY, Origin, Pattern, Rig, push, read_to_end};
use serde_json::json;

use crate::{KIB, MIB};

#[tokio::test]
async fn our_node_takes_a_request_of_more_than_two_mebibytes() {
    let rig = Rig::start().await;
    let origin = Origin::sink(Pattern::new(0), 3 * MIB).await;
    let (http, url) = (HttpClient::http1(), format!("{}/tunnel/batch", rig.node_url()));
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
    let rig = Rig::builder()
        .client_options(|options| {
            options.relays[0].max_body = 8 * MIB;
            options.max_op_payload = 4 * MIB;
        })
        .start()
        .await;
    upload(&rig, 16 * MIB).await;
    let calls = rig.relays[0].counters();
    assert!(calls.uplink_bytes / calls.calls > 0);
}

#[tokio::test]
async fn a_client_sends_less_at_once_to_a_node_that_refuses_for_size() {
    let rig = Rig::builder()
        .old_node(512 * KIB)
        // Slow enough for the flows to share batches.
        .relay(|relay| relay.delay(std::time::Duration::from_millis(50)))
        .client_options(|options| options.max_op_payload = 300 * KIB)
        .start()
        .await;
    let mut notices = rig.notices();
    let one = || upload(&rig, MIB);
    tokio::join!(one(), one(), one(), one(), one(), one(), one(), one());
    let lowered = notices.wait_for(|notice| matches!(notice, ClientNotice::BodyLimitLowered { .. })).await;
    assert!(matches!(lowered, ClientNotice::BodyLimitLowered { limit, .. } if limit < 2 * MIB));
}

#[tokio::test]
async fn a_client_keeps_below_the_limit_of_deployed_nodes_by_itself() {
    let rig = Rig::builder().old_node(2 * MIB).start().await;
    let mut notices = rig.notices();
    upload(&rig, 16 * MIB).await;
    let lowered = |notice: &ClientNotice| matches!(notice, ClientNotice::BodyLimitLowered { .. });
    assert!(!notices.so_far().iter().any(lowered));
}

/// Uploads this much and has it checked.
async fn upload(rig: &Rig, len: usize) {
    let origin = Origin::sink(Pattern::new(0), len).await;
    let mut socket = rig.connect(origin.address()).await;
    push(&mut socket, Pattern::new(0), len).await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap(), len.to_string().as_bytes());
}
