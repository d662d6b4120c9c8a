//! Level 2: whatever becomes of calls, flows go on.

use std::net::SocketAddr;
use std::time::Duration;

use seqlane::wire::reset::ResetCode;
use seqlane::{ClientNotice, ClientOptions, EndReason, Level, NodeOptions, OpenMode, RelayId, Secret};
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::dial::{self, Association, Refused};
use seqlane_tests::harness::origin::{DatagramEcho, closed};
use seqlane_tests::harness::{
    CLIENT_KEY, Harness, HarnessBuilder, NODE_KEY, Origin, Pattern, SECRET, echo, fetch, node_url, push,
    read_exact, read_to_end, take, was_reset,
};
use seqlane_tokio::relay::{RelayBuilder, RelayCounters};
use seqlane_tokio::{Node, StandInRelay, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::{KIB, MIB};

fn streams() -> HarnessBuilder {
    Harness::builder().level(Level::Streams)
}

/// Every packaging and path of a packet: in batches, raw, redirected, and with no relay between.
fn every_way() -> [(&'static str, HarnessBuilder); 5] {
    [
        ("batches", streams()),
        ("binary", streams().binary()),
        ("redirected batches", streams().relay(|relay| relay.redirect(true).gzip(true))),
        ("redirected binary", streams().binary().relay(|relay| relay.redirect(true).gzip(true))),
        ("direct", streams().binary().direct()),
    ]
}

/// Asserts that every flow so far was of level 2.
#[track_caller]
fn all_streams(notices: &[ClientNotice]) {
    let levels: Vec<_> = notices
        .iter()
        .filter_map(|notice| match notice {
            ClientNotice::Connected { level, .. } => Some(*level),
            _ => None,
        })
        .collect();
    assert!(!levels.is_empty() && levels.iter().all(|level| *level == Level::Streams), "{levels:?}");
}

#[tokio::test]
async fn bytes_arrive_whole_both_ways_by_every_way() {
    for (way, builder) in every_way() {
        let harness = builder.start().await;
        let mut notices = harness.notices();
        let source = Origin::source(Pattern::new(0), 2 * MIB).await;
        let mut socket = harness.connect(source.address()).await;
        assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), 2 * MIB, "{way}");
        let sink = Origin::sink(Pattern::new(1), 2 * MIB).await;
        let mut socket = harness.connect(sink.address()).await;
        push(&mut socket, Pattern::new(1), 2 * MIB).await.unwrap();
        assert_eq!(read_to_end(&mut socket).await.unwrap(), (2 * MIB).to_string().as_bytes(), "{way}");
        all_streams(&notices.so_far());
        assert!(harness.node.stats().await.stats.packets > 0, "{way}");
    }
}

#[tokio::test]
async fn small_messages_come_back_one_by_one() {
    let harness = streams().start().await;
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    for number in 0..100_u32 {
        let message = number.to_be_bytes();
        assert_eq!(echo(&mut socket, &message).await.unwrap(), message);
    }
}

#[tokio::test]
async fn both_directions_run_at_once() {
    let harness = streams().start().await;
    let origin = Origin::echo().await;
    let (mut read, mut write) = harness.connect(origin.address()).await.into_split();
    let sent = tokio::spawn(async move {
        push(&mut write, Pattern::new(0), 4 * MIB).await.unwrap();
        write
    });
    take(&mut read, Pattern::new(0), 4 * MIB).await.unwrap();
    sent.await.unwrap();
}

#[tokio::test]
async fn datagrams_come_back_under_their_address() {
    let harness = streams().start().await;
    let (one, other) = (DatagramEcho::start().await, DatagramEcho::start().await);
    let association = soon(Association::open(harness.proxy())).await.unwrap();
    for len in [1, 1_200, 9_000] {
        for echo in [&one, &other] {
            let datagram = vec![7; len];
            association.send(echo.address(), &datagram).await.unwrap();
            assert_eq!(soon(association.receive()).await.unwrap(), (echo.address(), datagram));
        }
    }
}

/// Levels 0 and 1 have no half-close on the wire: there, this server waits for ever.
#[tokio::test]
async fn a_server_that_waits_for_the_end_of_the_request_sees_it() {
    let harness = streams().start().await;
    let origin = Origin::tally().await;
    let mut socket = harness.connect(origin.address()).await;
    push(&mut socket, Pattern::new(0), 100 * KIB).await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap(), (100 * KIB).to_string().as_bytes());
}

