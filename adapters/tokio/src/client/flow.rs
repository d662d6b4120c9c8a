//! One flow, as seen by the task that owns its local end.

use bytes::Bytes;
use seqlane::{EndReason, FlowId, FlowKind, LocalEvent, OpenError, Target};
use tokio::sync::{mpsc, oneshot};

use super::messages::{ActionSender, FlowAction, Input};

/// Opens flows at the driver. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Flows {
    inputs: mpsc::Sender<Input>,
    /// Reports that must not wait: at most one `Written` per delivered chunk and one `Reset` per flow.
    reports: mpsc::UnboundedSender<(FlowId, LocalEvent)>,
}

impl Flows {
    pub(super) const fn new(
        inputs: mpsc::Sender<Input>,
        reports: mpsc::UnboundedSender<(FlowId, LocalEvent)>,
    ) -> Self {
        Self { inputs, reports }
    }

    /// Sends a request to the driver. One that has stopped does not get it.
    pub(super) async fn tell(&self, input: Input) {
        let _ = self.inputs.send(input).await;
    }

    /// Opens a flow.
    pub(crate) async fn open(&self, target: Target, kind: FlowKind) -> Result<Flow, NotOpened> {
        let (sender, actions) = mpsc::unbounded_channel();
        let handle = self.open_on(target, kind, sender).await?;
        Ok(Flow { handle, actions })
    }

    /// Opens a flow whose actions come over a channel that it may share with others.
    pub(crate) async fn open_on(
        &self,
        target: Target,
        kind: FlowKind,
        actions: ActionSender,
    ) -> Result<FlowHandle, NotOpened> {
        let (answer, answered) = oneshot::channel();
        let input = Input::Open { target, kind, actions, answer };
        self.inputs.send(input).await.map_err(|_| NotOpened::Stopped)?;
        let id = answered.await.map_err(|_| NotOpened::Stopped)?.map_err(NotOpened::Refused)?;
        Ok(FlowHandle { id, flows: self.clone(), over: false })
    }
}

/// Why the driver opened no flow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NotOpened {
    /// The machine has as many as it may, or was closed.
    Refused(OpenError),
    /// The driver has stopped.
    Stopped,
}

/// The local end's hold on a flow. Dropped before the flow has ended, it resets the flow.
#[derive(Debug)]
pub(crate) struct FlowHandle {
    id: FlowId,
    flows: Flows,
    over: bool,
}

impl FlowHandle {
    pub(crate) const fn id(&self) -> FlowId {
        self.id
    }

    /// Hands in bytes of the application, or one datagram.
    pub(crate) async fn send(&self, bytes: Bytes) {
        self.tell(LocalEvent::Data(bytes)).await;
    }

    /// Ends the uplink: the application has sent everything.
    pub(crate) async fn finish(&self) {
        self.tell(LocalEvent::Fin).await;
    }

    /// Reports delivered bytes that have reached the application.
    pub(crate) fn written(&self, bytes: usize) {
        // A driver that has stopped needs no reports.
        let _ = self.flows.reports.send((self.id, LocalEvent::Written(bytes)));
    }

    /// Notes that the machine has ended the flow: there is nothing left to reset.
    pub(crate) fn ended(&mut self) {
        self.over = true;
    }

    pub(super) const fn inputs(&self) -> &mpsc::Sender<Input> {
        &self.flows.inputs
    }

    async fn tell(&self, event: LocalEvent) {
        // A driver that has stopped has ended the flow, which shows where actions are read.
        self.flows.tell(Input::Local { flow: self.id, event }).await;
    }
}

impl Drop for FlowHandle {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.flows.reports.send((self.id, LocalEvent::Reset));
        }
    }
}

/// A flow with its own channel of actions.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) handle: FlowHandle,
    pub(super) actions: mpsc::UnboundedReceiver<(FlowId, FlowAction)>,
}

impl Flow {
    /// The next action; `Ended` is the last.
    pub(crate) async fn next(&mut self) -> FlowAction {
        let action = self.actions.recv().await;
        self.noted(action.map(|(_, action)| action))
    }

    /// The next action, if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<FlowAction> {
        let (_, action) = self.actions.try_recv().ok()?;
        Some(self.noted(Some(action)))
    }

    /// Waits until the application may be told that its flow is open; returns the credit that came before.
    pub(crate) async fn opened(&mut self) -> Result<usize, EndReason> {
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
