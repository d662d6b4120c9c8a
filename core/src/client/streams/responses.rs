//! Answers and failures of calls that carry packets (protocol.md 3.1, 3.2 rules 4, 10 and 12).

use core::time::Duration;

use bytes::Bytes;

use crate::client::action::{ClientNotice, EndReason};
use crate::client::calls::{CallFacts, CallOutcome, PacketCall, PacketKind};
use crate::client::context::Context;
use crate::client::event::ExchangeFailure;
use crate::client::relays::Relays;
use crate::client::streams::Streams;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::connections::ConnectionKey;
use crate::client::streams::decrypted::{Content, DecryptedPacket};
use crate::client::streams::decryptor::Decryptor;
use crate::client::streams::hello::HelloAnswer;
use crate::id::RelayId;
use crate::time::Instant;
use crate::wire::frame::{Frame, Frames};
use crate::wire::handshake::{AnswerPayload, ConnectionKeys, Notice};
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{ClientId, LEAST_PACKET, ResponseHeader};
use crate::wire::reset::ResetCode;

/// What came for a packet.
enum Answer {
    /// A packet, as it came.
    Sealed(Bytes),
    /// One that was decrypted elsewhere.
    Decrypted(DecryptedPacket),
    /// The node has no level 2.
    Unsupported,
    /// Nothing.
    Failed(ExchangeFailure),
}

impl Streams {
    /// A call that carried a packet has ended. Where it failed, its relay was judged for that.
    pub(in crate::client) fn on_call_ended(
        &mut self,
        call: &CallFacts,
        packet: &PacketCall,
        outcome: CallOutcome,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let answer = answer(call, outcome, context);
        match &packet.kind {
            PacketKind::Hello(client) => self.on_hello_ended(call, packet, *client, answer, relays, context),
            PacketKind::Exchange { connection, number, decryptor } => {
                let exchange = (*connection, *number, decryptor);
                self.on_exchange_ended(call, packet, exchange, answer, relays, context);
            }
        }
    }

    /// A call with a hello has ended.
    fn on_hello_ended(
        &mut self,
        call: &CallFacts,
        packet: &PacketCall,
        client: ClientId,
        answer: Answer,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let id = call.relay;
        let opened = match answer {
            Answer::Sealed(sealed) => self.hellos.open(id, client, &sealed),
            Answer::Unsupported => {
                self.hellos.forget(id);
                context.count(|stats| &mut stats.answered);
                return on_refused(id, None, relays, context);
            }
            Answer::Failed(why) => return self.on_failure(call, packet, why, relays, context),
            #[cfg(any(test, feature = "model"))]
            Answer::Decrypted(decrypted) => self.hellos.take(id, client, decrypted.content),
            // Nothing but a model takes an answer to a hello that was opened elsewhere.
            #[cfg(not(any(test, feature = "model")))]
            Answer::Decrypted(_) => HelloAnswer::Garbled,
        };
        match opened {
            HelloAnswer::Garbled => {
                if let Some(relay) = relays.get_mut(id) {
                    relay.destination_mut().on_garbled();
                }
                self.on_garbage(call, packet, relays, context)
            }
            HelloAnswer::Late => context.count(|stats| &mut stats.answered),
            HelloAnswer::Invited { wait } => {
                on_answered(call, Duration::ZERO, relays, context);
                if let Some(relay) = relays.get_mut(id) {
                    relay.destination_mut().on_invited(wait, context.now());
                }
            }
            HelloAnswer::Refused(notice) => {
                on_answered(call, Duration::ZERO, relays, context);
                on_refused(id, Some(&notice), relays, context);
            }
            HelloAnswer::Accepted(answer, keys) => {
                on_answered(call, Duration::ZERO, relays, context);
                self.on_accepted(call, &answer, &keys, relays, context);
            }
        }
    }

    /// A node lets the client in: a connection begins, or a relay joins the one that there is.
    fn on_accepted(
        &mut self,
        call: &CallFacts,
        answer: &AnswerPayload,
        keys: &ConnectionKeys,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let (id, now) = (call.relay, context.now());
        if usize::try_from(answer.grants.max_packet).is_ok_and(|most| most < LEAST_PACKET) {
            return on_refused(id, None, relays, context);
        }
        self.accepted = true;
        let Some(relay) = relays.get_mut(id) else { return };
        if relay.destination_mut().on_node(answer.node, now) {
            context.notice(ClientNotice::StreamsReady { relay: id });
        }
        if relay.destination().is_narrow() {
            return;
        }
        match self.connections.living(answer.node) {
            Some(connection) => connection.join(id),
            None => {
                let (notice, loss) = (self.hellos.keys().notice(), self.loss().clone());
                let connection = NodeConnection::new(answer, keys, notice, id, loss, context.config(), now);
                self.connections.insert(connection);
            }
        }
    }

