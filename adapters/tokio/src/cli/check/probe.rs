//! The calls of a check, and what they show.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Version;
use seqlane::wire::{Op, Reply, Sid, encode_request};
use seqlane::{Caps, ConnectFailure, Form, Level, Secret, Seq, Target};
use seqlane_tokio::exchange::{Destination, Exchanger, Trace};

use super::diagnosis;
use crate::cli::value::Size;

/// One relay, and how to call it.
pub(super) struct Probe {
    pub(super) exchanger: Exchanger,
    pub(super) batches: Destination,
    pub(super) form: Form,
    pub(super) key: Secret,
    pub(super) timeout: Duration,
}

/// What was found out about a relay.
#[derive(Default)]
pub(super) struct Findings {
    /// What is wrong; a relay without problems works.
    pub(super) problems: Vec<String>,
    /// What is worth knowing and is not wrong.
    pub(super) notes: Vec<String>,
    /// The level that flows through this relay will have.
    pub(super) level: Option<Level>,
    /// The first call, with name resolution and all handshakes.
    pub(super) first: Option<Duration>,
    /// The fastest of the calls after it.
    pub(super) round_trip: Option<Duration>,
    pub(super) version: Option<Version>,
    pub(super) redirects: usize,
    pub(super) gzip: bool,
}

/// Calls after the first that measure the round trip.
const REPEATS: usize = 3;

/// Ops in each of these calls: their answer is long enough to be compressed by whoever does.
const REPEATED_OPS: usize = 32;

/// A port of the node's own loopback where nothing is expected: its refusal shows that the node opens targets,
/// or does not open private ones, which is better.
const DISCARD: u16 = 9;

/// Calls the relay once: the level that it keeps, or what is wrong.
pub(super) async fn reach(probe: &Probe) -> Result<Level, String> {
    probe.reach(&mut Findings::default()).await
}

/// Tries the relay in every way.
pub(super) async fn check(probe: &Probe, target: Option<Target>, body: Option<Size>) -> Findings {
    let mut findings = Findings::default();
    let level = match probe.reach(&mut findings).await {
        Ok(level) => level,
        Err(problem) => {
            findings.problems.push(problem);
            // Whatever is wrong would be said again by every other call.
            return findings;
        }
    };
    findings.level = Some(level);
    let echoes = level >= Level::Sequenced;
    let mut tried = vec![probe.repeat(&mut findings).await, probe.refuse(&mut findings).await];
    if let Some(target) = target {
        tried.push(probe.open(&mut findings, target, echoes).await);
    } else if !echoes {
        findings.notes.push("level 0: `seq` does not come back; --target tells why".to_owned());
    }
    if let Some(size) = body {
        tried.push(probe.fill(size).await);
    }
    findings.problems.extend(tried.into_iter().filter_map(Result::err));
    findings
}

impl Probe {
    /// The first call: a poll of a session that does not exist. The level that `seq` allows, if it comes back.
    async fn reach(&self, findings: &mut Findings) -> Result<Level, String> {
        let (sid, op) = poll();
        let (replies, trace, took) = self.call(&[op]).await;
        findings.version = trace.version;
        findings.redirects = trace.redirects;
        let replies = replies?;
        findings.first = Some(took);
        match replies.first() {
            Some(reply) if reply.error.is_some() => Err(said(reply)),
            Some(reply) if reply.sid != Some(sid) => Err("answers for another session than asked".to_owned()),
            Some(reply) if !reply.eof => Err("knows a session that was never opened".to_owned()),
            Some(reply) if reply.seq == Some(Seq::default()) => Ok(Level::Sequenced),
            Some(_) => Ok(Level::Legacy),
            None => Err("answers with no reply".to_owned()),
        }
    }

