//! Client: the router between events and its two engines.
//!
//! ```text
//!                      ┌─▶ sessions (levels 0 and 1) ──┐
//!  events ─▶ Client ───┤                               ├─▶ calls ─▶ relays
//!              ▲       └─▶ streams (level 2) ──────────┘
//!              └── actions ◀── context
//! ```
//!
//! An event goes to the engine that it is about: [`flows`] knows which one carries a flow, [`calls`] what a call
//! carries. Both engines choose among the [`relays`], and leave actions, deadlines and ends of flows in the
//! [`context`].

mod action;
mod answers;
mod calls;
mod context;
mod event;
mod flows;
mod relays;
mod sessions;
mod streams;
mod unreachable;
mod upgrade;

#[cfg(test)]
mod tests;

use core::fmt;

use bytes::Bytes;

pub use action::{ClientAction, ClientNotice, EndReason};
pub use event::{ClientEvent, ExchangeFailure, LocalEvent};
pub use streams::decrypted::DecryptedPacket;
pub use streams::decryptor::Decryptor;

use crate::config::ClientConfig;
use crate::entropy::Entropy;
use crate::error::{Misuse, OpenError};
use crate::id::{ExchangeId, FlowId, IdGenerator};
use crate::level::Level;
use crate::stats::ClientStats;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::handshake::{MakeKeys, SecretKeys};

use calls::{CallOutcome, Calls, NewCall, Payload};
use context::{Context, TimerOwner};
use flows::{Carrier, Flows};
use relays::Relays;
use sessions::Sessions;
use streams::Streams;

/// The client: carries local flows to a node in batches, through relays.
///
/// A driver hands in what happens with [`handle`](Self::handle), takes what is to be done with
/// [`poll`](Self::poll) until it says [`Idle`](ClientAction::Idle), and sleeps until its wake time or the
/// next event. The contract:
///
///  1. Events may come in any number before a drain; memory is bounded by credit, not by the driver.
///  2. Output depends on the events and their times alone. A time before the last one counts as the last.
///  3. `Idle` comes when and only when nothing else is queued; after `Timeout` at its wake time and a
///     drain, the next wake time is later.
///  4. An idle `poll` takes the same short time with any number of flows. The work of an event is bounded
///     by its own size, by the ops of the batches that it lets out, and by the calls in flight. One case
///     adds the flows that wait: while relays that keep `seq` are busy and others that lose it are not,
///     those are looked through for one that needs no `seq`.
///  5. Every exchange ends once, and every flow has exactly one [`Ended`](ClientAction::Ended).
///  6. [`Misuse`] is the caller's mistake and changes nothing. What a peer sends never panics and is never
///     `Misuse`.
///  7. An event for something that has ended already is ignored.
#[derive(Clone)]
pub struct Client {
    context: Context,
    stage: Stage,
    flows: Flows,
    calls: Calls,
    relays: Relays,
    sessions: Sessions,
    /// Level 2, if it is configured.
    streams: Option<Streams>,
    /// Whether nothing can be sent until the next event.
    settled: bool,
}

/// ```text
///   Running ── Close ──▶ Closing ── all is said ──▶ Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Running,
    /// The node has still to be told of sessions that are over.
    Closing,
    Closed,
}

impl Client {
    /// A client without flows. `seed` should be secret and unlike that of any other client.
    pub fn new(config: ClientConfig, seed: [u8; 32], now: Instant) -> Self {
        Self::with_keys(config, Entropy::new(seed), now, SecretKeys::new)
    }

    /// A client for models, whose packets of level 2 stay readable ([`SecretKeys::null`]). `names` makes the same names as
    /// the seed that it is [of](crate::names_of_seed).
    #[cfg(any(test, feature = "model"))]
    pub fn unsealed(config: ClientConfig, names: [u8; 32], now: Instant) -> Self {
        Self::with_keys(config, Entropy::of_names(names), now, SecretKeys::null)
    }

