//! The one task that owns the machine: waits, hands in what happened, performs what the machine wants.
//!
//! ```text
//!  HTTP requests ─┐                                  ┌─▶ answers
//!  upstreams ─────┼─▶ inputs ─▶ handle ─▶ poll … ────┼─▶ upstreams
//!  wake time ─────┘             └─ one clock reading ┘─▶ next wake time
//! ```
//! It never waits for anything but its inputs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::{
    Endpoint, FlowKind, Instant, Node, NodeAction, NodeEvent, NodeNotice, NodeStats, RequestId, Response,
    Shut, Target, UpstreamEvent, UpstreamId, Wake,
};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, error};

use super::NodeSnapshot;
use super::notices::Notices;
use super::resolve::Resolver;
use super::upstream::{Events, Upstream};
use crate::clock::Clock;
use crate::http::body::Share;
use crate::record::Taped;

/// Inputs that wait for the driver: enough to keep it busy, few enough that nobody waits long behind them.
pub(crate) const INPUT_QUEUE: usize = 1024;

/// Inputs handed in between two looks at the clock.
const BATCH: usize = 64;

/// Something for the driver.
#[derive(Debug)]
pub(crate) enum Input {
    Request {
        request: RequestId,
        endpoint: Endpoint,
        body: Bytes,
        /// The body's share of the server's memory, given back when the machine has read it.
        share: Share,
        answer: oneshot::Sender<Response>,
    },
    Upstream {
        upstream: UpstreamId,
        event: UpstreamEvent,
    },
    Snapshot(oneshot::Sender<NodeSnapshot>),
    /// Answer what is held and open nothing new.
    Close,
    /// End, when the upstreams have written what they were given, or after this time.
    Stop(Duration),
}

/// The machine with everything that it drives.
pub(crate) struct Driver {
    machine: Taped<Node>,
    clock: Clock,
    wake: Option<Wake>,
    inputs: mpsc::Receiver<Input>,
    /// Requests whose callers have gone. Unbounded in type, because it is filled from `Drop`; each request
    /// is in it at most once, so it is bounded by the requests in flight.
    gone: mpsc::UnboundedReceiver<RequestId>,
    answers: HashMap<RequestId, oneshot::Sender<Response>>,
    upstreams: Upstreams,
    notices: Notices,
}

/// The upstream sockets.
struct Upstreams {
    live: HashMap<UpstreamId, Upstream>,
    tasks: JoinSet<()>,
    inputs: mpsc::Sender<Input>,
    resolver: Arc<Resolver>,
    flush: Duration,
}

/// What the driver needs besides the machine.
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) inputs: mpsc::Receiver<Input>,
    /// For the reports of upstreams.
    pub(crate) reports: mpsc::Sender<Input>,
    pub(crate) gone: mpsc::UnboundedReceiver<RequestId>,
    pub(crate) notices: broadcast::Sender<NodeNotice>,
    pub(crate) resolver: Arc<Resolver>,
    /// How long an upstream that is closed in order may take to write what it was given.
    pub(crate) flush: Duration,
}

impl Driver {
    pub(crate) fn new(machine: Taped<Node>, parts: Parts) -> Self {
        Self {
            machine,
            clock: parts.clock,
            wake: None,
            inputs: parts.inputs,
            gone: parts.gone,
            answers: HashMap::new(),
            upstreams: Upstreams {
                live: HashMap::new(),
                tasks: JoinSet::new(),
                inputs: parts.reports,
                resolver: parts.resolver,
                flush: parts.flush,
            },
            notices: Notices::new(parts.notices),
        }
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self) {
        let mut inputs = Vec::with_capacity(BATCH);
        let mut gone = None;
        self.perform();
        loop {
            // 1. Wait for the wake time or an input.
            let wake_at = self.wake.map(|wake| self.clock.to_tokio(wake.at));
            tokio::select! {
                biased;
                () = sleep_until(wake_at.unwrap_or_else(tokio::time::Instant::now)), if wake_at.is_some() => {}
                Some(request) = self.gone.recv() => gone = Some(request),
                _ = self.inputs.recv_many(&mut inputs, BATCH) => {}
            }
            // 2. Read the clock, once.
            let now = self.clock.now();
            // 3. Hand in what happened: timers, then callers that have gone, then the rest.
            if self.wake.is_some_and(|wake| wake.at <= now) {
                self.handle(now, NodeEvent::Timeout);
            }
            if let Some(request) = gone.take() {
                self.request_gone(now, request);
            }
            for input in inputs.drain(..) {
                if let Some(patience) = self.input(now, input) {
                    return self.stop(patience).await;
                }
            }
            // 4. Perform what the machine wants, until it is idle; 5. that names the next wake time.
            self.perform();
            while self.upstreams.tasks.try_join_next().is_some() {}
        }
    }

