//! What becomes of a call that carried a packet: an answer, or a failure.

use core::time::Duration;

use bytes::Bytes;

use crate::client::Client;
use crate::client::action::{ClientNotice, EndReason};
use crate::client::calls::Exchange;
use crate::client::context::count;
use crate::client::event::ExchangeFailure;
use crate::client::relays::Relay;
use crate::client::streams::calls::PacketRef;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::decrypted::DecryptedPacket;
use crate::client::streams::handshake::{State, Streams};
use crate::client::streams::receive::Answer;
use crate::id::{ExchangeId, RelayId};
use crate::wire::frame::Frames;
use crate::wire::packet::{ClientId, LEAST_PACKET, ResponseHeader};
use crate::wire::reset::ResetCode;
use crate::wire::{self, AnswerError, BodyForm, Limits};

impl Client {
    /// The answer of a call that carries a packet has begun to come.
    pub(in crate::client) fn on_answering(&mut self, id: ExchangeId) {
        let Some(PacketRef { client, number, .. }) =
            self.exchanges.get(&id).and_then(|exchange| exchange.packet)
        else {
            return;
        };
        if let Some(connection) = self.connection_of(client) {
            connection.exchanges.change(number, |record| record.answering = true);
        }
    }

    fn connection_of(&mut self, client: ClientId) -> Option<&mut NodeConnection> {
        self.streams.as_mut()?.connection_mut().filter(|connection| connection.client == client)
    }

    /// A call that carried a packet was answered with `body`.
    pub(in crate::client) fn on_packet_reply(
        &mut self,
        id: ExchangeId,
        exchange: &Exchange,
        packet: PacketRef,
        body: Bytes,
    ) {
        match self.read_packet(exchange.relay, packet, body) {
            Ok(opened) => self.on_decrypted_packet(id, exchange, packet, &opened),
            Err(Some(why)) => self.fail_packet(id, exchange, packet, why),
            Err(None) => {
                count(&mut self.out.stats.answered);
                self.on_no_streams(exchange.relay, packet);
                self.sweep();
            }
        }
    }

    /// A call that carried a packet was answered with one.
    pub(in crate::client) fn on_decrypted_packet(
        &mut self,
        id: ExchangeId,
        exchange: &Exchange,
        packet: PacketRef,
        decrypted: &DecryptedPacket,
    ) {
        let header = &decrypted.header;
        if header.client != packet.client || header.exchange != packet.number {
            return self.fail_packet(id, exchange, packet, ExchangeFailure::Garbage);
        }
        count(&mut self.out.stats.answered);
        self.on_packet(exchange, packet, header, decrypted.frames.clone(), decrypted.len());
        self.rearm_relay(exchange.relay);
        self.sweep();
    }

    /// Reads a response packet out of the body of an answer; no reason when the node behind the relay has no level 2.
    fn read_packet(
        &mut self,
        relay: RelayId,
        packet: PacketRef,
        body: Bytes,
    ) -> Result<DecryptedPacket, Option<ExchangeFailure>> {
        let garbage = Some(ExchangeFailure::Garbage);
        let sealed = match packet.form {
            BodyForm::Packet => body,
            BodyForm::Json => {
                let limits = Limits { max_body: self.config.tuning.max_reply_body, max_ops: 1 };
                let mut replies = match wire::decode_answer(&body, 1, limits) {
                    Ok(replies) => replies,
                    Err(AnswerError::Envelope(text)) => {
                        return Err(Some(self.on_envelope_error(relay, &text)));
                    }
                    Err(
                        AnswerError::TooLarge | AnswerError::NotAnAnswer | AnswerError::WrongLength { .. },
                    ) => {
                        return Err(garbage);
                    }
                };
                let reply = replies.pop().ok_or(garbage)?;
                if reply.error.as_deref() == Some("unauthorized") {
                    self.out.notice(ClientNotice::Unauthorized { relay });
                }
                // A node that cannot open a hello has another secret.
                if reply.is_unsupported("streams") || (packet.hello && reply.error.is_some()) {
                    return Err(None);
                }
                if reply.error.is_some() || reply.damaged {
                    return Err(garbage);
                }
                reply.data
            }
        };
        self.decryptor().and_then(|decryptor| decryptor.decrypt(packet.form, sealed)).ok_or(garbage)
    }

    /// A response packet to a packet of ours.
    fn on_packet(
        &mut self,
        exchange: &Exchange,
        packet: PacketRef,
        header: &ResponseHeader,
        frames: Frames,
        len: usize,
    ) {
        let (now, id) = (self.now, exchange.relay);
        if let Some(relay) = self.relays.get_mut(id) {
            let up = relay.on_answer(now);
            relay.round_trip_mut().on_sample(now.saturating_since(exchange.sent).saturating_sub(header.held));
            self.out.notice(up);
        }
        let Self { streams: Some(streams), relays, config, out, .. } = self else { return };
        if streams.client() != packet.client {
            return;
        }
        if packet.hello
            && let Some(grants) = header.grants
        {
            if usize::try_from(grants.max_packet).is_ok_and(|most| most < LEAST_PACKET) {
                return self.on_no_streams(id, packet);
            }
            streams.on_accepted(header.epoch, grants, config, now);
        }
        let Some(connection) = streams.connection_mut() else { return };
        if header.epoch != connection.epoch || header.flags.unknown {
            connection.declare_lost(packet.number, now);
            if packet.hello {
                self.on_no_streams(id, packet);
            } else if relays.on_unknown_epoch(id, streams.hello_timeout(), now) {
                self.start_over();
            } else {
                // Until that is confirmed, asking again and again would cost calls.
                if let Some(relay) = relays.get_mut(id) {
                    relay.health_mut().on_exchange_failed(streams.first_backoff(), exchange.sent, now);
                    relay.health_mut().on_doubt(streams.hello_timeout(), now);
                }
            }
            return;
        }
        if relays.get_mut(id).is_some_and(|relay| relay.destination_mut().on_here()) {
            out.notice(ClientNotice::StreamsReady { relay: id });
        }
        for relay in relays.on_known_epoch(id, exchange.sent, now) {
            out.notice(ClientNotice::StreamsUnsupported { relay });
        }
        let answer = Answer { number: packet.number, relay: id, sent: exchange.sent, header, len };
        let State::Ready(connection) = &mut streams.state else { return };
        connection.on_answer(&answer, frames, relays, config, now, out);
    }

