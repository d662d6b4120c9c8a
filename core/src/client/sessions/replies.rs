//! From answers and failures back to the flows.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::client::Client;
use crate::client::TimerOwner;
use crate::client::action::{ClientAction, ClientNotice, EndReason};
use crate::client::calls::{Class, Exchange, OpOwner, Sent};
use crate::client::context::count;
use crate::client::event::ExchangeFailure;
use crate::client::flows::Kind;
use crate::client::relays::{HOLD_THRESHOLD, Path, Relay};
use crate::client::streams::Streams;
use crate::client::streams::decrypted::DecryptedPacket;
use crate::id::{ExchangeId, FlowId, RelayId};
use crate::level::{Caps, Level};
use crate::time::{Instant, share};
use crate::wire::{self, AnswerError, Limits, Op, Reply};

/// An answer of no more payload than this may be kept alive by any part of it.
const PINNED: usize = 256 * 1024;

/// The answer that a reply came with.
#[derive(Clone, Copy, Debug)]
struct Answer {
    relay: RelayId,
    /// How long the exchange took.
    elapsed: Duration,
    /// Payload bytes of all its replies, which share one allocation.
    decoded: usize,
}

impl Client {
    /// An exchange was answered with `body`.
    pub(in crate::client) fn on_reply(&mut self, id: ExchangeId, body: Bytes) {
        let Some(exchange) = self.take_exchange(id) else { return };
        if let Some(packet) = exchange.packet {
            return self.on_packet_reply(id, &exchange, packet, body);
        }
        let limits = Limits { max_body: self.config.tuning.max_reply_body, max_ops: exchange.ops.len() };
        match wire::decode_answer(&body, exchange.ops.len(), limits) {
            Ok(replies) => self.on_answer(exchange, replies),
            Err(AnswerError::Envelope(text)) => {
                let why = self.on_envelope_error(exchange.relay, &text);
                self.fail(id, exchange, why);
            }
            Err(AnswerError::TooLarge | AnswerError::NotAnAnswer | AnswerError::WrongLength { .. }) => {
                if planted!(GarbageKeepsPlace)
                    && let Some(relay) = self.relays.get_mut(exchange.relay)
                {
                    relay.on_sent(self.now);
                }
                self.fail(id, exchange, ExchangeFailure::Garbage);
            }
        }
    }

    /// A call was answered with a packet that is already decrypted.
    pub(in crate::client) fn on_decrypted(&mut self, id: ExchangeId, decrypted: &DecryptedPacket) {
        let Some(exchange) = self.take_exchange(id) else { return };
        match exchange.packet {
            Some(packet) => self.on_decrypted_packet(id, &exchange, packet, decrypted),
            // A call without a packet has no answer with one.
            None => self.fail(id, exchange, ExchangeFailure::Garbage),
        }
    }

    /// An exchange failed, says the driver.
    pub(in crate::client) fn on_exchange_failed(&mut self, id: ExchangeId, why: ExchangeFailure) {
        let Some(exchange) = self.take_exchange(id) else { return };
        match exchange.packet {
            Some(packet) => self.fail_packet(id, &exchange, packet, why),
            None => self.fail(id, exchange, why),
        }
    }

    /// The driver has not said anything of an exchange for longer than it may take.
    pub(in crate::client) fn on_exchange_overdue(&mut self, id: ExchangeId) {
        let Some(exchange) = self.take_exchange(id) else { return };
        if let Some(packet) = exchange.packet {
            return self.fail_packet(id, &exchange, packet, ExchangeFailure::Unknown);
        }
        self.report_failure(id, exchange.relay, ExchangeFailure::Unknown);
        self.strike(exchange.relay);
        self.unprobe(&exchange);
        for sent in exchange.ops {
            self.on_lost(sent, EndReason::ReplyOverdue);
        }
    }

    fn take_exchange(&mut self, id: ExchangeId) -> Option<Exchange> {
        let mut exchange = self.exchanges.remove(&id)?;
        self.timers.set(&mut exchange.timer, TimerOwner::Exchange(id), None);
        if let Some(relay) = self.relays.get_mut(exchange.relay) {
            relay.on_ended();
        }
        if exchange.class == Class::Payload && exchange.packet.is_none() {
            self.payload_in_flight = self.payload_in_flight.saturating_sub(1);
            self.ready.flush();
            self.rearm_coalesce();
        }
        Some(exchange)
    }

