//! The task that owns the client machine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::Body;
use seqlane::{
    BodyForm, Client, ClientAction, ClientEvent, ClientNotice, Decryptor, EndReason, ExchangeFailure,
    ExchangeId, FlowId, FlowKind, Instant, LocalEvent, OpenError, RelayId, Target, Wake,
};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tracing::error;

use super::log::{CallEnd, Log};
use super::messages::{ActionSender, FlowAction, Input};
use crate::carrier::{AnyCarrier, Call};
use crate::clock::Clock;
use crate::driver::{self, Driver};
use crate::record::RecordedMachine;
use crate::sealing;

/// Inputs that wait for the driver. Each is one read of a local socket at most, within credit.
pub(super) const INPUT_QUEUE: usize = 1024;

/// Inputs handed in before the machine's actions are performed: enough to batch, few enough that answers and timers
/// do not wait long.
const BATCH: usize = 256;

/// A carrier that ignores the deadline of a call is cut off this long after it. One that observes it gets the time
/// to say what is known of the request.
const OVERTIME: Duration = Duration::from_secs(1);

/// The client machine and everything that its actions touch.
pub(super) struct ClientDriver {
    machine: RecordedMachine<Client>,
    clock: Clock,
    /// Whether the client was closed and has sent everything, or nobody is left who could use it.
    finished: bool,
    inputs: mpsc::Receiver<Input>,
    /// Inputs that were taken and are not handed in yet.
    taken: Vec<Input>,
    reports: mpsc::UnboundedReceiver<(FlowId, LocalEvent)>,
    flows: HashMap<FlowId, ActionSender>,
    calls: Calls,
    notices: broadcast::Sender<ClientNotice>,
    log: Log,
}

/// What the driver needs besides the machine.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) reports: mpsc::UnboundedReceiver<(FlowId, LocalEvent)>,
    pub(super) notices: broadcast::Sender<ClientNotice>,
    /// One for each relay of the machine's configuration, in its order.
    pub(super) carriers: Vec<Arc<dyn AnyCarrier>>,
    pub(super) log: Log,
}

/// Calls under way.
struct Calls {
    carriers: Vec<Arc<dyn AnyCarrier>>,
    tasks: JoinSet<CallEnd>,
    /// Answers whose first bytes have come. Unbounded in type; every exchange is in it at most once.
    begin: mpsc::UnboundedSender<ExchangeId>,
    begun: mpsc::UnboundedReceiver<ExchangeId>,
}

/// What a call carries, and what opens its answer.
struct Request {
    body: Body,
    form: BodyForm,
    deadline: Instant,
    decryptor: Option<Decryptor>,
}

/// What ends a wait.
pub(super) enum Happened {
    Answering(ExchangeId),
    Called(CallEnd),
    Reported(FlowId, LocalEvent),
    Inputs,
    Abandoned,
    Nothing,
}

impl ClientDriver {
    pub(super) fn new(machine: RecordedMachine<Client>, parts: Parts) -> Self {
        let (begin, begun) = mpsc::unbounded_channel();
        Self {
            machine,
            clock: parts.clock,
            finished: false,
            inputs: parts.inputs,
            taken: Vec::with_capacity(BATCH),
            reports: parts.reports,
            flows: HashMap::new(),
            calls: Calls { carriers: parts.carriers, tasks: JoinSet::new(), begin, begun },
            notices: parts.notices,
            log: parts.log,
        }
    }

    /// Runs until the client was closed, or nobody is left who could use it.
    pub(super) async fn run(mut self) {
        let clock = self.clock;
        driver::run(&mut self, clock).await;
    }

    fn event(&mut self, now: Instant, event: ClientEvent) {
        if let Err(misuse) = self.machine.handle(now, event) {
            error!(%misuse, "the driver broke the contract of the client machine; this is a bug");
        }
    }

    fn on_reports(&mut self, now: Instant, flow: FlowId, event: LocalEvent) {
        self.event(now, ClientEvent::Local { flow, event });
        for _ in 1..BATCH {
            let Ok((flow, event)) = self.reports.try_recv() else { return };
            self.event(now, ClientEvent::Local { flow, event });
        }
    }

    fn on_inputs(&mut self, now: Instant) {
        let mut inputs = std::mem::take(&mut self.taken);
        for input in inputs.drain(..) {
            self.on_input(now, input);
        }
        self.taken = inputs;
    }

