//! What an operator sees in the log: flows and changes of relays at `info`, calls at `debug`, and as a warning,
//! once in a while, what keeps a relay from working.

use std::time::Duration;

use seqlane::{
    ClientEvent, ClientNotice, EndReason, ExchangeFailure, ExchangeId, FlowId, FlowKind, Instant, RelayId,
    Target,
};
use tracing::{debug, info, warn};

use crate::exchange::{RelayUrl, Trace};

/// A relay that keeps failing is warned about this often; in between its failures are no more than `info`.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Writes the log of one client.
#[derive(Debug)]
pub(super) struct Journal {
    relays: Vec<Entry>,
}

/// What is known of a relay.
#[derive(Debug)]
struct Entry {
    /// Scheme, host and port: the path may be a secret.
    address: String,
    /// The call that ended last, and what was seen of it.
    last: Option<(ExchangeId, Trace)>,
    /// Why the last call failed.
    reason: String,
    warned: Option<Instant>,
}

/// How a call ended.
pub(super) struct Exchanged {
    pub(super) exchange: ExchangeId,
    pub(super) relay: RelayId,
    /// Bytes of the answer.
    pub(super) answered: Result<usize, ExchangeFailure>,
    /// What it is to the machine.
    pub(super) event: ClientEvent,
    pub(super) trace: Trace,
    pub(super) took: Duration,
}

impl Journal {
    /// For relays at these addresses.
    pub(super) fn new<'a>(relays: impl Iterator<Item = &'a RelayUrl>) -> Self {
        let entry = |url: &RelayUrl| Entry {
            address: url.to_string(),
            last: None,
            reason: String::new(),
            warned: None,
        };
        Self { relays: relays.map(entry).collect() }
    }

    /// A flow begins.
    pub(super) fn opening(&self, stream: FlowId, target: &Target, kind: FlowKind) {
        info!(%stream, %target, ?kind, "flow opened");
    }

    /// A flow is over.
    pub(super) fn ended(&self, stream: FlowId, why: EndReason) {
        info!(%stream, %why, "flow ended");
    }

    /// A call goes out.
    pub(super) fn calling(&self, exchange: ExchangeId, relay: RelayId, bytes: usize) {
        debug!(%exchange, relay = self.address(relay), bytes, "call");
    }

    /// A call has ended. What the machine makes of it follows as notices.
    pub(super) fn called(&mut self, ended: &Exchanged) {
        let Exchanged { exchange, relay, answered, trace, took, .. } = ended;
        let ms = took.as_millis();
        match answered {
            Ok(bytes) => debug!(%exchange, relay = self.address(*relay), ms, bytes, "answer"),
            Err(why) => debug!(%exchange, relay = self.address(*relay), ms, %why, "no answer"),
        }
        if let Some(entry) = self.entry(*relay) {
            entry.last = Some((*exchange, trace.clone()));
        }
    }

    /// The machine has something to tell.
    pub(super) fn notice(&mut self, now: Instant, notice: &ClientNotice) {
        match *notice {
            ClientNotice::Connected { flow: stream, level } => {
                info!(%stream, level = level.number(), "flow connected")
            }
            ClientNotice::ExchangeFailed { exchange, relay, why } => self.failed(now, exchange, relay, why),
            ClientNotice::RelayDown { relay, until } => self.down(now, relay, until),
            ClientNotice::Unauthorized { relay } => {
                self.trouble(now, relay, "the node does not take the key that comes through this relay");
            }
            _ => self.change(notice),
        }
    }

    /// What happens to a relay once, or not often.
    fn change(&self, notice: &ClientNotice) {
        match *notice {
            ClientNotice::RelayUp { relay } => info!(relay = self.address(relay), "relay answers again"),
            ClientNotice::SeqUnsupported { relay } => {
                let relay = self.address(relay);
                warn!(relay, "relay does not keep sequence numbers; level 1 is off through it");
            }
            ClientNotice::StreamsReady { relay } => {
                info!(relay = self.address(relay), "node answers at level 2 through this relay");
            }
            ClientNotice::StreamsUnsupported { relay } => {
                let relay = self.address(relay);
                warn!(
                    relay,
                    "node behind relay does not speak level 2, or has another secret; its flows can be cut"
                );
            }
            ClientNotice::ConnectDataUnsupported { relay } => {
                let relay = self.address(relay);
                warn!(
                    relay,
                    "node behind relay does not know connect_data; opening takes one more round trip"
                );
            }
            ClientNotice::BodyLimitLowered { relay, limit } => {
                let relay = self.address(relay);
                warn!(relay, limit, "relay refused a large body; batches through it are smaller from now on");
            }
            ClientNotice::BudgetSpent { relay, .. } => {
                warn!(relay = self.address(relay), "relay has used up its daily calls");
            }
            _ => debug!(?notice, "notice"),
        }
    }

    fn failed(&mut self, now: Instant, exchange: ExchangeId, relay: RelayId, why: ExchangeFailure) {
        let Some(entry) = self.entry(relay) else { return };
        // A call that the machine gave up by itself has none.
        let trace = entry.last.take().filter(|(ended, _)| *ended == exchange).map(|(_, trace)| trace);
        entry.reason = trace.unwrap_or_default().explain(why);
        debug!(%exchange, relay = entry.address, reason = entry.reason, "call failed");
        // What did not get to the node goes again, so nothing is lost.
        if matches!(why, ExchangeFailure::Unknown | ExchangeFailure::Garbage) {
            self.trouble(now, relay, "a call failed, and the flows in it below level 2 are cut");
        }
    }

    fn down(&mut self, now: Instant, relay: RelayId, until: Instant) {
        let seconds = until.saturating_since(now).as_secs_f64();
        self.trouble(now, relay, &format!("relay does not work and is left alone for {seconds:.1} s"));
    }

    fn trouble(&mut self, now: Instant, relay: RelayId, what: &str) {
        let Some(Entry { address, reason, warned, .. }) = self.entry(relay) else { return };
        if warned.is_some_and(|last| now.saturating_since(last) < WARN_INTERVAL) {
            info!(relay = address, reason, "{what}");
        } else {
            *warned = Some(now);
            warn!(relay = address, reason, "{what}");
        }
    }

    fn address(&self, relay: RelayId) -> &str {
        let place = usize::try_from(relay.index()).unwrap_or(usize::MAX);
        self.relays.get(place).map_or("unknown", |entry| &entry.address)
    }

    fn entry(&mut self, relay: RelayId) -> Option<&mut Entry> {
        self.relays.get_mut(usize::try_from(relay.index()).ok()?)
    }
}
