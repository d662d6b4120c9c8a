//! How flows flow, and how they end.

use std::io::ErrorKind;

use seqlane::OpenMode;
use seqlane_tests::deadline::soon;
use seqlane_tokio::ConnectError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::application::{builder, flow, proxy, read, read_to_end, target};
use crate::scripted::ScriptedRelay;

#[tokio::test]
async fn a_download_arrives_whole_and_ends() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "source", 2048).await;
    assert_eq!(read_to_end(&mut socket).await.unwrap().len(), 2048 * 1024);
}

#[tokio::test]
async fn an_upload_comes_back_in_order() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let (mut reader, mut writer) = flow(&proxy, "echo", 7).await.into_split();
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let expected = sent.clone();
    let upload = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer
    });
    let mut received = vec![0; expected.len()];
    soon(reader.read_exact(&mut received)).await.unwrap();
    assert!(received == expected);
    drop(upload.await.unwrap());
}

#[tokio::test]
async fn an_end_comes_after_every_byte() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "echo", 7).await;
    socket.write_all(b"bye").await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap(), b"bye");
}

#[tokio::test]
async fn bytes_that_the_application_sends_after_the_end_destroy_nothing() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "source", 1).await;
    // Waits in the proxy's socket when the flow ends, or comes after.
    for _ in 0..100 {
        socket.write_all(&[0; 1000]).await.unwrap();
    }
    assert_eq!(read_to_end(&mut socket).await.unwrap().len(), 1024);
}

#[tokio::test]
async fn a_cut_flow_is_reset_and_not_ended() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "cut", 7).await;
    socket.write_all(b"hello").await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_application_that_resets_ends_the_session_at_the_node() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "echo", 7).await;
    socket.write_all(b"hello").await.unwrap();
    assert_eq!(read(&mut socket).await, *b"hello");
    socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(socket);
    soon(relay.all_closed()).await;
}

#[tokio::test]
async fn a_half_closed_application_still_gets_the_download() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "source", 512).await;
    socket.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut socket).await.unwrap().len(), 512 * 1024);
}

#[tokio::test]
async fn an_application_that_does_not_read_stops_its_download_and_no_other() {
    const MIB: u64 = 1024 * 1024;
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let mut socket = flow(&proxy, "source", 24 * 1024).await;
    let more_than_sockets_take = async { while proxy.stats().await.downlink_bytes < 4 * MIB {} };
    soon(more_than_sockets_take).await;
    let mut other = flow(&proxy, "echo", 7).await;
    for _ in 0..5 {
        other.write_all(b"hello").await.unwrap();
        assert_eq!(read(&mut other).await, *b"hello");
    }
    assert!(proxy.stats().await.downlink_bytes < 20 * MIB);
    assert_eq!(read_to_end(&mut socket).await.unwrap().len(), 24 * 1024 * 1024);
}

#[tokio::test]
async fn a_program_opens_flows_without_a_socket() {
    let relay = ScriptedRelay::start().await;
    let proxy = proxy(&relay).await;
    let (mut reader, mut writer) = tokio::io::split(proxy.connect(target("echo", 7)).await.unwrap());
    let sent: Vec<u8> = (0..500_000_u32).flat_map(u32::to_be_bytes).collect();
    let expected = sent.clone();
    let upload = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer
    });
    let mut received = vec![0; expected.len()];
    soon(reader.read_exact(&mut received)).await.unwrap();
    assert!(received == expected);
    let mut writer = soon(upload).await.unwrap();
    writer.write_all(b"bye").await.unwrap();
    let mut rest = Vec::new();
    soon(reader.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"bye");
}

#[tokio::test]
async fn a_program_is_told_why_a_flow_did_not_open_or_was_cut() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Confirmed).start().await.unwrap();
    let failed = proxy.connect(target("fail", 1)).await.unwrap_err();
    assert!(matches!(failed, ConnectError::Ended(_)));
    assert_eq!(failed.to_string(), "the node could not open the target: connection refused");
    let mut stream = proxy.connect(target("cut", 7)).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let cut = soon(stream.read_u8()).await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_dropped_stream_ends_the_session_at_the_node() {
    let relay = ScriptedRelay::start().await;
    let proxy = builder(&relay, OpenMode::Confirmed).start().await.unwrap();
    drop(proxy.connect(target("echo", 7)).await.unwrap());
    soon(relay.all_closed()).await;
}
