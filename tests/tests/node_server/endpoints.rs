//! Paths, methods, statuses and limits.

use bytes::Bytes;
use http::{Method, StatusCode};
use seqlane_tests::http_client::HttpClient;
use seqlane_tokio::{Node, StartError};
use serde_json::json;

use crate::{Harness, batch, encode};

#[tokio::test]
async fn health_is_ok_over_both_http_versions() {
    let harness = Harness::new().await;
    for http in [HttpClient::http1(), HttpClient::http2()] {
        let answer = http.get(&harness.url("/health")).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ok"));
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found_and_empty() {
    let answer = Harness::new().await.post("/other", "{}").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn a_wrong_method_on_a_known_path_is_told_the_right_one() {
    let harness = Harness::new().await;
    for (method, path, allowed) in [
        (Method::GET, "/tunnel", "POST"),
        (Method::PUT, "/tunnel/batch", "POST"),
        (Method::POST, "/health", "GET, HEAD"),
    ] {
        let answer = harness.http.send(method, &harness.url(path), &[], Bytes::new()).await.unwrap();
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, allowed));
    }
}

#[tokio::test]
async fn a_single_op_must_say_that_it_is_json_and_a_batch_need_not() {
    let harness = Harness::new().await;
    let body = json!({"k": "key", "op": "close", "sid": "none"}).to_string();
    for content_type in ["text/plain", "application/jsonp", ""] {
        let headers = [("content-type", content_type)];
        let answer =
            harness.http.send(Method::POST, &harness.url("/tunnel"), &headers, body.clone()).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/x+json"] {
        let headers = [("content-type", content_type)];
        let answer =
            harness.http.send(Method::POST, &harness.url("/tunnel"), &headers, body.clone()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{content_type}");
    }
    let ops = json!([{"op": "close", "sid": "none"}]);
    let answer =
        harness.http.send(Method::POST, &harness.url("/tunnel/batch"), &[], batch(&ops)).await.unwrap();
    assert_eq!(answer.json(), json!({"r": [{"sid": "none", "eof": true}]}));
}

#[tokio::test]
async fn bad_json_is_an_error_where_deployed_peers_look_for_it() {
    let harness = Harness::new().await;
    let answer = harness.post("/tunnel/batch", "no json").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.json()["r"][0]["e"].as_str().unwrap().starts_with("bad json: "));
    assert_eq!(harness.post("/tunnel", "no json").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(harness.post("/tunnel", r#"{"k":"key"}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_wrong_key_gets_a_plain_page() {
    let harness = Harness::new().await;
    for (path, body) in [
        ("/tunnel/batch", json!({"k": "wrong", "ops": []})),
        ("/tunnel", json!({"k": "wrong", "op": "close", "sid": "s"})),
    ] {
        let answer = harness.post(path, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(answer.header("content-type").starts_with("text/html"));
        assert!(!answer.text().contains("key"));
    }
}

#[tokio::test]
async fn a_request_of_more_than_two_mebibytes_is_taken() {
    let harness = Harness::new().await;
    let op = json!({"op": "data", "sid": "none", "d": encode(&vec![7; 6 << 20])});
    assert_eq!(harness.op(op).await, json!({"sid": "none", "eof": true}));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_the_text_of_deployed_nodes() {
    let harness = Harness::with(|node| node.options(|options| options.max_body(64 * 1024))).await;
    let url = harness.url("/tunnel/batch");
    for http in [HttpClient::http1(), HttpClient::http2()] {
        let answer = http.post(&url, vec![b' '; 64 * 1024 + 1]).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.text(), "Failed to buffer the request body: length limit exceeded");
        assert_eq!(http.post(&url, vec![b' '; 64 * 1024]).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn settings_out_of_range_are_named() {
    let builder = || Node::builder("key");
    for (node, option) in [
        (builder().max_connections(0), "max_connections"),
        (builder().max_pending_bodies(1), "max_pending_bodies"),
        (builder().header_deadline(std::time::Duration::ZERO), "header_deadline"),
        (Node::builder(""), "key"),
    ] {
        match node.start().await {
            Err(StartError::Config(error)) => assert_eq!(error.option, option),
            other => panic!("{option}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let harness = Harness::new().await;
    let address = harness.node.local_addr().unwrap();
    let second = Node::builder("key").listen(address).start().await;
    let error = second.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
