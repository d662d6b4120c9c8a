//! The task that owns the node machine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::{
    Endpoint, FlowKind, Instant, Node, NodeAction, NodeEvent, NodeNotice, NodeStats, RequestId, Response,
    Shut, Target, UpstreamEvent, UpstreamId, UserOptions, UserStats, Wake,
};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, error};

use super::connector::{AnyConnector, Dial};
use super::log::{self, Log};
use super::messages::{Input, NodeSnapshot};
use super::upstream::{Reports, UpstreamHandle};
use super::user::Rules;
use crate::clock::Clock;
use crate::driver::{self, Driver};
use crate::record::RecordedMachine;

/// Inputs that wait for the driver: enough to keep it busy, few enough that none waits long behind the others.
pub(super) const INPUT_QUEUE: usize = 1024;

/// Inputs handed in before the machine's actions are performed.
const BATCH: usize = 64;

/// The node machine and everything that its actions touch.
pub(super) struct NodeDriver {
    machine: RecordedMachine<Node>,
    clock: Clock,
    /// The drain time of a stop that was asked for.
    stopping: Option<Duration>,
    /// Who waits for the last upstream to end.
    drained: Option<oneshot::Sender<()>>,
    inputs: mpsc::Receiver<Input>,
    /// Inputs that were taken and are not handed in yet.
    taken: Vec<Input>,
    /// Requests whose callers have gone. Unbounded in type, because it is filled from `Drop`; each request is in it
    /// at most once, so it is bounded by the requests in flight.
    gone: mpsc::UnboundedReceiver<RequestId>,
    answers: HashMap<RequestId, oneshot::Sender<Response>>,
    upstreams: Upstreams,
    notices: broadcast::Sender<NodeNotice>,
    log: Log,
}

/// The upstreams of the node.
struct Upstreams {
    live: HashMap<UpstreamId, UpstreamHandle>,
    tasks: JoinSet<()>,
    inputs: mpsc::Sender<Input>,
    connector: Arc<dyn AnyConnector>,
    rules: Rules,
    flush: Duration,
}

/// What the driver needs besides the machine.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) inputs: mpsc::Receiver<Input>,
    /// For the reports of upstreams.
    pub(super) reports: mpsc::Sender<Input>,
    pub(super) gone: mpsc::UnboundedReceiver<RequestId>,
    pub(super) notices: broadcast::Sender<NodeNotice>,
    pub(super) connector: Arc<dyn AnyConnector>,
    /// What users may open.
    pub(super) rules: Rules,
    /// The longest time in which an upstream that is closed in order writes its queue.
    pub(super) flush: Duration,
}

/// What ends a wait.
pub(super) enum Happened {
    Gone(RequestId),
    Inputs,
}

impl NodeDriver {
    pub(super) fn new(machine: RecordedMachine<Node>, parts: Parts) -> Self {
        Self {
            machine,
            clock: parts.clock,
            stopping: None,
            drained: None,
            inputs: parts.inputs,
            taken: Vec::with_capacity(BATCH),
            gone: parts.gone,
            answers: HashMap::new(),
            upstreams: Upstreams {
                live: HashMap::new(),
                tasks: JoinSet::new(),
                inputs: parts.reports,
                connector: parts.connector,
                rules: parts.rules,
                flush: parts.flush,
            },
            notices: parts.notices,
            log: Log::default(),
        }
    }

    /// Runs until the node is stopped.
    pub(super) async fn run(mut self) {
        let clock = self.clock;
        driver::run(&mut self, clock).await;
        self.finish().await;
    }

    fn event(&mut self, now: Instant, event: NodeEvent) {
        if let Err(misuse) = self.machine.handle(now, event) {
            error!(%misuse, "the driver broke the contract of the node machine; this is a bug");
        }
    }

    fn on_inputs(&mut self, now: Instant) {
        let mut inputs = std::mem::take(&mut self.taken);
        for input in inputs.drain(..) {
            if self.stopping.is_none() {
                self.on_input(now, input);
            }
        }
        self.taken = inputs;
    }

