//! Our relay scripts under Node.js, with stubs for their platforms, against the real node.
//!
//! Without Node.js these tests pass and say so; where `CI` is set they fail, because there it has to be.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use seqlane::{ClientNotice, Level};
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{FREE_PORT, Notices, Origin, dial, echo, node_url};
use seqlane_tests::http_client::{Answer, HttpClient};
use seqlane_tests::packets::{Hand, PACKET};
use seqlane_tests::stub_node::StubNode;
use seqlane_tokio::{Client, Node, Relay};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const APPS_SCRIPT: &str = "apps-script/Code.gs";
const WORKER: &str = "worker/worker.js";
const SCRIPTS: [&str; 2] = [APPS_SCRIPT, WORKER];

const KEY: &str = "client \"key\"";
const NODE_KEY: &str = "node 'key'";
const DECOY: &str = "The script completed but did not return anything";

/// A script that runs; killed when dropped.
struct Script {
    http: HttpClient,
    url: String,
    _process: Child,
}

impl Script {
    /// Starts a script before the node at this address; none without Node.js.
    async fn start(name: &str, node_url: &str) -> Option<Self> {
        let relays = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/relays");
        let mut command = Command::new("node");
        command.arg(relays.join("harness.mjs")).arg(relays.join(name));
        command.env("KEY", KEY).env("NODE_KEY", NODE_KEY).env("NODE_URL", node_url);
        // It ends when its input does, even where this process is killed.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = match command.spawn() {
            Ok(process) => process,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "Node.js is needed here: {error}");
                eprintln!("skipped: {name} needs Node.js ({error})");
                return None;
            }
        };
        let mut output = BufReader::new(process.stdout.take()?).lines();
        let line = soon(output.next_line()).await.unwrap().expect("the harness starts");
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
        Some(Self { http: HttpClient::http1(), url: format!("http://{address}/run"), _process: process })
    }

    async fn post(&self, call: &Value) -> Answer {
        self.http.post(&self.url, call.to_string()).await
    }

    /// The answer to a batch.
    async fn batch(&self, ops: Value) -> Value {
        self.post(&json!({"k": KEY, "t": "batch", "ops": ops})).await.json()
    }

    async fn packet(&self, authorization: &str, packet: Bytes) -> Answer {
        let headers = [PACKET, ("authorization", authorization)];
        self.http.send(Method::POST, &self.url, &headers, packet).await.unwrap()
    }
}

/// A node of every level.
async fn node() -> Node {
    let node = Node::builder(NODE_KEY)
        .secret("known to both ends")
        .min_level(Level::Legacy)
        .allow_private(true)
        .listen(FREE_PORT);
    node.start().await.unwrap()
}

#[tokio::test]
async fn flows_go_through_sequenced() {
    for name in SCRIPTS {
        converse(name, Level::Sequenced, false).await;
    }
}

#[tokio::test]
async fn flows_go_through_as_streams() {
    for name in SCRIPTS {
        converse(name, Level::Streams, false).await;
    }
    converse(WORKER, Level::Streams, true).await;
}

/// A flow of this level through a script and back.
async fn converse(name: &str, level: Level, binary: bool) {
    let node = node().await;
    let Some(script) = Script::start(name, &node_url(&node)).await else { return };
    let relay = Relay::new(&*script.url, KEY).binary(binary);
    let client =
        Client::builder().relay(relay).secret("known to both ends").min_level(Level::Legacy).max_level(level);
    let client = client.socks(FREE_PORT).start().await.unwrap();
    let mut notices = Notices::new(client.notices());
    let origin = Origin::echo().await;
    let mut socket = soon(dial::socks(client.local_addr().unwrap(), origin.address())).await.unwrap();
    assert_eq!(echo(&mut socket, b"there and back").await.unwrap(), b"there and back", "{name}");
    let connected = notices.wait_for(|notice| matches!(notice, ClientNotice::Connected { .. })).await;
    let ClientNotice::Connected { level: reached, .. } = connected else { return };
    assert_eq!(reached, level, "{name}");
}

