//! What becomes of a call that carried a packet: an answer, or a failure.

use crate::client::action::{ClientNotice, EndReason};
use crate::client::calls::{CallFacts, CallOutcome};
use crate::client::context::Context;
use crate::client::event::ExchangeFailure;
use crate::client::relays::{Relay, Relays};
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::decrypted::DecryptedPacket;
use crate::client::streams::decryptor::Decryptor;
use crate::client::streams::handshake::{State, Streams};
use crate::client::streams::packet_call::PacketCall;
use crate::client::streams::receive::Answer;
use crate::id::RelayId;
use crate::wire::frame::Frames;
use crate::wire::packet::{ClientId, LEAST_PACKET, ResponseHeader};
use crate::wire::reset::ResetCode;

impl Streams {
    /// The answer of a call that carries a packet has begun to come.
    pub(in crate::client) fn on_call_answering(&mut self, packet: PacketCall) {
        if let Some(connection) = self.connection_of(packet.client) {
            connection.exchanges.change(packet.number, |record| record.answering = true);
        }
    }

    fn connection_of(&mut self, client: ClientId) -> Option<&mut NodeConnection> {
        self.connection_mut().filter(|connection| connection.client() == client)
    }

    /// A call that carried a packet has ended.
    pub(in crate::client) fn on_call_ended(
        &mut self,
        call: &CallFacts,
        packet: PacketCall,
        outcome: CallOutcome,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        match self.read(call.relay, packet, outcome, context) {
            Response::Packet(decrypted) => {
                context.count(|stats| &mut stats.answered);
                let DecryptedPacket { header, frames, len, .. } = decrypted;
                self.on_packet(call, packet, &header, frames, len, relays, context);
            }
            Response::NoStreams => {
                context.count(|stats| &mut stats.answered);
                self.on_no_streams(call.relay, packet, relays, context);
            }
            Response::Failed(why) => self.on_failure(call, packet, why, relays, context),
            Response::Garbage => {
                let why = ExchangeFailure::Garbage;
                call.on_failed(why, self.is_in_use(), relays, context);
                self.on_failure(call, packet, why, relays, context);
            }
        }
        self.sweep(context);
    }

    /// What the outcome of a call means at level 2.
    fn read(
        &self,
        relay: RelayId,
        packet: PacketCall,
        outcome: CallOutcome,
        context: &mut Context,
    ) -> Response {
        let sealed = match outcome {
            CallOutcome::Decrypted(decrypted) => return Response::of(packet, *decrypted),
            CallOutcome::Failed(why) => return Response::Failed(why),
            CallOutcome::Overdue => return Response::Failed(ExchangeFailure::Unknown),
            CallOutcome::Sealed(sealed) => sealed,
            CallOutcome::Replies(mut replies) => {
                let Some(reply) = replies.pop() else { return Response::Garbage };
                if reply.error.as_deref() == Some("unauthorized") {
                    context.notice(ClientNotice::Unauthorized { relay });
                }
                // A node that cannot open a hello has another secret.
                if reply.is_unsupported("streams") || (packet.hello && reply.error.is_some()) {
                    return Response::NoStreams;
                }
                if reply.error.is_some() || reply.damaged {
                    return Response::Garbage;
                }
                reply.data
            }
        };
        let decryptor = self.decryptor(context.config().tuning.max_reply_body);
        let decrypted = decryptor.decrypt(packet.form, sealed);
        decrypted.map_or(Response::Garbage, |decrypted| Response::of(packet, decrypted))
    }

    /// Decrypts the packets of answers, on any thread.
    pub(in crate::client) fn decryptor(&self, max_body: usize) -> Decryptor {
        Decryptor::new(&self.down, max_body)
    }

    /// A response packet to a packet of ours.
    fn on_packet(
        &mut self,
        call: &CallFacts,
        packet: PacketCall,
        header: &ResponseHeader,
        frames: Frames,
        len: usize,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let (now, id) = (context.now(), call.relay);
        if let Some(relay) = relays.get_mut(id) {
            let up = relay.on_answer(now);
            relay.round_trip_mut().on_sample(now.saturating_since(call.sent).saturating_sub(header.held));
            context.notice(up);
        }
        if self.client() != packet.client {
            return;
        }
        if packet.hello
            && let Some(grants) = header.grants
        {
            if usize::try_from(grants.max_packet).is_ok_and(|most| most < LEAST_PACKET) {
                return self.on_no_streams(id, packet, relays, context);
            }
            self.on_accepted(header.epoch, grants, context.config(), now);
        }
        let Some(connection) = self.connection_mut() else { return };
        if header.epoch != connection.shared.epoch() || header.flags.unknown {
            connection.declare_lost(packet.number, now);
            if packet.hello {
                self.on_no_streams(id, packet, relays, context);
            } else if relays.on_unknown_epoch(id, self.hello_timeout(), now) {
                self.on_forgotten(relays, context);
            } else {
                // Until that is confirmed, asking again and again would cost calls.
                if let Some(relay) = relays.get_mut(id) {
                    relay.health_mut().on_exchange_failed(self.first_backoff(), call.sent, now);
                    relay.health_mut().on_doubt(self.hello_timeout(), now);
                }
            }
            return;
        }
        if relays.get_mut(id).is_some_and(|relay| relay.destination_mut().on_here()) {
            context.notice(ClientNotice::StreamsReady { relay: id });
        }
        for relay in relays.on_known_epoch(id, call.sent, now) {
            context.notice(ClientNotice::StreamsUnsupported { relay });
        }
        let answer = Answer { number: packet.number, relay: id, sent: call.sent, header, len };
        let State::Ready(connection) = &mut self.state else { return };
        let (config, out) = context.parts();
        connection.on_answer(&answer, frames, relays, config, now, out);
    }

    /// The node behind a relay does not speak level 2, or not with us.
    fn on_no_streams(
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

    /// Where every relay is too narrow for chunks or leads elsewhere, the streams are lost.
    fn end_without_way(&mut self, relays: &Relays) {
        let narrow = relays.iter().any(|relay| relay.destination().is_narrow());
        if narrow
            && !relays.may_reach_node()
            && let Some(connection) = self.connection_mut()
        {
            connection.end_all(EndReason::ExchangeLost(ExchangeFailure::TooLarge));
        }
    }

    /// The node has forgotten the client: every stream ends, and the client says hello under a new name.
    pub(super) fn on_forgotten(&mut self, relays: &mut Relays, context: &mut Context) {
        if let Some(connection) = self.connection_mut() {
            connection.end_all(EndReason::Reset(ResetCode::Gone));
        }
        // A stream gives back what it keeps while its connection is still there.
        self.sweep(context);
        self.start_over(relays, context.now());
    }

    /// A call that carried a packet failed. Its relay has been judged for it.
    fn on_failure(
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
        if let State::Ready(connection) = &mut self.state
            && connection.client() == packet.client
        {
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

/// What the outcome of a call means at level 2.
enum Response {
    Packet(DecryptedPacket),
    /// The node behind the relay has no level 2, or another secret.
    NoStreams,
    Failed(ExchangeFailure),
    /// The answer is none to this packet.
    Garbage,
}

impl Response {
    /// A packet, if it answers this one.
    fn of(packet: PacketCall, decrypted: DecryptedPacket) -> Self {
        let header = &decrypted.header;
        if header.client == packet.client && header.exchange == packet.number {
            Self::Packet(decrypted)
        } else {
            Self::Garbage
        }
    }
}