    /// Replies came, one for each op.
    fn on_answer(&mut self, exchange: Exchange, mut replies: Vec<Reply>) {
        count(&mut self.out.stats.answered);
        self.observe(&exchange, &replies);
        let relay = exchange.relay;
        let elapsed = self.now.saturating_since(exchange.sent);
        let decoded: usize = replies.iter().map(|reply| reply.data.len()).fold(0, usize::saturating_add);
        for (sent, reply) in exchange.ops.into_iter().zip(replies.drain(..)) {
            match sent.owner {
                OpOwner::Stream(id) => {
                    let answer = Answer { relay, elapsed, decoded };
                    self.on_flow_reply(id, &sent.op, reply, answer);
                }
                OpOwner::Probe => self.on_probe_reply(relay, &reply),
                OpOwner::Close { .. } => {}
            }
        }
        self.rearm_relay(relay);
        self.feed_starved();
    }

    /// What an answer tells of its relay, whatever it brought.
    fn observe(&mut self, exchange: &Exchange, replies: &[Reply]) {
        let elapsed = self.now.saturating_since(exchange.sent);
        let newest = |sent: &Sent| match sent.owner {
            OpOwner::Stream(id) => self.flows.get(&id).is_some_and(|flow| flow.is_newest(&sent.op)),
            OpOwner::Close { .. } | OpOwner::Probe => true,
        };
        let quiet = |reply: &Reply| {
            reply.data.is_empty() && reply.packets.is_empty() && !reply.eof && reply.error.is_none()
        };
        // Only when nothing else ended the hold does an early answer mean that there was none.
        let tells_hold =
            exchange.class == Class::IdlePoll && replies.iter().all(quiet) && exchange.ops.iter().all(newest);
        let Some(relay) = self.relays.get_mut(exchange.relay) else { return };
        let up = relay.on_answer(self.now);
        match exchange.class {
            Class::Payload | Class::Control => relay.round_trip_mut().on_sample(elapsed),
            // A connect lasts as long as its target: better than nothing, worse than anything else.
            Class::Connect => relay.round_trip_mut().on_rough_sample(elapsed),
            Class::IdlePoll if tells_hold => relay.hold_mut().on_poll(self.now, elapsed >= HOLD_THRESHOLD),
            Class::IdlePoll | Class::BulkPoll => {}
        }
        self.out.notice(up);
    }

    fn on_probe_reply(&mut self, id: RelayId, reply: &Reply) {
        let Some(passes) =
            self.relays.get_mut(id).map(Relay::passes_mut).filter(|passes| passes.is_probing_seq())
        else {
            return;
        };
        if reply.seq == Some(crate::seq::Seq::ZERO) {
            passes.on_seq_kept();
        } else if reply.error.is_some() || reply.damaged {
            passes.on_seq_probe_lost();
        } else {
            self.lose_seq(id);
        }
    }

    /// A relay does not keep `seq`: level 1 is over through it, and only through it. Sessions of level 1
    /// that have no other way left go on at level 0 if they sent nothing yet, and end otherwise.
    fn lose_seq(&mut self, id: RelayId) {
        if !self.relays.get_mut(id).is_some_and(|relay| relay.passes_mut().on_seq_lost()) {
            return;
        }
        self.report_lost_seq();
        if self.relays.can_sequence() {
            return;
        }
        let sequenced = self.flows.iter().filter(|(_, flow)| flow.path() == Path::Sequenced);
        let stranded: Vec<FlowId> = sequenced.map(|(id, _)| *id).collect();
        for id in stranded {
            let downgraded = match self.flows.get_mut(&id).map(|flow| &mut flow.kind) {
                Some(Kind::Session(session)) => session.downgrade(),
                Some(Kind::Association(_) | Kind::Stream(_)) | None => false,
            };
            if downgraded {
                self.out.notice(ClientNotice::Connected { flow: id, level: Level::Legacy });
                self.refresh(id);
            } else {
                self.end(id, EndReason::SequenceBroken);
            }
        }
    }

    /// A relay is to blame only when the node behind it would have kept `seq`.
    fn report_lost_seq(&mut self) {
        if self.offered >= Level::Sequenced {
            for relay in self.relays.take_seq_losses() {
                self.out.actions.push_back(ClientAction::Event(ClientNotice::SeqUnsupported { relay }));
            }
        }
    }

