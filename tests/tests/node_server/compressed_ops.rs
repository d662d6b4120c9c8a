//! Batches of newer deployed clients, which go on compressing their ops once any node has taken that.

use http::StatusCode;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};

use crate::{Harness, encode, payload, tcp_echo};

fn batch(key: &str, ops: &[u8]) -> String {
    json!({"k": key, "zops": encode(&compress_to_vec(ops, CompressionLevel::Fastest)), "zc": 3}).to_string()
}

async fn replies(harness: &Harness, ops: Value) -> Value {
    let answer = harness.post("/tunnel/batch", batch("key", ops.to_string().as_bytes())).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()
}

#[tokio::test]
async fn compressed_ops_run_and_are_answered_plainly() {
    let harness = Harness::new().await;
    let target = tcp_echo().await;
    let open =
        json!({"op": "connect_data", "host": target.ip(), "port": target.port(), "d": encode(b"hello")});
    let mut answer = replies(&harness, json!([open, {"op": "close", "sid": "none"}])).await;
    assert_eq!(answer["r"][1], json!({"sid": "none", "eof": true}));
    let opened = answer["r"][0].take();
    let sid = opened["sid"].as_str().unwrap().to_owned();
    let mut bytes = payload(&opened);
    for seq in 0.. {
        if bytes.len() == 5 {
            break;
        }
        let mut answer = replies(&harness, json!([{"op": "data", "sid": sid, "seq": seq}])).await;
        bytes.extend(payload(&answer["r"][0].take()));
    }
    assert_eq!(bytes, b"hello");
}

#[tokio::test]
async fn the_key_counts_as_ever() {
    let answer = Harness::new().await.post("/tunnel/batch", batch("wrong", b"[]")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_that_cannot_be_inflated_is_an_error_reply() {
    let harness = Harness::new().await;
    for (body, error) in [
        (json!({"k": "key", "zops": "*"}).to_string(), "zops b64: "),
        (json!({"k": "key", "zops": encode(b"no zstd")}).to_string(), "zstd decode: "),
        (batch("key", b"no JSON"), "bad json: "),
        (
            batch("key", &vec![b' '; (16 << 20) + 1]),
            "zstd decode: the ops inflate to more than 16777216 bytes",
        ),
    ] {
        let answer = harness.post("/tunnel/batch", body).await;
        assert_eq!(answer.status, StatusCode::OK);
        let got = answer.json()["r"][0]["e"].take();
        assert!(got.as_str().unwrap().starts_with(error), "{got}");
    }
}
