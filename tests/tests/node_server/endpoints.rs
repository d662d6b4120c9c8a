//! Paths, methods, statuses and limits.

use bytes::Bytes;
use http::{Method, StatusCode};
use seqlane::{NodeOptions, Secret};
use seqlane_tests::http_client::HttpClient;
use seqlane_tokio::{NodeServer, StartError};
use serde_json::json;

use crate::{Rig, batch, encode};

#[tokio::test]
async fn health_is_ok_over_both_http_versions() {
    let rig = Rig::new().await;
    for http in [HttpClient::http1(), HttpClient::http2()] {
        let answer = http.get(&rig.url("/health")).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ok"));
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found_and_empty() {
    let answer = Rig::new().await.post("/other", "{}").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn a_wrong_method_on_a_known_path_is_told_the_right_one() {
    let rig = Rig::new().await;
    for (method, path, allowed) in [
        (Method::GET, "/tunnel", "POST"),
        (Method::PUT, "/tunnel/batch", "POST"),
        (Method::POST, "/health", "GET, HEAD"),
    ] {
        let answer = rig.http.send(method, &rig.url(path), &[], Bytes::new()).await.unwrap();
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, allowed));
    }
}

#[tokio::test]
async fn a_single_op_must_say_that_it_is_json_and_a_batch_need_not() {
    let rig = Rig::new().await;
    let body = json!({"k": "key", "op": "close", "sid": "none"}).to_string();
    for content_type in ["text/plain", "application/jsonp", ""] {
        let headers = [("content-type", content_type)];
        let answer = rig.http.send(Method::POST, &rig.url("/tunnel"), &headers, body.clone()).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/x+json"] {
        let headers = [("content-type", content_type)];
        let answer = rig.http.send(Method::POST, &rig.url("/tunnel"), &headers, body.clone()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{content_type}");
    }
    let ops = json!([{"op": "close", "sid": "none"}]);
    let answer = rig.http.send(Method::POST, &rig.url("/tunnel/batch"), &[], batch(&ops)).await.unwrap();
    assert_eq!(answer.json(), json!({"r": [{"sid": "none", "eof": true}]}));
}

#[tokio::test]
async fn bad_json_is_an_error_where_deployed_peers_look_for_it() {
    let rig = Rig::new().await;
    let answer = rig.post("/tunnel/batch", "no json").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.json()["r"][0]["e"].as_str().unwrap().starts_with("bad json: "));
    assert_eq!(rig.post("/tunnel", "no json").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(rig.post("/tunnel", r#"{"k":"key"}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_wrong_key_gets_a_plain_page() {
    let rig = Rig::new().await;
    for (path, body) in [
        ("/tunnel/batch", json!({"k": "wrong", "ops": []})),
        ("/tunnel", json!({"k": "wrong", "op": "close", "sid": "s"})),
    ] {
        let answer = rig.post(path, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(answer.header("content-type").starts_with("text/html"));
        assert!(!answer.text().contains("key"));
    }
}

#[tokio::test]
async fn a_request_of_more_than_two_mebibytes_is_taken() {
    let rig = Rig::new().await;
    let op = json!({"op": "data", "sid": "none", "d": encode(&vec![7; 6 << 20])});
    assert_eq!(rig.op(op).await, json!({"sid": "none", "eof": true}));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_the_text_of_deployed_nodes() {
    let options = NodeOptions::new(Secret::new("key")).max_body(64 * 1024);
    let node = NodeServer::builder(options).start().await.unwrap();
    let url = format!("http://{}/tunnel/batch", node.local_addr());
    for http in [HttpClient::http1(), HttpClient::http2()] {
        let answer = http.post(&url, vec![b' '; 64 * 1024 + 1]).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.text(), "Failed to buffer the request body: length limit exceeded");
        assert_eq!(http.post(&url, vec![b' '; 64 * 1024]).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn settings_that_make_no_sense_are_named() {
    let builder = || NodeServer::builder(NodeOptions::new(Secret::new("key")));
    for (node, option) in [
        (builder().max_connections(0), "max_connections"),
        (builder().max_pending_bodies(1), "max_pending_bodies"),
        (builder().header_deadline(std::time::Duration::ZERO), "header_deadline"),
        (NodeServer::builder(NodeOptions::new(Secret::new(""))), "key"),
    ] {
        match node.start().await {
            Err(StartError::Config(error)) => assert_eq!(error.option, option),
            other => panic!("{option}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let rig = Rig::new().await;
    let address = rig.node.local_addr();
    let second = NodeServer::builder(NodeOptions::new(Secret::new("key"))).listen(address).start().await;
    let error = second.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
