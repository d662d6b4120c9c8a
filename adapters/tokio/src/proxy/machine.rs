//! The task that owns the client machine.
//!
//! ```text
//!  1 wait for the wake time, an answer, a report, an input
//!  2 read the clock once
//!  3 hand in what happened, at most BUDGET inputs
//!  4 poll until Idle, and do each action
//!  5 set the one timer to the wake time
//!  6 again
//! ```
//! Nothing in here waits for a socket: exchanges run in tasks of their own, and flows get their actions over
//! channels that never block.

use std::collections::HashMap;
use std::pin::{Pin, pin};

use bytes::Bytes;
use seqlane::wire::Body;
use seqlane::{
    BodyForm, Client, ClientAction, ClientEvent, ClientNotice, ClientStats, EndReason, ExchangeFailure,
    ExchangeId, FlowId, FlowKind, Instant, LocalEvent, OpenError, RelayId, Target, Wake,
};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep_until};
use tracing::error;

use super::door::Door;
use super::flow::{ActionSender, FlowAction};
use super::journal::{Exchanged, Journal};
use crate::clock::Clock;
use crate::exchange::{Exchanger, Trace};
use crate::record::Taped;
use crate::sealing;

/// What other tasks ask of the machine.
#[derive(Debug)]
pub(super) enum Input {
    Open {
        target: Target,
        kind: FlowKind,
        actions: ActionSender,
        answer: oneshot::Sender<Result<FlowId, OpenError>>,
    },
    Local {
        stream: FlowId,
        event: LocalEvent,
    },
    Stats(oneshot::Sender<ClientStats>),
    Close,
}

/// Inputs handed in before the machine's output is taken: enough to batch, few enough that answers and
/// timers do not wait long.
const BUDGET: usize = 256;

/// Inputs that wait for the machine. Each is one read of a local socket at most, within credit.
pub(super) const INPUTS: usize = 1024;

/// The client machine and everything that its actions touch.
pub(super) struct Machine {
    client: Taped<Client>,
    clock: Clock,
    wake: Option<Wake>,
    /// The client has said everything after its close.
    closed: bool,
    inputs: mpsc::Receiver<Input>,
    reports: mpsc::UnboundedReceiver<(FlowId, LocalEvent)>,
    notices: broadcast::Sender<ClientNotice>,
    flows: HashMap<FlowId, ActionSender>,
    exchanger: Exchanger,
    doors: Vec<Door>,
    exchanges: JoinSet<Exchanged>,
    answering: Answering,
    journal: Journal,
}

/// Answers whose first bytes have come. Unbounded in type; every exchange is in it at most once.
struct Answering {
    begin: mpsc::UnboundedSender<ExchangeId>,
    begun: mpsc::UnboundedReceiver<ExchangeId>,
}

impl Answering {
    fn new() -> Self {
        let (begin, begun) = mpsc::unbounded_channel();
        Self { begin, begun }
    }
}

/// What ended the wait.
enum Happened {
    Timeout,
    Answering(ExchangeId),
    Exchanged(Exchanged),
    Reported(FlowId, LocalEvent),
    Inputs,
    Abandoned,
    Nothing,
}

impl Machine {
    /// `doors` has those of every relay of the client's configuration, in its order.
    pub(super) fn new(
        client: impl FnOnce(Instant) -> Taped<Client>,
        exchanger: Exchanger,
        doors: Vec<Door>,
        inputs: mpsc::Receiver<Input>,
        reports: mpsc::UnboundedReceiver<(FlowId, LocalEvent)>,
        notices: broadcast::Sender<ClientNotice>,
        journal: Journal,
    ) -> Self {
        let clock = Clock::start();
        Self {
            client: client(clock.now()),
            clock,
            wake: None,
            closed: false,
            inputs,
            reports,
            notices,
            flows: HashMap::new(),
            exchanger,
            doors,
            exchanges: JoinSet::new(),
            answering: Answering::new(),
            journal,
        }
    }

