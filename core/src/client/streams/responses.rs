//! Answers and failures of calls that carry packets (protocol.md 3.1, 3.2 rules 4, 10 and 12).

use alloc::boxed::Box;

use crate::client::action::{ClientNotice, EndReason};
use crate::client::calls::{CallFacts, CallOutcome};
use crate::client::context::Context;
use crate::client::event::ExchangeFailure;
use crate::client::relays::{Relay, Relays};
use crate::client::streams::connection::receive::Answer;
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
            CallOutcome::Sealed(sealed) => decryptor.decrypt(packet.form, sealed).map(Box::new),
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

/// Whether the node knows the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does, as far as is known.
    Known,
    /// It has dropped the client.
    Dropped,
}

impl Handshake {
    /// A packet answers the packet of a call.
    pub(super) fn on_packet(
        &mut self,
        call: &CallFacts,
        packet: PacketCall,
        decrypted: DecryptedPacket,
        relays: &mut Relays,
        context: &mut Context,
    ) -> Standing {
        let DecryptedPacket { header, frames, len, .. } = decrypted;
        let (now, id) = (context.now(), call.relay);
        if let Some(relay) = relays.get_mut(id) {
            let up = relay.on_answer(now);
            relay.round_trip_mut().on_sample(now.saturating_since(call.sent).saturating_sub(header.held));
            context.notice(up);
        }
        if self.client() != packet.client {
            return Standing::Known;
        }
        if packet.hello
            && let Some(grants) = header.grants
        {
            if usize::try_from(grants.max_packet).is_ok_and(|most| most < LEAST_PACKET) {
                self.on_no_streams(id, packet, relays, context);
                return Standing::Known;
            }
            self.on_accepted(header.epoch, grants, context.config(), now);
        }
        let Some(connection) = self.connection_mut() else { return Standing::Known };
        if header.epoch != connection.epoch() || header.flags.unknown {
            connection.declare_lost(packet.number, now);
            if packet.hello {
                self.on_no_streams(id, packet, relays, context);
            } else if relays.on_unknown_epoch(id, self.hello_timeout(), now) {
                return Standing::Dropped;
            } else if let Some(relay) = relays.get_mut(id) {
                // Until that is confirmed, asking again and again would cost calls.
                relay.health_mut().on_exchange_failed(self.first_backoff(), call.sent, now);
                relay.health_mut().on_doubt(self.hello_timeout(), now);
            }
            return Standing::Known;
        }
        if relays.get_mut(id).is_some_and(|relay| relay.destination_mut().on_here()) {
            context.notice(ClientNotice::StreamsReady { relay: id });
        }
        for relay in relays.on_known_epoch(id, call.sent, now) {
            context.notice(ClientNotice::StreamsUnsupported { relay });
        }
        let answer = Answer { number: packet.number, relay: id, sent: call.sent, header: &header, len };
        if let Some(connection) = self.connection_mut() {
            connection.on_answer(&answer, frames, relays, context);
        }
        Standing::Known
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
        context.notice(relays.get_mut(relay).and_then(|relay| relay.on_answer(now)));
        if let Some(connection) = self.connection_of(packet.client) {
            connection.declare_lost(packet.number, now);
        }
        if relays.get_mut(relay).is_some_and(|relay| relay.destination_mut().on_elsewhere(now)) {
            context.notice(ClientNotice::StreamsUnsupported { relay });
        }
        self.end_without_way(relays);
    }

    /// The bodies of a relay turned out to be too small for level 2.
    fn on_narrow(&mut self, relay: RelayId, relays: &mut Relays, context: &mut Context) {
        if relays.get_mut(relay).is_some_and(|relay| relay.destination_mut().on_narrow()) {
            context.notice(ClientNotice::StreamsUnsupported { relay });
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
        context: &mut Context,
    ) {
        let (now, relay) = (context.now(), call.relay);
        let mut garbled = false;
        let backoff = self.first_backoff();
        if let Some(relay) = relays.get_mut(relay) {
            match why {
                ExchangeFailure::Garbage if packet.hello => {
                    garbled = relay.destination_mut().on_garbled_hello(now);
                }
                ExchangeFailure::Unknown | ExchangeFailure::Garbage => {
                    relay.hold_mut().on_cut(now.saturating_since(call.sent), packet.hold, now);
                    relay.health_mut().on_exchange_failed(backoff, call.sent, now);
                }
                ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge => {}
            }
        }
        context.notice(garbled.then_some(ClientNotice::StreamsUnsupported { relay }));
        if let Some(connection) = self.connection_of(packet.client) {
            match why {
                // It says nothing about how long answers take.
                ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge => {
                    connection.declare_unsent_lost(packet.number, now);
                }
                ExchangeFailure::Unknown | ExchangeFailure::Garbage => {
                    connection.on_loss(packet.number, relays, now)
                }
            }
        }
        let narrow = |relay: &Relay| relay.passes().is_narrow(relay.options());
        if why == ExchangeFailure::TooLarge && relays.get(relay).is_some_and(narrow) {
            self.on_narrow(relay, relays, context);
        }
    }
}
