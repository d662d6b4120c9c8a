//! Start and stop.

use std::io::ErrorKind;
use std::time::Duration;

use seqlane::{BadTarget, ClientNotice, OpenMode};
use seqlane_tests::deadline::soon;
use seqlane_tokio::exchange::BadRelayUrl;
use seqlane_tokio::{Client, ConnectError, Relay, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::application::{builder, flow, proxy, read, read_to_end};
use crate::scripted::ScriptedRelay;

#[tokio::test]
async fn wrong_settings_do_not_start() {
    let relay = ScriptedRelay::start().await;
    let alone = Client::builder().start().await;
    assert!(matches!(alone, Err(StartError::Config(error)) if error.option == "relays"));
    let wrong_url =
        builder(&relay, OpenMode::Optimistic).relay(Relay::new("ftp://relay", "key")).start().await;
    assert!(matches!(wrong_url, Err(StartError::Url { relay: 1, error: BadRelayUrl::Scheme })));
    let no_depth = builder(&relay, OpenMode::Optimistic).options(|options| options.max_depth(0));
    let no_depth = no_depth.start().await;
    assert!(matches!(no_depth, Err(StartError::Config(error)) if error.option == "max_depth"));
    let no_targets = builder(&relay, OpenMode::Optimistic).udp_targets(0).start().await;
    assert!(matches!(no_targets, Err(StartError::Config(error)) if error.option == "udp_targets"));
    let no_file = builder(&relay, OpenMode::Optimistic).ca_file("/nowhere/ca.pem").start().await;
    assert!(matches!(no_file, Err(StartError::CaFile { .. })));
    let running = proxy(&relay).await;
    let taken = builder(&relay, OpenMode::Optimistic).socks(running.local_addr().unwrap()).start().await;
    assert!(matches!(taken, Err(StartError::Listen { .. })));
}

#[tokio::test]
async fn no_port_is_opened_unless_asked_for() {
    let relay = ScriptedRelay::start().await;
    let client = Client::builder().relay(Relay::new(relay.url(), "key")).start().await.unwrap();
    assert_eq!(client.local_addr(), None);
    let mut flow = soon(client.connect("echo:7")).await.unwrap();
    flow.write_all(b"bye").await.unwrap();
    let mut answer = Vec::new();
    soon(flow.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"bye");
    soon(client.shutdown()).await;
}

#[tokio::test]
async fn a_target_that_is_none_is_refused() {
    let relay = ScriptedRelay::start().await;
    let client = Client::builder().relay(Relay::new(relay.url(), "key")).start().await.unwrap();
    let error = client.connect("no port").await.unwrap_err();
    assert_eq!(error, ConnectError::Target(BadTarget::Syntax));
}

#[tokio::test]
async fn shutdown_waits_for_flows_that_finish() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let address = proxy.local_addr().unwrap();
    let mut socket = flow(&proxy, "echo", 7).await;
    socket.write_all(b"hello").await.unwrap();
    assert_eq!(read(&mut socket).await, *b"hello");
    let shutdown = tokio::spawn(proxy.shutdown());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    socket.write_all(b"bye").await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap(), b"bye");
    drop(socket);
    soon(shutdown).await.unwrap();
}

#[tokio::test]
async fn shutdown_resets_flows_that_do_not_and_tells_the_node() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Confirmed).drain(Duration::ZERO).start().await.unwrap();
    let mut socket = flow(&proxy, "echo", 7).await;
    soon(proxy.shutdown()).await;
    assert_eq!(read_to_end(&mut socket).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    soon(relay.all_closed()).await;
}

#[tokio::test]
async fn dropping_the_proxy_resets_its_flows() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "sink", 7).await;
    drop(proxy);
    assert_eq!(read_to_end(&mut socket).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn observers_see_notices_and_counters() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Confirmed).start().await.unwrap();
    let mut events = proxy.notices();
    let _socket = flow(&proxy, "echo", 7).await;
    while !matches!(soon(events.recv()).await.unwrap(), ClientNotice::Connected { .. }) {}
    let stats = proxy.stats().await;
    assert_eq!(stats.opened, 1);
    assert!(stats.calls >= 1);
}
