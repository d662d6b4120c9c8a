//! The client's log: flows and changes of relays at `info`, calls at `debug`, and failing relays as warnings at
//! intervals.

use std::time::Duration;

use seqlane::{
    ClientEvent, ClientNotice, EndCode, EndReason, ExchangeFailure, ExchangeId, FlowId, FlowKind, Instant,
    Level, NoticeKind, RelayId, Target,
};
use tracing::{debug, info, warn};

use crate::carrier::CallError;

/// A relay that keeps failing is warned about this often; in between its failures are logged at `info`.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Writes the log of one client.
#[derive(Debug)]
pub(super) struct Log {
    relays: Vec<RelayLog>,
    /// The lowest level that flows may have.
    min_level: Option<Level>,
    /// When it was last warned that a flow was refused.
    refused: Option<Instant>,
}

/// What is known of a relay.
#[derive(Debug)]
struct RelayLog {
    /// Scheme, host and port: the path may be a secret.
    name: String,
    /// The call that ended last, and why it failed; none if it was answered.
    last: Option<(ExchangeId, Option<String>)>,
    /// Why the last call failed, as far as the machine is concerned.
    reason: String,
    warned: Option<Instant>,
}

/// How a call ended.
pub(super) struct CallEnd {
    pub(super) exchange: ExchangeId,
    pub(super) relay: RelayId,
    /// Bytes of the answer.
    pub(super) answered: Result<usize, CallError>,
    /// The event for the machine.
    pub(super) event: ClientEvent,
    pub(super) took: Duration,
}

impl Log {
    /// A log that calls the relays by these names.
    pub(super) fn new(relays: impl Iterator<Item = String>, min_level: Option<Level>) -> Self {
        let relay = |name| RelayLog { name, last: None, reason: String::new(), warned: None };
        Self { relays: relays.map(relay).collect(), min_level, refused: None }
    }

    /// A flow is opened.
    pub(super) fn opening(&self, flow: FlowId, target: &Target, kind: FlowKind) {
        info!(%flow, %target, ?kind, "flow opened");
    }

    /// A flow has ended.
    pub(super) fn ended(&mut self, now: Instant, flow: FlowId, why: EndReason) {
        let is_due = |last: Instant| now.saturating_since(last) >= WARN_INTERVAL;
        if why == EndReason::LevelTooLow && self.refused.is_none_or(is_due) {
            self.refused = Some(now);
            warn!(
                %flow,
                min_level = self.min_level.map(Level::number),
                "flow refused: no relay leads to a node that answers at the lowest level that is allowed. Nothing of it was \
                 sent. Give node and client the same --secret, or lower --min-level to send flows without a seal"
            );
        } else {
            info!(%flow, %why, "flow ended");
        }
    }

    /// A call is sent.
    pub(super) fn calling(&self, exchange: ExchangeId, relay: RelayId, bytes: usize) {
        debug!(%exchange, relay = self.name(relay), bytes, "call");
    }

    /// A call has ended. Whether the machine accepts the answer follows as notices.
    pub(super) fn called(&mut self, ended: &CallEnd) {
        let CallEnd { exchange, relay, answered, took, .. } = ended;
        let ms = took.as_millis();
        match answered {
            Ok(bytes) => debug!(%exchange, relay = self.name(*relay), ms, bytes, "answer"),
            Err(error) => {
                let why = error.failure();
                debug!(%exchange, relay = self.name(*relay), ms, %why, "no answer");
            }
        }
        if let Some(entry) = self.relay(*relay) {
            entry.last = Some((*exchange, answered.as_ref().err().map(CallError::to_string)));
        }
    }

    /// The machine gives a notice.
    pub(super) fn notice(&mut self, now: Instant, notice: &ClientNotice) {
        match *notice {
            ClientNotice::Connected { flow, level } => info!(%flow, level = level.number(), "flow connected"),
            ClientNotice::ExchangeFailed { exchange, relay, why } => self.failed(now, exchange, relay, why),
            ClientNotice::RelayDown { relay, until } => self.down(now, relay, until),
            ClientNotice::NodeRefused { relay, why, until } => self.refused(now, relay, why, until),
            ClientNotice::ConnectionEnded { why } => connection_ended(why),
            ClientNotice::NodeSilent => warn!(
                "a node does not answer while another one does: new flows go to the other one, and flows of the silent \
                 one end after --dead-node"
            ),
            ClientNotice::NodeBack => info!("a node that was silent answers again"),
            ClientNotice::Unauthorized { relay } => {
                self.trouble(now, relay, "the node rejects the key that this relay sends");
            }
            _ => self.change(notice),
        }
    }

