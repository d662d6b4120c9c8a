//! One flow, as seen by the task that owns its local socket.

use bytes::Bytes;
use seqlane::{EndReason, FlowId, FlowKind, LocalEvent, Target};
use tokio::sync::{mpsc, oneshot};

use super::machine::Input;

/// What the machine wants done with the local socket of a flow.
#[derive(Debug)]
pub(super) enum FlowAction {
    Opened,
    Credit(usize),
    Deliver(Bytes),
    Fin,
    Ended(EndReason),
}

/// The machine's side of one or many flows' actions.
///
/// The channel has no bound of its own, so that a slow application never blocks the machine. The bound is
/// the machine's: it polls for no flow that has more than `downlink_window` bytes unreported, and reports
/// (`Written`) come as the application takes them. Datagrams are taken at once, and sent or dropped.
pub(super) type ActionSender = mpsc::UnboundedSender<(FlowId, FlowAction)>;

/// Where flows are opened. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Flows {
    pub(super) inputs: mpsc::Sender<Input>,
    /// Reports that must not wait: at most one `Written` per delivered chunk and one `Reset` per flow.
    pub(super) reports: mpsc::UnboundedSender<(FlowId, LocalEvent)>,
}

impl Flows {
    /// Opens a flow.
    pub(super) async fn open(&self, target: Target, kind: FlowKind) -> Result<Flow, OpenError> {
        let (sender, actions) = mpsc::unbounded_channel();
        let handle = self.open_on(target, kind, sender).await?;
        Ok(Flow { handle, actions })
    }

    /// Opens a flow whose actions come over a channel that it may share with others.
    pub(super) async fn open_on(
        &self,
        target: Target,
        kind: FlowKind,
        actions: ActionSender,
    ) -> Result<FlowHandle, OpenError> {
        let (answer, answered) = oneshot::channel();
        let input = Input::Open { target, kind, actions, answer };
        self.inputs.send(input).await.map_err(|_| OpenError::Stopped)?;
        let stream = answered.await.map_err(|_| OpenError::Stopped)?.map_err(OpenError::Refused)?;
        Ok(FlowHandle { stream, flows: self.clone(), over: false })
    }
}

/// Why the machine opened no flow.
#[derive(Clone, Copy, Debug)]
pub(super) enum OpenError {
    /// It has as many as it may, or was closed.
    Refused(seqlane::OpenError),
    /// It is gone.
    Stopped,
}

/// The right to speak for a flow. Dropped before the flow has ended, it resets the flow.
#[derive(Debug)]
pub(super) struct FlowHandle {
    pub(super) stream: FlowId,
    flows: Flows,
    over: bool,
}

impl FlowHandle {
    /// The application sent bytes, or one datagram.
    pub(super) async fn send(&self, bytes: Bytes) {
        self.tell(LocalEvent::Data(bytes)).await;
    }

    /// The application sent everything it had.
    pub(super) async fn finish(&self) {
        self.tell(LocalEvent::Fin).await;
    }

    /// Delivered bytes have reached the application.
    pub(super) fn written(&self, bytes: usize) {
        // A machine that has stopped needs no reports.
        let _ = self.flows.reports.send((self.stream, LocalEvent::Written(bytes)));
    }

    /// The machine has ended the flow: there is nothing left to reset.
    pub(super) fn ended(&mut self) {
        self.over = true;
    }

    pub(super) fn inputs(&self) -> &mpsc::Sender<Input> {
        &self.flows.inputs
    }

    async fn tell(&self, event: LocalEvent) {
        // A machine that has stopped has ended the flow, which is seen where actions are read.
        let _ = self.flows.inputs.send(Input::Local { stream: self.stream, event }).await;
    }
}

impl Drop for FlowHandle {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.flows.reports.send((self.stream, LocalEvent::Reset));
        }
    }
}

/// A flow with its own channel of actions.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) handle: FlowHandle,
    pub(super) actions: mpsc::UnboundedReceiver<(FlowId, FlowAction)>,
}

impl Flow {
    /// The next action; `Ended` is the last.
    pub(super) async fn next(&mut self) -> FlowAction {
        let action = self.actions.recv().await;
        self.noted(action.map(|(_, action)| action))
    }

    /// The next action, if there is one already.
    pub(super) fn try_next(&mut self) -> Option<FlowAction> {
        let (_, action) = self.actions.try_recv().ok()?;
        Some(self.noted(Some(action)))
    }

    /// Waits until the application may be told that its flow is open; returns the credit that came before.
    pub(super) async fn opened(&mut self) -> Result<usize, EndReason> {
        let mut credit = 0;
        loop {
            match self.next().await {
                FlowAction::Opened => return Ok(credit),
                FlowAction::Credit(bytes) => credit += bytes,
                FlowAction::Ended(why) => return Err(why),
                FlowAction::Deliver(_) | FlowAction::Fin => {}
            }
        }
    }

    fn noted(&mut self, action: Option<FlowAction>) -> FlowAction {
        let action = action.unwrap_or(FlowAction::Ended(EndReason::ClientClosed));
        if let FlowAction::Ended(_) = action {
            self.handle.ended();
        }
        action
    }
}
