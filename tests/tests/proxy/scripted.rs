//! A relay that plays node and upstream at level 0: what a target does is in its name.
//!
//! | host | what it does |
//! |---|---|
//! | `echo` | sends back what it gets, ends when that is `bye` |
//! | `source` | sends as many KiB as its port says, then ends |
//! | `sink` | takes everything, sends nothing |
//! | `cut` | answers payload with an error |
//! | `fail` | cannot be opened; its port selects the reason |

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Texts of `fail`, by port. The first one is at port 1.
pub(crate) const FAILURES: [&str; 7] = [
    "Connection refused (os error 111)",
    "No route to host (os error 113)",
    "failed to lookup address information: Name or service not known",
    "Network is unreachable (os error 101)",
    "connect timeout",
    "target not allowed",
    "something else",
];

/// Bytes per answer of `source`.
const CHUNK: usize = 256 * 1024;

/// The hold of polls: long enough to avoid busy polling, short enough that payload passes soon.
const HOLD: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct ScriptedRelay {
    address: SocketAddr,
    played: Arc<Played>,
    serving: AbortHandle,
}

#[derive(Debug, Default)]
struct Played {
    sessions: Mutex<HashMap<String, Session>>,
    opened: Mutex<Vec<String>>,
    closed: tokio::sync::Notify,
}

#[derive(Debug)]
struct Session {
    host: String,
    left: usize,
}

impl ScriptedRelay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let played = Arc::new(Played::default());
        let stage = played.clone();
        let serving = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let stage = stage.clone();
                let service = service_fn(move |request| answer(request, stage.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        })
        .abort_handle();
        Self { address, played, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/run", self.address)
    }

    /// The targets that were opened so far, as `host:port`.
    pub(crate) fn opened(&self) -> Vec<String> {
        self.played.opened.lock().unwrap().clone()
    }

    /// Waits until every session has been closed by the client.
    pub(crate) async fn all_closed(&self) {
        loop {
            let closed = self.played.closed.notified();
            if self.played.sessions.lock().unwrap().is_empty() {
                return;
            }
            closed.await;
        }
    }
}

impl Drop for ScriptedRelay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    played: Arc<Played>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let batch: Value = serde_json::from_slice(&body).expect("the client sends JSON");
    assert_eq!(batch["k"], "key");
    let ops = batch["ops"].as_array().expect("a batch has ops");
    let replies: Vec<Value> = ops.iter().map(|op| played.play(op)).collect();
    let quiet =
        |(op, reply): (&Value, &Value)| op["d"].is_null() && reply["d"].is_null() && reply["eof"] == false;
    if ops.iter().zip(&replies).all(quiet) {
        tokio::time::sleep(HOLD).await;
    }
    Ok(Response::new(Full::new(json!({ "r": replies }).to_string().into())))
}

impl Played {
    fn play(&self, op: &Value) -> Value {
        let payload = STANDARD.decode(op["d"].as_str().unwrap_or_default()).expect("padded base64");
        match op["op"].as_str().expect("an op has a name") {
            "connect" | "connect_data" => self.open(op, &payload),
            "udp_open" => packets(self.open(op, &payload)),
            "data" => self.data(op["sid"].as_str().expect("data has a sid"), &payload),
            "udp_data" => packets(self.data(op["sid"].as_str().expect("data has a sid"), &payload)),
            "close" => {
                self.sessions.lock().unwrap().remove(op["sid"].as_str().expect("close has a sid"));
                self.closed.notify_waiters();
                json!({ "sid": op["sid"], "eof": true })
            }
            other => json!({ "e": format!("unknown op: {other}"), "code": "UNSUPPORTED_OP" }),
        }
    }

    fn open(&self, op: &Value, payload: &[u8]) -> Value {
        let host = op["host"].as_str().expect("an open has a host").to_owned();
        let port = op["port"].as_u64().expect("an open has a port");
        if host == "fail" {
            let why = FAILURES[usize::try_from(port).unwrap() - 1];
            return json!({ "e": format!("connect failed: {why}") });
        }
        let sid = {
            let mut opened = self.opened.lock().unwrap();
            opened.push(format!("{host}:{port}"));
            format!("session-{}", opened.len())
        };
        let session = Session { host, left: usize::try_from(port).unwrap() * 1024 };
        self.sessions.lock().unwrap().insert(sid.clone(), session);
        self.data(&sid, payload)
    }

    fn data(&self, sid: &str, payload: &[u8]) -> Value {
        let mut sessions = self.sessions.lock().unwrap();
        let Some(session) = sessions.get_mut(sid) else { return json!({ "sid": sid, "eof": true }) };
        let (bytes, eof) = match session.host.as_str() {
            "cut" if !payload.is_empty() => return json!({ "e": "write failed" }),
            "source" => {
                let part = CHUNK.min(session.left);
                session.left -= part;
                (vec![b'x'; part], session.left == 0)
            }
            "sink" | "cut" => (Vec::new(), false),
            _ => (payload.to_vec(), payload == b"bye"),
        };
        if eof {
            sessions.remove(sid);
            self.closed.notify_waiters();
        }
        match bytes.is_empty() {
            true => json!({ "sid": sid, "eof": eof }),
            false => json!({ "sid": sid, "d": STANDARD.encode(bytes), "eof": eof }),
        }
    }
}

/// A UDP reply has its bytes in `pkts`.
fn packets(mut reply: Value) -> Value {
    if let Some(data) = reply.as_object_mut().and_then(|reply| reply.remove("d")) {
        reply["pkts"] = json!([data]);
    }
    reply
}
