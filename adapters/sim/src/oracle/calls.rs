//! Costs of calls and treatment of relays (R2, R3, R4, L7, S10, S13).

use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op};
use seqlane::{BodyForm, ClientEvent, ExchangeFailure, ExchangeId, Instant, RelayId, RelayOptions};

use crate::ends::Ends;
use crate::oracle::Oracle;
use crate::oracle::records::{OpKind, Request, SentCall, SentOp, flows};
use crate::time::nanos;
use crate::{CoveragePoint, Time};

/// A relay is left alone for no longer than this, or than configured.
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest pause that a relay is given, and the first one when it cannot be reached.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// Polls that a flow may send while nothing moves, and how many more a minute.
const IDLE_POLLS: u64 = 60;

impl Oracle {
    /// A client sends a request. Answers what it carries.
    pub(crate) fn on_sent(
        &mut self,
        ends: &Ends,
        (client, exchange): (usize, ExchangeId),
        relay: RelayId,
        (form, body): (BodyForm, &Bytes),
        deadline: Instant,
    ) -> Request {
        let place = relay.index();
        let options = &self.setup.client;
        let limits = Limits { max_body: 256 << 20, max_ops: options.tuning.max_batch_ops };
        let Some(options) = options.relays.get(place as usize).cloned() else {
            violated!(self, S10, "client{client} sends through relay {relay}, which is none");
            return Request::from([]);
        };
        let now = self.client_now(client);
        let out = |call: &&SentCall| call.relay == place && call.deadline > now;
        let out = self.calls_of(client).filter(out).count();
        let (most, len) = (options.max_concurrent, body.len());
        let once = !self.calls.contains_key(&(client, exchange));
        self.check_peace(client, place);
        require!(self, once, S13, "client{client} sends exchange {exchange} twice");
        require!(self, out < most, R2, "client{client} has {out} calls out through relay {relay}");
        require!(self, len <= options.max_body, S10, "client{client} sends {len} B through relay {relay}");
        let ops = match form {
            BodyForm::Packet => vec![Op::Streams { packet: body.clone() }],
            BodyForm::Json => self.decode_ops(client, limits, body),
        };
        let packets = ops.iter().filter(|op| matches!(op, Op::Streams { .. })).count();
        let (len, mixed) = (ops.len(), packets > 0 && ops.len() > 1);
        require!(
            self,
            len > 0 && !mixed,
            S10,
            "client{client} sends a batch of {len} ops, {packets} packets"
        );
        if form == BodyForm::Json {
            self.check_encoding(client, &options, &ops, body);
        } else {
            self.coverage.set(CoveragePoint::RawPacket);
        }
        let request = self.read_ops(ends, client, place, &ops);
        self.count_call(client, place);
        self.check_polls(ends, &request);
        self.record_ops(ends, client, &request);
        let request_of = Request::clone(&request);
        let call =
            SentCall { at: self.now, relay: place, deadline, form, answering: false, request: request_of };
        self.calls.insert((client, exchange), call);
        request
    }

    fn decode_ops(&mut self, client: usize, limits: Limits, body: &Bytes) -> Vec<Op> {
        match wire::decode_request(body, limits) {
            Ok(request) => request.decode_ops().into_iter().filter_map(Result::ok).collect(),
            Err(error) => {
                violated!(self, S10, "client{client} sends a bad batch: {error}");
                Vec::new()
            }
        }
    }

    /// S10: what was decoded encodes to the same bytes again.
    fn check_encoding(&mut self, client: usize, options: &RelayOptions, ops: &[Op], body: &Bytes) {
        /// A larger one is not written again: its payload makes nothing new.
        const SMALL: usize = 4096;
        let same =
            body.len() > SMALL || wire::encode_request(options.form, &options.key, ops.iter()) == *body;
        require!(self, same, S10, "client{client} sends a body that does not encode to itself");
    }