    /// Notices that come once for a relay, or rarely.
    fn change(&self, notice: &ClientNotice) {
        match *notice {
            ClientNotice::RelayUp { relay } => info!(relay = self.name(relay), "relay answers again"),
            ClientNotice::SeqUnsupported { relay } => {
                let relay = self.name(relay);
                warn!(relay, "relay strips sequence numbers; level 1 is off through it");
            }
            ClientNotice::StreamsReady { relay } => {
                info!(relay = self.name(relay), "node answers at level 2 through this relay");
            }
            ClientNotice::StreamsUnsupported { relay } => {
                let relay = self.name(relay);
                if self.min_level == Some(Level::Streams) {
                    warn!(
                        relay,
                        "the node behind this relay does not offer level 2, or takes no connection now; no flow goes \
                         through it"
                    );
                } else {
                    warn!(
                        relay,
                        "the node behind this relay does not offer level 2, or takes no connection now; a lost call \
                         resets flows"
                    );
                }
            }
            ClientNotice::ConnectDataUnsupported { relay } => {
                let relay = self.name(relay);
                warn!(
                    relay,
                    "the node behind this relay does not support connect_data; opening a flow takes one more \
                     round trip"
                );
            }
            ClientNotice::BodyLimitLowered { relay, limit } => {
                let relay = self.name(relay);
                warn!(relay, limit, "relay refused a large body; its batches are smaller from now on");
            }
            ClientNotice::BudgetSpent { relay, .. } => {
                warn!(relay = self.name(relay), "the daily calls of this relay are used up");
            }
            _ => debug!(?notice, "notice"),
        }
    }

    fn failed(&mut self, now: Instant, exchange: ExchangeId, relay: RelayId, why: ExchangeFailure) {
        let Some(entry) = self.relay(relay) else { return };
        let ended = entry.last.take().filter(|(ended, _)| *ended == exchange).map(|(_, reason)| reason);
        entry.reason = match ended {
            Some(Some(reason)) => reason,
            Some(None) => INVALID_ANSWER.to_owned(),
            // The machine gave the call up by itself.
            None => why.to_string(),
        };
        debug!(%exchange, relay = entry.name, reason = entry.reason, "call failed");
        // Ops that did not reach the node are sent again, so no flow is lost.
        if matches!(why, ExchangeFailure::Unknown | ExchangeFailure::Garbage) {
            self.trouble(now, relay, "a call failed; flows of levels 0 and 1 in it are reset");
        }
    }

    fn down(&mut self, now: Instant, relay: RelayId, until: Instant) {
        let seconds = until.saturating_since(now).as_secs_f64();
        self.trouble(now, relay, &format!("relay does not work; next attempt in {seconds:.1} s"));
    }

    /// The node has the secret, and takes no connection.
    fn refused(&mut self, now: Instant, relay: RelayId, why: NoticeKind, until: Instant) {
        if let Some(entry) = self.relay(relay) {
            let reason = match why {
                NoticeKind::Busy => "it has no place for another connection",
                NoticeKind::Draining => "it is about to stop",
                NoticeKind::NotAllowed => "it wants a --secret, or this user is over quota",
                NoticeKind::Unknown => "it does not know this client",
            };
            reason.clone_into(&mut entry.reason);
        }
        let seconds = until.saturating_since(now).as_secs_f64();
        self.trouble(now, relay, &format!("the node takes no connection; next attempt in {seconds:.1} s"));
    }

    fn trouble(&mut self, now: Instant, relay: RelayId, what: &str) {
        let Some(RelayLog { name, reason, warned, .. }) = self.relay(relay) else { return };
        if warned.is_some_and(|last| now.saturating_since(last) < WARN_INTERVAL) {
            info!(relay = name, reason, "{what}");
        } else {
            *warned = Some(now);
            warn!(relay = name, reason, "{what}");
        }
    }

    fn name(&self, relay: RelayId) -> &str {
        let index = usize::try_from(relay.index()).unwrap_or(usize::MAX);
        self.relays.get(index).map_or("unknown", |relay| &relay.name)
    }

    fn relay(&mut self, relay: RelayId) -> Option<&mut RelayLog> {
        self.relays.get_mut(usize::try_from(relay.index()).ok()?)
    }
}

/// The node has ended a connection with its flows.
fn connection_ended(why: EndCode) {
    match why {
        EndCode::User => warn!(
            "the node has removed or changed the user of this secret: flows end. Ask who runs the node for a new --secret"
        ),
        EndCode::Quota => {
            warn!("the node has no place for this client, or its user is over quota: flows end");
        }
        EndCode::Stop => info!("the node stops: flows end, and new ones wait for it or go to another node"),
    }
}

/// The reason when a call brought an answer that the machine rejects.
const INVALID_ANSWER: &str = "returned a web page, or JSON that is cut or not an answer: the key is wrong, or the \
                              relay's host reports an error";