#[tokio::test]
async fn a_target_that_refuses_is_told_by_its_code_or_as_a_reset() {
    let confirmed = streams().client_options(|options| options.open = OpenMode::Confirmed).start().await;
    let refused = soon(dial::socks(confirmed.proxy(), closed().await)).await;
    assert!(matches!(refused, Err(Refused::Code(5))), "{refused:?}");
    let optimistic = streams().start().await;
    let mut socket = optimistic.connect(closed().await).await;
    assert!(was_reset(&mut socket).await);
}

#[tokio::test]
async fn a_reset_by_the_server_reaches_the_application_behind_the_last_bytes() {
    let harness = streams().start().await;
    let origin = Origin::resetter(b"last words").await;
    let mut socket = harness.connect(origin.address()).await;
    socket.write_all(b"1").await.unwrap();
    assert_eq!(read_exact(&mut socket, 10).await.unwrap(), b"last words");
    socket.write_all(b"2").await.unwrap();
    assert!(was_reset(&mut socket).await);
}

/// Sends lines through an echo one after the other; each must come back.
async fn converse(proxy: SocketAddr, origin: SocketAddr, number: usize) {
    let mut socket = soon(dial::socks(proxy, origin)).await.unwrap();
    for line in 0..20 {
        let line = format!("line {line} of flow {number}\n");
        let back = echo(&mut socket, line.as_bytes()).await;
        assert_eq!(back.unwrap_or_else(|error| panic!("{line}: {error}")), line.as_bytes());
    }
}

type Fault = fn(RelayBuilder) -> RelayBuilder;
type Seen = fn(RelayCounters) -> u64;

#[tokio::test]
async fn no_flow_dies_of_what_relays_do_to_calls() {
    let faults: [(&str, Fault, Seen); 6] = [
        ("requests lost", |relay| relay.lose_request(0.1), |counters| counters.lost_requests),
        ("replies lost", |relay| relay.lose_reply(0.1), |counters| counters.lost_replies),
        ("calls doubled", |relay| relay.duplicate(0.2), |counters| counters.duplicated),
        ("answers cut", |relay| relay.truncate(0.1), |counters| counters.truncated),
        ("pages for answers", |relay| relay.html(0.1), |counters| counters.html),
        ("another status", |relay| relay.status(502, 0.1), |counters| counters.statuses),
    ];
    for (name, fault, seen) in faults {
        for binary in [false, true] {
            let harness = streams().relay(move |relay| fault(relay.seed(7).delay(Duration::from_millis(5))));
            let harness = if binary { harness.binary() } else { harness }.start().await;
            let mut notices = harness.notices();
            let (origin, source) = (Origin::echo().await, Origin::source(Pattern::new(0), MIB / 2).await);
            let mut flows = JoinSet::new();
            for number in 0..20 {
                flows.spawn(converse(harness.proxy(), origin.address(), number));
            }
            for _ in 0..2 {
                let (proxy, source) = (harness.proxy(), source.address());
                flows.spawn(async move {
                    let mut socket = soon(dial::socks(proxy, source)).await.unwrap();
                    assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), MIB / 2);
                });
            }
            while let Some(flow) = flows.join_next().await {
                flow.unwrap_or_else(|error| panic!("{name}, binary {binary}: {error}"));
            }
            all_streams(&notices.so_far());
            assert!(seen(harness.relays[0].counters()) > 0, "{name} did not happen");
        }
    }
}