    /// The node behind a relay does not speak level 2, or not with us.
    fn on_no_streams(&mut self, relay: RelayId, packet: PacketRef) {
        let now = self.now;
        let up = self.relays.get_mut(relay).and_then(|relay| relay.on_answer(now));
        self.out.notice(up);
        if let Some(connection) = self.connection_of(packet.client) {
            connection.declare_lost(packet.number, now);
        }
        if self.relays.get_mut(relay).is_some_and(|relay| relay.destination_mut().on_elsewhere(now)) {
            self.out.notice(ClientNotice::StreamsUnsupported { relay });
        }
        self.end_without_way();
    }

    /// The bodies of a relay turned out to be too small for level 2.
    fn on_narrow(&mut self, relay: RelayId) {
        if self.relays.get_mut(relay).is_some_and(|relay| relay.destination_mut().on_narrow()) {
            self.out.notice(ClientNotice::StreamsUnsupported { relay });
        }
        self.end_without_way();
    }

    /// Where every relay is too narrow for chunks or leads elsewhere, the streams are lost.
    fn end_without_way(&mut self) {
        let narrow = self.relays.iter().any(|relay| relay.destination().is_narrow());
        if narrow
            && !self.relays.may_reach_node()
            && let Some(connection) = self.streams.as_mut().and_then(Streams::connection_mut)
        {
            connection.end_all(EndReason::ExchangeLost(ExchangeFailure::TooLarge));
        }
    }

    /// The node has forgotten the client: every stream ends, and the client greets anew.
    pub(super) fn start_over(&mut self) {
        if let Some(connection) = self.streams.as_mut().and_then(Streams::connection_mut) {
            connection.end_all(EndReason::Reset(ResetCode::Gone));
        }
        // A stream gives back what it keeps while its connection is still there.
        self.sweep();
        if let Some(streams) = &mut self.streams {
            streams.start_over(&mut self.relays, self.now);
        }
    }

    /// A call that carried a packet failed.
    pub(in crate::client) fn fail_packet(
        &mut self,
        id: ExchangeId,
        exchange: &Exchange,
        packet: PacketRef,
        why: ExchangeFailure,
    ) {
        let now = self.now;
        let relay = exchange.relay;
        self.report_failure(id, relay, why);
        let table = self.relays.get_mut(relay);
        let notice = match why {
            ExchangeFailure::NotSent => table.and_then(|relay| relay.on_unreachable(now, &self.config)),
            ExchangeFailure::TooLarge => table.and_then(|relay| relay.on_too_large(exchange.body_len)),
            ExchangeFailure::Refused { retry_after } => self.on_refused(relay, retry_after),
            // What is lost on the way is nothing that the relay is left alone for: level 2 has its own judgement.
            ExchangeFailure::Unknown | ExchangeFailure::Garbage => None,
        };
        self.out.notice(notice);
        let mut garbled = false;
        let backoff = self.streams.as_ref().map_or(Duration::ZERO, |streams| streams.first_backoff());
        if let Some(relay) = self.relays.get_mut(relay) {
            match why {
                ExchangeFailure::Garbage if packet.hello => {
                    garbled = relay.destination_mut().on_garbled_hello(now);
                }
                ExchangeFailure::Unknown | ExchangeFailure::Garbage => {
                    relay.hold_mut().on_cut(now.saturating_since(exchange.sent), packet.hold, now);
                    relay.health_mut().on_exchange_failed(backoff, exchange.sent, now);
                }
                ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge => {}
            }
        }
        self.out.notice(garbled.then_some(ClientNotice::StreamsUnsupported { relay }));
        if let Some(Streams { state: State::Ready(connection), .. }) = &mut self.streams
            && connection.client == packet.client
        {
            match why {
                // It says nothing about how long answers take.
                ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge => {
                    connection.declare_unsent_lost(packet.number, now);
                }
                ExchangeFailure::Unknown | ExchangeFailure::Garbage => {
                    connection.on_loss(packet.number, &mut self.relays, now)
                }
            }
        }
        let narrow = |relay: &Relay| relay.passes().is_narrow(relay.options());
        if why == ExchangeFailure::TooLarge && self.relays.get(relay).is_some_and(narrow) {
            self.on_narrow(relay);
        }
        self.rearm_relay(relay);
        self.sweep();
    }
}
