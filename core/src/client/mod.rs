//! The client machine: flows in, batches out.
//!
//! Data goes one way through the files of this folder: a local event changes a flow ([`session`],
//! [`association`]); the flow says what it wants sent ([`ready`]); [`outbound`] puts batches together for
//! the relays that can take them ([`relay`]); [`inbound`] hands replies back to the flows.

mod action;
mod calls;
mod context;
mod event;
#[cfg(feature = "model")]
mod fingerprint;
mod flows;
mod relays;
mod sessions;
mod streams;
mod unreachable;

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::fmt;
use core::time::Duration;

pub use action::{ClientAction, ClientNotice, EndReason};
pub use event::{ClientEvent, ExchangeFailure, LocalEvent};
pub use streams::decrypted::DecryptedPacket;
pub use streams::decryptor::Decryptor;

use crate::config::{ClientConfig, ClientOptions};
use crate::error::Misuse;
use crate::id::{Counter, ExchangeId, FlowId, IdGenerator, RelayId};
use crate::level::Level;
use crate::stats::ClientStats;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::{TimerKind, TimerQueue, TimerSlot, Wake};
use crate::wire::Sid;

use calls::Exchange;
use context::{Outbox, count};
use flows::{Flow, Kind};
use relays::{Path, Relay, Relays};
use sessions::datagrams::Association;
use sessions::ready::{Coalescing, Ready};
use sessions::sequencing::{Circumstances, LONGEST_BEHIND, POLL_WAIT_NOT_HELD};
use sessions::session::Session;
use streams::Streams;
use unreachable::UnreachableCache;

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
    config: ClientOptions,
    now: Instant,
    stage: Stage,
    stream_ids: Counter,
    exchange_ids: Counter,
    flows: BTreeMap<FlowId, Flow>,
    exchanges: BTreeMap<ExchangeId, Exchange>,
    relays: Relays,
    ready: Ready,
    closes: VecDeque<Closing>,
    close_timer: TimerSlot,
    coalesce_timer: TimerSlot,
    timers: TimerQueue<TimerOwner>,
    unreachable: UnreachableCache,
    starved: BTreeSet<FlowId>,
    payload_in_flight: usize,
    /// A session that no node has, for asking a relay whether `seq` passes.
    probe: Sid,
    /// The highest level that the node has offered.
    offered: Level,
    /// Whether level 1 ops want a relay of which it is not known whether `seq` passes.
    probe_wanted: bool,
    /// Level 2, if it is to be used.
    streams: Option<Streams>,
    /// Nothing can be sent until something happens.
    settled: bool,
    out: Outbox,
}

/// ```text
///   Running ── Close ──▶ Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Running,
    Closed,
}

/// Nodes, deployed ones too, have ended an idle session by themselves after this time.
const NODE_IDLE: Duration = Duration::from_secs(300);

/// A session at the node that nobody needs any more.
#[derive(Clone, Copy, Debug)]
struct Closing {
    sid: Sid,
    tries: u8,
    due: Instant,
    /// When the node has forgotten the session by itself.
    until: Instant,
}

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TimerOwner {
    Relay(RelayId),
    Exchange(ExchangeId),
    Flow(FlowId),
    Coalesce,
    Closes,
    Streams,
}

impl Client {
    /// A client without flows. `seed` should be secret and unlike that of any other client.
    pub fn new(config: ClientConfig, seed: [u8; 32], now: Instant) -> Self {
        let config = config.into_options();
        let mut sids = IdGenerator::new(seed);
        if planted!(SeedAmbient, ambient) {
            let _: Sid = sids.generate();
        }
        let mut client = Self {
            now,
            stage: Stage::Running,
            stream_ids: Counter::default(),
            exchange_ids: Counter::default(),
            flows: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            relays: Relays::new(&config, now),
            ready: Ready::default(),
            closes: VecDeque::new(),
            close_timer: TimerSlot::default(),
            coalesce_timer: TimerSlot::default(),
            timers: TimerQueue::new(),
            unreachable: UnreachableCache::new(
                config.tuning.unreachable_entries,
                config.tuning.unreachable_ttl,
            ),
            starved: BTreeSet::new(),
            payload_in_flight: 0,
            probe: sids.generate(),
            offered: Level::Legacy,
            probe_wanted: false,
            streams: None,
            settled: false,
            out: Outbox::new(config.uplink_total),
            config,
        };
        let relays: alloc::vec::Vec<RelayId> = client.relays.iter().map(Relay::id).collect();
        for relay in relays {
            client.rearm_relay(relay);
        }
        if client.config.max_level >= Level::Streams {
            client.streams = Streams::new(&client.config, seed, &mut client.relays, now);
        }
        client
    }

