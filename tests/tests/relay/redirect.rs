//! Answers behind one-time addresses.

use http::StatusCode;

use crate::{Harness, REPLY};

#[tokio::test]
async fn the_answer_is_behind_an_address_that_works_once() {
    let harness = Harness::new(|relay| relay.redirect(true)).await;
    let moved = harness.poll().await;
    assert_eq!(moved.status, StatusCode::FOUND);
    assert!(moved.body.is_empty());
    let location = moved.header("location");
    assert!(location.starts_with(&format!("http://{}/", harness.relay.local_addr())), "{location}");
    let answer = harness.http.get(location).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, REPLY));
    assert_eq!(harness.http.get(location).await.status, StatusCode::NOT_FOUND);
    assert_eq!(harness.relay.calls(), 1);
}

#[tokio::test]
async fn every_call_has_its_own_address() {
    let harness = Harness::new(|relay| relay.redirect(true)).await;
    let (first, second) = (harness.poll().await, harness.poll().await);
    assert_ne!(first.header("location"), second.header("location"));
    assert_eq!(harness.http.get(second.header("location")).await.text(), REPLY);
    assert_eq!(harness.http.get(first.header("location")).await.text(), REPLY);
}

#[tokio::test]
async fn a_status_is_not_hidden_behind_an_address() {
    let harness = Harness::new(|relay| relay.redirect(true).status(429, 1.0)).await;
    assert_eq!(harness.poll().await.status, StatusCode::TOO_MANY_REQUESTS);
}
