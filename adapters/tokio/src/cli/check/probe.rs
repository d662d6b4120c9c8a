//! Tests of one relay, and their self.findings.

use std::time::Duration;

use bytes::Bytes;
use http::Version;
use seqlane::wire::reset::ResetCode;
use seqlane::wire::{BadOp, Op, Reply, Sid};
use seqlane::{Caps, ConnectFailure, Level, NoticeKind, Seq, Target};

use super::calls::RelayCalls;
use super::hold::{self, Holds};
use super::streams::{Caller, Packaging, Unanswered, duplicates};
use crate::cli::value::Size;

/// Optional tests.
#[derive(Clone, Debug, Default)]
pub(super) struct OptionalTests {
    pub(super) target: Option<Target>,
    pub(super) body: Option<Size>,
    /// The longest hold; zero for none.
    pub(super) hold: Duration,
    /// Whether raw packets must pass.
    pub(super) binary: bool,
}

/// Why there is no level 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoStreams {
    /// The node does not offer it.
    Unsupported,
    /// The node has another secret.
    OtherSecret,
}

/// Findings about a relay.
#[derive(Default)]
pub(super) struct Findings {
    /// Problems; a relay without any works.
    pub(super) problems: Vec<String>,
    /// Facts that are no problems.
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
    /// Why level 2 is not available, if that is known.
    pub(super) no_streams: Option<NoStreams>,
    /// Whether raw packets pass; none where that was not tested.
    pub(super) binary: Option<bool>,
    pub(super) holds: Holds,
    /// Copies of calls that the node has answered; none without level 2.
    pub(super) duplicates: Option<u64>,
    /// Calls made by the check.
    pub(super) calls: u64,
}

/// Calls after the first that measure the round trip.
const REPEATS: usize = 3;

/// Ops in each of these calls: their answer is long enough for a relay that compresses to compress it.
const REPEATED_OPS: usize = 32;

/// A port of the node's own loopback where nothing is expected: a refused connection shows that the node opens private
/// targets, a rejected one that it does not.
const DISCARD: u16 = 9;

/// Calls the relay once, with a hello alone where flows are sealed or refused. Returns the problem.
pub(super) async fn reach(calls: &RelayCalls) -> Result<(), String> {
    let mut probe = Probe { calls, findings: Findings::default() };
    if calls.sealed { probe.hello().await.map(drop) } else { probe.reach().await.map(drop) }
}

/// Runs all tests of a relay.
pub(super) async fn check(calls: &RelayCalls, optional: OptionalTests) -> Findings {
    let mut probe = Probe { calls, findings: Findings::default() };
    probe.run(&optional).await;
    Findings { calls: calls.made(), ..probe.findings }
}

/// The tests of one relay.
struct Probe<'a> {
    calls: &'a RelayCalls,
    findings: Findings,
}

