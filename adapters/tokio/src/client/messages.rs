//! Messages between the client's driver and the tasks of its flows.

use bytes::Bytes;
use seqlane::{ClientStats, EndReason, FlowId, FlowKind, LocalEvent, OpenError, Target};
use tokio::sync::{mpsc, oneshot};

/// A request of another task to the driver.
#[derive(Debug)]
pub(crate) enum Input {
    Open {
        target: Target,
        kind: FlowKind,
        actions: ActionSender,
        answer: oneshot::Sender<Result<FlowId, OpenError>>,
    },
    Local {
        flow: FlowId,
        event: LocalEvent,
    },
    Stats(oneshot::Sender<ClientStats>),
    Close,
}

/// An action of the machine for one flow.
#[derive(Debug)]
pub(crate) enum FlowAction {
    Opened,
    Credit(usize),
    Deliver(Bytes),
    Fin,
    Ended(EndReason),
}

/// The driver's end of the actions of one or many flows.
///
/// The channel has no bound of its own, so that a slow application never blocks the driver. The machine bounds it:
/// it polls for no flow that has more than `downlink_window` bytes unreported, and reports (`Written`) come as the
/// application takes them. Datagrams are taken at once, and sent or dropped.
pub(crate) type ActionSender = mpsc::UnboundedSender<(FlowId, FlowAction)>;
