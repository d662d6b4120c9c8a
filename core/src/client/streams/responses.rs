//! Answers and failures of calls that carry packets (protocol.md 3.1, 3.2 rules 4, 10 and 12).

use alloc::boxed::Box;

use crate::client::action::{ClientNotice, EndReason};
use crate::client::calls::{CallFacts, CallOutcome};
use crate::client::context::Context;
use crate::client::event::ExchangeFailure;
use crate::client::relays::Relays;
use crate::client::streams::decrypted::DecryptedPacket;
use crate::client::streams::decryptor::Decryptor;
use crate::client::streams::handshake::Handshake;
use crate::client::streams::packet_call::PacketCall;
use crate::id::RelayId;
use crate::wire::packet::{LEAST_PACKET, ResponseHeader};

/// What the outcome of a call means at level 2.
#[derive(Debug)]
pub(super) enum PacketOutcome {
    /// A packet that answers the packet of the call.
    Packet(Box<DecryptedPacket>),
    /// The node behind the relay has no level 2, or another secret.
    NoStreams,
    /// The call failed, and its relay was judged for it.
    Failed(ExchangeFailure),
    /// The answer is none to this packet.
    Garbage,
}

impl PacketOutcome {
    /// The response to a packet that a call through `relay` carried.
    pub(super) fn of(
        packet: PacketCall,
        outcome: CallOutcome,
        relay: RelayId,
        decryptor: &Decryptor,
        context: &mut Context,
    ) -> Self {
        let decrypted = match outcome {
            CallOutcome::Decrypted(decrypted) => Some(decrypted),
            CallOutcome::Failed(why) => return Self::Failed(why),
            CallOutcome::Overdue => return Self::Failed(ExchangeFailure::Unknown),
            CallOutcome::Body(sealed) => decryptor.decrypt(packet.form, sealed).map(Box::new),
            CallOutcome::Replies(mut replies) => {
                let Some(reply) = replies.pop() else { return Self::Garbage };
                if reply.error.as_deref() == Some("unauthorized") {
                    context.notice(ClientNotice::Unauthorized { relay });
                }
                // A node that cannot decrypt a hello has another secret.
                if reply.is_unsupported("streams") || (packet.hello && reply.error.is_some()) {
                    return Self::NoStreams;
                }
                if reply.error.is_some() || reply.damaged {
                    return Self::Garbage;
                }
                decryptor.decrypt(packet.form, reply.data).map(Box::new)
            }
        };
        let answers =
            |header: &ResponseHeader| header.client == packet.client && header.exchange == packet.number;
        decrypted.filter(|packet| answers(&packet.header)).map_or(Self::Garbage, Self::Packet)
    }
}

impl Handshake {
    /// A packet answers the packet of a call. Returns whether the node has dropped the client.
    pub(super) fn on_packet(
        &mut self,
        call: &CallFacts,
        packet: PacketCall,
        decrypted: DecryptedPacket,
        relays: &mut Relays,
        context: &mut Context,
    ) -> bool {
        let header = &decrypted.header;
        let (now, id) = (context.now(), call.relay);
        if let Some(relay) = relays.get_mut(id) {
            let up = relay.on_answer(now);
            relay.round_trip_mut().on_sample(now.saturating_since(call.sent).saturating_sub(header.held));
            context.notice(up);
        }
        if self.client() != packet.client {
            return false;
        }
        if packet.hello
            && let Some(grants) = header.grants
        {
            if usize::try_from(grants.max_packet).is_ok_and(|most| most < LEAST_PACKET) {
                self.on_no_streams(id, packet, relays, context);
                return false;
            }
            self.on_accepted(header.epoch, grants, context.config(), now);
        }
        let Some(connection) = self.connection_mut() else { return false };
        if header.epoch != connection.epoch() || header.flags.unknown {
            connection.declare_lost(packet.number, now);
            if packet.hello {
                self.on_no_streams(id, packet, relays, context);
            } else if relays.on_unknown_epoch(id, self.hello_timeout(), now) {
                return true;
            } else if let Some(relay) = relays.get_mut(id) {
                // Until that is confirmed, asking again and again would cost calls.
                relay.health_mut().on_exchange_failed(self.first_backoff(), call.sent, now);
                relay.health_mut().on_doubt(self.hello_timeout(), now);
            }
            return false;
        }
        if relays.get_mut(id).is_some_and(|relay| relay.destination_mut().on_here()) {
            context.notice(ClientNotice::StreamsReady { relay: id });
        }
        relays.on_known_epoch(id, call.sent, now);
        if let Some(connection) = self.connection_mut() {
            connection.on_answer(call, packet.number, decrypted, relays, context);
        }
        false
    }

    /// The node behind a relay has no level 2, or not with this client.
    pub(super) fn on_no_streams(
        &mut self,
        relay: RelayId,
        packet: PacketCall,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let now = context.now();
        if let Some(connection) = self.connection_of(packet.client) {
            connection.declare_lost(packet.number, now);
        }
        if let Some(relay) = relays.get_mut(relay) {
            context.notice(relay.on_answer(now));
            relay.destination_mut().on_elsewhere(now);
        }
        self.end_without_way(relays);
    }

    /// Ends the streams where every relay is too narrow for chunks or leads elsewhere.
    fn end_without_way(&mut self, relays: &Relays) {
        let narrow = relays.iter().any(|relay| relay.destination().is_narrow());
        if narrow
            && !relays.may_reach_node()
            && let Some(connection) = self.connection_mut()
        {
            connection.end_all(EndReason::ExchangeLost(ExchangeFailure::TooLarge));
        }
    }

    /// A call that carried a packet failed.
    pub(super) fn on_failure(
        &mut self,
        call: &CallFacts,
        packet: PacketCall,
        why: ExchangeFailure,
        relays: &mut Relays,
        context: &Context,
    ) {
        let now = context.now();
        let backoff = self.first_backoff();
        let unsent = matches!(
            why,
            ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge
        );
        if let Some(relay) = relays.get_mut(call.relay) {
            if why == ExchangeFailure::Garbage && packet.hello {
                relay.destination_mut().on_garbled_hello(now);
            } else if !unsent {
                relay.hold_mut().on_cut(now.saturating_since(call.sent), packet.hold, now);
                relay.health_mut().on_exchange_failed(backoff, call.sent, now);
            }
        }
        match self.connection_of(packet.client) {
            // It says nothing about how long answers take.
            Some(connection) if unsent => connection.declare_unsent_lost(packet.number, now),
            Some(connection) => connection.on_loss(packet.number, relays, now),
            None => {}
        }
        let relay = relays.get_mut(call.relay).filter(|relay| relay.is_narrow());
        if let Some(relay) = relay.filter(|_| why == ExchangeFailure::TooLarge) {
            relay.destination_mut().on_narrow();
            self.end_without_way(relays);
        }
    }
}
