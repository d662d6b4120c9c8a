//! Targets that cannot be opened, and how applications learn of it.

use std::time::Duration;

use seqlane::{NodeOptions, OpenMode};
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::dial::{self, Refused};
use seqlane_tests::harness::origin::{BlackHole, closed};
use seqlane_tests::harness::{Harness, HarnessBuilder, Origin, echo, was_reset};
use tokio::io::AsyncWriteExt;

fn confirmed() -> HarnessBuilder {
    Harness::builder().client_options(|options| options.open = OpenMode::Confirmed)
}

fn impatient(options: &mut NodeOptions) {
    options.connect_deadline = Duration::from_millis(300);
}

#[tokio::test]
async fn confirmed_opening_tells_a_refusal_by_its_code() {
    let harness = confirmed().start().await;
    let target = closed().await;
    assert!(matches!(soon(dial::socks(harness.proxy(), target)).await, Err(Refused::Code(5))));
    assert!(matches!(soon(dial::http_connect(harness.proxy(), target)).await, Err(Refused::Code(502))));
}

#[tokio::test]
async fn confirmed_opening_tells_a_target_that_does_not_answer() {
    let harness = confirmed().node_options(impatient).start().await;
    let hole = BlackHole::open();
    assert!(matches!(soon(dial::socks(harness.proxy(), hole.address())).await, Err(Refused::Code(6))));
    let refused = soon(dial::http_connect(harness.proxy(), hole.address())).await;
    assert!(matches!(refused, Err(Refused::Code(504))));
}

#[tokio::test]
async fn confirmed_opening_tells_a_target_that_is_not_allowed() {
    let harness = confirmed().node(|node| node.allow_private(false)).start().await;
    let origin = Origin::echo().await;
    assert!(matches!(soon(dial::socks(harness.proxy(), origin.address())).await, Err(Refused::Code(2))));
    let refused = soon(dial::http_connect(harness.proxy(), origin.address())).await;
    assert!(matches!(refused, Err(Refused::Code(403))));
}

#[tokio::test]
async fn confirmed_opening_opens_what_can_be_opened() {
    let harness = confirmed().start().await;
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"open").await.unwrap(), b"open");
}

#[tokio::test]
async fn optimistic_opening_shows_a_refusal_as_a_reset() {
    let harness = Harness::start().await;
    let mut socket = harness.connect(closed().await).await;
    assert!(was_reset(&mut socket).await);
}

#[tokio::test]
async fn a_target_that_does_not_answer_delays_nobody_else() {
    let harness = Harness::start().await;
    let hole = BlackHole::open();
    let origin = Origin::echo().await;
    let mut dead = harness.connect(hole.address()).await;
    dead.write_all(b"anybody there?").await.unwrap();
    while harness.node.stats().await.upstreams == 0 {
        tokio::task::yield_now().await;
    }
    let begun = tokio::time::Instant::now();
    let mut live = harness.connect(origin.address()).await;
    for _ in 0..20 {
        assert_eq!(echo(&mut live, b"live").await.unwrap(), b"live");
    }
    // The connect deadline is 10 s, and every answer that waited for it would take that long.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(harness.node.stats().await.upstreams, 2, "the dead target is still being tried");
}
