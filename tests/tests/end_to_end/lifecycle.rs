//! Ends in order, of every part.

use seqlane::ClientNotice;
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{Harness, Origin, Pattern, echo, fetch, was_reset};
use tokio::io::AsyncWriteExt;

use crate::MIB;

#[tokio::test]
async fn a_client_that_is_shut_down_lets_flows_finish() {
    let harness = Harness::start().await;
    let origin = Origin::source(Pattern::new(0), 4 * MIB).await;
    let mut socket = harness.connect(origin.address()).await;
    let Harness { node, client, relays, .. } = harness;
    let (_, fetched) = tokio::join!(soon(client.shutdown()), fetch(&mut socket, Pattern::new(0)));
    assert_eq!(fetched.unwrap(), 4 * MIB);
    drop((node, relays));
}

#[tokio::test]
async fn a_client_that_is_shut_down_resets_what_does_not_finish() {
    let harness = Harness::builder().client(|client| client.drain(std::time::Duration::ZERO)).start().await;
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"hello").await.unwrap(), b"hello");
    let Harness { node, client, relays, .. } = harness;
    soon(client.shutdown()).await;
    assert!(was_reset(&mut socket).await);
    // The node knows that the session has ended.
    soon(async {
        while node.stats().await.upstreams > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(relays);
}

#[tokio::test]
async fn a_client_that_is_shut_down_does_not_wait_for_applications_that_have_gone() {
    let patience = std::time::Duration::from_secs(600);
    let harness = Harness::builder().client(move |client| client.drain(patience)).start().await;
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"hello").await.unwrap(), b"hello");
    // It may still be listening, for all that can be seen.
    socket.shutdown().await.unwrap();
    let Harness { node, client, relays, .. } = harness;
    soon(client.shutdown()).await;
    assert!(was_reset(&mut socket).await);
    drop((node, relays));
}

#[tokio::test]
async fn a_node_that_is_shut_down_answers_what_it_holds() {
    let harness = Harness::start().await;
    let mut notices = harness.notices();
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"hello").await.unwrap(), b"hello");
    notices.wait_for(|notice| matches!(notice, ClientNotice::Connected { .. })).await;
    let Harness { node, client, relays, .. } = harness;
    soon(node.shutdown()).await;
    drop(soon(client.shutdown()));
    drop((socket, relays));
}

#[tokio::test]
async fn everything_ends_in_order_at_once() {
    let harness = Harness::start().await;
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"hello").await.unwrap(), b"hello");
    drop(socket);
    let Harness { node, client, mut relays, .. } = harness;
    soon(client.shutdown()).await;
    soon(relays.remove(0).shutdown()).await;
    soon(node.shutdown()).await;
}
