//! The node machine: batches in, upstream sockets out.
//!
//! A request becomes a [batch] of slots. Its ops run (at once, or in their session's [turn]), then
//! wait; when the [hold] allows, the batch is answered, and only then does each op take what its session
//! has. An [upstream] is an attempt first, a [session] while it is open, and lingers until its last byte
//! is written.
//!
//! # What may delay an answer
//! An answer is one HTTP response, so the slowest op decides (protocol.md 2 rule 7):
//!
//! | unready op | what its batch does |
//! |---|---|
//! | a poll, a drain: nothing came | answers it empty when the hold ends |
//! | a payload that its upstream does not take | answers it: the payload is in the write queue |
//! | a payload behind a full write queue | waits: for room, for the write deadline, or for the caller to go |
//! | a connect in progress | waits: for the upstream, or for the connect deadline |
//! | a `seq` whose predecessor is missing | waits: for it, or for SEQ_WAIT_TIMEOUT |
//! | a packet of [level 2](streams) | alone, waits as its client asks; beside other ops, it is answered at once |
//!
//! While a batch waits for an op that cannot be answered empty, its other sessions are served by their
//! later ops: such an op runs at once, and the older one is answered empty, having taken nothing.
//!
//! # Work
//! An event costs at most a constant times: the bytes and ops of a request; the slots of the batches that it
//! lets be answered, and the bytes that they take; the ops that wait in the sessions concerned, which
//! `seq_queue_ops` bounds; and the logarithm of the number of sessions and requests. A poll costs a constant.

mod action;
mod contract;
mod event;
#[cfg(feature = "model")]
mod fingerprint;
mod requests;
mod sessions;
mod streams;
#[cfg(test)]
mod tests;
mod upstreams;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

pub use action::{ClientEnd, NodeAction, NodeNotice, Response, SessionEnd, Shut};
pub use event::{Endpoint, NodeEvent, UpstreamEvent};
#[cfg(feature = "model")]
pub use fingerprint::SessionPlace;
pub use streams::ClientFault;

use crate::config::{NodeConfig, NodeOptions};
use crate::credit::Pool;
use crate::error::Misuse;
use crate::id::{Counter, IdGenerator, RequestId, UpstreamId};
use crate::node::sessions::batch::{Batch, OpRef};
use crate::node::sessions::closed::Departed;
use crate::node::sessions::hold::Verdict;
use crate::node::sessions::reply::Fixed;
use crate::node::streams::Connections;
use crate::node::streams::client::ConnectionId;
use crate::node::upstreams::{State, Upstreams};
use crate::stats::NodeStats;
use crate::time::Instant;
use crate::timer::{TimerKind, TimerQueue, Wake};
use crate::wire::Sid;

/// The node: it takes the requests that relays forward, opens upstreams for them, and answers.
///
/// Events go in with [`handle`](Self::handle), actions come out of [`poll`](Self::poll). The contract:
///
/// - Events may come in any number before the actions are taken.
/// - What comes out depends on the events and the `now` values alone. Nothing appears because time passed:
///   hand in [`Timeout`](NodeEvent::Timeout). An older `now` counts as the newest one so far.
/// - [`Idle`](NodeAction::Idle) comes when and only when nothing else is queued. After `Timeout` at its `wake`,
///   the next `wake` is later.
/// - Every request is answered once, unless its caller has [gone](NodeEvent::RequestGone) before. Every session
///   that was opened ends with one [`SessionEnded`](NodeNotice::SessionEnded).
/// - What a peer does wrong is answered; what the caller does wrong is [`Misuse`], and changes nothing. An
///   event about an upstream or request that has ended is neither: it is ignored.
/// - Memory is bounded by the configuration, whatever the driver's pace.
///
/// ```
/// use seqlane::{Endpoint, Instant, Node, NodeAction, NodeEvent, NodeOptions, RequestId, Secret};
///
/// let config = NodeOptions::new(Secret::new("key")).validate()?;
/// let mut node = Node::new(config, [7; 32], Instant::ZERO);
/// node.handle(
///     Instant::from_micros(10),
///     NodeEvent::Request {
///         request: RequestId::new(0),
///         endpoint: Endpoint::Batch,
///         body: r#"{"k":"key","ops":[{"op":"close","sid":"x"}]}"#.into(),
///     },
/// )?;
/// let NodeAction::Respond { response, .. } = node.poll() else { panic!("answered at once") };
/// assert_eq!(response.body.into_bytes(), r#"{"r":[{"sid":"x","eof":true}]}"#);
/// assert_eq!(node.poll(), NodeAction::Idle { wake: None });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    config: NodeOptions,
    now: Instant,
    phase: Phase,
    sids: IdGenerator<Sid>,
    opened: Counter,
    last_request: Option<RequestId>,
    requests: BTreeMap<RequestId, Batch>,
    upstreams: Upstreams,
    sessions: BTreeMap<Sid, UpstreamId>,
    departed: Departed,
    /// The clients of level 2.
    connections: Connections,
    pool: Pool,
    /// Upstreams that the pool had no credit for.
    starved: BTreeSet<UpstreamId>,
    timers: TimerQueue<Owner>,
    wake: Option<Wake>,
    agenda: VecDeque<Task>,
    actions: VecDeque<NodeAction>,
    /// Bytes on their way from sessions into an answer; empty between events, kept for its capacity.
    pieces: Pieces,
    stats: NodeStats,
}

