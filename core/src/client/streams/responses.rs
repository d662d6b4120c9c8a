//! Answers and failures of calls that carry packets (protocol.md 3.1, 3.2 rules 4, 10 and 12).

use crate::client::action::{ClientNotice, EndReason};
use crate::client::calls::{CallFacts, CallOutcome, PacketCall};
use crate::client::context::Context;
use crate::client::event::ExchangeFailure;
use crate::client::relays::Relays;
use crate::client::streams::Streams;
use crate::client::streams::decrypted::DecryptedPacket;
use crate::id::RelayId;
use crate::wire::packet::{LEAST_PACKET, ResponseHeader};

impl Streams {
    /// A call that carried a packet has ended. Where it failed, its relay was judged for that.
    pub(in crate::client) fn on_call_ended(
        &mut self,
        call: &CallFacts,
        packet: PacketCall,
        outcome: CallOutcome,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let decrypted = match outcome {
            CallOutcome::Decrypted(decrypted) => Some(*decrypted),
            CallOutcome::Body(sealed) => self.decryptor.decrypt(packet.form, sealed),
            CallOutcome::Replies(mut replies) => {
                let reply = replies.pop().unwrap_or_default();
                if reply.error.as_deref() == Some("unauthorized") {
                    context.notice(ClientNotice::Unauthorized { relay: call.relay });
                }
                // A node that cannot decrypt a hello has another secret. Where flows are sealed or refused, an error is a
                // failure of the relay: no relay may keep the client from asking again.
                let refused = packet.hello && reply.error.is_some() && !context.config().is_sealed_only();
                if reply.is_unsupported("streams") || refused {
                    context.count(|stats| &mut stats.answered);
                    return self.on_no_streams(call.relay, packet, relays, context);
                }
                let sealed = (reply.error.is_none() && !reply.damaged).then_some(reply.data);
                sealed.and_then(|sealed| self.decryptor.decrypt(packet.form, sealed))
            }
            CallOutcome::Failed(why) => return self.on_failure(call, packet, why, relays, context),
            CallOutcome::Overdue => {
                return self.on_failure(call, packet, ExchangeFailure::Unknown, relays, context);
            }
        };
        let answers =
            |header: &ResponseHeader| header.client == packet.client && header.exchange == packet.number;
        if let Some(decrypted) = decrypted.filter(|decrypted| answers(&decrypted.header)) {
            context.count(|stats| &mut stats.answered);
            self.on_packet(call, packet, decrypted, relays, context);
        } else {
            call.on_failed(ExchangeFailure::Garbage, self.is_in_use(), relays, context);
            self.on_failure(call, packet, ExchangeFailure::Garbage, relays, context);
        }
    }

    /// A packet answers the packet of a call.
    fn on_packet(
        &mut self,
        call: &CallFacts,
        packet: PacketCall,
        decrypted: DecryptedPacket,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let (now, id, header) = (context.now(), call.relay, &decrypted.header);
        if let Some(relay) = relays.get_mut(id) {
            context.notice(relay.on_answer(now));
            relay.round_trip_mut().on_sample(now.saturating_since(call.sent).saturating_sub(header.held));
        }
        let handshake = &mut self.handshake;
        if handshake.client() != packet.client {
            return;
        }
        if let Some(grants) = header.grants.filter(|_| packet.hello) {
            if usize::try_from(grants.max_packet).is_ok_and(|most| most < LEAST_PACKET) {
                return self.on_no_streams(id, packet, relays, context);
            }
            handshake.on_accepted(header.epoch, grants, context.config(), now);
        }
        let (timeout, backoff) = (handshake.hello_timeout(), handshake.first_backoff());
        let Some(connection) = handshake.connection_mut() else { return };
        if header.epoch == connection.shared().epoch() && !header.flags.unknown {
            if relays.get_mut(id).is_some_and(|relay| relay.destination_mut().on_here()) {
                context.notice(ClientNotice::StreamsReady { relay: id });
            }
            relays.on_known_epoch(id, call.sent, context);
            connection.on_answer(call, packet.number, decrypted, relays, context);
        } else if packet.hello {
            self.on_no_streams(id, packet, relays, context);
        } else {
            connection.declare_lost(packet.number, now);
            if relays.on_unknown_epoch(id, timeout, now) {
                self.on_dropped(relays, context);
            } else if let Some(relay) = relays.get_mut(id) {
                // Until that is confirmed, asking again and again would cost calls.
                relay.health_mut().on_exchange_failed(backoff, call.sent, now);
                relay.health_mut().on_doubt(timeout, now);
            }
        }
    }

    /// The node behind a relay has no level 2, or not with this client.
    fn on_no_streams(
        &mut self,
        relay: RelayId,
        packet: PacketCall,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let now = context.now();
        if let Some(connection) = self.handshake.connection_of(packet.client) {
            connection.declare_lost(packet.number, now);
        }
        if let Some(relay) = relays.get_mut(relay) {
            context.notice(relay.on_answer(now));
            relay.destination_mut().on_elsewhere(now);
        }
        self.on_mismatch(relays, context);
    }

    /// A relay turned out to be too narrow for chunks or to lead elsewhere: reports that, and ends the streams where every
    /// relay is like that.
    fn on_mismatch(&mut self, relays: &mut Relays, context: &mut Context) {
        relays.report_mismatches(context);
        let narrow = relays.iter().any(|relay| relay.destination().is_narrow());
        if narrow
            && !relays.may_reach_node()
            && let Some(connection) = self.handshake.connection_mut()
        {
            connection.end_all(EndReason::ExchangeLost(ExchangeFailure::TooLarge));
        }
    }

    /// A call that carried a packet failed.
    fn on_failure(
        &mut self,
        call: &CallFacts,
        packet: PacketCall,
        why: ExchangeFailure,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let now = context.now();
        let unsent = matches!(
            why,
            ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge
        );
        let Some(relay) = relays.get_mut(call.relay) else { return };
        let narrow = why == ExchangeFailure::TooLarge && relay.is_narrow();
        if narrow {
            relay.destination_mut().on_narrow();
        } else if why == ExchangeFailure::Garbage && packet.hello && !context.config().is_sealed_only() {
            relay.destination_mut().on_garbled_hello(now);
        } else if !unsent {
            relay.hold_mut().on_cut(now.saturating_since(call.sent), packet.hold, now);
            relay.health_mut().on_exchange_failed(self.handshake.first_backoff(), call.sent, now);
        }
        match self.handshake.connection_of(packet.client) {
            Some(connection) if unsent => connection.declare_unsent_lost(packet.number, now),
            Some(connection) => connection.on_loss(packet.number, relays, now),
            None => {}
        }
        if narrow {
            self.on_mismatch(relays, context);
        } else {
            relays.report_mismatches(context);
        }
    }
}