    fn with_keys(config: ClientConfig, entropy: Entropy, now: Instant, make_keys: MakeKeys) -> Self {
        let config = config.into_options();
        let mut sids = IdGenerator::new(entropy.names());
        let mut relays = Relays::new(&config, now);
        let level_2 = config.max_level >= Level::Streams;
        let mut client = Self {
            stage: Stage::Running,
            flows: Flows::default(),
            calls: Calls::default(),
            streams: level_2.then(|| Streams::new(&config, entropy, make_keys, &mut relays, now)),
            relays,
            sessions: Sessions::new(sids.generate()),
            settled: false,
            context: Context::new(config, now),
        };
        client.relays.rearm(&mut client.context);
        client
    }

    /// Opens a flow and names it. What follows comes from [`poll`](Self::poll): `Opened`, `Credit`, and at
    /// last `Ended`, which can be the very next action when the target is known to be unreachable.
    ///
    /// # Errors
    /// [`OpenError`] after `Close`, or with as many flows as the configuration allows.
    pub fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, OpenError> {
        if self.stage != Stage::Running {
            return Err(OpenError::Closed);
        }
        if self.flows.len() >= self.context.config().max_flows {
            return Err(OpenError::FlowLimit);
        }
        self.advance(now);
        let id = self.flows.next_id();
        self.context.count(|stats| &mut stats.opened);
        if let Some(failure) = self.context.recent_failure(&target) {
            self.context.count(|stats| &mut stats.unreachable_hits);
            self.context.ended(id, None, EndReason::ConnectFailed(failure));
        } else {
            self.flows.set(id, Carrier::Sessions);
            self.sessions.open(id, target, kind, &self.relays, &mut self.context);
        }
        self.settle();
        Ok(id)
    }

    /// Handles an event.
    ///
    /// # Errors
    /// [`Misuse`] when the event breaks the contract; nothing has changed then.
    pub fn handle(&mut self, now: Instant, event: ClientEvent) -> Result<(), Misuse> {
        match event {
            ClientEvent::Open { target, kind } => return Ok(self.open(now, target, kind).map(drop)?),
            ClientEvent::Local { flow, event } => self.on_local(now, flow, event)?,
            ClientEvent::Answering { exchange } => self.on_call_answering(now, exchange)?,
            ClientEvent::Reply { exchange, body } => {
                self.on_call_ended(now, exchange, CallOutcome::Body(body))?
            }
            ClientEvent::Decrypted { exchange, packet } => {
                self.on_call_ended(now, exchange, CallOutcome::Decrypted(packet))?;
            }
            ClientEvent::ExchangeFailed { exchange, why } => {
                self.on_call_ended(now, exchange, CallOutcome::Failed(why))?;
            }
            ClientEvent::Timeout => self.on_timeout(now),
            ClientEvent::Close => self.on_close(now),
        }
        self.settle();
        Ok(())
    }

    /// Returns the next action; [`Idle`](ClientAction::Idle) when there is nothing more to do.
    #[must_use]
    pub fn poll(&mut self) -> ClientAction {
        loop {
            if let Some(action) = self.context.next_action() {
                return action;
            }
            if !self.settled && self.make_call() {
                continue;
            }
            if !core::mem::replace(&mut self.settled, true)
                && let Some(streams) = &mut self.streams
            {
                streams.rearm(&self.relays, &mut self.context);
            }
            if self.context.is_drained() {
                if self.stage == Stage::Closing && self.is_all_said() {
                    self.stage = Stage::Closed;
                    return ClientAction::Closed;
                }
                return ClientAction::Idle { wake: self.context.wake() };
            }
        }
    }

    /// Counters of what the client has done.
    pub const fn stats(&self) -> &ClientStats {
        self.context.stats()
    }

    /// What the answer to an exchange that carries a packet is under its seal, the answer to a hello included; for
    /// recordings. Nothing is consumed: it is as if the answer had not come.
    pub fn opened(&self, exchange: ExchangeId, body: &Bytes) -> Option<DecryptedPacket> {
        let (relay, Payload::Packet(call)) = self.calls.get(exchange)? else { return None };
        self.streams.as_ref()?.opened(relay, call, body, self.context.config())
    }

