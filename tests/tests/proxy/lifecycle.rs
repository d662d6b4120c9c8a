//! Start and stop.

use std::io::ErrorKind;
use std::time::Duration;

use seqlane::{ClientNotice, ClientOptions, OpenMode, RelayOptions, Secret};
use seqlane_tests::deadline::soon;
use seqlane_tokio::{ProxyClient, StartError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::application::{builder, flow, proxy, read, read_to_end};
use crate::scripted::ScriptedRelay;

#[tokio::test]
async fn what_makes_no_sense_does_not_start() {
    let relay = ScriptedRelay::start().await;
    let options = ClientOptions::new(vec![RelayOptions::new(Secret::new("key"))]);
    let unmatched = ProxyClient::builder(options.clone(), vec![]).start().await;
    assert!(matches!(unmatched, Err(StartError::RelayCount { relays: 1, addresses: 0 })));
    let absurd = options.max_depth(0);
    let absurd = ProxyClient::builder(absurd, vec![relay.url().parse().unwrap()]).start().await;
    assert!(matches!(absurd, Err(StartError::Config(_))));
    let no_file = builder(&relay, OpenMode::Optimistic).ca_file("/nowhere/ca.pem").start().await;
    assert!(matches!(no_file, Err(StartError::CaFile { .. })));
    let running = proxy(&relay).await;
    let taken = builder(&relay, OpenMode::Optimistic).listen(running.local_addr()).start().await;
    assert!(matches!(taken, Err(StartError::Listen { .. })));
}

#[tokio::test]
async fn shutdown_waits_for_flows_that_finish() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let address = proxy.local_addr();
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
    let proxy = builder(&relay, OpenMode::Confirmed).shutdown_grace(Duration::ZERO).start().await.unwrap();
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
    let mut events = proxy.events();
    let _socket = flow(&proxy, "echo", 7).await;
    while !matches!(soon(events.recv()).await.unwrap(), ClientNotice::Connected { .. }) {}
    let stats = proxy.stats().await;
    assert_eq!(stats.opened, 1);
    assert!(stats.calls >= 1);
}
