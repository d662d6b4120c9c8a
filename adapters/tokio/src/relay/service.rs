//! Calls through the relay, with their faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

use super::bandwidth::Bandwidth;
use super::counters::Counting;
use super::fault_rng::FaultRng;
use super::faults::Faults;
use super::fetch::{Fetched, NodeCalls};
use super::one_time::OneTimeAnswers;
use super::reply::Reply;
use super::script::{self, Path, Script, ScriptAction};
use crate::http::answer::{self, Answer};
use crate::http::bearer;
use crate::http::body::{self, BodyError, BodyRoom, Share};
use crate::http::gzip;
use crate::http::server::{HangUp, Service};

/// The largest call, as in hosted relays.
const MAX_CALL: usize = 50 * 1024 * 1024;

/// Memory for the calls of all connections.
pub(super) const CALL_ROOM: usize = 512 * 1024 * 1024;

/// The longest time for a caller to send its call.
const CALL_DEADLINE: Duration = Duration::from_secs(300);

/// The path of one-time addresses.
const ONE_TIME: &str = "/once/";

/// The relay as an HTTP service.
#[derive(Clone)]
pub(super) struct RelayService(pub(super) Arc<RelayState>);

/// A relay with its faults.
pub(super) struct RelayState {
    pub(super) script: Script,
    pub(super) node: NodeCalls,
    pub(super) faults: Faults,
    pub(super) rng: FaultRng,
    pub(super) gzip: bool,
    pub(super) binary: bool,
    pub(super) slots: Option<Semaphore>,
    pub(super) uplink: Bandwidth,
    pub(super) downlink: Bandwidth,
    pub(super) room: BodyRoom,
    pub(super) one_time: OneTimeAnswers,
    pub(super) counters: Counting,
}

impl Service for RelayService {
    async fn call(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        let relay = &self.0;
        match *request.method() {
            Method::POST => relay.post(request).await,
            Method::GET => Ok(relay.get(&request).await),
            _ => {
                let mut answer = answer::empty(StatusCode::METHOD_NOT_ALLOWED);
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
                Ok(answer)
            }
        }
    }
}

impl RelayState {
    async fn post(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        let _slot = match self.slots.as_ref().map(Semaphore::try_acquire) {
            Some(Err(_)) => return Ok(self.too_many(request).await),
            slot => slot,
        };
        let call = self.counters.calls.up();
        let started = Instant::now();
        let (parts, incoming) = request.into_parts();
        let (body, share) = match body::read(incoming, MAX_CALL, CALL_DEADLINE, &self.room).await {
            Ok(read) => read,
            Err(BodyError::TooLarge) => {
                return Ok(answer::text(StatusCode::PAYLOAD_TOO_LARGE, "the call is too long"));
            }
            Err(BodyError::TooSlow | BodyError::Broken) => return Err(HangUp),
        };
        debug!(call, bytes = body.len(), "call");
        self.counters.uplink_bytes.add(body.len());
        self.uplink.pass(body.len()).await;
        let one_way = self.rng.around(call, "delay", self.faults.delay, self.faults.jitter) / 2;
        travel(one_way).await;
        let reply = self.run(call, &parts.headers, body, share).await?;
        let reply = self.damage(call, reply)?;
        self.counters.downlink_bytes.add(reply.body.len());
        self.downlink.pass(reply.body.len()).await;
        travel(one_way).await;
        let ms = started.elapsed().as_millis();
        debug!(call, status = reply.status, bytes = reply.body.len(), ms, "answer");
        if self.faults.redirect && reply.status == 200 {
            return Ok(self.redirect(call, &parts.headers, parts.uri.authority(), reply));
        }
        Ok(self.finish(reply, &parts.headers).await)
    }

    /// A one-time answer, or the page that the script shows to browsers.
    async fn get(&self, request: &Request<Incoming>) -> Answer {
        match request.uri().path().strip_prefix(ONE_TIME) {
            Some(name) => match self.one_time.take(name) {
                Some(reply) => self.finish(reply, request.headers()).await,
                None => answer::empty(StatusCode::NOT_FOUND),
            },
            None => self.finish(Reply::page(), request.headers()).await,
        }
    }

    async fn too_many(&self, request: Request<Incoming>) -> Answer {
        self.counters.refused.up();
        info!("call refused: too many at a time");
        // Read to its end, so that the caller sees the answer instead of a reset.
        let _ = body::read(request.into_body(), MAX_CALL, CALL_DEADLINE, &self.room).await;
        let mut answer = answer::text(StatusCode::TOO_MANY_REQUESTS, "too many calls at a time");
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }

