//! Belief in a connection: whether its node still knows it, and answers (protocol.md 3.2 rule 12, 3.3).

use alloc::vec::Vec;
use core::time::Duration;

use crate::client::action::EndReason;
use crate::client::context::Context;
use crate::client::relays::{Path, Purpose, Relays};
use crate::client::streams::calls::Outgoing;
use crate::client::streams::connection::{ConnectionStage, NodeConnection};
use crate::client::streams::doubt::Doubt;
use crate::client::streams::exchanges::RequestPayload;
use crate::id::RelayId;
use crate::time::Instant;

/// The least time after which relays that do not answer count as silent.
const LEAST_SILENCE: Duration = Duration::from_secs(3);

/// The most that they are waited for while another relay says `unknown`: flows that open meanwhile wait too, and the time that
/// they have is not for a timeout that has backed off to use up.
const LONGEST_DOUBT: Duration = Duration::from_secs(10);

impl NodeConnection {
    /// How long relays may leave requests unanswered before they count as silent.
    pub(in crate::client::streams) fn silence(&self) -> Duration {
        self.timeout().saturating_mul(2).max(LEAST_SILENCE)
    }

    /// A request that was sent at `sent` was answered by `unknown` through a relay.
    pub(in crate::client::streams) fn on_unknown(&mut self, relay: RelayId, sent: Instant, now: Instant) {
        let (wait, silence) = (self.timeout(), self.silence().min(LONGEST_DOUBT));
        match &mut self.doubt {
            Some(doubt) => doubt.on_unknown(relay, sent, wait, now),
            None => self.doubt = Some(Doubt::new(relay, &self.relays, silence, now)),
        }
    }

    /// Whether the node has forgotten the connection.
    pub(in crate::client::streams) fn is_forgotten(&self, relays: &Relays, now: Instant) -> bool {
        let fails = |id: RelayId| {
            relays.get(id).is_none_or(|relay| relay.health().is_backing_off(now) || !relay.is_usable(now))
        };
        let settled = |doubt: &Doubt| doubt.is_settled(self.relays(), fails, now);
        self.doubt.as_ref().is_some_and(settled)
    }

    /// A packet that was sent at `sent` was answered through a relay. Returns the relays that lead elsewhere.
    pub(in crate::client::streams) fn on_believed(&mut self, relay: RelayId, sent: Instant) -> Vec<RelayId> {
        if self.stage == ConnectionStage::Answered {
            self.stage = ConnectionStage::Up;
        }
        let cleared = self.doubt.take_if(|doubt| doubt.is_cleared_by(sent));
        cleared.map_or_else(Vec::new, |doubt| doubt.into_strays(relay))
    }

    /// Whether payload waits for longer than usual to be acknowledged, and nothing was heard since it was sent. That is too
    /// little to call the node silent, and enough to open a flow at another one.
    pub(in crate::client::streams) fn is_late(&self, relays: &Relays, now: Instant) -> bool {
        const LEAST: Duration = Duration::from_millis(250);
        self.exchanges.iter().any(|(_, record)| {
            let usual = relays.get(record.relay).and_then(|relay| relay.round_trip().smoothed());
            let wait = usual.unwrap_or_default().saturating_mul(3).saturating_add(LEAST);
            let carries = matches!(record.payload, RequestPayload::Sparse | RequestPayload::Bulk(_));
            carries
                && record.is_out()
                && record.sent > self.heard
                && now.saturating_since(record.sent) >= wait
        })
    }

    /// Whether that should be clear soon.
    pub(in crate::client::streams) fn is_in_fresh_doubt(&self, now: Instant) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| doubt.is_fresh(now))
    }

    /// Whether its node may have forgotten it.
    pub(in crate::client::streams) const fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// The node is heard. Returns whether it was judged silent before.
    pub(in crate::client::streams) const fn on_heard(&mut self) -> bool {
        core::mem::replace(&mut self.judged_silent, false)
    }

    /// Something that was sent at `sent` is lost: the node is silent since then, unless it was heard later.
    pub(in crate::client::streams) fn on_unheard(&mut self, sent: Instant) {
        if self.heard < sent {
            self.silent_since = Some(self.silent_since.map_or(sent, |since| since.min(sent)));
        }
    }

    /// The node does not answer, and another one does. Returns whether that is new.
    pub(in crate::client::streams) const fn on_judged_silent(&mut self) -> bool {
        !core::mem::replace(&mut self.judged_silent, true)
    }

    /// Streams whose OPEN is not acknowledged end: whether the node has it cannot be known, and another node must not
    /// open them once more.
    pub(in crate::client::streams) fn end_unconfirmed(&mut self, why: EndReason) {
        let unconfirmed = self.shared.streams().filter(|(_, stream)| !stream.opening().is_clear());
        self.ended.extend(unconfirmed.map(|(_, stream)| (stream.socket().flow(), why)));
    }

    /// Whether a relay that said `unknown` may lead elsewhere.
    pub(in crate::client::streams) fn is_doubtful(&self, relay: RelayId) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| doubt.is_about(relay))
    }

    /// Whether no packet has opened yet.
    pub(in crate::client::streams) fn is_unconfirmed(&self) -> bool {
        self.stage == ConnectionStage::Answered
    }

    /// An empty request that finds out whether the node knows the connection, if one is due.
    pub(in crate::client::streams) fn question(
        &mut self,
        relays: &Relays,
        context: &Context,
    ) -> Option<Outgoing> {
        let (now, wait) = (context.now(), self.timeout());
        let takes =
            |id: RelayId| relays.get(id).is_some_and(|relay| relay.can_take(now, Purpose::Active(Path::Any)));
        let doubt = self.doubt.as_mut()?;
        let relay = doubt.due(now, takes)?;
        doubt.on_asked(relay, wait, now);
        Some(Outgoing::header_only(relay, self.header_only(relay, context)))
    }

    /// When the doubt has something to do next.
    pub(in crate::client::streams) fn question_at(&self, now: Instant) -> Option<Instant> {
        self.doubt.as_ref()?.next(now)
    }

    /// GOODBYE, if it is due and a relay can take it.
    pub(in crate::client::streams) fn goodbye(
        &mut self,
        relays: &Relays,
        context: &Context,
    ) -> Option<Outgoing> {
        let now = context.now();
        let ConnectionStage::Leaving { due: true, until } = self.stage else { return None };
        let takes = |id: &RelayId| {
            relays.get(*id).is_some_and(|relay| {
                relay.can_take(now, Purpose::Active(Path::Any)) && !relay.health().is_backing_off(now)
            })
        };
        let relay = self.relays().find(takes)?;
        self.stage = ConnectionStage::Leaving { due: false, until };
        let mut outgoing = Outgoing::header_only(relay, self.header_only(relay, context));
        outgoing.packet.push(&crate::wire::frame::Frame::Goodbye);
        Some(outgoing)
    }
}