    /// A call with a packet of a connection has ended.
    fn on_exchange_ended(
        &mut self,
        call: &CallFacts,
        packet: &PacketCall,
        (key, number, decryptor): (ConnectionKey, ExchangeNumber, &Decryptor),
        answer: Answer,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let decrypted = match answer {
            Answer::Sealed(sealed) => decryptor.decrypt(sealed),
            Answer::Decrypted(decrypted) => Some(decrypted),
            // That says something of the relay, and nothing of the connection.
            Answer::Unsupported => {
                call.on_failed(ExchangeFailure::Garbage, self.is_in_use(), relays, context);
                self.on_failure(call, packet, ExchangeFailure::Garbage, relays, context);
                self.leave(key, call.relay, relays, context.now());
                return on_refused(call.relay, None, relays, context);
            }
            Answer::Failed(why) => return self.on_failure(call, packet, why, relays, context),
        };
        match decrypted.map(|decrypted| (decrypted.content, decrypted.len)) {
            Some((Content::Notice(_), _)) => {
                on_answered(call, Duration::ZERO, relays, context);
                self.on_unknown(call, key, number, relays, context);
            }
            Some((Content::Response(header, frames), len)) if header.exchange == number => {
                on_answered(call, header.held, relays, context);
                self.on_response(call, key, (header, frames, len), relays, context);
            }
            Some((Content::Response(..) | Content::Answer(_), _)) | None => {
                self.on_garbage(call, packet, relays, context)
            }
        }
    }

    /// A response answers the packet of a call.
    fn on_response(
        &mut self,
        call: &CallFacts,
        key: ConnectionKey,
        (header, frames, len): (ResponseHeader, Frames, usize),
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.is_leaving() {
            return self.drop_connection(key, relays, context);
        }
        if let Some(relay) = relays.get_mut(call.relay) {
            relay.destination_mut().on_answered();
        }
        let strays = connection.on_believed(call.relay, call.sent);
        if let Some(Frame::End { code, .. }) = frames.clone().next() {
            context.notice(ClientNotice::ConnectionEnded { why: code });
            return self.end_connection(key, EndReason::NodeEnded(code), relays, context);
        }
        let (number, drained) = (header.exchange, connection.is_draining());
        connection.on_answer(call, number, (header, frames, len), relays, context);
        if !connection.is_silent() && connection.on_heard() {
            context.notice(ClientNotice::NodeBack);
        }
        if connection.is_draining() && !drained {
            // New flows find another node, if these relays lead to one.
            relays.ask_again(connection.relays(), connection.node(), context.now());
        }
        for stray in strays {
            self.leave(key, stray, relays, context.now());
        }
    }

    /// The node of a relay does not know the connection of a call.
    fn on_unknown(
        &mut self,
        call: &CallFacts,
        key: ConnectionKey,
        number: ExchangeNumber,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let now = context.now();
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.declare_lost(number, now);
        if connection.is_leaving() {
            return self.drop_connection(key, relays, context);
        }
        if connection.is_unconfirmed() {
            self.leave(key, call.relay, relays, now);
        } else {
            connection.on_unknown(call.relay, call.sent, now);
        }
        let forgotten = |connection: &NodeConnection| {
            connection.relays().next().is_none() || connection.is_forgotten(relays, now)
        };
        if self.connections.get(key).is_some_and(forgotten) {
            self.end_connection(key, EndReason::Reset(ResetCode::Gone), relays, context);
        }
    }

