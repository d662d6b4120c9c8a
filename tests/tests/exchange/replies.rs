//! Answers with status 200: handed on whole, inflated, within their bound.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use seqlane::ExchangeFailure;

use crate::relay::{Relay, exchanger, soon, status, text};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn encoded(encoding: &'static str, body: Vec<u8>) -> Relay {
    let body = bytes::Bytes::from(body);
    Relay::plain(move |_| {
        let body = Full::new(body.clone());
        async move { status(200).header("content-encoding", encoding).body(body).unwrap() }
    })
    .await
}

#[tokio::test]
async fn the_request_is_json_that_asks_for_gzip() {
    let relay = Relay::plain(|_| async { text("{}") }).await;
    exchanger().exchange(&relay.url("/run?x=1"), "{\"k\":1}".into(), soon()).await.unwrap();
    let [asked] = relay.asked().try_into().unwrap();
    assert_eq!(asked.method(), http::Method::POST);
    assert_eq!(asked.uri().to_string(), "/run?x=1");
    assert_eq!(asked.headers()["content-type"], "application/json");
    assert_eq!(asked.headers()["accept-encoding"], "gzip");
    assert_eq!(asked.headers()["content-length"], "7");
    assert_eq!(asked.headers()["host"], relay.address.to_string());
    assert_eq!(asked.body(), "{\"k\":1}");
}

#[tokio::test]
async fn a_large_request_arrives_whole() {
    let relay = Relay::plain(|asked| async move { text(asked.body().len().to_string()) }).await;
    let body = vec![7; 5_000_000];
    let answer = exchanger().exchange(&relay.url("/"), body.into(), soon()).await;
    assert_eq!(answer.unwrap(), "5000000");
}

#[tokio::test]
async fn gzip_is_inflated() {
    let relay = encoded("gzip", gzip(b"{\"r\":[]}")).await;
    let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer.unwrap(), "{\"r\":[]}");
}

#[tokio::test]
async fn gzip_that_nobody_declared_is_handed_on_as_it_came() {
    let body = gzip(b"{\"r\":[]}");
    let relay = encoded("identity", body.clone()).await;
    let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer.unwrap(), body);
}

#[tokio::test]
async fn a_body_that_only_claims_to_be_gzip_is_handed_on_as_it_came() {
    let relay = encoded("gzip", b"{\"r\":[]}".to_vec()).await;
    let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer.unwrap(), "{\"r\":[]}");
}

#[tokio::test]
async fn html_is_for_the_machine_to_judge() {
    let relay = Relay::plain(|_| async { text("<html>decoy</html>") }).await;
    let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer.unwrap(), "<html>decoy</html>");
}

#[tokio::test]
async fn an_answer_of_the_largest_size_passes_and_one_byte_more_does_not() {
    let relay = Relay::plain(|asked| async move {
        text(vec![b'x'; std::str::from_utf8(asked.body()).unwrap().parse().unwrap()])
    })
    .await;
    let exchanger = exchanger();
    let fits = exchanger.exchange(&relay.url("/"), "1048576".into(), soon()).await;
    assert_eq!(fits.unwrap().len(), 1024 * 1024);
    let over = exchanger.exchange(&relay.url("/"), "1048577".into(), soon()).await;
    assert_eq!(over, Err(ExchangeFailure::Garbage));
}

#[tokio::test]
async fn a_gzip_bomb_is_garbage() {
    let relay = encoded("gzip", gzip(&vec![0; 4 * 1024 * 1024])).await;
    let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::Garbage));
}