/// Ended sessions that are remembered even by a node of very few sessions, so that a late op of one that was
/// cut is not told of an orderly end; some 100 KiB.
const FEWEST_DEPARTED: usize = 1024;

/// Whether the node works.
///
/// ```text
///  Running ── Close ──▶ Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Running,
    /// [`NodeEvent::Close`] has come: every request is answered with an error.
    Closed,
}

/// Whose deadline a timer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Request(RequestId),
    Upstream(UpstreamId),
    Connection(ConnectionId),
}

/// What changed and has to be looked at before the event is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Whether the batch can be answered.
    Batch(RequestId),
    /// Whether the next op of the upstream's session can run, whether it gets credit, and when its deadline is.
    Session(UpstreamId),
    /// Whether a held request of the client can be answered.
    Connection(ConnectionId),
}

/// Slices of payload, never shown.
#[derive(Clone, Default)]
struct Pieces(Vec<Bytes>);

impl core::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} pieces", self.0.len())
    }
}

impl Node {
    /// A node.
    ///
    /// `seed` must be secret and fresh: 32 bytes of the operating system's randomness for each node. It makes
    /// session ids, epochs and the nonces of sealed packets: whoever guesses it can join sessions, and two nodes
    /// with one seed and one secret break the seal of level 2.
    pub fn new(config: NodeConfig, seed: [u8; 32], now: Instant) -> Self {
        let config = config.into_options();
        let pool = Pool::new(config.total_buffer);
        let departed = Departed::new(config.max_sessions.max(FEWEST_DEPARTED));
        let connections = Connections::new(&config, seed);
        Self {
            config,
            now,
            phase: Phase::Running,
            sids: IdGenerator::new(seed),
            opened: Counter::default(),
            last_request: None,
            requests: BTreeMap::new(),
            upstreams: Upstreams::default(),
            sessions: BTreeMap::new(),
            departed,
            connections,
            pool,
            starved: BTreeSet::new(),
            timers: TimerQueue::new(),
            wake: None,
            agenda: VecDeque::new(),
            actions: VecDeque::new(),
            pieces: Pieces::default(),
            stats: NodeStats::default(),
        }
    }

    /// A node for models: packets of level 2 are read and written with [`Seal::null`](crate::wire::seal::Seal::null),
    /// that is, without any seal.
    #[cfg(any(test, feature = "model"))]
    pub fn unsealed(config: NodeConfig, seed: [u8; 32], now: Instant) -> Self {
        let connections = Connections::unsealed(config.options(), seed);
        Self { connections, ..Self::new(config, seed, now) }
    }

    /// Hands in what happened.
    ///
    /// # Errors
    /// [`Misuse`] when the event breaks the contract; nothing has changed then.
    pub fn handle(&mut self, now: Instant, event: NodeEvent) -> Result<(), Misuse> {
        self.check(&event)?;
        self.now = self.now.max(now);
        match event {
            NodeEvent::Request { request, endpoint, body } => self.on_request(request, &endpoint, body),
            NodeEvent::RequestGone { request } => self.on_request_gone(request),
            NodeEvent::Upstream { upstream, event } => self.on_upstream(upstream, event),
            NodeEvent::Timeout => self.on_timeout(),
            NodeEvent::Close => self.on_close(),
        }
        self.work();
        self.wake = self.next_wake();
        Ok(())
    }

    /// Takes the next thing to do; [`Idle`](NodeAction::Idle) when there is none.
    pub fn poll(&mut self) -> NodeAction {
        self.actions.pop_front().unwrap_or(NodeAction::Idle { wake: self.wake })
    }

    /// What the node has done so far.
    pub const fn stats(&self) -> &NodeStats {
        &self.stats
    }