    /// Payload bytes that the client buffers: uplink without an answer, and downlink out of order.
    pub fn buffered_bytes(&self) -> usize {
        let streams = self.streams.as_ref().map_or(0, Streams::buffered);
        self.sessions.buffered().saturating_add(streams)
    }

    /// Time moves on, and something may be sendable again.
    fn advance(&mut self, now: Instant) {
        self.context.advance(now);
        self.settled = false;
    }

    fn on_local(&mut self, now: Instant, id: FlowId, event: LocalEvent) -> Result<(), Misuse> {
        self.flows.check(id)?;
        let Self { context, relays, sessions, streams, .. } = self;
        let Some(carrier) = self.flows.carrier(id) else { return Ok(()) };
        let before = context.advance(now);
        let taken = match (carrier, streams) {
            (Carrier::Sessions, _) => sessions.on_local(id, event, relays, context),
            (Carrier::Streams, Some(streams)) => streams.on_local(id, event, context),
            (Carrier::Streams, None) => Ok(()),
        };
        match taken {
            Ok(()) => self.settled = false,
            Err(_) => context.turn_back(before),
        }
        taken
    }

    fn on_call_answering(&mut self, now: Instant, id: ExchangeId) -> Result<(), Misuse> {
        self.calls.check(id)?;
        self.advance(now);
        if let Some(Payload::Packet(packet)) = self.calls.payload(id)
            && let Some(streams) = &mut self.streams
        {
            streams.on_call_answering(packet);
        }
        Ok(())
    }

    fn on_call_ended(&mut self, now: Instant, id: ExchangeId, outcome: CallOutcome) -> Result<(), Misuse> {
        self.calls.check(id)?;
        self.advance(now);
        self.end_call(id, outcome);
        Ok(())
    }

    /// A call has ended: its outcome goes to its engine.
    fn end_call(&mut self, id: ExchangeId, outcome: CallOutcome) {
        let Self { context, calls, relays, sessions, streams, .. } = self;
        let Some((call, payload)) = calls.end(id, relays, context) else { return };
        let outcome = answers::read(outcome, &call, &payload, context);
        if let Some(why) = outcome.failure() {
            let in_use = streams.as_ref().is_some_and(Streams::is_in_use);
            call.on_failed(why, in_use, relays, context);
        }
        match (payload, streams) {
            (Payload::Batch(batch), _) => sessions.on_call_ended(&call, batch, outcome, relays, context),
            (Payload::Packet(packet), Some(streams)) => {
                streams.on_call_ended(&call, &packet, outcome, relays, context)
            }
            (Payload::Packet(_), None) => {}
        }
    }

