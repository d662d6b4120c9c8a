//! How flows end, and what each side sees of it.

use std::io::ErrorKind;

use seqlane::{ClientNotice, ExchangeFailure};
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{
    Harness, Origin, Pattern, dial, fetch, push, read_exact, read_to_end, reset, was_reset,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::MIB;

#[tokio::test]
async fn a_server_answers_after_the_application_has_finished() {
    let harness = Harness::start().await;
    let origin = Origin::sink(Pattern::new(0), 1000).await;
    let mut socket = harness.connect(origin.address()).await;
    push(&mut socket, Pattern::new(0), 1000).await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap(), b"1000");
}

/// Levels 0 and 1 have no half-close: a server that waits for it does not get it, and after a quiet time both ends are
/// closed. The application sees a reset, since the end of the download is unknown.
#[tokio::test]
async fn a_half_closed_flow_that_stays_quiet_is_cut_and_the_server_sees_its_end() {
    let (origin, mut endings) = Origin::witness().await;
    let harness = Harness::builder()
        .client_options(|options| options.half_close_quiet = std::time::Duration::from_millis(500))
        .start()
        .await;
    let mut socket = harness.connect(origin.address()).await;
    socket.write_all(b"all there is").await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(endings.next().await, (b"all there is".to_vec(), Ok(())));
    assert!(was_reset(&mut socket).await);
}

#[tokio::test]
async fn a_reset_by_the_server_reaches_the_application_behind_the_last_bytes() {
    let harness = Harness::start().await;
    let origin = Origin::resetter(b"last words").await;
    let mut socket = harness.connect(origin.address()).await;
    socket.write_all(b"1").await.unwrap();
    assert_eq!(read_exact(&mut socket, 10).await.unwrap(), b"last words");
    socket.write_all(b"2").await.unwrap();
    assert!(was_reset(&mut socket).await);
}

#[tokio::test]
async fn a_reset_by_the_application_ends_the_connection_at_the_server() {
    let harness = Harness::start().await;
    let (origin, mut endings) = Origin::witness().await;
    let mut socket = harness.connect(origin.address()).await;
    socket.write_all(b"begun").await.unwrap();
    // The node has it when its session is open and the bytes were written.
    while harness.node.stats().await.stats.uplink_bytes < 5 {
        tokio::task::yield_now().await;
    }
    reset(socket);
    let (bytes, _) = endings.next().await;
    assert_eq!(bytes, b"begun");
}

#[tokio::test]
async fn an_orderly_end_leaves_nothing_behind() {
    let harness = Harness::start().await;
    let origin = Origin::source(Pattern::new(0), 5).await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), 5);
    drop(socket);
    soon(async {
        loop {
            let node = harness.node.stats().await;
            if node.upstreams == 0 && node.buffered_bytes == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let client = harness.client.stats().await;
    assert_eq!((client.opened, client.ended), (1, 1));
}

/// Every flow either gets all of its bytes and an end, or a prefix of them and a reset.
#[tokio::test]
async fn lost_replies_cut_flows_and_never_falsify_them() {
    const FLOWS: usize = 40;
    let harness = Harness::builder().relay(|relay| relay.lose_reply(0.2).seed(7)).start().await;
    let origin = Origin::source(Pattern::new(0), MIB).await;
    let mut notices = harness.notices();
    let (proxy, target) = (harness.proxy(), origin.address());
    let mut flows = JoinSet::new();
    for _ in 0..FLOWS {
        flows.spawn(async move {
            let mut socket = soon(dial::socks(proxy, target)).await.unwrap();
            let mut bytes = Vec::new();
            let ended = soon(socket.read_to_end(&mut bytes)).await;
            Pattern::new(0).check(0, &bytes).unwrap();
            let whole = ended.is_ok();
            match ended {
                Ok(_) => assert_eq!(bytes.len(), MIB),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
            whole
        });
    }
    let mut whole = 0;
    while let Some(flow) = flows.join_next().await {
        whole += usize::from(flow.unwrap());
    }
    assert!(whole < FLOWS, "some reply must have been lost");
    let lost = |notice: &ClientNotice| {
        matches!(notice, ClientNotice::ExchangeFailed { why: ExchangeFailure::Unknown, .. })
    };
    notices.wait_for(lost).await;
}

#[tokio::test]
async fn lost_requests_cut_uploads_and_never_falsify_them() {
    let harness = Harness::builder().relay(|relay| relay.lose_request(0.3).seed(3)).start().await;
    // The sink checks what it gets, and counts it only when it was whole and right.
    let origin = Origin::sink(Pattern::new(0), MIB).await;
    let mut cut = 0;
    for _ in 0..20 {
        let mut socket = harness.connect(origin.address()).await;
        // A flow that is cut meanwhile takes no more.
        let sent = push(&mut socket, Pattern::new(0), MIB).await;
        let answer = if sent.is_ok() { read_to_end(&mut socket).await } else { sent.map(|()| Vec::new()) };
        match answer {
            Ok(count) => assert_eq!(count, MIB.to_string().as_bytes()),
            Err(_) => cut += 1,
        }
    }
    assert!(cut > 0, "some request must have been lost");
}

#[tokio::test]
async fn a_whole_download_before_an_early_end_of_the_application_is_no_error() {
    let harness = Harness::start().await;
    let origin = Origin::source(Pattern::new(0), 1000).await;
    let mut socket = harness.connect(origin.address()).await;
    socket.shutdown().await.unwrap();
    assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), 1000);
}
