//! Relays that lose, double, cut and refuse, all at once, and relays that go and come back.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use seqlane::ClientNotice;
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{
    CLIENT_KEY, Harness, NODE_KEY, Origin, Pattern, dial, echo, fetch, node_url, push, read_to_end, was_reset,
};
use seqlane_tokio::relay::RelayBuilder;
use seqlane_tokio::{Node, StandInRelay};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::{KIB, MIB};

/// Bytes of a flow: several ops, so that faults fall between them.
const LEN: usize = MIB / 4;

fn with_every_fault(relay: RelayBuilder, seed: u64) -> RelayBuilder {
    relay
        .seed(seed)
        .delay(Duration::from_millis(5))
        .jitter(Duration::from_millis(5))
        .lose_request(0.02)
        .lose_reply(0.02)
        .duplicate(0.02)
        .truncate(0.02)
        .html(0.02)
        .status(429, 0.02)
        .status(502, 0.02)
        .max_concurrent(16)
        .redirect(true)
}

/// Downloads everything. Whether it was whole; if not, it was a prefix and then a reset.
async fn download(proxy: SocketAddr, origin: SocketAddr, pattern: Pattern) -> bool {
    let mut socket = soon(dial::socks(proxy, origin)).await.unwrap();
    match fetch(&mut socket, pattern).await {
        Ok(len) => assert_eq!(len, LEN, "an early end that looks like a proper one"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            return false;
        }
    }
    true
}

/// Uploads everything. Whether the origin has it all; the origin itself fails the test for a wrong byte.
async fn upload(proxy: SocketAddr, origin: SocketAddr, pattern: Pattern) -> bool {
    let mut socket = soon(dial::socks(proxy, origin)).await.unwrap();
    if push(&mut socket, pattern, LEN).await.is_err() {
        return false;
    }
    match read_to_end(&mut socket).await {
        Ok(count) => assert_eq!(count, LEN.to_string().as_bytes()),
        Err(_) => return false,
    }
    true
}

#[tokio::test]
async fn whatever_a_relay_does_to_calls_flows_are_whole_or_cut_and_never_falsified() {
    let pattern = Pattern::new(0);
    let (mut whole, mut cut) = (0, 0);
    for seed in 0..8 {
        let harness = Harness::builder()
            .relay(move |relay| with_every_fault(relay, seed))
            .client_options(|options| options.tuning.refused_backoff = Duration::from_millis(10))
            .start()
            .await;
        let (source, sink) = (Origin::source(pattern, LEN).await, Origin::sink(pattern, LEN).await);
        let mut flows = JoinSet::new();
        for _ in 0..3 {
            flows.spawn(download(harness.proxy(), source.address(), pattern));
            flows.spawn(upload(harness.proxy(), sink.address(), pattern));
        }
        while let Some(is_whole) = flows.join_next().await {
            *(if is_whole.unwrap() { &mut whole } else { &mut cut }) += 1;
        }
    }
    assert!(whole > 0 && cut > 0, "{whole} flows were whole and {cut} cut: the faults prove nothing");
}

#[tokio::test]
async fn a_relay_of_limited_bandwidth_carries_everything() {
    let harness = Harness::builder().relay(|relay| relay.bandwidth(4 * MIB as u64)).start().await;
    let source = Origin::source(Pattern::new(0), LEN).await;
    assert!(download(harness.proxy(), source.address(), Pattern::new(0)).await);
    let sink = Origin::sink(Pattern::new(0), LEN).await;
    assert!(upload(harness.proxy(), sink.address(), Pattern::new(0)).await);
}

#[tokio::test]
async fn flows_work_again_when_a_relay_that_was_gone_is_back() {
    let harness = Harness::start().await;
    let origin = Origin::echo().await;
    let mut before = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut before, b"before").await.unwrap(), b"before");
    let (address, mut notices, proxy) = (harness.relays[0].local_addr(), harness.notices(), harness.proxy());
    let Harness { node, mut relays, client, .. } = harness;
    drop(relays.pop());
    assert!(was_reset(&mut before).await, "a call was lost with the relay");

    // This one waits, because nothing of it can have reached the node.
    let mut after = soon(dial::socks(proxy, origin.address())).await.unwrap();
    after.write_all(b"after").await.unwrap();
    notices.wait_for(|notice| matches!(notice, ClientNotice::RelayDown { .. })).await;
    let relay =
        StandInRelay::builder(node_url(&node), CLIENT_KEY, NODE_KEY).listen(address).start().await.unwrap();
    let mut answer = [0; 5];
    soon(tokio::io::AsyncReadExt::read_exact(&mut after, &mut answer)).await.unwrap();
    assert_eq!(answer, *b"after");
    notices.wait_for(|notice| matches!(notice, ClientNotice::RelayUp { .. })).await;
    drop((client, relay));
}

#[tokio::test]
async fn flows_work_again_when_a_node_that_was_gone_is_back() {
    let harness = Harness::start().await;
    let origin = Origin::source(Pattern::new(0), 64 * KIB).await;
    let (address, proxy) = (harness.node.local_addr().unwrap(), harness.proxy());
    let Harness { node, relays, client, .. } = harness;
    drop(node);
    let mut lost = soon(dial::socks(proxy, origin.address())).await.unwrap();
    assert!(was_reset(&mut lost).await);
    let node = Node::builder(NODE_KEY).allow_private(true).listen(address);
    let node = node.start().await.unwrap();
    let mut socket = soon(dial::socks(proxy, origin.address())).await.unwrap();
    assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), 64 * KIB);
    drop((client, relays, node));
}
