//! Compressed bodies, both ways.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{Method, StatusCode};
use seqlane_tests::http_client::Answer;
use serde_json::{Value, json};

use crate::{Harness, batch, payload, tcp_source};

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn send(harness: &Harness, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    harness.http.send(Method::POST, &harness.url("/tunnel/batch"), headers, body).await.unwrap()
}

#[tokio::test]
async fn a_compressed_request_is_known_by_its_header_or_its_first_bytes() {
    let harness = Harness::new().await;
    let body = compress(batch(&json!([{"op": "close", "sid": "none"}])).as_bytes());
    for headers in [&[][..], &[("content-encoding", "gzip")]] {
        let answer = send(&harness, headers, body.clone()).await;
        assert_eq!(answer.json(), json!({"r": [{"sid": "none", "eof": true}]}));
    }
}

#[tokio::test]
async fn a_compressed_single_op_is_read() {
    let harness = Harness::new().await;
    let body = compress(br#"{"k":"key","op":"close","sid":"none"}"#);
    let answer = harness.post("/tunnel", body).await;
    assert_eq!(answer.json(), json!({"sid": "none", "eof": true}));
}

#[tokio::test]
async fn bad_gzip_is_an_error_reply() {
    let harness = Harness::new().await;
    let mut cut = compress(batch(&json!([])).as_bytes());
    cut.truncate(cut.len() - 9);
    for (headers, body) in [(&[][..], cut), (&[("content-encoding", "gzip")], b"{}".to_vec())] {
        let answer = send(&harness, headers, body).await;
        assert_eq!(answer.status, StatusCode::OK);
        let error = answer.json()["r"][0]["e"].take();
        assert!(error.as_str().unwrap().starts_with("gzip decode: "), "{error}");
    }
    assert_eq!(harness.post("/tunnel", [0x1f, 0x8b, 0].to_vec()).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_is_large() {
    let harness = Harness::new().await;
    let bomb = compress(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let answer = send(&harness, &[], bomb).await;
    assert_eq!(answer.status, StatusCode::OK);
    let error = answer.json()["r"][0]["e"].take();
    assert!(error.as_str().unwrap().contains("inflates to more than 16777216 bytes"), "{error}");
}

#[tokio::test]
async fn an_answer_is_compressed_for_those_who_take_it() {
    let harness = Harness::new().await;
    let bytes = b"seqlane ".repeat(40_000);
    let target = tcp_source(bytes.clone()).await;
    let (mut fetched, mut compressed) = (Vec::new(), 0);
    let sid = harness.connect(target).await;
    let poll = batch(&json!([{"op": "data", "sid": sid}]));
    loop {
        let answer = send(&harness, &[("accept-encoding", "gzip")], poll.clone()).await;
        assert_eq!(answer.header("vary"), "accept-encoding");
        let json = if answer.header("content-encoding") == "gzip" {
            compressed += 1;
            std::io::read_to_string(GzDecoder::new(&*answer.body)).unwrap()
        } else {
            answer.text().to_owned()
        };
        let reply: Value = serde_json::from_str::<Value>(&json).unwrap()["r"][0].take();
        fetched.extend(payload(&reply));
        if reply["eof"] == true {
            break;
        }
    }
    assert!(fetched == bytes);
    assert!(compressed > 0);
}

#[tokio::test]
async fn an_answer_is_plain_for_those_who_do_not() {
    let harness = Harness::new().await;
    let target = tcp_source(b"seqlane ".repeat(1000)).await;
    let sid = harness.connect(target).await;
    let poll = batch(&json!([{"op": "data", "sid": sid}]));
    for headers in [&[][..], &[("accept-encoding", "br, gzip;q=0")]] {
        let answer = send(&harness, headers, poll.clone()).await;
        assert_eq!(answer.header("content-encoding"), "");
        assert!(answer.json()["r"].is_array());
    }
}