    /// Runs the script and calls the node, unless a fault ends the call before.
    async fn run(&self, call: u64, headers: &HeaderMap, body: Bytes, share: Share) -> Result<Reply, HangUp> {
        if self.rng.happens(call, "lose request", self.faults.lose_request) {
            self.counters.lost_requests.up();
            info!(call, "request lost");
            return Err(HangUp);
        }
        for (code, probability) in &self.faults.statuses {
            if self.rng.happens(call, &format!("status {code}"), *probability) {
                self.counters.statuses.up();
                info!(call, code, "answered with a status");
                return Ok(Reply { status: *code, content_type: answer::TEXT, body: Bytes::new() });
            }
        }
        let action = if self.binary && headers.get(CONTENT_TYPE) == Some(&answer::PACKET) {
            self.script.read_packet(bearer::key(headers), body.clone())
        } else {
            self.script.read(&body, self.faults.strip_seq)
        };
        drop((body, share));
        match action {
            ScriptAction::Forward { path, body } => Ok(self.forward(call, path, body).await),
            ScriptAction::Answer(json) => Ok(Reply::json(json)),
            ScriptAction::Decoy => {
                self.counters.rejected.up();
                info!(call, "rejected: wrong key or malformed request");
                Ok(Reply::page())
            }
        }
    }

    async fn forward(&self, call: u64, path: Path, body: Bytes) -> Reply {
        let first = self.node.post(path, body.clone());
        if self.rng.happens(call, "duplicate", self.faults.duplicate) {
            self.counters.duplicated.up();
            info!(call, "request duplicated");
            self.counters.forwarded.up();
            let node = self.node.clone();
            // Bounded by the deadline of calls to the node. The answer is dropped.
            tokio::spawn(async move { node.post(path, body).await.is_ok() });
        }
        self.counters.forwarded.up();
        match first.await {
            Ok(Fetched { status: 200, body }) => self.answered(path, body),
            Ok(Fetched { status, .. }) => {
                info!(call, status, "node refused the call");
                refused(path, status)
            }
            // A hosted script ends with an exception here, and its host answers with a page.
            Err(_) => {
                self.counters.node_failures.up();
                warn!(call, "node gave no answer");
                Reply::page()
            }
        }
    }

    /// The node's answer as the script forwards it.
    fn answered(&self, path: Path, body: Bytes) -> Reply {
        match path {
            Path::Streams => Reply::packet(body),
            Path::Batch if self.faults.strip_seq => {
                Reply::json(script::replies_without_seq(&body).map_or(body, Bytes::from))
            }
            Path::Batch | Path::Single => Reply::json(body),
        }
    }

    /// Applies the faults of answers.
    fn damage(&self, call: u64, mut reply: Reply) -> Result<Reply, HangUp> {
        if self.rng.happens(call, "lose reply", self.faults.lose_reply) {
            self.counters.lost_replies.up();
            info!(call, "reply lost");
            return Err(HangUp);
        }
        if self.rng.happens(call, "html", self.faults.html) {
            self.counters.html.up();
            info!(call, "answered with a page");
            return Ok(Reply::page());
        }
        if reply.status == 200 && self.rng.happens(call, "truncate", self.faults.truncate) {
            self.counters.truncated.up();
            info!(call, "answer truncated");
            reply.body.truncate(self.rng.index(call, "cut", reply.body.len()));
        }
        Ok(reply)
    }

    fn redirect(
        &self,
        call: u64,
        headers: &HeaderMap,
        authority: Option<&http::uri::Authority>,
        reply: Reply,
    ) -> Answer {
        self.counters.redirected.up();
        let name = self.rng.name(call, "redirect");
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let location = match authority.map(http::uri::Authority::as_str).or(host) {
            Some(host) => format!("http://{host}{ONE_TIME}{name}"),
            None => format!("{ONE_TIME}{name}"),
        };
        self.one_time.put(name, reply);
        let mut answer = answer::empty(StatusCode::FOUND);
        if let Ok(location) = location.parse() {
            answer.headers_mut().insert(LOCATION, location);
        }
        answer
    }

    async fn finish(&self, reply: Reply, headers: &HeaderMap) -> Answer {
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let gzip = self.gzip && gzip::accepts_gzip(headers);
        answer::compressed(status, reply.content_type, reply.body, gzip).await
    }
}

/// The script's answer to another status of the node than 200. A packet has no error: its caller gets the status
/// itself.
fn refused(path: Path, status: u16) -> Reply {
    let text = script::bad_status(path, status);
    match path {
        Path::Streams => Reply { status, ..Reply::json(text) },
        Path::Batch | Path::Single => Reply::json(text),
    }
}

/// Waits for the latency of one way. A sleep of zero would last until the timer's next tick, a millisecond.
async fn travel(way: Duration) {
    if !way.is_zero() {
        tokio::time::sleep(way).await;
    }
}