    fn on_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Open { target, kind, actions, answer } => {
                let opened = self.open(now, target, kind, actions);
                if answer.send(opened).is_err()
                    && let Ok(flow) = opened
                {
                    self.event(now, ClientEvent::Local { flow, event: LocalEvent::Reset });
                }
            }
            Input::Local { flow, event } => self.event(now, ClientEvent::Local { flow, event }),
            Input::Stats(answer) => {
                // An asker that has gone needs no answer.
                let _ = answer.send(self.machine.stats().clone());
            }
            Input::Close => self.event(now, ClientEvent::Close),
        }
    }

    fn open(
        &mut self,
        now: Instant,
        target: Target,
        kind: FlowKind,
        actions: ActionSender,
    ) -> Result<FlowId, OpenError> {
        let flow = self.machine.open(now, target.clone(), kind)?;
        self.log.opening(flow, &target, kind);
        self.flows.insert(flow, actions);
        Ok(flow)
    }

    fn send(&mut self, exchange: ExchangeId, relay: RelayId, request: Request) {
        let Request { body, form, deadline, decryptor } = request;
        self.log.calling(exchange, relay, body.len());
        let deadline = self.clock.to_tokio(deadline);
        let index = usize::try_from(relay.index()).unwrap_or(usize::MAX);
        let (carrier, begin) = (self.calls.carriers.get(index).cloned(), self.calls.begin.clone());
        self.calls.tasks.spawn(async move {
            let started = tokio::time::Instant::now();
            let report = move || {
                // A driver that has gone needs no reports.
                let _ = begin.send(exchange);
            };
            let outcome = match (carrier, sealing::into_bytes(body).await) {
                (Some(carrier), Some(body)) => {
                    let calling = carrier.call(Call::new(body, form, deadline).reporting(report));
                    let called = timeout_at(deadline + OVERTIME, calling).await;
                    called.unwrap_or_else(|_| Err(ExchangeFailure::Unknown.into()))
                }
                (None, _) | (_, None) => Err(ExchangeFailure::NotSent.into()),
            };
            let took = started.elapsed();
            let answered = outcome.as_ref().map(Bytes::len).map_err(Clone::clone);
            let event = match (outcome, decryptor) {
                (Ok(body), Some(decryptor)) => sealing::open(decryptor, exchange, body).await,
                (Ok(body), None) => ClientEvent::Reply { exchange, body },
                (Err(error), _) => ClientEvent::ExchangeFailed { exchange, why: error.failure() },
            };
            CallEnd { exchange, relay, answered, event, took }
        });
    }

    fn on_ended(&mut self, flow: FlowId, why: EndReason) {
        self.log.ended(self.clock.now(), flow, why);
        self.tell(flow, FlowAction::Ended(why));
        self.flows.remove(&flow);
    }

    /// A flow whose task has gone resets itself, so there is nothing to do when nobody listens.
    fn tell(&self, flow: FlowId, action: FlowAction) {
        if let Some(actions) = self.flows.get(&flow) {
            let _ = actions.send((flow, action));
        }
    }
}

impl Driver for ClientDriver {
    type Happened = Happened;

    async fn wait(&mut self) -> Happened {
        tokio::select! {
            biased;
            // Before the answers themselves, so that none begins after its end.
            Some(exchange) = self.calls.begun.recv() => Happened::Answering(exchange),
            Some(joined) = self.calls.tasks.join_next() => match joined {
                Ok(ended) => Happened::Called(ended),
                Err(panicked) => {
                    // The machine's own deadline ends the exchange.
                    error!(error = %panicked, "the task of a call failed; this is a bug");
                    Happened::Nothing
                }
            },
            Some((flow, event)) = self.reports.recv() => Happened::Reported(flow, event),
            count = self.inputs.recv_many(&mut self.taken, BATCH) => match count {
                0 => Happened::Abandoned,
                _ => Happened::Inputs,
            },
        }
    }

    fn handle(&mut self, now: Instant, happened: Option<Happened>) {
        match happened {
            None => self.event(now, ClientEvent::Timeout),
            Some(Happened::Answering(exchange)) => self.event(now, ClientEvent::Answering { exchange }),
            Some(Happened::Called(ended)) => {
                self.log.called(&ended);
                self.event(now, ended.event);
            }
            Some(Happened::Reported(flow, event)) => self.on_reports(now, flow, event),
            Some(Happened::Inputs) => self.on_inputs(now),
            Some(Happened::Abandoned) => self.finished = true,
            Some(Happened::Nothing) => {}
        }
    }

    fn perform(&mut self) -> Option<Wake> {
        loop {
            match self.machine.poll() {
                ClientAction::Send { exchange, relay, body, form, deadline, decryptor } => {
                    self.send(exchange, relay, Request { body, form, deadline, decryptor });
                }
                ClientAction::Deliver { flow, bytes } => self.tell(flow, FlowAction::Deliver(bytes)),
                ClientAction::Credit { flow, bytes } => self.tell(flow, FlowAction::Credit(bytes)),
                ClientAction::Opened { flow } => self.tell(flow, FlowAction::Opened),
                ClientAction::Fin { flow } => self.tell(flow, FlowAction::Fin),
                ClientAction::Ended { flow, why } => self.on_ended(flow, why),
                ClientAction::Closed => self.finished = true,
                ClientAction::Event(notice) => {
                    self.log.notice(self.clock.now(), &notice);
                    // Nobody need listen.
                    let _ = self.notices.send(notice);
                }
                ClientAction::Idle { wake } => return wake,
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.finished
    }
}
