//! Applications and servers that do not read: what is sent to them waits where it is, within bounds.

use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{Harness, HarnessBuilder, Origin, Pattern, fetch, push, read_to_end};

use crate::{KIB, MIB};

const CLIENT_WINDOW: usize = MIB;
const NODE_BUFFER: usize = MIB;

/// Small windows, so that a stall comes soon.
fn narrow() -> HarnessBuilder {
    Harness::builder()
        .node_options(|options| {
            options.session_buffer = NODE_BUFFER;
            options.tuning.write_queue = 256 * KIB;
        })
        .client_options(|options| {
            options.downlink_window = CLIENT_WINDOW;
            options.uplink_window = CLIENT_WINDOW;
            options.tuning.max_op_payload = 256 * KIB;
        })
}

/// Waits until the counter stays the same over a full round of the system: nothing moves any more.
async fn stall(harness: &Harness, counter: impl Fn(&Harness) -> u64) -> u64 {
    soon(async {
        let mut last = counter(harness);
        let mut still = 0;
        while still < 2_000 {
            harness.node.stats().await;
            harness.client.stats().await;
            let now = counter(harness);
            still = if now == last && now > 0 { still + 1 } else { 0 };
            last = now;
        }
        last
    })
    .await
}

#[tokio::test]
async fn an_application_that_does_not_read_stalls_its_download_within_bounds() {
    let len = 32 * MIB;
    let harness = narrow().start().await;
    let origin = Origin::source(Pattern::new(0), len).await;
    let mut socket = harness.connect(origin.address()).await;
    let fetched = stall(&harness, |harness| harness.relays[0].counters().downlink_bytes).await;
    // Base64 and JSON; the windows; and what the depth of polls may bring beyond the client's.
    let bound = (CLIENT_WINDOW + 8 * NODE_BUFFER) * 3 / 2 + 8 * MIB;
    assert!(fetched < bound as u64, "{fetched} bytes were fetched for an application that reads none");
    assert!(harness.node.stats().await.buffered_bytes <= NODE_BUFFER);
    assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), len);
}

#[tokio::test]
async fn a_server_that_does_not_read_stalls_its_upload_within_bounds() {
    let len = 32 * MIB;
    let harness = narrow().start().await;
    let (origin, go) = Origin::reluctant(Pattern::new(0), len).await;
    let mut socket = harness.connect(origin.address()).await;
    let upload = async {
        push(&mut socket, Pattern::new(0), len).await.unwrap();
    };
    let watch = async {
        let sent = stall(&harness, |harness| harness.relays[0].counters().uplink_bytes).await;
        assert!(sent < 24 * MIB as u64, "{sent} bytes were sent for a server that reads none");
        assert!(harness.node.stats().await.buffered_bytes < 4 * MIB);
        go.notify_waiters();
    };
    tokio::join!(upload, watch);
    assert_eq!(read_to_end(&mut socket).await.unwrap(), len.to_string().as_bytes());
}

#[tokio::test]
async fn a_flow_that_is_stalled_holds_up_no_other() {
    let harness = narrow().start().await;
    let endless = Origin::endless(Pattern::new(0)).await;
    let _stalled = harness.connect(endless.address()).await;
    stall(&harness, |harness| harness.relays[0].counters().downlink_bytes).await;
    let origin = Origin::source(Pattern::new(1), 2 * MIB).await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(fetch(&mut socket, Pattern::new(1)).await.unwrap(), 2 * MIB);
}
