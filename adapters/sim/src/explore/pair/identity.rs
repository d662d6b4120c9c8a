//! Fingerprints of whole states: both machines, the network and the ends, with ids renamed.

use std::hash::{Hash, Hasher};

use seqlane::wire::number::AnswerNumber;
use seqlane::wire::packet::ClientId;

use crate::explore::pair::State;
use crate::explore::pair::call::{PendingAnswer, PendingCall, Request, hash_connection, hash_place};
use crate::explore::pair::ends::SocketState;
use crate::hash::Hash128;

impl State {
    /// The fingerprint of the whole state, relative to now.
    pub(super) fn identity(&self) -> u128 {
        let mut hasher = Hash128::default();
        self.client.fingerprint(self.now, &mut hasher);
        self.node.fingerprint(self.now, &mut hasher);
        // Which session of the client's is which of the node's, and how far their numbers are apart.
        for (sid, expected) in self.client.known_sessions() {
            hash_place(&self.node, &sid, expected, &mut hasher);
        }
        // The same of connections.
        for known in self.client.known_connections() {
            hash_connection((&self.client, &self.node), known, &mut hasher);
        }
        self.hash_network(&mut hasher);
        self.hash_ends(&mut hasher);
        self.left.hash(&mut hasher);
        hasher.value()
    }

    fn hash_network(&self, hasher: &mut Hash128) {
        hasher.write_usize(self.calls.len());
        for call in self.calls.values() {
            // Only a request that may yet turn out unsent cares.
            (call.fresh && self.left.unsent > 0).hash(hasher);
            (call.coming, call.held, call.answers.len()).hash(hasher);
            call.deadline.saturating_since(self.now).hash(hasher);
            call.request.hash((&self.client, &self.node), hasher);
            in_order(call.answers.iter().map(|answer| self.answer(call, answer))).hash(hasher);
        }
        in_order(self.strays.iter().map(|stray| self.stray(stray))).hash(hasher);
        hasher.write_usize(self.held.len());
        for waits in self.held.values() {
            waits.and_then(|exchange| self.calls.keys().position(|other| *other == exchange)).hash(hasher);
        }
    }

    /// The fingerprint of a request that no client waits for.
    pub(super) fn stray(&self, stray: &Request) -> u128 {
        let mut hasher = Hash128::default();
        stray.hash((&self.client, &self.node), &mut hasher);
        hasher.value()
    }

    /// The identity of an answer on its way.
    pub(super) fn answer(&self, call: &PendingCall, answer: &PendingAnswer) -> u128 {
        let mut hasher = Hash128::default();
        answer.hash(&call.request, self.rank(answer), (&self.client, &self.node), &mut hasher);
        hasher.value()
    }

    /// How many answers on their way come between the client's newest one and this; none when it is older than that.
    fn rank(&self, answer: &PendingAnswer) -> Option<usize> {
        let (id, own) = answer.number()?;
        let newest = self.client.newest_answer(id);
        let is_newer = |number: AnswerNumber| newest.is_none_or(|newest| newest < number);
        let others = self.calls.values().flat_map(|call| &call.answers).filter_map(PendingAnswer::number);
        let before =
            |(other, number): &(ClientId, AnswerNumber)| *other == id && is_newer(*number) && *number < own;
        is_newer(own).then(|| others.filter(before).count())
    }

    fn hash_ends(&self, hasher: &mut Hash128) {
        for local in &self.locals {
            local.ended.map(|why| why.is_orderly()).hash(hasher);
            (local.opens, local.fin).hash(hasher);
            if local.ended.is_none() {
                local.orphaned.hash(hasher);
                (local.credit, local.sent, local.finished, local.received).hash(hasher);
                (local.upstream_sent, local.upstream_finished).hash(hasher);
            } else if !self.strays.is_empty() || !self.upstreams.is_empty() || !self.calls.is_empty() {
                // Late copies may still carry what was sent.
                local.sent.hash(hasher);
            }
        }
        hasher.write_usize(self.upstreams.len());
        for upstream in self.upstreams.values() {
            (upstream.flow, upstream.state, upstream.ended).hash(hasher);
            if upstream.state != SocketState::Gone {
                (upstream.credit, upstream.sent, upstream.finished, upstream.received).hash(hasher);
            }
        }
    }
}

/// Identities of things that have no order.
fn in_order(identities: impl Iterator<Item = u128>) -> Vec<u128> {
    let mut identities: Vec<u128> = identities.collect();
    identities.sort_unstable();
    identities
}
