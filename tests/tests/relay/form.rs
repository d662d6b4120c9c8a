//! The relay form without faults.

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Method, StatusCode};
use seqlane_tests::deadline::soon;
use seqlane_tests::http_client::HttpClient;
use seqlane_tests::stub_node::StubNode;
use seqlane_tokio::{StandInRelay, StartError};

use crate::{DECOY, Harness, POLL, REPLY, batch};

#[tokio::test]
async fn a_batch_passes_verbatim_both_ways() {
    let mut harness = Harness::new(|relay| relay).await;
    let ops = r#"[ {"op":"data", "sid":"a\/b", "x":[1e3], "d":"QUJD"}, 7 ]"#;
    let answer = harness.post(batch(ops)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.text(), REPLY);
    let (path, body) = harness.node.next_request().await;
    assert_eq!(path, "/tunnel/batch");
    assert_eq!(body, format!(r#"{{"k":"inner","ops":{ops}}}"#));
    assert_eq!(harness.relay.calls(), 1);
    assert_eq!(harness.relay.counters().forwarded, 1);
}

#[tokio::test]
async fn http2_without_asking_works_on_the_same_port() {
    let harness = Harness::new(|relay| relay).await;
    let answer = HttpClient::http2().post(&harness.relay.url(), batch(POLL)).await;
    assert_eq!(answer.text(), REPLY);
}

#[tokio::test]
async fn a_single_op_goes_to_the_single_endpoint_with_the_nodes_names() {
    let mut harness = Harness::new(|relay| relay).await;
    harness.node.set_answer(200, r#"{"sid":"x","eof":false}"#);
    let answer = harness.post(r#"{"k":"outer","t":"connect","h":"example.org","p":25}"#).await;
    assert_eq!(answer.text(), r#"{"sid":"x","eof":false}"#);
    let (path, body) = harness.node.next_request().await;
    assert_eq!(path, "/tunnel");
    assert_eq!(body, r#"{"k":"inner","op":"connect","host":"example.org","port":25}"#);
}

#[tokio::test]
async fn another_status_of_the_node_becomes_an_error_of_the_exchange() {
    let harness = Harness::new(|relay| relay).await;
    harness.node.set_answer(413, "too long");
    assert_eq!(harness.poll().await.text(), r#"{"e":"tunnel batch HTTP 413"}"#);
    let single = harness.post(r#"{"k":"outer","t":"data","sid":"s"}"#).await;
    assert_eq!(single.text(), r#"{"e":"tunnel node HTTP 413"}"#);
}

#[tokio::test]
async fn an_unknown_kind_of_call_is_unsupported() {
    let mut harness = Harness::new(|relay| relay).await;
    let answer = harness.post(r#"{"k":"outer","t":"streams"}"#).await.json();
    assert_eq!(answer["e"], "unknown tunnel op: streams");
    assert_eq!(answer["code"], "UNSUPPORTED_OP");
    assert!(harness.node.is_unasked());
}

#[tokio::test]
async fn rejected_calls_see_the_decoy() {
    let mut harness = Harness::new(|relay| relay).await;
    for call in [r#"{"k":"wrong","t":"batch","ops":[]}"#, "no json"] {
        let answer = harness.post(call).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.header("content-type").starts_with("text/html"));
        assert!(answer.text().contains(DECOY));
    }
    assert!(harness.http.get(&harness.relay.url()).await.text().contains(DECOY));
    assert_eq!(harness.relay.counters().rejected, 2);
    assert!(harness.node.is_unasked());
}

#[tokio::test]
async fn other_methods_are_refused() {
    let harness = Harness::new(|relay| relay).await;
    let answer = harness.http.send(Method::PUT, &harness.relay.url(), &[], Bytes::new()).await.unwrap();
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), "GET, POST");
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_shows_as_a_page() {
    let node = StubNode::answering("").await;
    let url = node.url();
    drop(node);
    let relay = StandInRelay::builder(url, "outer", "inner").start().await.unwrap();
    let answer = HttpClient::http1().post(&relay.url(), batch(POLL)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains(DECOY));
    assert_eq!(relay.counters().node_failures, 1);
}

#[tokio::test]
async fn answers_are_compressed_only_when_that_is_asked_for() {
    let body = format!(r#"{{"r":[{{"d":"{}"}}]}}"#, "QUJD".repeat(1000));
    for gzip in [false, true] {
        let harness = Harness::new(|relay| relay.gzip(gzip)).await;
        harness.node.set_answer(200, body.clone());
        let headers = [("accept-encoding", "gzip")];
        let answer =
            harness.http.send(Method::POST, &harness.relay.url(), &headers, batch(POLL)).await.unwrap();
        if gzip {
            assert_eq!(answer.header("content-encoding"), "gzip");
            assert_eq!(std::io::read_to_string(GzDecoder::new(&*answer.body)).unwrap(), body);
        } else {
            assert_eq!(answer.header("content-encoding"), "");
            assert_eq!(answer.text(), body);
        }
    }
}

#[tokio::test]
async fn a_call_of_many_megabytes_passes() {
    let mut harness = Harness::new(|relay| relay).await;
    let ops = format!(r#"[{{"op":"data","sid":"s","d":"{}"}}]"#, "QUJD".repeat(2 << 20));
    assert_eq!(harness.post(batch(&ops)).await.text(), REPLY);
    let (_, body) = harness.node.next_request().await;
    assert_eq!(body, format!(r#"{{"k":"inner","ops":{ops}}}"#));
}

#[tokio::test]
async fn shutting_down_lets_a_call_that_is_under_way_finish() {
    let mut harness = Harness::new(|relay| relay).await;
    harness.node.close_gate();
    let (http, url) = (harness.http.clone(), harness.relay.url());
    let call = tokio::spawn(async move { http.post(&url, batch(POLL)).await });
    harness.node.next_request().await;
    let stopping = tokio::spawn(harness.relay.shutdown());
    harness.node.open_gate();
    assert_eq!(soon(call).await.unwrap().text(), REPLY);
    soon(stopping).await.unwrap();
}

#[tokio::test]
async fn settings_out_of_range_are_named() {
    let builder = |url: &str| StandInRelay::builder(url, "outer", "inner");
    for (relay, option) in [
        (builder("ftp://x"), "node_url"),
        (builder("not an address"), "node_url"),
        (builder("http://x").lose_reply(1.5), "lose_reply"),
        (builder("http://x").html(f64::NAN), "html"),
        (builder("http://x").status(99, 0.5), "status"),
        (builder("http://x").max_concurrent(0), "max_concurrent"),
        (StandInRelay::builder("http://x", "", "inner"), "key"),
    ] {
        match relay.start().await {
            Err(StartError::Config(error)) => assert_eq!(error.option, option),
            other => panic!("{option}: {other:?}"),
        }
    }
}
