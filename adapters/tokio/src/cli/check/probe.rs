//! The calls of a check, and what they show.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Version;
use seqlane::wire::{Op, Reply, Sid, encode_request};
use seqlane::{Caps, ConnectFailure, Form, Level, Secret, Seq, Target};
use seqlane_tokio::exchange::{Destination, Exchanger, Trace};

use super::diagnosis;
use super::hold::{self, Holds};
use super::streams::{Caller, Unanswered, Way, doubled};
use crate::cli::value::Size;

/// One relay, and how to call it.
pub(super) struct Probe {
    pub(super) exchanger: Exchanger,
    pub(super) batches: Destination,
    /// Where packets go as they are, if there is such a place.
    pub(super) packets: Option<Destination>,
    pub(super) form: Form,
    pub(super) key: Secret,
    /// What opens the packets of level 2.
    pub(super) secret: Secret,
    /// Beside the time that it is held.
    pub(super) timeout: Duration,
    pub(super) calls: AtomicU64,
}

/// What a check is to try beside the usual.
#[derive(Clone, Debug, Default)]
pub(super) struct Tries {
    pub(super) target: Option<Target>,
    pub(super) body: Option<Size>,
    /// The longest hold; zero for none.
    pub(super) hold: Duration,
    /// Whether packets must pass as they are.
    pub(super) binary: bool,
}

/// Why there is no level 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// The node does not offer it.
    Unsupported,
    /// The node has another secret.
    Other,
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
    /// What keeps level 2 away, if that is known.
    pub(super) seal: Option<Seal>,
    /// Whether packets pass as they are; none where that was not tried.
    pub(super) binary: Option<bool>,
    pub(super) holds: Holds,
    /// Copies of calls that the node has answered; none without level 2.
    pub(super) doubled: Option<u64>,
    /// Calls that the check has cost.
    pub(super) calls: u64,
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
pub(super) async fn check(probe: &Probe, tries: Tries) -> Findings {
    let mut findings = Findings::default();
    probe.try_all(&mut findings, tries).await;
    findings.calls = probe.calls.load(Ordering::Relaxed);
    findings
}

impl Probe {
    async fn try_all(&self, findings: &mut Findings, tries: Tries) {
        let level = match self.reach(findings).await {
            Ok(level) => level,
            Err(problem) => {
                findings.problems.push(problem);
                // Whatever is wrong would be said again by every other call.
                return;
            }
        };
        findings.level = Some(level);
        let echoes = level >= Level::Sequenced;
        let mut tried = vec![self.repeat(findings).await, self.refuse(findings).await];
        if let Some(target) = &tries.target {
            tried.push(self.open(findings, target, echoes, tries.hold).await);
        } else if !echoes {
            findings.notes.push("level 0: `seq` does not come back; --target tells why".to_owned());
        }
        if let Some(size) = tries.body {
            tried.push(self.fill(size).await);
        }
        tried.push(self.streams(findings, &tries).await);
        findings.problems.extend(tried.into_iter().filter_map(Result::err));
    }

    /// Level 2: whether the node answers, by which way, how fast, and how long calls may be held.
    async fn streams(&self, findings: &mut Findings, tries: &Tries) -> Result<(), String> {
        let mut caller = Caller::new(&self.secret).map_err(|error| format!("no randomness: {error}"))?;
        let longest = match caller.knock(self, Way::Batch).await {
            Ok(answered) => {
                answered.header.grants.map_or(tries.hold, |grants| grants.max_hold.min(tries.hold))
            }
            Err(Unanswered::Failed(problem)) => return Err(format!("level 2: {problem}")),
            Err(Unanswered::Unsupported) => {
                findings.seal = Some(Seal::Unsupported);
                return Ok(());
            }
            Err(Unanswered::OtherSecret) => {
                findings.seal = Some(Seal::Other);
                return Ok(());
            }
        };
        findings.level = Some(Level::Streams);
        if self.packets.is_some() {
            findings.binary = Some(caller.knock(self, Way::Binary).await.is_ok());
        }
        let way = if findings.binary == Some(true) { Way::Binary } else { Way::Batch };
        if !longest.is_zero() {
            findings.holds = hold::of_streams(self, &mut caller, way, longest).await;
        }
        let last = caller.knock(self, way).await;
        let last = last.map_err(|_| "level 2: a later call was not answered".to_owned())?;
        findings.round_trip = findings.round_trip.map(|least| least.min(last.round_trip));
        findings.doubled = Some(doubled(&last.header));
        if tries.binary && findings.binary == Some(false) {
            return Err("does not pass packets as they are: leave --binary out".to_owned());
        }
        Ok(())
    }

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
    async fn open(
        &self,
        findings: &mut Findings,
        target: &Target,
        echoes: bool,
        hold: Duration,
    ) -> Result<(), String> {
        let reply = self.ask(Op::Connect { target: target.clone() }).await?;
        let Some(sid) = reply.sid else {
            return Err(format!("the node could not open {target}: {}", said(&reply)));
        };
        let offered = reply.caps.unwrap_or(Caps::NONE).level();
        if offered < Level::Streams && !hold.is_zero() {
            findings.holds = hold::of_poll(self, sid, hold).await;
        }
        self.ask(Op::Close { sid }).await?;
        match (offered, echoes) {
            (Level::Legacy, _) => {
                findings.level = Some(Level::Legacy);
                findings.notes.push("level 0: the node offers no more".to_owned());
            }
            (Level::Sequenced | Level::Streams, false) => {
                let note = "the node offers level 1, but the relay strips `seq`: without level 2, flows are of level 0";
                findings.notes.push(note.to_owned());
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

    /// Polls a session for at most this long: whether the node answered, and after how long.
    pub(super) async fn poll_for(&self, sid: Sid, longest: Duration) -> (bool, Duration) {
        let op = Op::Data { sid, seq: Some(Seq::default()), payload: Bytes::new() };
        let (replies, _, took) = self.call_for(&[op], longest).await;
        (replies.is_ok(), took)
    }

    /// What comes back for a packet that is sent as it is and may be held for this long.
    pub(super) async fn call_binary(&self, packet: Bytes, hold: Duration) -> Result<Bytes, String> {
        let to = self.packets.as_ref().ok_or("has no place for packets")?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let deadline = tokio::time::Instant::now() + self.timeout + hold;
        let (answer, trace) = self.exchanger.trace(to, packet, deadline, || {}).await;
        answer.map_err(|failure| trace.explain(failure))
    }

    async fn ask(&self, op: Op) -> Result<Reply, String> {
        self.ask_held(op, Duration::ZERO).await
    }

    /// The reply to an op that may be held for this long.
    pub(super) async fn ask_held(&self, op: Op, hold: Duration) -> Result<Reply, String> {
        let (replies, _, _) = self.call_for(&[op], self.timeout + hold).await;
        replies?.into_iter().next().ok_or_else(|| "answers with no reply".to_owned())
    }

    async fn call(&self, ops: &[Op]) -> (Result<Vec<Reply>, String>, Trace, Duration) {
        self.call_for(ops, self.timeout).await
    }

    async fn call_for(&self, ops: &[Op], timeout: Duration) -> (Result<Vec<Reply>, String>, Trace, Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let body = encode_request(self.form, &self.key, ops.iter());
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + timeout;
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