/// Starts something at an address that is about to be free: what was there has been dropped.
async fn as_soon_as_free<T, F: Future<Output = Result<T, StartError>>>(start: impl Fn() -> F) -> T {
    soon(async {
        loop {
            match start().await {
                Err(StartError::Listen { .. }) => tokio::task::yield_now().await,
                other => return other.unwrap(),
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_transfer_goes_on_when_its_relay_was_killed_and_is_back() {
    let harness = streams().relay(|relay| relay.bandwidth(4 * MIB as u64)).start().await;
    let (origin, talk) = (Origin::source(Pattern::new(0), 8 * MIB).await, Origin::echo().await);
    let mut socket = harness.connect(origin.address()).await;
    let mut quiet = harness.connect(talk.address()).await;
    assert_eq!(echo(&mut quiet, b"before").await.unwrap(), b"before");
    let mut bytes = vec![0; MIB];
    soon(socket.read_exact(&mut bytes)).await.unwrap();
    let address = harness.relays[0].local_addr();
    let Harness { node, mut relays, client, .. } = harness;
    drop(relays.pop());
    let url = node_url(&node);
    let relay = || StandInRelay::builder(&url, CLIENT_KEY, NODE_KEY).listen(address).start();
    let _relay = as_soon_as_free(relay).await;
    soon(socket.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes.len(), 8 * MIB);
    Pattern::new(0).check(0, &bytes).unwrap();
    assert_eq!(echo(&mut quiet, b"after").await.unwrap(), b"after");
    drop(client);
}

#[tokio::test]
async fn flows_end_with_the_reason_when_their_node_was_restarted_and_new_ones_open() {
    let harness = streams().start().await;
    let origin = Origin::echo().await;
    let mut flow = soon(harness.client.connect(origin.address())).await.unwrap();
    flow.write_all(b"before").await.unwrap();
    let mut back = [0; 6];
    soon(flow.read_exact(&mut back)).await.unwrap();
    let address = harness.node.local_addr().unwrap();
    let Harness { node, relays, client, .. } = harness;
    drop(node);
    let node = || {
        Node::builder(NODE_KEY)
            .secret(SECRET)
            .min_level(Level::Legacy)
            .allow_private(true)
            .listen(address)
            .start()
    };
    let node = as_soon_as_free(node).await;
    let error = soon(flow.read(&mut back)).await.unwrap_err();
    assert_eq!(error.to_string(), EndReason::Reset(ResetCode::Gone).to_string());
    let mut socket = soon(dial::socks(client.local_addr().unwrap(), origin.address())).await.unwrap();
    assert_eq!(echo(&mut socket, b"after").await.unwrap(), b"after");
    drop((node, relays));
}

#[tokio::test]
async fn a_node_of_level_1_is_spoken_to_at_level_1() {
    let harness = streams().node_options(|options| options.max_level = Level::Sequenced).start().await;
    let mut notices = harness.notices();
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"there and back").await.unwrap(), b"there and back");
    let is_sequenced = |notice: &_| matches!(notice, ClientNotice::Connected { level: Level::Sequenced, .. });
    notices.wait_for(is_sequenced).await;
}

/// Its `bad packet` is the relay's failure. Only a client that was allowed lower levels goes on at one of them.
#[tokio::test]
async fn a_node_with_another_secret_carries_nothing_by_default() {
    let client = |options: &mut ClientOptions| {
        options.min_level = None;
        options.request_timeout = Duration::from_secs(5);
        options.open = OpenMode::Confirmed;
    };
    let node = |options: &mut NodeOptions| options.secret = Some(Secret::new("another secret altogether"));
    let harness = streams().client_options(client).node_options(node).start().await;
    let origin = Origin::echo().await;
    assert!(soon(dial::socks(harness.proxy(), origin.address())).await.is_err());
    assert_eq!(harness.node.stats().await.stats.sessions_opened, 0);
}

#[tokio::test]
async fn a_relay_that_leads_nowhere_beside_one_that_works_costs_no_flow() {
    let harness = streams().relay(|relay| relay).relay(|relay| relay.html(1.0)).start().await;
    let mut notices = harness.notices();
    notices.wait_for(|notice| *notice == ClientNotice::StreamsReady { relay: RelayId::new(0) }).await;
    let origin = Origin::echo().await;
    for number in 0..5 {
        converse(harness.proxy(), origin.address(), number).await;
    }
    all_streams(&notices.so_far());
}

#[tokio::test]
async fn with_a_secret_flows_are_sealed_at_level_2_by_every_way() {
    for (way, builder) in every_way() {
        let sealed = |options: &mut ClientOptions| options.min_level = None;
        let harness =
            builder.client_options(sealed).node_options(|options| options.min_level = None).start().await;
        let mut notices = harness.notices();
        let source = Origin::source(Pattern::new(0), KIB).await;
        let mut socket = harness.connect(source.address()).await;
        assert_eq!(fetch(&mut socket, Pattern::new(0)).await.unwrap(), KIB, "{way}");
        all_streams(&notices.so_far());
    }
}

#[tokio::test]
async fn with_a_secret_a_node_without_level_2_gets_nothing_and_applications_are_refused() {
    let client = |options: &mut ClientOptions| {
        options.min_level = None;
        options.open = OpenMode::Confirmed;
    };
    let node = |options: &mut NodeOptions| options.max_level = Level::Sequenced;
    let harness = streams().client_options(client).node_options(node).start().await;
    let mut notices = harness.notices();
    let origin = Origin::echo().await;
    let refused = soon(dial::socks(harness.proxy(), origin.address())).await;
    assert!(matches!(refused, Err(Refused::Code(1))), "{refused:?}");
    let refused = soon(dial::http_connect(harness.proxy(), origin.address())).await;
    assert!(matches!(refused, Err(Refused::Code(502))), "{refused:?}");
    assert_eq!(harness.node.stats().await.stats.sessions_opened, 0);
    let notices = notices.so_far();
    assert!(notices.iter().any(|notice| matches!(notice, ClientNotice::StreamsUnsupported { .. })));
}