    /// A relay leads elsewhere than to the node of a connection.
    fn leave(&mut self, key: ConnectionKey, id: RelayId, relays: &mut Relays, now: Instant) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.leave(id)
            && let Some(relay) = relays.get_mut(id)
        {
            relay.leave(connection.node(), now);
        }
    }

    /// The answer is none.
    fn on_garbage(
        &mut self,
        call: &CallFacts,
        packet: &PacketCall,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        call.on_failed(ExchangeFailure::Garbage, self.is_in_use(), relays, context);
        self.on_failure(call, packet, ExchangeFailure::Garbage, relays, context);
    }

    /// A call that carried a packet failed.
    fn on_failure(
        &mut self,
        call: &CallFacts,
        packet: &PacketCall,
        why: ExchangeFailure,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        let now = context.now();
        let unsent = matches!(
            why,
            ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge
        );
        let first_backoff = self.first_backoff();
        let Some(relay) = relays.get_mut(call.relay) else { return };
        let narrow = why == ExchangeFailure::TooLarge && relay.is_narrow();
        if narrow {
            relay.destination_mut().on_narrow();
        } else if !unsent {
            relay.hold_mut().on_cut(now.saturating_since(call.sent), packet.hold, now);
            relay.health_mut().on_exchange_failed(first_backoff, call.sent, now);
        }
        if let PacketKind::Exchange { connection: key, number, .. } = packet.kind {
            let timeout = self.connections.get(key).map(NodeConnection::timeout);
            match self.connections.get_mut(key) {
                Some(connection) if connection.is_leaving() => connection.on_goodbye_lost(),
                Some(connection) if unsent => {
                    connection.declare_unsent_lost(number, now);
                    if why != ExchangeFailure::TooLarge {
                        connection.on_unheard(call.sent);
                    }
                }
                Some(connection) => connection.on_loss(number, relays, now),
                None => {}
            }
            self.leave_unproven(key, call.relay, timeout, relays, now);
        }
        relays.report_refusals(context);
        if narrow {
            self.on_narrow(relays, context);
        }
    }

    /// Nothing was ever answered through a relay that joined a connection, and another one carries it: it leads elsewhere.
    fn leave_unproven(
        &mut self,
        key: ConnectionKey,
        id: RelayId,
        timeout: Option<Duration>,
        relays: &mut Relays,
        now: Instant,
    ) {
        const LEAST: Duration = Duration::from_secs(20);
        let wait = timeout.unwrap_or_default().saturating_mul(4).max(LEAST);
        let unproven = relays.get(id).is_some_and(|relay| relay.destination().is_unproven(wait, now));
        let alone = self.connections.get(key).is_none_or(|connection| connection.relays().count() < 2);
        if unproven && !alone {
            self.leave(key, id, relays, now);
        }
    }

    /// A relay turned out to be too narrow for chunks: streams end where every relay is like that.
    fn on_narrow(&mut self, relays: &Relays, context: &mut Context) {
        if !relays.may_reach_node() {
            for (_, connection) in self.connections.iter_mut() {
                connection.end_all(EndReason::ExchangeLost(ExchangeFailure::TooLarge));
            }
            self.reap(context);
        }
    }
}

/// What came for a packet, from how its call ended.
fn answer(call: &CallFacts, outcome: CallOutcome, context: &mut Context) -> Answer {
    match outcome {
        CallOutcome::Decrypted(decrypted) => Answer::Decrypted(*decrypted),
        CallOutcome::Body(sealed) => Answer::Sealed(sealed),
        CallOutcome::Replies(mut replies) => {
            let reply = replies.pop().unwrap_or_default();
            if reply.error.as_deref() == Some("unauthorized") {
                context.notice(ClientNotice::Unauthorized { relay: call.relay });
            }
            if reply.is_unsupported("streams") {
                Answer::Unsupported
            } else if reply.error.is_none() && !reply.damaged {
                Answer::Sealed(reply.data)
            } else {
                Answer::Sealed(Bytes::new())
            }
        }
        CallOutcome::Failed(why) => Answer::Failed(why),
        CallOutcome::Overdue => Answer::Failed(ExchangeFailure::Unknown),
    }
}

/// A relay brought an answer that the node held back for this time.
fn on_answered(call: &CallFacts, held: Duration, relays: &mut Relays, context: &mut Context) {
    let now = context.now();
    context.count(|stats| &mut stats.answered);
    if let Some(relay) = relays.get_mut(call.relay) {
        context.notice(relay.on_answer(now));
        relay.round_trip_mut().on_sample(now.saturating_since(call.sent).saturating_sub(held));
    }
}

/// The node behind a relay has no level 2, or takes no connection now: then a notice says why.
fn on_refused(id: RelayId, notice: Option<&Notice>, relays: &mut Relays, context: &mut Context) {
    let now = context.now();
    let Some(relay) = relays.get_mut(id) else { return };
    context.notice(relay.on_answer(now));
    relay.destination_mut().on_refused(notice.map(|notice| notice.wait).unwrap_or_default(), now);
    let until = relay.destination().retry_at();
    if let (Some(Notice { kind, .. }), Some(until)) = (notice, until) {
        context.notice(ClientNotice::NodeRefused { relay: id, why: *kind, until });
    }
    relays.report_refusals(context);
}