    fn on_flow_reply(&mut self, id: FlowId, op: &Op, mut reply: Reply, answer: Answer) {
        let Answer { relay, decoded, .. } = answer;
        if reply.error.as_deref() == Some("unauthorized") {
            self.out.notice(ClientNotice::Unauthorized { relay });
        }
        if !self.flows.contains_key(&id) {
            // The flow ended while its open was on the way: the node has a session that nobody wants.
            let opened = reply.sid.filter(|_| !matches!(op, Op::Data { .. } | Op::UdpData { .. }));
            if let Some(sid) = opened.filter(|_| !reply.eof) {
                self.close_session(sid);
            }
            return;
        }
        // Payloads of one answer share one allocation. A small one must not pin much that is not its own.
        if reply.data.len() < decoded.saturating_sub(reply.data.len()) && decoded > PINNED {
            reply.data = Bytes::copy_from_slice(&reply.data);
        }
        match op {
            Op::Connect { .. } | Op::ConnectData { .. } | Op::UdpOpen { .. } => {
                self.on_open_reply(id, relay, op, reply);
            }
            Op::Data { .. } | Op::UdpData { .. } | Op::Close { .. } => {
                self.on_data_reply(id, op, reply, answer)
            }
            Op::Streams { .. } => {}
        }
    }

    fn on_open_reply(&mut self, id: FlowId, relay: RelayId, op: &Op, reply: Reply) {
        if matches!(op, Op::ConnectData { .. }) && reply.is_unsupported("connect_data") {
            self.lose_connect_data(relay);
            self.unsend(id, op.clone());
            return;
        }
        let offered = reply.caps.unwrap_or(Caps::NONE).session_level().min(self.config.max_level);
        if offered > self.offered {
            self.offered = offered;
            self.report_lost_seq();
        }
        let offered = if planted!(CapsAssumed) { self.offered } else { offered };
        let level = if self.relays.can_sequence() { offered } else { Level::Legacy };
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let outcome = match &mut flow.kind {
            Kind::Session(session) => {
                session.on_connect_reply(op, reply, level, self.now, &self.config, &mut self.out)
            }
            Kind::Association(association) => association.on_open_reply(reply, self.now, &mut self.out),
            Kind::Stream(_) => Ok(()),
        };
        self.conclude(id, outcome);
    }

    fn lose_connect_data(&mut self, id: RelayId) {
        if self.relays.get_mut(id).is_some_and(|relay| relay.passes_mut().on_connect_data_refused()) {
            self.out.notice(ClientNotice::ConnectDataUnsupported { relay: id });
        }
    }

    fn on_data_reply(&mut self, id: FlowId, op: &Op, reply: Reply, answer: Answer) {
        let Answer { relay, elapsed, .. } = answer;
        let circumstances = self.circumstances();
        let lost_seq = reply.seq.is_none() && reply.error.is_none();
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let sequenced = flow.path() == Path::Sequenced;
        let outcome = match &mut flow.kind {
            Kind::Session(session) => {
                session.on_data_reply(op, reply, elapsed, self.now, &self.config, &mut self.out)
            }
            Kind::Association(association) => {
                association.on_data_reply(op, reply, circumstances, &mut self.out)
            }
            Kind::Stream(_) => Ok(()),
        };
        self.conclude(id, outcome);
        if sequenced && lost_seq {
            self.lose_seq(relay);
        }
    }

    fn conclude(&mut self, id: FlowId, outcome: Result<(), EndReason>) {
        match outcome {
            Ok(()) => self.refresh(id),
            Err(why) => self.end(id, why),
        }
    }

    /// `{"e": text}`: what it says of the relay, and of the ops.
    pub(in crate::client) fn on_envelope_error(&mut self, relay: RelayId, text: &str) -> ExchangeFailure {
        let text = text.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if says(&["http 413", "too large"]) {
            return ExchangeFailure::TooLarge;
        }
        if says(&["quota", "too many times", "rate limit", "http 429", "http 403"]) {
            return ExchangeFailure::Refused { retry_after: None };
        }
        // A relay that cannot get past the node's key is answered 404 by it.
        if says(&["unauthorized", "http 404"]) {
            self.out.notice(ClientNotice::Unauthorized { relay });
        }
        ExchangeFailure::Garbage
    }

    /// An exchange failed: its relay is judged, and its ops go again or are lost.
    fn fail(&mut self, id: ExchangeId, exchange: Exchange, why: ExchangeFailure) {
        let relay = exchange.relay;
        self.report_failure(id, relay, why);
        self.unprobe(&exchange);
        match why {
            ExchangeFailure::NotSent => {
                let down = self.relays.get_mut(relay).and_then(|r| r.on_unreachable(self.now, &self.config));
                self.out.notice(down);
                self.unsend_all(exchange.ops);
            }
            ExchangeFailure::Refused { retry_after } => {
                let down = self.on_refused(relay, retry_after);
                self.out.notice(down);
                self.unsend_all(exchange.ops);
            }
            ExchangeFailure::TooLarge => self.on_too_large(exchange),
            ExchangeFailure::Unknown | ExchangeFailure::Garbage => {
                self.strike(relay);
                for sent in exchange.ops {
                    self.on_lost(sent, EndReason::ExchangeLost(why));
                }
            }
        }
        self.rearm_relay(relay);
        self.feed_starved();
    }

