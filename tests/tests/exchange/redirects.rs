//! Redirects, as hosted relays use them: the batch is executed, its answer lies elsewhere.

use http::Method;
use seqlane::ExchangeFailure;

use crate::relay::{Relay, empty, exchanger, soon, status, text};

/// `/N` redirects to `/N-1`; `/0` answers.
async fn countdown() -> Relay {
    Relay::plain(|asked| async move {
        match asked.uri().path()[1..].parse::<u32>().unwrap() {
            0 => text("answer"),
            left => empty(status(302).header("location", format!("/{}", left - 1))),
        }
    })
    .await
}

#[tokio::test]
async fn five_redirects_are_followed() {
    let relay = countdown().await;
    let answer = exchanger().exchange(&relay.url("/5"), "batch".into(), soon()).await;
    assert_eq!(answer.unwrap(), "answer");
}

#[tokio::test]
async fn a_sixth_redirect_is_not() {
    let relay = countdown().await;
    let answer = exchanger().exchange(&relay.url("/6"), "batch".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::Garbage));
    assert_eq!(relay.asked().len(), 6);
}

#[tokio::test]
async fn a_redirect_is_followed_with_a_bare_get_to_the_new_host_whatever_its_code() {
    for code in [301, 302, 303, 307, 308] {
        let store = Relay::plain(|_| async { text("answer") }).await;
        let location = store.url("/one-time?id=7").to_string();
        let relay = Relay::plain(move |_| {
            let location = location.clone();
            async move { empty(status(code).header("location", location)) }
        })
        .await;
        let answer = exchanger().exchange(&relay.url("/run"), "batch".into(), soon()).await;
        assert_eq!(answer.unwrap(), "answer", "{code}");
        let [asked] = store.asked().try_into().unwrap();
        assert_eq!(asked.method(), Method::GET);
        assert_eq!(asked.uri().to_string(), "/one-time?id=7");
        assert_eq!(asked.headers()["host"], store.address.to_string());
        assert_eq!(asked.headers()["accept-encoding"], "gzip");
        assert!(asked.body().is_empty());
        assert!(!asked.headers().contains_key("content-type"));
    }
}

#[tokio::test]
async fn relative_locations_resolve_against_the_place_that_named_them() {
    let relay = Relay::plain(|asked| async move {
        match asked.uri().path() {
            "/a/run" => empty(status(302).header("location", "answers/1?x=y")),
            "/a/answers/1" => text(asked.uri().query().unwrap().to_owned()),
            _ => empty(status(404)),
        }
    })
    .await;
    let answer = exchanger().exchange(&relay.url("/a/run"), "batch".into(), soon()).await;
    assert_eq!(answer.unwrap(), "x=y");
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_garbage() {
    let relay = Relay::plain(|_| async { empty(status(302)) }).await;
    let answer = exchanger().exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::Garbage));
}

#[tokio::test]
async fn https_is_not_left_for_http() {
    let store = Relay::plain(|_| async { text("answer") }).await;
    let location = store.url("/").to_string();
    let (relay, roots) = Relay::tls(&["http/1.1"], move |_| {
        let location = location.clone();
        async move { empty(status(302).header("location", location)) }
    })
    .await;
    let exchanger = crate::relay::exchanger_trusting(&roots);
    let answer = exchanger.exchange(&relay.url("/"), "batch".into(), soon()).await;
    assert_eq!(answer, Err(ExchangeFailure::Garbage));
    assert!(store.asked().is_empty());
}

#[tokio::test]
async fn a_refusal_behind_a_redirect_is_no_refusal_because_the_batch_may_have_run() {
    for code in [403, 413, 429, 503] {
        let relay = Relay::plain(move |asked| async move {
            match asked.uri().path() {
                "/run" => empty(status(302).header("location", "/answer")),
                _ => empty(status(code).header("retry-after", "1")),
            }
        })
        .await;
        let answer = exchanger().exchange(&relay.url("/run"), "batch".into(), soon()).await;
        assert_eq!(answer, Err(ExchangeFailure::Garbage), "{code}");
    }
}

#[tokio::test]
async fn the_connection_is_kept_over_a_redirect_on_one_host() {
    let relay = countdown().await;
    let exchanger = exchanger();
    for _ in 0..3 {
        exchanger.exchange(&relay.url("/2"), "batch".into(), soon()).await.unwrap();
    }
    assert_eq!(relay.connections(), 1);
}
