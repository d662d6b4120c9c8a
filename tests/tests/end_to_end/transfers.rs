//! Bytes arrive whole and in order.

use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{
    Harness, Origin, Pattern, dial, echo, fetch, push, read_exact, read_to_end, take,
};
use tokio::task::JoinSet;

use crate::{KIB, MIB};

#[tokio::test]
async fn a_download_arrives_whole() {
    let harness = Harness::start().await;
    let origin = Origin::source(Pattern::new(0), 8 * MIB).await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), 8 * MIB);
}

#[tokio::test]
async fn an_upload_arrives_whole() {
    let harness = Harness::start().await;
    let origin = Origin::sink(Pattern::new(0), 8 * MIB).await;
    let mut socket = harness.connect(origin.address()).await;
    push(&mut socket, Pattern::new(0), 8 * MIB).await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap(), (8 * MIB).to_string().as_bytes());
}

#[tokio::test]
async fn both_directions_run_at_once() {
    let harness = Harness::start().await;
    let origin = Origin::echo().await;
    let socket = harness.connect(origin.address()).await;
    let (mut read, mut write) = socket.into_split();
    let sent = tokio::spawn(async move {
        push(&mut write, Pattern::new(0), 4 * MIB).await.unwrap();
        write
    });
    take(&mut read, Pattern::new(0), 4 * MIB).await.unwrap();
    sent.await.unwrap();
}

#[tokio::test]
async fn small_messages_come_back_one_by_one() {
    let harness = Harness::start().await;
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    for number in 0..100_u32 {
        let message = number.to_be_bytes();
        assert_eq!(echo(&mut socket, &message).await.unwrap(), message);
    }
}

#[tokio::test]
async fn a_client_that_speaks_to_the_node_itself_needs_no_relay() {
    let harness = Harness::builder().direct().start().await;
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"no relay").await.unwrap(), b"no relay");
}

#[tokio::test]
async fn two_hundred_flows_run_side_by_side() {
    const FLOWS: usize = 200;
    const LEN: usize = 64 * KIB;
    let harness = Harness::start().await;
    let origin = Origin::echo().await;
    let (proxy, target) = (harness.proxy(), origin.address());
    let mut flows = JoinSet::new();
    for number in 0..FLOWS {
        flows.spawn(async move {
            let pattern = Pattern::new(number);
            let socket = soon(dial::socks(proxy, target)).await.unwrap();
            let (mut read, mut write) = socket.into_split();
            let sent = tokio::spawn(async move {
                push(&mut write, pattern, LEN).await.unwrap();
                write
            });
            take(&mut read, pattern, LEN).await.unwrap();
            sent.await.unwrap();
        });
    }
    while let Some(flow) = flows.join_next().await {
        flow.unwrap();
    }
}

#[tokio::test]
async fn a_server_may_speak_first() {
    let harness = Harness::start().await;
    let origin = Origin::greeter("220 ready\r\n").await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(read_exact(&mut socket, 11).await.unwrap(), b"220 ready\r\n");
    assert_eq!(echo(&mut socket, b"QUIT\r\n").await.unwrap(), b"QUIT\r\n");
}

#[tokio::test]
async fn an_answer_comes_after_think_time_without_a_wait_for_the_held_poll() {
    let harness = Harness::start().await;
    let origin = Origin::lines().await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"ONE\n").await.unwrap(), b"ONE\n");
    // Now a poll is held, for 15 s by default.
    while harness.node.stats().await.held_requests == 0 {
        tokio::task::yield_now().await;
    }
    let asked = tokio::time::Instant::now();
    assert_eq!(echo(&mut socket, b"TWO\n").await.unwrap(), b"TWO\n");
    assert!(asked.elapsed().as_secs() < 10);
}

#[tokio::test]
async fn http_connect_carries_a_flow() {
    let harness = Harness::start().await;
    let origin = Origin::echo().await;
    let mut socket = soon(dial::http_connect(harness.proxy(), origin.address())).await.unwrap();
    assert_eq!(echo(&mut socket, b"through CONNECT").await.unwrap(), b"through CONNECT");
}