    fn on_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Request { request, endpoint, body, share, answer } => {
                // A request whose caller has gone is not executed.
                if !answer.is_closed() {
                    self.on_request(now, request, endpoint, body, answer);
                }
                drop(share);
            }
            Input::Upstream { upstream, event } => {
                if matches!(event, UpstreamEvent::Failed(_) | UpstreamEvent::Reset) {
                    self.upstreams.live.remove(&upstream);
                }
                self.event(now, NodeEvent::Upstream { upstream, event });
            }
            Input::Snapshot(asker) => {
                // An asker that has gone needs no answer.
                drop(asker.send(self.snapshot()));
            }
            Input::Users(users, rules) => self.on_users(now, users, rules),
            Input::Drain(drained) => {
                self.drained = Some(drained);
                self.event(now, NodeEvent::Drain);
            }
            Input::Close => self.event(now, NodeEvent::Close),
            Input::Stop(drain) => {
                self.machine.user_stats().for_each(|(name, stats)| log::user(name, stats));
                self.stopping = Some(drain);
            }
        }
    }

    fn on_users(&mut self, now: Instant, users: Vec<UserOptions>, rules: Rules) {
        let before = self.user_stats();
        let old = std::mem::replace(&mut self.upstreams.rules, rules);
        // The machine knows no rules: whoever has other ones is another user to it, as with another secret.
        let is_same = |user: &&UserOptions| old.of(&user.name) == self.upstreams.rules.of(&user.name);
        let same: Vec<_> = users.iter().filter(is_same).cloned().collect();
        let some_changed = same.len() < users.len();
        self.event(now, NodeEvent::Users(same));
        let after = self.user_stats();
        let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
        gone.for_each(|(name, stats)| log::user(name, stats));
        if some_changed {
            self.event(now, NodeEvent::Users(users));
        }
    }

    fn user_stats(&self) -> BTreeMap<Box<str>, UserStats> {
        self.machine.user_stats().map(|(name, stats)| (name.into(), stats.clone())).collect()
    }

    fn on_request(
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
            // Dropping the sender ends the wait of the service.
            Err(misuse) => {
                error!(%misuse, "the driver broke the contract of the node machine; this is a bug")
            }
        }
    }

    fn on_request_gone(&mut self, now: Instant, request: RequestId) {
        // One that is not here was answered at the same moment, or is still in the queue and will be dropped.
        if self.answers.remove(&request).is_some() {
            self.event(now, NodeEvent::RequestGone { request });
        }
    }

    fn snapshot(&self) -> NodeSnapshot {
        NodeSnapshot {
            stats: NodeStats::clone(self.machine.stats()),
            users: self.user_stats(),
            buffered_bytes: self.machine.buffered_bytes(),
            held_requests: self.answers.len(),
            upstreams: self.upstreams.live.len(),
            connections: 0,
        }
    }

    /// Tells who waits for it that no upstream is left.
    fn report_drained(&mut self) {
        if self.upstreams.live.is_empty()
            && let Some(drained) = self.drained.take()
        {
            // Who waits no longer needs no answer.
            let _ = drained.send(());
        }
    }

    /// Lets upstreams write their queues, for as long as the stop allows.
    async fn finish(mut self) {
        // Unread reports must not block the tasks of upstreams.
        self.inputs.close();
        while self.inputs.try_recv().is_ok() {}
        let drain = self.stopping.unwrap_or_default();
        let mut tasks = self.upstreams.tasks;
        if timeout(drain, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            debug!(upstreams = tasks.len(), "upstreams still have queued bytes and are reset");
        }
    }
}

impl Driver for NodeDriver {
    type Happened = Happened;

    async fn wait(&mut self) -> Happened {
        tokio::select! {
            biased;
            Some(request) = self.gone.recv() => Happened::Gone(request),
            _ = self.inputs.recv_many(&mut self.taken, BATCH) => Happened::Inputs,
        }
    }

    fn handle(&mut self, now: Instant, happened: Option<Happened>) {
        match happened {
            None => self.event(now, NodeEvent::Timeout),
            Some(Happened::Gone(request)) => self.on_request_gone(now, request),
            Some(Happened::Inputs) => self.on_inputs(now),
        }
    }

    fn perform(&mut self) -> Option<Wake> {
        while self.upstreams.tasks.try_join_next().is_some() {}
        loop {
            match self.machine.poll() {
                NodeAction::Respond { request, response } => {
                    debug!(%request, status = response.status, bytes = response.body.len(), "answer");
                    if let Some(answer) = self.answers.remove(&request) {
                        // A caller that has just gone needs no answer.
                        drop(answer.send(response));
                    }
                }
                NodeAction::OpenUpstream { upstream, target, kind, user, deadline: _ } => {
                    self.upstreams.open(upstream, target, kind, &user);
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
                    if let Some(upstream) = self.upstreams.live.get(&upstream) {
                        upstream.finish();
                    }
                }
                NodeAction::ShutUpstream { upstream, how } => self.upstreams.shut(upstream, how),
                NodeAction::Event(notice) => {
                    self.log.notice(self.clock.now(), &notice);
                    // Nobody need listen.
                    let _ = self.notices.send(notice);
                }
                NodeAction::Idle { wake } => {
                    self.report_drained();
                    return wake;
                }
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.stopping.is_some()
    }
}

impl Upstreams {
    fn open(&mut self, id: UpstreamId, target: Target, kind: FlowKind, user: &str) {
        let reports = Reports::new(id, self.inputs.clone());
        let (connector, access) = (Arc::clone(&self.connector), self.rules.of(user));
        let (upstream, task) =
            UpstreamHandle::open(target, kind, Dial { connector, access }, reports, self.flush);
        self.live.insert(id, upstream);
        self.tasks.spawn(task);
    }

    fn shut(&mut self, id: UpstreamId, how: Shut) {
        if let Some(upstream) = self.live.remove(&id) {
            upstream.shut(how);
        }
    }
}