    fn handle(&mut self, now: Instant, event: NodeEvent) {
        if let Err(misuse) = self.machine.handle(now, event) {
            error!(%misuse, "the driver broke the contract of the node machine");
        }
    }

    /// Takes one input; gives the patience of a stop.
    fn input(&mut self, now: Instant, input: Input) -> Option<Duration> {
        match input {
            Input::Request { request, endpoint, body, share, answer } => {
                // Whoever went away before the request was read wants nothing done any more.
                if !answer.is_closed() {
                    self.request(now, request, endpoint, body, answer);
                }
                drop(share);
            }
            Input::Upstream { upstream, event } => {
                if matches!(event, UpstreamEvent::Failed(_) | UpstreamEvent::Reset) {
                    self.upstreams.live.remove(&upstream);
                }
                self.handle(now, NodeEvent::Upstream { upstream, event });
            }
            Input::Snapshot(asker) => {
                // An asker that has gone needs no answer.
                drop(asker.send(self.snapshot()));
            }
            Input::Close => self.handle(now, NodeEvent::Close),
            Input::Stop(patience) => return Some(patience),
        }
        None
    }

    fn request(
        &mut self,
        now: Instant,
        request: RequestId,
        endpoint: Endpoint,
        body: Bytes,
        answer: oneshot::Sender<Response>,
    ) {
        debug!(%request, ?endpoint, bytes = body.len(), "request");
        match self.machine.handle(now, NodeEvent::Request { request, endpoint, body }) {
            Ok(()) => {
                self.answers.insert(request, answer);
            }
            // Dropping the sender tells the service that there will be no answer.
            Err(misuse) => error!(%misuse, "the driver broke the contract of the node machine"),
        }
    }

    fn request_gone(&mut self, now: Instant, request: RequestId) {
        // One that is not here was answered at the same moment, or is still in the queue and will be dropped.
        if self.answers.remove(&request).is_some() {
            self.handle(now, NodeEvent::RequestGone { request });
        }
    }

    fn perform(&mut self) {
        loop {
            match self.machine.poll() {
                NodeAction::Respond { request, response } => {
                    debug!(%request, status = response.status, bytes = response.body.len(), "answer");
                    if let Some(answer) = self.answers.remove(&request) {
                        // A caller that has just gone needs no answer.
                        drop(answer.send(response));
                    }
                }
                NodeAction::OpenUpstream { upstream, target, kind, deadline: _ } => {
                    self.upstreams.open(upstream, target, kind);
                }
                NodeAction::WriteUpstream { upstream, bytes } => {
                    if let Some(upstream) = self.upstreams.live.get(&upstream) {
                        upstream.write(bytes);
                    }
                }
                NodeAction::Credit { upstream, bytes } => {
                    if let Some(upstream) = self.upstreams.live.get(&upstream) {
                        upstream.credit(bytes);
                    }
                }
                NodeAction::FinishUpstream { upstream } => {
                    if let Some(upstream) = self.upstreams.live.get_mut(&upstream) {
                        upstream.finish();
                    }
                }
                NodeAction::ShutUpstream { upstream, how } => self.upstreams.shut(upstream, how),
                NodeAction::Event(notice) => self.notices.publish(self.clock.now(), notice),
                NodeAction::Idle { wake } => {
                    self.wake = wake;
                    return;
                }
            }
        }
    }

    fn snapshot(&self) -> NodeSnapshot {
        NodeSnapshot {
            stats: NodeStats::clone(self.machine.stats()),
            buffered_bytes: self.machine.buffered_bytes(),
            held_requests: self.answers.len(),
            upstreams: self.upstreams.live.len(),
            connections: 0,
        }
    }

    async fn stop(mut self, patience: Duration) {
        self.perform();
        // Reports that nobody reads must not hold up the tasks that make them.
        self.inputs.close();
        while self.inputs.try_recv().is_ok() {}
        let mut tasks = self.upstreams.tasks;
        if timeout(patience, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            debug!(upstreams = tasks.len(), "upstreams had not taken all their bytes and are reset");
        }
    }
}

impl Upstreams {
    fn open(&mut self, id: UpstreamId, target: Target, kind: FlowKind) {
        let events = Events::new(id, self.inputs.clone());
        let (upstream, task) = Upstream::open(target, kind, Arc::clone(&self.resolver), events, self.flush);
        self.live.insert(id, upstream);
        self.tasks.spawn(task);
    }

    fn shut(&mut self, id: UpstreamId, how: Shut) {
        if let Some(upstream) = self.live.remove(&id) {
            upstream.shut(how);
        }
    }
}
