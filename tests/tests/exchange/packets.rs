//! Packets, and the moment in which an answer begins.

use bytes::Bytes;
use http::{Method, Uri};
use seqlane::Secret;
use seqlane_tokio::exchange::Destination;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::relay::{Relay, empty, exchanger, soon, status, text, within};

/// Noise that begins like gzip.
const NOISE: &[u8] = b"\x1f\x8b\x00\xff";

fn to(uri: Uri) -> Destination {
    Destination::of_packets(uri, &Secret::new("key")).unwrap()
}

#[tokio::test]
async fn a_packet_goes_with_its_type_and_key_and_comes_back_as_it_is() {
    let relay = Relay::plain(|_| async { text(NOISE) }).await;
    let packet = Bytes::from_static(b"\x02\xff\x00");
    let (answer, _) = exchanger().trace(&to(relay.url("/run")), packet.clone(), soon(), || {}).await;
    assert_eq!(answer.unwrap(), NOISE);
    let [asked] = relay.asked().try_into().unwrap();
    assert_eq!((asked.method(), asked.uri().path(), asked.body()), (&Method::POST, "/run", &packet));
    assert_eq!(asked.headers()["content-type"], "application/octet-stream");
    assert_eq!(asked.headers()["authorization"], "Bearer key");
    assert!(!asked.headers().contains_key("accept-encoding"), "noise does not shrink");
}

#[tokio::test]
async fn a_redirect_is_followed_with_a_bare_get_that_shows_no_key() {
    let relay = Relay::plain(|asked| async move {
        match asked.uri().path() {
            "/run" => empty(status(302).header("location", "/once")),
            _ => text(NOISE),
        }
    })
    .await;
    let (answer, trace) = exchanger().trace(&to(relay.url("/run")), "p".into(), soon(), || {}).await;
    assert_eq!((answer.unwrap(), trace.redirects), (Bytes::from_static(NOISE), 1));
    let [_, fetched] = relay.asked().try_into().unwrap();
    assert_eq!(fetched.method(), Method::GET);
    assert!(!fetched.headers().contains_key("authorization"));
    assert!(fetched.body().is_empty());
}

/// Answers one request with a head at once, and with the body when it is released.
async fn hesitant() -> (Uri, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let (go_on, told) = oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"body") {
            socket.read_buf(&mut request).await.unwrap();
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n").await.unwrap();
        let _ = told.await;
        socket.write_all(b"answer").await.unwrap();
    });
    (uri, go_on)
}

#[tokio::test]
async fn an_answer_has_begun_when_its_head_has_come() {
    for form in [Destination::of_batches, to] {
        let (uri, go_on) = hesitant().await;
        let begun = || go_on.send(()).unwrap();
        let (answer, _) = within(exchanger().trace(&form(uri), "body".into(), soon(), begun)).await;
        assert_eq!(answer.unwrap(), "answer");
    }
}

#[tokio::test]
async fn a_failed_answer_does_not_begin() {
    for code in [302, 404, 429] {
        let relay = Relay::plain(move |_| async move { empty(status(code)) }).await;
        let begun = || panic!("status {code} began an answer");
        let (answer, _) = exchanger().trace(&to(relay.url("/")), "p".into(), soon(), begun).await;
        assert!(answer.is_err());
    }
}