#[tokio::test]
async fn ops_pass_whatever_is_in_them() {
    for name in SCRIPTS {
        let mut stub = StubNode::answering(r#"{"r":[ {"x":1.0} ,{}]}"#).await;
        let Some(script) = Script::start(name, &stub.url()).await else { return };
        let ops = json!([{"op": "data", "sid": "a/b", "x": [1, null, "é"], "d": "QUJD", "seq": 7}, 3]);
        let answer = script.post(&json!({"t": "batch", "ops": ops, "k": KEY, "_pad": "AAAA"})).await;
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.text(), r#"{"r":[ {"x":1.0} ,{}]}"#, "{name}: the answer passes byte for byte");
        let (path, body) = stub.next_request().await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((path.as_str(), body), ("/tunnel/batch", json!({"k": NODE_KEY, "ops": ops})), "{name}");
    }
}

#[tokio::test]
async fn single_ops_get_the_names_of_the_node() {
    for name in SCRIPTS {
        let mut stub = StubNode::answering("{}").await;
        let Some(script) = Script::start(name, &stub.url()).await else { return };
        for (call, op) in [
            (json!({"t": "connect", "h": "a", "p": 25}), json!({"op": "connect", "host": "a", "port": 25})),
            (
                json!({"t": "connect_data", "h": "a", "p": 80, "d": "QQ=="}),
                json!({"op": "connect_data", "host": "a", "port": 80, "data": "QQ=="}),
            ),
            (
                json!({"t": "data", "sid": "s", "d": "QQ=="}),
                json!({"op": "data", "sid": "s", "data": "QQ=="}),
            ),
            (json!({"t": "close", "sid": "s"}), json!({"op": "close", "sid": "s"})),
        ] {
            script.post(&with_key(call, KEY)).await;
            let (path, body) = stub.next_request().await;
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((path.as_str(), body), ("/tunnel", with_key(op, NODE_KEY)), "{name}");
        }
    }
}

fn with_key(mut call: Value, key: &str) -> Value {
    call["k"] = key.into();
    call
}

#[tokio::test]
async fn rejected_calls_see_a_page_and_the_node_is_not_called() {
    for name in SCRIPTS {
        let mut stub = StubNode::answering("{}").await;
        let Some(script) = Script::start(name, &stub.url()).await else { return };
        let stranger = json!({"k": "client key", "t": "batch", "ops": []}).to_string();
        for body in [stranger.as_str(), r#"{"k":"","t":"batch"}"#, r#"{"k":7}"#, "null", "[]", "no JSON", ""]
        {
            let answer = script.http.post(&script.url, body.to_owned()).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.header("content-type").starts_with("text/html"));
            assert!(answer.text().contains(DECOY), "{name}: {body}: {}", answer.text());
        }
        assert!(script.http.get(&script.url).await.text().contains(DECOY));
        assert!(stub.is_unasked());
    }
}

#[tokio::test]
async fn an_unknown_kind_of_call_is_unsupported() {
    for name in SCRIPTS {
        let Some(script) = Script::start(name, "http://127.0.0.1:1").await else { return };
        let answer = script.post(&json!({"k": KEY, "t": "streams"})).await.json();
        assert_eq!(answer, json!({"e": "unknown tunnel op: streams", "code": "UNSUPPORTED_OP"}), "{name}");
    }
}

#[tokio::test]
async fn an_error_of_the_node_is_an_error_of_the_call() {
    for name in SCRIPTS {
        let node = Node::builder("another").listen(FREE_PORT).start().await.unwrap();
        let Some(script) = Script::start(name, &node_url(&node)).await else { return };
        let close = json!({"k": KEY, "t": "close", "sid": "s"});
        assert_eq!(script.batch(json!([])).await, json!({"e": "tunnel batch HTTP 404"}), "{name}");
        assert_eq!(script.post(&close).await.json(), json!({"e": "tunnel node HTTP 404"}), "{name}");
        soon(node.shutdown()).await;
        let gone = json!({"e": "tunnel batch: the node did not answer"});
        assert_eq!(script.batch(json!([])).await, gone, "{name}");
    }
}

#[tokio::test]
async fn packets_go_through_in_batches() {
    for name in SCRIPTS {
        let node = node().await;
        let Some(script) = Script::start(name, &node_url(&node)).await else { return };
        let mut hand = Hand::new("known to both ends", 1);
        let ops = json!([{"op": "streams", "d": STANDARD.encode(hand.hello())}]);
        let answer = script.batch(ops).await;
        let packet = answer["r"][0]["d"].as_str().unwrap_or_else(|| panic!("{name}: {answer}"));
        hand.greeted(&STANDARD.decode(packet).unwrap());
    }
}

#[tokio::test]
async fn the_worker_passes_packets_as_they_are() {
    let node = node().await;
    let Some(script) = Script::start(WORKER, &node_url(&node)).await else { return };
    let mut hand = Hand::new("known to both ends", 1);
    let answer = script.packet(&format!("Bearer {KEY}"), hand.hello()).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, PACKET.1));
    hand.greeted(&answer.body);
    let answer = script.packet(&format!("bearer {KEY}"), Bytes::from_static(b"\x02\xff")).await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::BAD_REQUEST, r#"{"e":"tunnel streams HTTP 400"}"#)
    );
    soon(node.shutdown()).await;
    let answer = script.packet(&format!("Bearer {KEY}"), hand.knock()).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn the_worker_shows_rejected_packets_a_page() {
    let mut stub = StubNode::answering("").await;
    let Some(script) = Script::start(WORKER, &stub.url()).await else { return };
    for authorization in ["", "Bearer", "Bearer another", KEY, &format!("Basic {KEY}")] {
        let answer = script.packet(authorization, Bytes::from_static(b"\x02")).await;
        assert!(answer.text().contains(DECOY), "{authorization}");
    }
    assert!(stub.is_unasked());
}

#[tokio::test]
async fn the_apps_script_takes_no_packets_as_they_are() {
    let mut stub = StubNode::answering("").await;
    let Some(script) = Script::start(APPS_SCRIPT, &stub.url()).await else { return };
    let answer = script.packet(&format!("Bearer {KEY}"), Hand::new("known to both ends", 1).hello()).await;
    assert!(answer.text().contains(DECOY));
    assert!(stub.is_unasked());
}

#[tokio::test]
async fn calls_that_the_node_holds_do_not_hold_each_other() {
    for name in SCRIPTS {
        let node = node().await;
        let Some(script) = Script::start(name, &node_url(&node)).await else { return };
        let mut hand = Hand::new("known to both ends", 1);
        let op = |packet: Bytes| json!([{"op": "streams", "d": STANDARD.encode(packet)}]);
        let answer = script.batch(op(hand.hello())).await;
        hand.greeted(&STANDARD.decode(answer["r"][0]["d"].as_str().unwrap()).unwrap());
        let held = op(hand.packet(Duration::from_secs(50), &[]));
        // Of another client: the next packet of this one acknowledges the held one.
        let free = op(Hand::new("known to both ends", 2).hello());
        tokio::select! {
            answer = script.batch(held) => panic!("{name}: was not held: {answer}"),
            answer = script.batch(free) => assert!(answer["r"][0]["d"].is_string(), "{name}: {answer}"),
        }
    }
}