    /// Runs until the client was closed, or nobody is left who could use it.
    pub(super) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(BUDGET);
        let mut timer = pin!(sleep_until(tokio::time::Instant::now()));
        let mut armed = None;
        self.drain();
        loop {
            if armed != self.wake {
                armed = self.wake;
                if let Some(wake) = self.wake {
                    timer.as_mut().reset(self.clock.to_tokio(wake.at));
                }
            }
            let happened = self.wait(timer.as_mut(), &mut waiting).await;
            let now = self.clock.now();
            match happened {
                Happened::Timeout => self.handle(now, ClientEvent::Timeout),
                Happened::Answering(exchange) => self.handle(now, ClientEvent::Answering { exchange }),
                Happened::Exchanged(ended) => self.on_exchanged(now, ended),
                Happened::Reported(stream, event) => self.on_reports(now, stream, event),
                Happened::Inputs => {
                    for input in waiting.drain(..) {
                        self.on_input(now, input);
                    }
                }
                Happened::Abandoned => return,
                Happened::Nothing => {}
            }
            self.drain();
            if self.closed {
                return;
            }
        }
    }

    async fn wait(&mut self, timer: Pin<&mut Sleep>, waiting: &mut Vec<Input>) -> Happened {
        tokio::select! {
            biased;
            () = timer, if self.wake.is_some() => Happened::Timeout,
            // Before the answers themselves, so that none begins after its end.
            Some(exchange) = self.answering.begun.recv() => Happened::Answering(exchange),
            Some(joined) = self.exchanges.join_next() => match joined {
                Ok(ended) => Happened::Exchanged(ended),
                Err(panicked) => {
                    // The machine's own watchdog ends the exchange.
                    error!(error = %panicked, "an exchange task failed; this is a bug");
                    Happened::Nothing
                }
            },
            Some((stream, event)) = self.reports.recv() => Happened::Reported(stream, event),
            count = self.inputs.recv_many(waiting, BUDGET) => match count {
                0 => Happened::Abandoned,
                _ => Happened::Inputs,
            },
        }
    }

    fn on_exchanged(&mut self, now: Instant, ended: Exchanged) {
        self.journal.called(&ended);
        self.handle(now, ended.event);
    }

    fn on_reports(&mut self, now: Instant, stream: FlowId, event: LocalEvent) {
        self.handle(now, ClientEvent::Local { flow: stream, event });
        for _ in 1..BUDGET {
            let Ok((stream, event)) = self.reports.try_recv() else { return };
            self.handle(now, ClientEvent::Local { flow: stream, event });
        }
    }

    fn on_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Open { target, kind, actions, answer } => {
                let opened = self.client.open(now, target.clone(), kind);
                if let Ok(stream) = opened {
                    self.journal.opening(stream, &target, kind);
                    self.flows.insert(stream, actions);
                }
                if answer.send(opened).is_err()
                    && let Ok(stream) = opened
                {
                    self.handle(now, ClientEvent::Local { flow: stream, event: LocalEvent::Reset });
                }
            }
            Input::Local { stream, event } => self.handle(now, ClientEvent::Local { flow: stream, event }),
            Input::Stats(answer) => {
                // Whoever asked may have gone.
                let _ = answer.send(self.client.stats().clone());
            }
            Input::Close => self.handle(now, ClientEvent::Close),
        }
    }

    fn handle(&mut self, now: Instant, event: ClientEvent) {
        if let Err(misuse) = self.client.handle(now, event) {
            error!(%misuse, "the client machine was misused; this is a bug");
        }
    }

    fn drain(&mut self) {
        loop {
            match self.client.poll() {
                ClientAction::Send { exchange, relay, body, form, deadline } => {
                    self.send(exchange, relay, body, form, deadline);
                }
                ClientAction::Deliver { flow: stream, bytes } => {
                    self.tell(stream, FlowAction::Deliver(bytes))
                }
                ClientAction::Credit { flow: stream, bytes } => self.tell(stream, FlowAction::Credit(bytes)),
                ClientAction::Opened { flow: stream } => self.tell(stream, FlowAction::Opened),
                ClientAction::Fin { flow: stream } => self.tell(stream, FlowAction::Fin),
                ClientAction::Ended { flow: stream, why } => self.on_ended(stream, why),
                ClientAction::Closed => self.closed = true,
                ClientAction::Event(event) => {
                    self.journal.notice(self.clock.now(), &event);
                    // Nobody may be listening.
                    let _ = self.notices.send(event);
                }
                ClientAction::Idle { wake } => {
                    self.wake = wake;
                    return;
                }
            }
        }
    }

    fn send(&mut self, exchange: ExchangeId, relay: RelayId, body: Body, form: BodyForm, deadline: Instant) {
        self.journal.calling(exchange, relay, body.len());
        let deadline = self.clock.to_tokio(deadline);
        let place = usize::try_from(relay.index()).unwrap_or(usize::MAX);
        let to = self.doors.get(place).and_then(|door| door.to(form)).cloned();
        let (exchanger, begin) = (self.exchanger.clone(), self.answering.begin.clone());
        let decryptor = self.client.decryptor().filter(|_| body.is_packet());
        self.exchanges.spawn(async move {
            let sent = tokio::time::Instant::now();
            // The machine may have gone; then nobody is to be told.
            let answering = || {
                let _ = begin.send(exchange);
            };
            let (outcome, trace) = match (to, sealing::into_bytes(body).await) {
                (Some(to), Some(body)) => exchanger.trace(&to, body, deadline, answering).await,
                (None, _) | (_, None) => (Err(ExchangeFailure::NotSent), Trace::default()),
            };
            let took = sent.elapsed();
            let answered = outcome.as_ref().map(Bytes::len).map_err(|why| *why);
            let event = match (outcome, decryptor) {
                (Ok(body), Some(decryptor)) => sealing::open(decryptor, exchange, form, body).await,
                (Ok(body), None) => ClientEvent::Reply { exchange, body },
                (Err(why), _) => ClientEvent::ExchangeFailed { exchange, why },
            };
            Exchanged { exchange, relay, answered, event, trace, took }
        });
    }

    fn on_ended(&mut self, stream: FlowId, why: EndReason) {
        self.journal.ended(stream, why);
        self.tell(stream, FlowAction::Ended(why));
        self.flows.remove(&stream);
    }

    /// A flow whose task has gone resets itself, so there is nothing to do when nobody listens.
    fn tell(&self, stream: FlowId, action: FlowAction) {
        if let Some(actions) = self.flows.get(&stream) {
            let _ = actions.send((stream, action));
        }
    }
}