    /// Every owner whose deadline has come acts once, and names a later deadline or none.
    fn on_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some(owner) = self.context.next_due() {
            let Self { context, relays, sessions, .. } = self;
            match (owner, &mut self.streams) {
                (TimerOwner::Relay(_), _) => relays.rearm(context),
                (TimerOwner::Exchange(id), _) => self.end_call(id, CallOutcome::Overdue),
                (owner, Some(streams)) if self.flows.belongs_to_streams(owner) => {
                    streams.on_timeout(owner, relays, context)
                }
                (owner, _) => sessions.on_timeout(owner, relays, context),
            }
        }
    }

    fn on_close(&mut self, now: Instant) {
        self.advance(now);
        if self.stage == Stage::Running {
            self.stage = Stage::Closing;
        }
        while let Some(id) = self.flows.first() {
            match (self.flows.carrier(id), &mut self.streams) {
                (Some(Carrier::Streams), Some(streams)) => {
                    streams.end(id, EndReason::ClientClosed, &mut self.context)
                }
                _ => self.sessions.end(id, EndReason::ClientClosed, &mut self.context),
            }
            self.settle();
        }
        if let Some(streams) = &mut self.streams {
            streams.close(now);
        }
    }

    /// After `Close`: whether no call is under way, no close op waits for others to share its batch, and nodes know of it.
    fn is_all_said(&self) -> bool {
        self.calls.len() == 0
            && !self.sessions.is_gathering_closes(self.context.now())
            && self.streams.as_ref().is_none_or(Streams::is_all_said)
    }

    /// Makes the next call; false when nothing can be sent now.
    fn make_call(&mut self) -> bool {
        let call = self.next_call();
        self.settle();
        call.map(|call| self.calls.start(call, &mut self.relays, &mut self.context)).is_some()
    }

    fn next_call(&mut self) -> Option<NewCall> {
        let Self { context, flows, calls, relays, sessions, streams, .. } = self;
        let mut may_open = true;
        if let Some(streams) = streams {
            upgrade::upgrade(flows, sessions, streams, relays, context);
            if let Some(call) = streams.next_call(relays, context) {
                return Some(call);
            }
            may_open = upgrade::may_open(streams, relays, context);
        }
        if context.config().is_sealed_only() {
            return None;
        }
        sessions.next_call(may_open, calls, relays, context)
    }

    /// After anything that may have ended flows, returned credit or changed a relay: forgets ended flows, grants credit
    /// to blocked flows, and sets the timers of relays.
    fn settle(&mut self) {
        if let Some(streams) = &mut self.streams {
            streams.reap(&mut self.context);
        }
        while let Some(id) = self.context.next_ended() {
            self.flows.remove(id);
        }
        self.sessions.feed(&mut self.context);
        if let Some(streams) = &mut self.streams {
            streams.feed(&mut self.context);
        }
        self.relays.rearm(&mut self.context);
    }
}

#[cfg(feature = "model")]
impl Client {
    /// Feeds everything that decides what the client will do to `hasher`, relative to `now`. All actions must have been
    /// [taken](Self::poll).
    ///
    /// Times count from `now`, flows and exchanges by their order, sequence numbers from the one that their session expects,
    /// statistics not at all. States with equal fingerprints behave alike.
    pub fn fingerprint(&self, now: Instant, hasher: &mut impl core::hash::Hasher) {
        use core::hash::Hash;
        let Self { context, stage, flows, calls, relays, sessions, streams, settled } = self;
        let mut print = crate::fingerprint::Fingerprint::new(now, hasher);
        for (sid, expected) in sessions.known() {
            print.session(sid, expected);
        }
        (stage, settled, flows, streams, sessions, calls, relays, context).hash(&mut print);
        for (relay, sent) in calls.sent() {
            relays.get(relay).map(|relay| relay.health().counts_failure(sent)).hash(&mut print);
        }
    }

    /// The sessions at the node that the client knows, in an order that the fingerprint determines: those of
    /// its flows, with the number of the reply that comes next, and those that it is about to close.
    ///
    /// Neither machine's fingerprint has session ids or absolute numbers. Who hashes both needs to know which
    /// session is which, and how far the two sides' numbers are apart: look each up in
    /// [`Node::known_sessions`](crate::Node::known_sessions).
    pub fn known_sessions(&self) -> impl Iterator<Item = (crate::wire::Sid, Option<crate::seq::Seq>)> {
        self.sessions.known()
    }

    /// The ids of level 2 that the client knows, in an order that the fingerprint determines: those of its hellos, and those
    /// of its connections, with [what tells](crate::wire::seal::session_of) whose answer made them.
    pub fn known_connections(&self) -> impl Iterator<Item = (crate::wire::packet::ClientId, Option<u64>)> {
        self.streams.iter().flat_map(Streams::known)
    }

    /// The newest answer over the connection with this id, which the fingerprint does not have: what counts is which
    /// answers on their way are newer, and in which order.
    pub fn newest_answer(
        &self,
        client: crate::wire::packet::ClientId,
    ) -> Option<crate::wire::number::AnswerNumber> {
        let mut connections = self.streams.as_ref()?.connections();
        connections.find(|connection| connection.up().client() == client)?.newest()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("now", &self.context.now())
            .field("stage", &self.stage)
            .field("flows", &self.flows.len())
            .field("calls", &self.calls.len())
            .field("stats", self.context.stats())
            .finish_non_exhaustive()
    }
}