    /// More polls over the same connection: the round trip, and whether answers are compressed.
    async fn repeat(&self, findings: &mut Findings) -> Result<(), String> {
        let mut failures = Vec::new();
        for _ in 0..REPEATS {
            let ops: Vec<_> = (0..REPEATED_OPS).map(|_| poll().1).collect();
            let (replies, trace, took) = self.call(&ops).await;
            match replies {
                Err(problem) => failures.push(problem),
                Ok(_) => {
                    findings.gzip |= trace.gzip;
                    findings.round_trip = Some(findings.round_trip.map_or(took, |least| least.min(took)));
                }
            }
        }
        match failures.first() {
            None => Ok(()),
            Some(problem) => Err(format!("{} of {REPEATS} later calls failed: {problem}", failures.len())),
        }
    }

    /// A target that the node should refuse: shows that it opens targets at all, and whether it is guarded.
    async fn refuse(&self, findings: &mut Findings) -> Result<(), String> {
        let Ok(target) = Target::new("127.0.0.1", DISCARD) else { return Ok(()) };
        let reply = self.ask(Op::Connect { target }).await?;
        let failure = reply.error.as_deref().map(ConnectFailure::from_text);
        if let Some(sid) = reply.sid {
            self.ask(Op::Close { sid }).await?;
        }
        if failure != Some(ConnectFailure::NotAllowed) {
            let text = "the node opens targets on its own loopback: whoever has the key reaches what only its \
                        host should";
            findings.notes.push(text.to_owned());
        }
        Ok(())
    }

    /// A target that the node should open: shows its capabilities.
    async fn open(&self, findings: &mut Findings, target: Target, echoes: bool) -> Result<(), String> {
        let reply = self.ask(Op::Connect { target: target.clone() }).await?;
        let Some(sid) = reply.sid else {
            return Err(format!("the node could not open {target}: {}", said(&reply)));
        };
        let offered = reply.caps.unwrap_or(Caps::NONE).level();
        self.ask(Op::Close { sid }).await?;
        match (offered, echoes) {
            (Level::Legacy, _) => {
                findings.level = Some(Level::Legacy);
                findings.notes.push("level 0: the node offers no more".to_owned());
            }
            (Level::Sequenced | Level::Streams, false) => {
                findings
                    .notes
                    .push("level 0: the node offers level 1, but the relay strips `seq`".to_owned());
            }
            (Level::Sequenced | Level::Streams, true) => {}
        }
        Ok(())
    }

    /// A large request, to a session that does not exist.
    async fn fill(&self, size: Size) -> Result<(), String> {
        // Base64 makes four characters of three bytes.
        let payload = Bytes::from(vec![0x5a; size.as_len() / 4 * 3]);
        let op = Op::Data { sid: nobody(), seq: None, payload };
        self.ask(op).await.map(|_| ()).map_err(|problem| format!("a request of {size}: {problem}"))
    }

    async fn ask(&self, op: Op) -> Result<Reply, String> {
        let (replies, _, _) = self.call(&[op]).await;
        replies?.into_iter().next().ok_or_else(|| "answers with no reply".to_owned())
    }

    async fn call(&self, ops: &[Op]) -> (Result<Vec<Reply>, String>, Trace, Duration) {
        let body = encode_request(self.form, &self.key, ops.iter());
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + self.timeout;
        let (answer, trace) = self.exchanger.trace(&self.batches, body, deadline, || {}).await;
        let took = started.elapsed();
        (diagnosis::replies(self.form, ops.len(), answer, &trace), trace, took)
    }
}

/// A poll of a session that nobody opened.
fn poll() -> (Sid, Op) {
    let sid = nobody();
    (sid, Op::Data { sid, seq: Some(Seq::default()), payload: Bytes::new() })
}

/// A session id that no node gives: theirs are UUIDs.
fn nobody() -> Sid {
    Sid::new("seqlane-check").expect("a short text is a session id")
}

fn said(reply: &Reply) -> String {
    reply.error.as_deref().map_or_else(|| "a reply without a session".to_owned(), |text| format!("`{text}`"))
}