impl Probe<'_> {
    async fn run(&mut self, optional: &OptionalTests) {
        let level = match self.reach().await {
            Ok(level) => level,
            Err(problem) => {
                self.findings.problems.push(problem);
                // Every other call would report the same problem.
                return;
            }
        };
        self.findings.level = Some(level);
        let keeps_seq = level >= Level::Sequenced;
        let mut outcomes = vec![self.repeat().await];
        if !self.calls.sealed {
            outcomes.push(self.refuse().await);
        }
        match &optional.target {
            _ if self.calls.sealed => {}
            Some(target) => outcomes.push(self.open(target, keeps_seq, optional.hold).await),
            None if keeps_seq => {}
            None => {
                let note = "level 0: the relay or the node strips `seq`; --target shows which";
                self.findings.notes.push(note.to_owned());
            }
        }
        if let Some(size) = optional.body {
            outcomes.push(self.send_large(size).await);
        }
        outcomes.push(self.streams(optional).await);
        self.findings.problems.extend(outcomes.into_iter().filter_map(Result::err));
    }

    /// Level 2: whether the node answers, in which packaging, how fast, and the longest hold.
    async fn streams(&mut self, optional: &OptionalTests) -> Result<(), String> {
        let Some(mut caller) = self.hello().await? else { return Ok(()) };
        let longest = caller.grants.max_hold.min(optional.hold);
        self.findings.level = Some(Level::Streams);
        if self.calls.packets.is_some() {
            self.findings.binary = Some(caller.knock(self.calls, Packaging::Raw).await.is_ok());
        }
        let raw = self.findings.binary == Some(true);
        let packaging = if raw { Packaging::Raw } else { Packaging::Batch };
        if !longest.is_zero() {
            self.findings.holds = hold::of_streams(self.calls, &mut caller, packaging, longest).await;
        }
        if self.calls.sealed {
            self.open_streams(&mut caller, packaging, optional.target.as_ref()).await?;
        }
        let last = caller.knock(self.calls, packaging).await;
        let last = last.map_err(|why| match why {
            Unanswered::Notice(kind, text) => refusal(kind, &text),
            _ => "level 2: a later call was not answered".to_owned(),
        })?;
        self.findings.round_trip = self.findings.round_trip.map(|least| least.min(last.round_trip));
        self.findings.duplicates = Some(duplicates(&last.header));
        if optional.binary && self.findings.binary == Some(false) {
            return Err("is not 8-bit clean: leave --binary out".to_owned());
        }
        Ok(())
    }

    /// Opens targets at level 2: one that the node should reject, and the user's.
    async fn open_streams(
        &mut self,
        caller: &mut Caller,
        packaging: Packaging,
        target: Option<&Target>,
    ) -> Result<(), String> {
        if let Ok(discard) = Target::new("127.0.0.1", DISCARD) {
            let refused = caller.open_stream(self.calls, packaging, &discard).await;
            self.note_private(refused == Ok(Some(ResetCode::Connect(ConnectFailure::NotAllowed))));
        }
        let Some(target) = target else { return Ok(()) };
        match caller.open_stream(self.calls, packaging, target).await {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(format!("the node could not open {target}: {why}")),
            Err(_) => Err(format!("level 2: the request to open {target} was not answered")),
        }
    }

    /// Says hello. A node without level 2, or with another secret, is a problem only where flows are sealed or refused.
    async fn hello(&mut self) -> Result<Option<Caller>, String> {
        let (why, problem) = match Caller::connect(self.calls, Packaging::Batch, &self.calls.secret).await {
            Ok(caller) => return Ok(Some(caller)),
            Err(Unanswered::Failed(problem)) => return Err(format!("level 2: {problem}")),
            Err(Unanswered::Notice(NoticeKind::NotAllowed, _)) if !self.calls.sealed => {
                (NoStreams::OtherSecret, "the node wants a secret")
            }
            Err(Unanswered::Notice(kind, text)) => return Err(refusal(kind, &text)),
            Err(Unanswered::Unsupported) => (NoStreams::Unsupported, "the node does not offer level 2"),
            Err(Unanswered::OtherSecret) => (NoStreams::OtherSecret, "the node has another secret"),
        };
        self.findings.no_streams = Some(why);
        if !self.calls.sealed {
            return Ok(None);
        }
        self.findings.level = None;
        Err(format!("level 2: {problem}, and with a secret no flow goes without level 2"))
    }

    /// The first call: a poll of a session that does not exist. Returns the level that the relay allows: 1 if it keeps
    /// `seq`.
    async fn reach(&mut self) -> Result<Level, String> {
        let (sid, op) = poll();
        let (replies, trace, took) = self.calls.call(&[op]).await;
        self.findings.version = trace.version;
        self.findings.redirects = trace.redirects;
        let replies = replies?;
        self.findings.first = Some(took);
        let sealed_only = BadOp::Level(Level::Streams).to_string();
        match replies.first() {
            Some(reply) if reply.error.as_deref() == Some(sealed_only.as_str()) && self.calls.sealed => {
                Ok(Level::Legacy)
            }
            Some(reply) if reply.error.is_some() => Err(error_of(reply)),
            Some(reply) if reply.sid != Some(sid) => Err("returned the reply of another session".to_owned()),
            Some(reply) if !reply.eof => Err("reports a session that was never opened as open".to_owned()),
            Some(reply) if reply.seq == Some(Seq::default()) => Ok(Level::Sequenced),
            Some(_) => Ok(Level::Legacy),
            None => Err("returned an answer without a reply".to_owned()),
        }
    }

    /// More polls over the same connection: the round trip, and whether answers are compressed.
    async fn repeat(&mut self) -> Result<(), String> {
        let mut failures = Vec::new();
        for _ in 0..REPEATS {
            let ops: Vec<_> = (0..REPEATED_OPS).map(|_| poll().1).collect();
            let (replies, trace, took) = self.calls.call(&ops).await;
            match replies {
                Err(problem) => failures.push(problem),
                Ok(_) => {
                    self.findings.gzip |= trace.gzip;
                    self.findings.round_trip =
                        Some(self.findings.round_trip.map_or(took, |least| least.min(took)));
                }
            }
        }
        match failures.first() {
            None => Ok(()),
            Some(problem) => Err(format!("{} of {REPEATS} later calls failed: {problem}", failures.len())),
        }
    }

    /// Opens a target that the node should reject: shows whether it allows private targets.
    async fn refuse(&mut self) -> Result<(), String> {
        let Ok(target) = Target::new("127.0.0.1", DISCARD) else { return Ok(()) };
        let reply = self.calls.ask(Op::Connect { target }).await?;
        let failure = reply.error.as_deref().map(ConnectFailure::from_text);
        if let Some(sid) = reply.sid {
            self.calls.ask(Op::Close { sid }).await?;
        }
        self.note_private(failure == Some(ConnectFailure::NotAllowed));
        Ok(())
    }

    /// Whether the node rejected a target on its own loopback.
    fn note_private(&mut self, rejected: bool) {
        if !rejected {
            let text = "the node opens targets on its own loopback: everybody with the key can reach the services of \
                        its host";
            self.findings.notes.push(text.to_owned());
        }
    }

    /// Opens a target that the node should open: shows its capabilities.
    async fn open(&mut self, target: &Target, keeps_seq: bool, hold: Duration) -> Result<(), String> {
        let reply = self.calls.ask(Op::Connect { target: target.clone() }).await?;
        let Some(sid) = reply.sid else {
            return Err(format!("the node could not open {target}: {}", error_of(&reply)));
        };
        let offered = reply.caps.unwrap_or(Caps::NONE).level();
        if offered < Level::Streams && !hold.is_zero() {
            self.findings.holds = hold::of_poll(self.calls, sid, hold).await;
        }
        self.calls.ask(Op::Close { sid }).await?;
        match (offered, keeps_seq) {
            (Level::Legacy, _) => {
                self.findings.level = Some(Level::Legacy);
                self.findings.notes.push("level 0: the node offers no other".to_owned());
            }
            (Level::Sequenced | Level::Streams, false) => {
                let note =
                    "the node offers level 1, but the relay strips `seq`: without level 2, flows use level 0";
                self.findings.notes.push(note.to_owned());
            }
            (Level::Sequenced | Level::Streams, true) => {}
        }
        Ok(())
    }

    /// Sends a large request to a session that does not exist.
    async fn send_large(&self, size: Size) -> Result<(), String> {
        // Base64 makes four characters of three bytes.
        let payload = Bytes::from(vec![0x5a; size.as_len() / 4 * 3]);
        let op = Op::Data { sid: unknown_sid(), seq: None, payload };
        self.calls.ask(op).await.map(|_| ()).map_err(|problem| format!("a request of {size}: {problem}"))
    }
}

/// A poll of a session that does not exist.
fn poll() -> (Sid, Op) {
    let sid = unknown_sid();
    (sid, Op::Data { sid, seq: Some(Seq::default()), payload: Bytes::new() })
}

/// A session id that no node gives: theirs are UUIDs.
fn unknown_sid() -> Sid {
    Sid::new("seqlane-check").expect("a short text is a session id")
}

/// A notice in the place of the answer to a hello.
fn refusal(kind: NoticeKind, text: &str) -> String {
    let what = match kind {
        NoticeKind::Unknown => "the node does not know the connection",
        NoticeKind::Busy => "the node is busy: it has no place for another connection now",
        NoticeKind::Draining => "the node is about to stop, and takes no new connection",
        NoticeKind::NotAllowed => "the node does not let this secret in",
    };
    if text.is_empty() { format!("level 2: {what}") } else { format!("level 2: {what} ({text})") }
}

fn error_of(reply: &Reply) -> String {
    reply.error.as_deref().map_or_else(|| "a reply without a session".to_owned(), |text| format!("`{text}`"))
}