    pub(in crate::client) fn report_failure(
        &mut self,
        exchange: ExchangeId,
        relay: RelayId,
        why: ExchangeFailure,
    ) {
        count(&mut self.out.stats.failed);
        self.out.notice(ClientNotice::ExchangeFailed { exchange, relay, why });
    }

    /// A relay refused a call. One that does not say for how long is left alone for long, but while it is the only way
    /// to the node of streams, not until that has forgotten them.
    pub(in crate::client) fn on_refused(
        &mut self,
        id: RelayId,
        retry_after: Option<Duration>,
    ) -> Option<ClientNotice> {
        let Self { relays, streams, config, now, .. } = self;
        let in_use = streams.as_ref().is_some_and(Streams::is_in_use);
        let usual = if in_use && relays.is_last(*now, id) {
            config.tuning.refused_backoff.min(share(config.tuning.streams.idle, 1, 2))
        } else {
            config.tuning.refused_backoff
        };
        relays.get_mut(id).and_then(|relay| relay.on_refused(*now, retry_after.unwrap_or(usual), config))
    }

    fn strike(&mut self, id: RelayId) {
        let down = self.relays.get_mut(id).and_then(|relay| relay.on_strike(self.now, &self.config));
        self.out.notice(down);
        self.rearm_relay(id);
    }

    /// A body was refused for its size. Ops that fit into a smaller one go again; others cannot be helped.
    fn on_too_large(&mut self, exchange: Exchange) {
        let Some(relay) = self.relays.get_mut(exchange.relay) else { return };
        let lowered = relay.on_too_large(exchange.body_len);
        let limit = relay.passes().max_body();
        let overhead = wire::request_overhead(relay.options().form, &relay.options().key);
        self.out.notice(lowered);
        for sent in exchange.ops {
            let fits = overhead.saturating_add(sent.op.encoded_len()) <= limit && exchange.body_len > limit;
            if fits {
                self.unsend_one(sent);
            } else {
                self.on_lost(sent, EndReason::ExchangeLost(ExchangeFailure::TooLarge));
            }
        }
    }

    fn unsend_all(&mut self, ops: Vec<Sent>) {
        for sent in ops {
            self.unsend_one(sent);
        }
    }

    /// The node cannot have had an op: its owner sends it again.
    fn unsend_one(&mut self, sent: Sent) {
        match sent.owner {
            OpOwner::Stream(id) => self.unsend(id, sent.op),
            OpOwner::Close { tries, until } => self.close_again(&sent.op, tries, until),
            OpOwner::Probe => {}
        }
    }

    fn unsend(&mut self, id: FlowId, op: Op) {
        if let Some(flow) = self.flows.get_mut(&id) {
            count(&mut self.out.stats.ops_resent);
            flow.on_unsent(op, self.now);
            self.refresh(id);
        }
    }

    /// The node may have had an op, and nobody will learn what it answered.
    fn on_lost(&mut self, sent: Sent, why: EndReason) {
        match sent.owner {
            OpOwner::Stream(id) => {
                if let Op::Data { seq, .. } = sent.op
                    && planted!(SilentGap)
                {
                    let answer = Answer { relay: RelayId::new(0), elapsed: Duration::ZERO, decoded: 0 };
                    return self.on_data_reply(id, &sent.op, Reply { seq, ..Reply::default() }, answer);
                }
                if let Some(flow) = self.flows.get_mut(&id) {
                    let outcome = flow.on_lost(&sent.op, self.now, why);
                    self.conclude(id, outcome);
                }
            }
            OpOwner::Close { tries, until } => self.close_again(&sent.op, tries.saturating_add(1), until),
            OpOwner::Probe => {}
        }
    }

    /// Closing twice does no harm.
    fn close_again(&mut self, op: &Op, tries: u8, until: Instant) {
        if let Op::Close { sid } = op {
            self.queue_close(*sid, tries, until);
        }
    }

    /// A probe that was lost may be sent again.
    fn unprobe(&mut self, exchange: &Exchange) {
        let probes = exchange.ops.iter().any(|sent| sent.owner == OpOwner::Probe);
        if let Some(relay) = self.relays.get_mut(exchange.relay)
            && probes
        {
            relay.passes_mut().on_seq_probe_lost();
        }
    }
}