    /// An answer begins to come to its client.
    pub(crate) fn on_answering(&mut self, client: usize, exchange: ExchangeId) {
        self.coverage.set(CoveragePoint::Answering);
        if let Some(call) = self.calls.get_mut(&(client, exchange)) {
            call.answering = true;
        }
    }

    /// A call ends for its client.
    pub(crate) fn on_call_ended(&mut self, client: usize, exchange: ExchangeId, event: &ClientEvent) {
        let Some(call) = self.calls.remove(&(client, exchange)) else { return };
        self.record_relay(client, &call, event);
        self.record_end(&call, event);
    }

    /// R3: a call goes out through a relay.
    fn count_call(&mut self, client: usize, relay: u32) {
        self.renew(client, relay);
        let now = self.client_now(client);
        let limit = self.daily_calls(relay);
        let record = self.relays.entry((client, relay)).or_default();
        record.spent += 1;
        let (spent, alone) = (record.spent, record.alone_until);
        let within = limit.is_none_or(|limit| spent <= limit);
        require!(self, within, R3, "client{client} makes call {spent} through relay{relay} in a day");
        if let Some(until) = alone.filter(|until| *until > now) {
            let early = until.saturating_since(now);
            violated!(self, R3, "client{client} calls relay{relay}, which refused, {early:?} too early");
        }
    }

    pub(super) fn daily_calls(&self, relay: u32) -> Option<u64> {
        self.setup.client.relays.get(relay as usize).and_then(|relay| relay.daily_calls)
    }

    /// A day of a budget may be over.
    pub(super) fn renew(&mut self, client: usize, relay: u32) {
        let now = self.client_now(client);
        let Some(options) = self.setup.client.relays.get(relay as usize) else { return };
        let first = self.clients[client].began.saturating_add(options.budget_resets_in);
        let (limit, leapt) = (options.daily_calls, self.clocks[client].since());
        let record = self.relays.entry((client, relay)).or_default();
        let due = *record.renews.get_or_insert(first);
        if now >= due {
            if limit.is_some_and(|limit| record.spent >= limit) {
                let ago = nanos(now.saturating_since(due));
                let then = Time::from_nanos(self.now.as_nanos().saturating_sub(ago));
                // A day that a leap of the clock ended was not over before.
                record.renewed = Some(then.max(leapt));
                self.coverage.set(CoveragePoint::BudgetRenewed);
            }
            record.spent = 0;
            record.renews = Some(now.saturating_add(DAY));
        }
    }

    /// A call ends: what its relay has shown.
    fn record_relay(&mut self, client: usize, call: &SentCall, event: &ClientEvent) {
        let options = &self.setup.client.tuning;
        // The only way to the node of streams is asked again before that forgets them.
        let (usual, pause) = (options.refused_backoff, options.refused_backoff.min(options.streams.idle / 2));
        let now = self.client_now(client);
        let known = self.relays.get(&(client, call.relay));
        let troubled = known.is_some_and(|known| known.setbacks > 0 || known.alone_until.is_some());
        let answered =
            matches!(event, ClientEvent::Reply { body, .. } if troubled && self.answers(call, body));
        let Some(record) = self.relays.get_mut(&(client, call.relay)) else { return };
        record.refused = false;
        record.ended = self.now;
        match event {
            ClientEvent::ExchangeFailed { why: ExchangeFailure::Refused { retry_after }, .. } => {
                let until = |pause: Duration| {
                    let pause = retry_after.unwrap_or(pause).clamp(SHORTEST_PAUSE, pause.max(HOUR));
                    Some(now.saturating_add(pause))
                };
                record.refused = true;
                record.alone_until = record.alone_until.max(until(pause));
                record.refused_until = record.refused_until.max(until(usual));
            }
            // An answer to an earlier call does not take a refusal back.
            ClientEvent::Reply { .. } if answered && record.alone_until.is_none_or(|until| until <= now) => {
                record.setbacks = 0;
                record.alone_until = None;
            }
            _ => {}
        }
    }

