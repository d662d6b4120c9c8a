//! The stand-in relay between a real HTTP client and a stub of a node: its form, and each of its faults.

mod faults;
mod form;
mod packets;
mod redirect;
mod through;

use bytes::Bytes;
use seqlane_tests::http_client::{Answer, HttpClient};
use seqlane_tests::stub_node::StubNode;
use seqlane_tokio::StandInRelay;
use seqlane_tokio::relay::RelayBuilder;

/// The sentence of every hosted relay's page for rejected calls.
const DECOY: &str = "The script completed but did not return anything";

const REPLY: &str = r#"{"r":[{"sid":"s","d":"QUJD","eof":false,"seq":3}]}"#;

/// A client, a relay and a stub.
struct Harness {
    http: HttpClient,
    relay: StandInRelay,
    node: StubNode,
}

impl Harness {
    /// A relay with these settings.
    async fn new(settings: impl FnOnce(RelayBuilder) -> RelayBuilder) -> Self {
        let node = StubNode::answering(REPLY).await;
        let builder = StandInRelay::builder(node.url(), "outer", "inner");
        let relay = settings(builder).start().await.unwrap();
        Self { http: HttpClient::http1(), relay, node }
    }

    async fn post(&self, body: impl Into<Bytes>) -> Answer {
        self.http.post(&self.relay.url(), body).await
    }

    /// A batch of one poll.
    async fn poll(&self) -> Answer {
        self.post(batch(POLL)).await
    }

    /// A poll that must get no answer at all.
    async fn poll_in_vain(&self) {
        let sent = self.http.send(http::Method::POST, &self.relay.url(), &[], batch(POLL)).await;
        assert!(sent.is_err(), "{sent:?}");
    }
}

const POLL: &str = r#"[{"op":"data","sid":"s","seq":3}]"#;

fn batch(ops: &str) -> String {
    format!(r#"{{"k":"outer","t":"batch","ops":{ops}}}"#)
}