    /// A client for models: packets of level 2 are written and read with [`Seal::null`](crate::wire::seal::Seal::null),
    /// that is, without any seal.
    #[cfg(any(test, feature = "model"))]
    pub fn unsealed(config: ClientConfig, seed: [u8; 32], now: Instant) -> Self {
        let mut client = Self::new(config, seed, now);
        client.streams = client.streams.map(Streams::unsealed);
        client
    }

    /// Opens a flow and names it. What follows comes from [`poll`](Self::poll): `Opened`, `Credit`, and at
    /// last `Ended`, which can be the very next action when the target is known to be unreachable.
    ///
    /// # Errors
    /// [`Misuse::Closed`] after `Close`, [`Misuse::FlowLimit`] with as many flows as configured.
    pub fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, Misuse> {
        if self.stage == Stage::Closed {
            return Err(Misuse::Closed);
        }
        if self.flows.len() >= self.config.max_flows {
            return Err(Misuse::FlowLimit);
        }
        self.advance(now);
        let id = FlowId::new(self.stream_ids.next());
        count(&mut self.out.stats.opened);
        if let Some(failure) = self.unreachable.lookup(self.now, &target) {
            count(&mut self.out.stats.unreachable_hits);
            self.report_end(id, EndReason::ConnectFailed(failure));
            return Ok(id);
        }
        let kind = match kind {
            FlowKind::Tcp => Kind::Session(Session::open(id, target, &self.config, self.now, &mut self.out)),
            FlowKind::Udp => {
                Kind::Association(Association::open(id, target, &self.config, self.now, &mut self.out))
            }
        };
        self.flows.insert(id, Flow::new(kind));
        self.refresh(id);
        Ok(id)
    }

    /// Takes in what happened.
    ///
    /// # Errors
    /// [`Misuse`] when the event breaks the contract; nothing has changed then.
    pub fn handle(&mut self, now: Instant, event: ClientEvent) -> Result<(), Misuse> {
        match event {
            ClientEvent::Open { target, kind } => return self.open(now, target, kind).map(drop),
            ClientEvent::Local { flow: stream, event } => {
                if stream.number() >= self.stream_ids.issued() {
                    return Err(Misuse::UnknownFlow(stream));
                }
                return self.on_local(now, stream, event);
            }
            ClientEvent::Answering { exchange }
            | ClientEvent::Reply { exchange, .. }
            | ClientEvent::Decrypted { exchange, .. }
            | ClientEvent::ExchangeFailed { exchange, .. }
                if exchange.number() >= self.exchange_ids.issued() =>
            {
                return Err(Misuse::UnknownExchange(exchange));
            }
            ClientEvent::Answering { exchange } => {
                self.advance(now);
                self.on_answering(exchange);
            }
            ClientEvent::Reply { exchange, body } => {
                self.advance(now);
                self.on_reply(exchange, body);
            }
            ClientEvent::Decrypted { exchange, packet } => {
                self.advance(now);
                self.on_decrypted(exchange, &packet);
            }
            ClientEvent::ExchangeFailed { exchange, why } => {
                self.advance(now);
                self.on_exchange_failed(exchange, why);
            }
            ClientEvent::Timeout => {
                self.advance(now);
                self.on_timeout();
            }
            ClientEvent::Close => {
                self.advance(now);
                self.on_close();
            }
        }
        Ok(())
    }

    /// What opens answers on other threads; none for a client without level 2. It stays the same.
    pub fn decryptor(&self) -> Option<Decryptor> {
        self.streams.as_ref().map(|streams| Decryptor::new(&streams.down, self.config.tuning.max_reply_body))
    }

    /// Takes the next thing to be done; [`Idle`](ClientAction::Idle) when there is nothing more.
    pub fn poll(&mut self) -> ClientAction {
        loop {
            if let Some(action) = self.out.actions.pop_front() {
                return action;
            }
            if planted!(IdleTooSoon) && core::mem::take(&mut self.probe_wanted) {
                return ClientAction::Idle { wake: self.wake() };
            }
            if !self.settled && self.send_next() {
                continue;
            }
            if !core::mem::replace(&mut self.settled, true) {
                self.rearm_streams();
            }
            if self.out.actions.is_empty() {
                return ClientAction::Idle { wake: self.wake() };
            }
        }
    }

    /// What the client has done so far.
    pub const fn stats(&self) -> &ClientStats {
        &self.out.stats
    }

    /// Payload bytes that the client keeps: uplink not yet answered, and downlink that waits for its turn.
    pub fn buffered_bytes(&self) -> usize {
        let streams = self.streams.as_ref().map_or(0, Streams::kept);
        self.flows.values().fold(streams, |sum, flow| sum.saturating_add(flow.kept()))
    }