    /// L7: the pauses of a relay grow from one answer to the next, and restart then.
    pub(crate) fn on_relay_down(&mut self, client: usize, relay: RelayId, until: Instant) {
        self.coverage.set(CoveragePoint::RelayDown);
        let pause = until.saturating_since(self.client_now(client));
        let options = &self.setup.client.tuning;
        let (first, longest) = (options.relay_backoff.max(SHORTEST_PAUSE), options.relay_backoff_max);
        let Some(record) = self.relays.get_mut(&(client, relay.index())) else { return };
        let (setbacks, refused) = (record.setbacks, record.refused);
        record.setbacks += 1;
        let most = first.saturating_mul(1 << setbacks.min(20)).min(longest);
        require!(
            self,
            refused || pause <= most,
            L7,
            "client{client} leaves relay{relay} alone for {pause:?} after {setbacks} setbacks"
        );
    }

    /// R4: calls that nothing but idle flows need are few.
    fn check_polls(&mut self, ends: &Ends, request: &[SentOp]) {
        let mut idle = true;
        for flow in flows(request) {
            let (now, moved) = (self.now, ends.flows[flow].moved);
            let others = moved_beside(ends, flow);
            let record = &mut self.flows[flow];
            // What came for one flow lets the whole batch be answered in which others were polled.
            record.hurried |=
                std::mem::replace(&mut record.in_company, request.len() > 1) && others > record.polled;
            if moved > record.polled {
                (record.polls, record.polls_since) = (0, moved);
                idle = false;
            }
            record.polled = now;
        }
        let poll = |op: &SentOp| op.payload == 0 && matches!(op.kind, OpKind::Data { .. });
        if !idle || !request.iter().all(poll) {
            return;
        }
        for flow in flows(request) {
            let record = &mut self.flows[flow];
            if std::mem::take(&mut record.hurried) {
                continue;
            }
            record.polls += 1;
            let (polls, time) = (record.polls, self.now.since(record.polls_since));
            let few = u64::from(polls) <= IDLE_POLLS * (1 + time.as_secs() / 60);
            require!(self, few, R4, "flow {flow} has polled {polls} times in {time:?} for nothing");
        }
    }

    /// A later op of one flow lets the whole batch be answered that holds an earlier one (protocol.md 2.4 rule 4).
    pub(super) fn record_company(&mut self, call: &SentCall) {
        let later = |op: &SentOp| op.flow.is_some_and(|flow| self.flows[flow].polled > call.at);
        if call.request.len() > 1 && call.request.iter().any(later) {
            flows(&call.request).for_each(|flow| self.flows[flow].hurried = true);
        }
    }

    /// Whether the healed relay has asked to be left alone for longer yet.
    pub(super) fn is_left_alone(&self, client: usize, core: usize) -> bool {
        let now = self.client_now(client);
        let record = self.relays.get(&(client, core as u32));
        record.and_then(|record| record.alone_until).is_some_and(|until| until > now)
    }

    /// When the budget of the healed relay is renewed, if it is spent.
    pub(super) fn budget_pause(&mut self, client: usize, core: usize) -> Option<Time> {
        let core = core as u32;
        let limit = self.daily_calls(core)?;
        self.renew(client, core);
        let record = self.relays.get(&(client, core))?;
        let renews = record.renews.filter(|_| record.spent >= limit)?;
        self.clocks[client].when(self.now, renews)
    }
}

/// When another flow of the same client last moved.
fn moved_beside(ends: &Ends, flow: usize) -> Time {
    let client = ends.flows[flow].client;
    let flows = ends.flows.iter().enumerate();
    let others = flows.filter(|(other, state)| *other != flow && state.client == client);
    others.map(|(_, state)| state.moved).max().unwrap_or(Time::ZERO)
}