    /// Payload bytes that the node keeps: what came from upstreams and was not fetched, what waits for its
    /// turn or for an upstream to open, and what was handed out and not reported written. Visits every
    /// upstream.
    pub fn buffered_bytes(&self) -> usize {
        let bytes = self.upstreams.values().map(|upstream| match &upstream.state {
            State::Connecting(connect) => connect.opening.bytes(),
            State::Open(session) => {
                let queued = session.turn.bytes().saturating_add(session.uplink.unwritten());
                queued.saturating_add(session.kept())
            }
            State::Lingering(uplink) => uplink.unwritten(),
            State::Stream(_) => 0, // counted with its client
        });
        bytes.fold(self.connections.buffered_bytes(), usize::saturating_add)
    }

    /// Everything that is due. Each owner acts on its deadline, so that its next one is later.
    fn on_timeout(&mut self) {
        while let Some((_, owner)) = self.timers.first().filter(|(at, _)| *at <= self.now) {
            match owner {
                Owner::Request(request) => self.list(request),
                Owner::Upstream(upstream) => self.on_upstream_deadline(upstream),
                Owner::Connection(connection) => self.on_connection_deadline(connection),
            }
            self.work();
        }
    }

    /// Puts a batch on the agenda.
    fn list(&mut self, request: RequestId) {
        if let Some(batch) = self.requests.get_mut(&request)
            && !batch.listed
        {
            batch.listed = true;
            self.agenda.push_back(Task::Batch(request));
        }
    }

    /// Puts a session on the agenda.
    fn touch(&mut self, upstream: UpstreamId) {
        let task = Task::Session(upstream);
        if self.agenda.back() != Some(&task) {
            self.agenda.push_back(task);
        }
    }

    /// Works the agenda off. Every task either moves an op on or puts nothing new on the agenda.
    fn work(&mut self) {
        while let Some(task) = self.agenda.pop_front() {
            match task {
                Task::Batch(request) => self.settle(request),
                Task::Session(upstream) => {
                    self.advance(upstream);
                    self.grant(upstream);
                    self.arm(upstream);
                }
                Task::Connection(connection) => self.serve(connection),
            }
            self.feed_starved();
        }
    }

    /// Answers a batch, or sets its timer.
    fn settle(&mut self, request: RequestId) {
        let Self { requests, upstreams, timers, .. } = self;
        let Some(batch) = requests.get_mut(&request) else { return };
        batch.listed = false;
        let growing = |upstream| upstreams.session(upstream)?.growing();
        let at = match batch.verdict(self.now, growing) {
            Verdict::Answer => return self.answer(request),
            Verdict::Unready => None,
            Verdict::Wait { at, timer } => {
                batch.due = timer;
                Some(at)
            }
        };
        timers.set(&mut batch.timer, Owner::Request(request), at);
    }

    /// Sets the timer of an upstream.
    fn arm(&mut self, upstream: UpstreamId) {
        let at = self.upstream_deadline(upstream).map(|(at, _)| at);
        if let Some(entry) = self.upstreams.get_mut(&upstream) {
            self.timers.set(&mut entry.timer, Owner::Upstream(upstream), at);
        }
    }

    /// When an upstream needs attention by itself, and why.
    fn upstream_deadline(&self, upstream: UpstreamId) -> Option<(Instant, TimerKind)> {
        match &self.upstreams.get(&upstream)?.state {
            State::Connecting(connect) => Some((connect.deadline, TimerKind::Connect)),
            State::Open(session) => session.deadline(&self.config),
            State::Lingering(uplink) => uplink.deadline(&self.config).map(|at| (at, TimerKind::Write)),
            State::Stream(at) => self.stream_of(*at)?.deadline(&self.config),
        }
    }

    fn next_wake(&self) -> Option<Wake> {
        let (at, owner) = self.timers.first()?;
        let timer = match owner {
            Owner::Request(request) => self.requests.get(&request)?.due,
            Owner::Upstream(upstream) => self.upstream_deadline(upstream)?.1,
            Owner::Connection(connection) => self.connections.get(connection)?.due(),
        };
        Some(Wake { at, timer })
    }

    /// Takes an upstream out, with its timer.
    fn remove_upstream(&mut self, upstream: UpstreamId) -> Option<State> {
        let mut entry = self.upstreams.remove(&upstream)?;
        self.timers.set(&mut entry.timer, Owner::Upstream(upstream), None);
        Some(entry.state)
    }

    /// The reply to an op is known, if its request is still held.
    fn tell(&mut self, op: OpRef, reply: Fixed) {
        if let Some(batch) = self.requests.get_mut(&op.request) {
            self.stats.failed_ops = self.stats.failed_ops.saturating_add(u64::from(reply.error.is_some()));
            batch.tell(op.place, reply);
            self.list(op.request);
        }
    }

    fn notice(&mut self, notice: NodeNotice) {
        self.actions.push_back(NodeAction::Event(notice));
    }
}