    /// Time goes on, and something may be sendable again.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.settled = false;
    }

    fn circumstances(&self) -> Circumstances {
        Circumstances {
            now: self.now,
            short: self.relays.is_short(),
            none_holds: self.relays.none_holds(self.now, Path::Any),
            none_holds_sequenced: self.relays.none_holds(self.now, Path::Sequenced),
            not_held: POLL_WAIT_NOT_HELD,
            poll_behind: self.poll_behind(),
        }
    }

    /// How long after a payload its session polls.
    ///
    /// On a slow path the node's wait of 350 ms for the answer to the payload brings most answers back with
    /// it, for one call; the poll comes just before that wait is over. On a fast path the settle that ends
    /// the wait would be longer than the way, so the poll follows at once.
    fn poll_behind(&self) -> Duration {
        const FAST: Duration = Duration::from_millis(250);
        let slow = self.relays.shortest_round_trip().is_some_and(|round_trip| round_trip >= FAST);
        if slow { LONGEST_BEHIND } else { Duration::ZERO }
    }

    fn wake(&self) -> Option<Wake> {
        let (at, owner) = self.timers.first()?;
        let timer = match owner {
            TimerOwner::Relay(id) => self
                .relays
                .get(id)
                .and_then(|relay| relay.deadline(self.now))
                .map_or(TimerKind::RelayRetry, |(_, timer)| timer),
            TimerOwner::Exchange(_) => TimerKind::ReplyWatchdog,
            TimerOwner::Coalesce | TimerOwner::Closes => TimerKind::Coalesce,
            TimerOwner::Streams => self.streams.as_ref().map_or(TimerKind::Late, |streams| streams.due),
            TimerOwner::Flow(id) => self
                .flows
                .get(&id)
                .and_then(|flow| flow.deadline(self.circumstances(), &self.config))
                .map_or(TimerKind::Poll, |(_, timer)| timer),
        };
        let late = planted!(WakeNow) && owner == TimerOwner::Closes;
        Some(Wake { at: if late { self.now } else { at }, timer })
    }

    fn on_local(&mut self, now: Instant, id: FlowId, event: LocalEvent) -> Result<(), Misuse> {
        let Some(flow) = self.flows.get_mut(&id) else { return Ok(()) };
        let at = self.now.max(now);
        match (&mut flow.kind, event) {
            (Kind::Session(_) | Kind::Stream(_), LocalEvent::Reset)
            | (Kind::Association(_), LocalEvent::Reset | LocalEvent::Fin) => {
                self.advance(now);
                self.end(id, EndReason::Local);
                return Ok(());
            }
            (Kind::Stream(number), event) => {
                let number = *number;
                return self.on_stream_local(at, id, number, event);
            }
            (Kind::Session(session), event) => session.on_local(event, at, &mut self.out)?,
            (Kind::Association(association), event) => {
                association.on_local(event, at, &self.config, &mut self.out)?;
            }
        }
        self.advance(now);
        self.refresh(id);
        Ok(())
    }

    /// Every owner whose deadline has come acts once, and names a later deadline or none.
    fn on_timeout(&mut self) {
        while let Some((_, owner)) = self.timers.first().filter(|(at, _)| *at <= self.now) {
            match owner {
                TimerOwner::Relay(id) => self.rearm_relay(id),
                TimerOwner::Exchange(id) => self.on_exchange_overdue(id),
                TimerOwner::Flow(id) => self.on_flow_timeout(id),
                TimerOwner::Coalesce => {
                    self.ready.flush();
                    self.rearm_coalesce();
                }
                TimerOwner::Closes => self.rearm_closes(),
                TimerOwner::Streams => self.on_streams_timeout(),
            }
        }
    }

    fn on_flow_timeout(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if let Kind::Stream(number) = flow.kind {
            return self.on_stream_timeout(id, number);
        }
        match flow.on_timeout(self.now, &self.config, &mut self.out) {
            Ok(()) => self.refresh(id),
            Err(why) => self.end(id, why),
        }
    }

    fn on_close(&mut self) {
        self.stage = Stage::Closed;
        while let Some(id) = self.flows.keys().next().copied() {
            self.end(id, EndReason::ClientClosed);
        }
    }

    /// After anything that may have changed a flow: queues what it wants, sets its timer, looks after its
    /// credit. What a flow wants is computed from its state, so nothing can be forgotten.
    fn refresh(&mut self, id: FlowId) {
        if self.refresh_stream(id) {
            return;
        }
        let circumstances = self.circumstances();
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let wants = flow.wants(circumstances, &self.config);
        if let Kind::Session(session) = &mut flow.kind {
            session.note_wants(wants, self.now);
        }
        self.ready.put(id, &mut flow.queued, wants);
        let deadline = flow.deadline(circumstances, &self.config).map(|(at, _)| at);
        self.timers.set(&mut flow.timer, TimerOwner::Flow(id), deadline);
        if let Kind::Session(session) = &flow.kind
            && session.is_blocked()
        {
            self.starved.insert(id);
        }
        if let Some(bytes) = wants.payload {
            let at_once = self.payload_in_flight == 0 || bytes >= self.config.tuning.max_op_payload;
            let until = self.now.saturating_add(self.coalescing_window());
            self.ready.on_payload(at_once, until);
            self.rearm_coalesce();
        }
    }

    /// How long small writes wait for company: a twentieth of the round trip, which nobody notices.
    fn coalescing_window(&self) -> Duration {
        const SHORTEST: Duration = Duration::from_millis(1);
        if planted!(TimeAmbient, ambient) {
            return SHORTEST;
        }
        let share = self
            .relays
            .shortest_round_trip()
            .and_then(|round_trip| round_trip.checked_div(20))
            .unwrap_or(SHORTEST);
        share.max(SHORTEST).min(self.config.tuning.coalesce)
    }

    fn rearm_coalesce(&mut self) {
        let deadline = self.ready.deadline();
        self.timers.set(&mut self.coalesce_timer, TimerOwner::Coalesce, deadline);
    }

    fn rearm_relay(&mut self, id: RelayId) {
        if let Some(relay) = self.relays.get_mut(id) {
            // What became due while the host slept is done before it is forgotten.
            relay.on_timeout(self.now);
            let deadline = relay.deadline(self.now).map(|(at, _)| at);
            self.timers.set(relay.timer(), TimerOwner::Relay(id), deadline);
        }
    }

    /// A flow is over: everything that it holds is given back, and the node is told if it does not know.
    fn end(&mut self, id: FlowId, why: EndReason) {
        let Some(mut flow) = self.flows.remove(&id) else { return };
        self.timers.set(&mut flow.timer, TimerOwner::Flow(id), None);
        self.starved.remove(&id);
        let stream = match flow.kind {
            Kind::Stream(number) => self.remove_stream(number, why),
            Kind::Session(_) | Kind::Association(_) => None,
        };
        let target = flow.target().or(stream.as_ref());
        if let (EndReason::ConnectFailed(failure), Some(target)) = (why, target) {
            self.unreachable.record(self.now, target, failure);
        }
        if let Some(sid) = flow.sid().filter(|_| why != EndReason::Finished && !planted!(CloseUnsaid)) {
            self.close_session(sid);
        }
        if let Kind::Session(session) = &mut flow.kind {
            session.close(&mut self.out);
        }
        // A stream's end was told when it was delivered.
        if why == EndReason::Finished && !matches!(flow.kind, Kind::Stream(_)) {
            self.out.actions.push_back(ClientAction::Fin { flow: id });
        }
        self.report_end(id, why);
        self.feed_starved();
    }

    fn report_end(&mut self, stream: FlowId, why: EndReason) {
        count(&mut self.out.stats.ended);
        self.out.actions.push_back(ClientAction::Ended { flow: stream, why });
    }

    /// The node shall forget a session. The op rides with the next batch, or goes alone after a moment.
    fn close_session(&mut self, sid: Sid) {
        self.queue_close(sid, 0, self.now.saturating_add(NODE_IDLE));
    }

    fn queue_close(&mut self, sid: Sid, tries: u8, until: Instant) {
        /// A close that is lost this often is left to the node's idle limit.
        const MOST_TRIES: u8 = 3;
        // Closes are as many as sessions that ended; beyond this the node's idle limit does the work.
        if tries >= MOST_TRIES || self.closes.len() >= self.config.max_flows {
            return;
        }
        let due = self.now.saturating_add(self.config.tuning.coalesce);
        self.closes.push_back(Closing { sid, tries, due, until });
        self.rearm_closes();
    }

    /// A close that is due already waits for a relay, and not for the time.
    fn rearm_closes(&mut self) {
        let next = self.closes.front().map(|closing| closing.due).filter(|due| *due > self.now);
        self.timers.set(&mut self.close_timer, TimerOwner::Closes, next);
    }

    /// The pool has room again: readers that ran dry get new credit, in the order of their ids.
    fn feed_starved(&mut self) {
        while self.out.pool.has_room() {
            let Some(id) = self.starved.pop_first() else { return };
            if let Some(Flow { kind: Kind::Session(session), .. }) = self.flows.get_mut(&id) {
                session.regrant(&mut self.out);
            }
        }
        if let Some(connection) = self.streams.as_mut().and_then(Streams::connection_mut) {
            connection.feed(&mut self.out);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("now", &self.now)
            .field("stage", &self.stage)
            .field("flows", &self.flows.len())
            .field("exchanges", &self.exchanges.len())
            .field("coalescing", &self.ready.coalescing)
            .field("stats", &self.out.stats)
            .finish_non_exhaustive()
    }
}

/// Whether payload may be sent now.
const fn may_flush(coalescing: Coalescing) -> bool {
    matches!(coalescing, Coalescing::Now)
}
