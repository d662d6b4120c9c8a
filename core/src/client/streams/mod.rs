//! The engine of level 2: streams that share exchanges with a node (protocol.md 3).
//!
//! ```text
//!                 chunks                 packets
//!  application ─────────▶ connection ─────────────▶ calls ──▶ relay
//!       ▲                  │      ▲  next request              │
//!       │     frames       ▼      │                            ▼ answer, failure, or time
//!       └────────────── receive   └──────── loss ◀─────── responses
//! ```
//!
//! A [`hello`] through each relay leads to a [`connection`], one for each node ([`connections`]). [`next_request`] decides
//! what the next request is for, from what the [`controllers`] find: the timeout of exchanges ([`timeout`]), the size of
//! packets ([`packet_size`]), the bytes in flight ([`congestion_window`]), and what a download needs while it begins
//! ([`slow_start`]); and from whether the node is blocked on flow control ([`peer_credit`]). Whether a node still knows its
//! connection is a matter of [`doubt`].

mod calls;
mod congestion_window;
mod connection;
pub(super) mod connections;
mod controllers;
pub(super) mod decrypted;
pub(super) mod decryptor;
mod doubt;
mod exchanges;
mod hello;
mod next_request;
mod opened;
mod packet_size;
mod peer_credit;
mod responses;
pub(super) mod round_trips;
mod slow_start;
mod stream;
#[cfg(test)]
mod tests;
mod timeout;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::client::action::{ClientNotice, EndReason};
use crate::client::calls::{NewCall, PacketCall, PacketKind};
use crate::client::context::{Context, TimerOwner};
use crate::client::event::LocalEvent;
use crate::client::relays::{HelloDelays, Path, Purpose, Relay, Relays};
use crate::client::sessions::session::Start;
use crate::config::ClientOptions;
use crate::entropy::Entropy;
use crate::error::Misuse;
use crate::id::FlowId;
use crate::target::FlowKind;
use crate::time::{Instant, share};
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::handshake::MakeKeys;
use crate::wire::number::StreamNumber;
#[cfg(feature = "model")]
use crate::wire::packet::ClientId;
use crate::wire::reset::ResetCode;
use crate::wire::seal::Nonces;

use connection::NodeConnection;
use connections::{ConnectionKey, Connections};
use hello::Hellos;
use round_trips::Size;
use timeout::LossDetector;

/// The longest delay between hellos while no flow waits for an answer.
const LONGEST_HELLO_DELAY: Duration = Duration::from_secs(60);

/// Level 2 of a client.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    hellos: Hellos,
    connections: Connections,
    nonces: Nonces,
    /// What was measured over connections that are over.
    loss: LossDetector,
    flows: BTreeMap<FlowId, StreamFlow>,
    timer: TimerSlot,
    /// How long a flow waits for a connection.
    open_wait: Duration,
    /// Whether a flow waits for a connection.
    wanted: bool,
    /// Whether a hello was ever accepted.
    accepted: bool,
    /// Whether the client was closed: no new connection is made.
    closed: bool,
}

/// A flow that is a stream.
#[derive(Clone, Debug)]
struct StreamFlow {
    connection: ConnectionKey,
    number: StreamNumber,
    timer: TimerSlot,
}

/// What level 2 is to a flow that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// This connection can carry the flow.
    Ready(ConnectionKey),
    /// It will be known soon; the flow waits.
    Undecided,
    /// It cannot; sessions carry the flow.
    Sessions,
}

impl Hash for Streams {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.hellos, &self.connections, &self.loss).hash(state);
        (self.wanted, self.accepted, self.closed).hash(state);
    }
}

impl Streams {
    /// Level 2 that says hello through every relay at once.
    pub(super) fn new(
        config: &ClientOptions,
        entropy: Entropy,
        make_keys: MakeKeys,
        relays: &mut Relays,
        now: Instant,
    ) -> Self {
        for relay in relays.iter_mut().filter(|relay| relay.is_narrow()) {
            relay.destination_mut().on_narrow();
            // That is a matter of the options, and no news.
            relay.destination_mut().take_refusal();
        }
        let names = entropy.names();
        let mut draws = entropy.into_draws();
        Self {
            nonces: Nonces::new(*draws.draw()),
            hellos: Hellos::new(make_keys(&config.seal_secret()), names, draws),
            connections: Connections::default(),
            loss: LossDetector::new(now),
            flows: BTreeMap::new(),
            timer: TimerSlot::default(),
            open_wait: config.request_timeout,
            wanted: false,
            accepted: false,
            closed: false,
        }
    }

    /// The client is closed: nodes are told.
    pub(super) fn close(&mut self, now: Instant) {
        self.closed = true;
        self.connections.iter_mut().for_each(|(_, connection)| connection.say_goodbye(now));
    }

    /// Whether every node knows that the client is closed, or had the time to learn it.
    pub(super) fn is_all_said(&self) -> bool {
        self.connections.is_empty()
    }

    /// Whether a node has streams of the client, or is to hear of their end.
    pub(super) fn is_in_use(&self) -> bool {
        self.connections.iter().any(|(_, connection)| connection.is_in_use())
    }

    /// Payload bytes that are buffered. Visits every stream.
    pub(super) fn buffered(&self) -> usize {
        self.connections.iter().map(|(_, connection)| connection.shared().buffered()).sum()
    }

    /// The connections, the oldest first.
    #[cfg(any(test, feature = "model"))]
    pub(super) fn connections(&self) -> impl Iterator<Item = &NodeConnection> {
        self.connections.iter().map(|(_, connection)| connection)
    }

    /// The ids of hellos and connections.
    #[cfg(feature = "model")]
    pub(super) fn known(&self) -> impl Iterator<Item = (ClientId, Option<u64>)> {
        let hellos = self.hellos.clients().map(|client| (client, None));
        let connections = self.connections().map(|connection| {
            let up = connection.up();
            (up.client(), up.session())
        });
        hellos.chain(connections)
    }

    // Flows that open.

    /// What level 2 is to a flow that opens now.
    pub(super) fn availability(&self, now: Instant, relays: &Relays) -> Availability {
        if let Some(connection) = self.connections.best(relays, now) {
            return Availability::Ready(connection);
        }
        let delays = self.hello_delays();
        let pending = |relay: &Relay| {
            let destination = relay.destination();
            // A relay that has no room for a hello holds nobody up either.
            let asks = !destination.is_unknown() || relay.can_take(now, Purpose::Active(Path::Any));
            relay.is_usable(now) && destination.is_pending(now, delays) && asks
        };
        // That is known in a round trip, or in two of silence.
        if self.connections.iter().any(|(_, connection)| connection.is_in_fresh_doubt(now)) {
            return Availability::Undecided;
        }
        let silent =
            self.connections.is_empty() && relays.iter().all(|relay| relay.destination().is_silent());
        if silent || relays.iter().any(pending) { Availability::Undecided } else { Availability::Sessions }
    }

    /// Whether a flow waits for a connection.
    pub(super) const fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// A flow is about to open: connections that their nodes may have dropped are replaced before.
    pub(super) fn renew(&mut self, relays: &mut Relays, context: &Context) {
        let (now, idle) = (context.now(), share(context.config().tuning.streams.idle, 1, 2));
        let stale = self.connections.iter().filter(|(_, connection)| connection.is_stale(now, idle));
        for key in stale.map(|(key, _)| key).collect::<Vec<_>>() {
            self.drop_connection(key, relays, context);
        }
    }

    /// Upgrades a flow whose open is due to a stream of a connection.
    pub(super) fn take_over(&mut self, id: FlowId, key: ConnectionKey, start: Start, context: &mut Context) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let number = connection.open(id, start, context);
        self.flows.insert(id, StreamFlow { connection: key, number, timer: TimerSlot::default() });
        self.refresh(id, context);
    }

    // Flows.

    /// Something happened on the socket of a stream's application.
    pub(super) fn on_local(
        &mut self,
        id: FlowId,
        event: LocalEvent,
        context: &mut Context,
    ) -> Result<(), Misuse> {
        let Some(StreamFlow { connection, number, .. }) = self.flows.get(&id) else { return Ok(()) };
        let number = *number;
        let Some(connection) = self.connections.get_mut(*connection) else { return Ok(()) };
        let udp = connection.shared().stream(number).is_some_and(|stream| stream.kind() == FlowKind::Udp);
        if event == LocalEvent::Reset || udp && event == LocalEvent::Fin {
            self.end(id, EndReason::Local, context);
            return Ok(());
        }
        connection.on_local(number, event, context)
    }

    /// When a flow ends by itself, and why.
    fn deadline(&self, id: FlowId, config: &ClientOptions) -> Option<(Instant, EndReason)> {
        let StreamFlow { connection, number, .. } = self.flows.get(&id)?;
        self.connections.get(*connection)?.shared().stream(*number)?.deadline(config)
    }

    /// Sets the timer of a flow.
    fn refresh(&mut self, id: FlowId, context: &mut Context) {
        let deadline = self.deadline(id, context.config()).map(|(at, _)| (at, TimerKind::Poll));
        if let Some(flow) = self.flows.get_mut(&id) {
            context.set_timer(&mut flow.timer, TimerOwner::Flow(id), deadline);
        }
    }

    /// The timer of a stream is due; since it was set, its deadline may have moved.
    fn on_flow_timeout(&mut self, id: FlowId, context: &mut Context) {
        match self.deadline(id, context.config()) {
            Some((at, why)) if at <= context.now() => self.end(id, why, context),
            Some(_) | None => self.refresh(id, context),
        }
    }

    /// Ends a flow: its stream leaves the connection.
    pub(super) fn end(&mut self, id: FlowId, why: EndReason, context: &mut Context) {
        let Some(mut flow) = self.flows.remove(&id) else { return };
        context.set_timer(&mut flow.timer, TimerOwner::Flow(id), None);
        let connection = self.connections.get_mut(flow.connection);
        let target = connection.and_then(|connection| connection.remove(flow.number, why, context));
        context.ended(id, target.as_ref(), why);
    }

    /// Ends the flows whose streams are over.
    pub(super) fn reap(&mut self, context: &mut Context) {
        while let Some((id, why)) = self.connections.next_ended() {
            self.end(id, why, context);
        }
    }

    /// The uplink pool has room: streams that are blocked on it get credit.
    pub(super) fn feed(&mut self, context: &mut Context) {
        self.connections.iter_mut().for_each(|(_, connection)| connection.feed(context));
    }

    // Calls.

    /// The next call to make; none when there is nothing to do now.
    pub(super) fn next_call(&mut self, relays: &mut Relays, context: &mut Context) -> Option<NewCall> {
        if !self.closed
            && let Some(call) = self.next_hello(relays, context)
        {
            return Some(call);
        }
        let outgoing = |connection: &mut NodeConnection, relays: &mut Relays, context: &mut Context| {
            if connection.is_done() {
                connection.say_goodbye(context.now());
            }
            if connection.is_leaving() {
                return connection.goodbye(relays, context);
            }
            let question = connection.question(relays, context);
            question
                .or_else(|| connection.probe(relays, context))
                .or_else(|| connection.request(relays, context))
        };
        for (key, connection) in self.connections.iter_mut() {
            if let Some(outgoing) = outgoing(connection, relays, context) {
                return calls::exchange(outgoing, (key, connection), self.nonces.next(), relays, context);
            }
        }
        None
    }

    /// A hello, if one is due through a relay that can take it: through each one once before there is any need, and again
    /// while it matters.
    fn next_hello(&mut self, relays: &mut Relays, context: &Context) -> Option<NewCall> {
        let now = context.now();
        let (again, delays) = (self.asks_again(), self.hello_delays());
        let relay = relays.iter_mut().find(|relay| {
            let destination = relay.destination();
            (again || destination.is_unknown() && !self.accepted)
                && destination.wants_hello(now, delays)
                && relay.can_take(now, Purpose::Active(Path::Any))
        })?;
        relay.destination_mut().on_hello(now);
        let id = relay.id();
        calls::hello(id, self.hellos.packet(id, now), relays, context)
    }

    /// Whether it matters where relays lead that have not answered, or not well.
    fn asks_again(&self) -> bool {
        self.wanted || self.is_in_use()
    }

    /// When the next hello through a relay is due that was asked before.
    fn hello_at(&self, relay: &Relay) -> Option<Instant> {
        relay.destination().hello_at(self.hello_delays()).filter(|_| self.asks_again() && !self.closed)
    }

    /// A flow waits for a connection only so long: in that time, every relay is to be asked several times.
    fn hello_delays(&self) -> HelloDelays {
        let longest = if self.wanted { share(self.open_wait, 1, 4) } else { LONGEST_HELLO_DELAY };
        HelloDelays { first: self.loss().timeout(None, Size::Small, 0), longest }
    }

    /// What is known of round trips beyond those of one connection.
    fn loss(&self) -> &LossDetector {
        let newest = self.connections.iter().last();
        newest.map_or(&self.loss, |(_, connection)| connection.controllers().loss())
    }

    /// The backoff of a relay after the first failed exchange.
    fn first_backoff(&self) -> Duration {
        share(self.loss().rtt().p50, 1, 8)
    }

    /// The answer of a call has begun to come.
    pub(super) fn on_call_answering(&mut self, packet: &PacketCall) {
        if let PacketKind::Exchange { connection, number, .. } = packet.kind
            && let Some(connection) = self.connections.get_mut(connection)
        {
            connection.on_answering(number);
        }
    }

    // Ends of connections.

    /// A connection is over, and its streams end.
    fn end_connection(
        &mut self,
        key: ConnectionKey,
        why: EndReason,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.end_all(why);
        }
        // A stream gives its credit back while its connection is still there.
        self.reap(context);
        self.drop_connection(key, relays, context);
    }

    /// A connection without streams is over: its relays are asked again. What was measured of the paths stays.
    fn drop_connection(&mut self, key: ConnectionKey, relays: &mut Relays, context: &Context) {
        let Some(connection) = self.connections.remove(key) else { return };
        for id in connection.relays() {
            if let Some(relay) = relays.get_mut(id) {
                relay.leave(connection.node(), context.now());
            }
        }
        self.loss = connection.into_loss();
    }

    // Time.

    /// One of the deadlines of this engine is due.
    pub(super) fn on_timeout(&mut self, owner: TimerOwner, relays: &mut Relays, context: &mut Context) {
        match owner {
            TimerOwner::Flow(id) => self.on_flow_timeout(id, context),
            TimerOwner::Streams => {
                self.hellos.expire(context.now());
                let keys: Vec<ConnectionKey> = self.connections.iter().map(|(key, _)| key).collect();
                for key in keys {
                    self.on_connection_timeout(key, relays, context);
                }
                self.rearm(relays, context);
            }
            TimerOwner::Relay(_) | TimerOwner::Exchange(_) | TimerOwner::Coalesce | TimerOwner::Closes => {}
        }
    }

    /// What is due of one connection.
    fn on_connection_timeout(&mut self, key: ConnectionKey, relays: &mut Relays, context: &mut Context) {
        let now = context.now();
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.on_loss_timeout(relays, now);
        if connection.retires_at().is_some_and(|at| at <= now) {
            connection.retire();
            relays.ask_again(connection.relays(), connection.node(), now);
        }
        let Some(connection) = self.connections.get(key) else { return };
        let forgotten = connection.forgotten_at(context.config()).is_some_and(|at| at <= now);
        if forgotten || connection.is_forgotten(relays, now) {
            return self.end_connection(key, EndReason::Reset(ResetCode::Gone), relays, context);
        }
        self.judge_silence(key, relays, context);
    }

    /// A node that does not answer while another one does: what may not have reached it ends soon, and everything later.
    fn judge_silence(&mut self, key: ConnectionKey, relays: &mut Relays, context: &mut Context) {
        let now = context.now();
        let Some((since, silence)) = self.silence(key, relays, now) else { return };
        let dead = since.saturating_add(context.config().dead_node);
        if dead <= now {
            return self.end_connection(key, EndReason::NodeSilent, relays, context);
        }
        if since.saturating_add(silence) <= now
            && let Some(connection) = self.connections.get_mut(key)
        {
            if connection.on_judged_silent() {
                context.notice(ClientNotice::NodeSilent);
            }
            connection.end_unconfirmed(EndReason::NodeSilent);
            self.reap(context);
        }
    }

    /// Since when the node of a connection is silent, or cannot be asked, while another one is heard, and after how long
    /// that counts.
    fn silence(&self, key: ConnectionKey, relays: &Relays, now: Instant) -> Option<(Instant, Duration)> {
        let connection = self.connections.get(key)?;
        let usable = |id| relays.get(id).is_some_and(|relay| relay.is_usable(now));
        let cut_off = || (!connection.relays().any(usable)).then(|| connection.heard());
        let since = connection.silent_since().or_else(cut_off)?;
        self.connections.another_is_heard(key, since).then(|| (since, connection.silence()))
    }

    /// Sets the timer of the engine.
    pub(super) fn rearm(&mut self, relays: &Relays, context: &mut Context) {
        let deadline = self.next_deadline(relays, context);
        context.set_timer(&mut self.timer, TimerOwner::Streams, deadline);
    }

    /// When the engine has something to do next, and what.
    fn next_deadline(&self, relays: &Relays, context: &Context) -> Option<(Instant, TimerKind)> {
        let now = context.now();
        let in_use = self.is_in_use();
        let of_relays = relays.iter().flat_map(|relay| {
            let backoff = Some(relay.health().backoff_until());
            [
                (self.hello_at(relay), TimerKind::Hello),
                (backoff.filter(|_| in_use), TimerKind::Probe),
                (relay.health().probe_at().filter(|_| in_use), TimerKind::Probe),
            ]
        });
        let of_connections =
            self.connections.iter().flat_map(|(key, _)| self.connection_deadlines(key, relays, context));
        let expiry = core::iter::once((self.hellos.expires_at(), TimerKind::Hello));
        let all = of_relays.chain(of_connections).chain(expiry);
        all.filter_map(|(at, timer)| Some((at?, timer))).filter(|(at, _)| *at > now).min()
    }

    fn connection_deadlines(
        &self,
        key: ConnectionKey,
        relays: &Relays,
        context: &Context,
    ) -> impl Iterator<Item = (Option<Instant>, TimerKind)> + use<> {
        let (now, config) = (context.now(), context.config());
        // What was measured since may have made something overdue already.
        let soon = now.saturating_add(Duration::from_micros(1));
        let silence = self.silence(key, relays, now).map(|(since, silence)| {
            let judged = since.saturating_add(silence);
            if judged > now { judged } else { since.saturating_add(config.dead_node).max(soon) }
        });
        let deadlines = self.connections.get(key).map(|connection| {
            [
                (connection.next_loss(relays).map(|at| at.max(soon)), TimerKind::Overdue),
                (connection.forgotten_at(config).map(|at| at.max(soon)), TimerKind::IdleClient),
                (connection.inputs(0, false, config, now).bulk_at(), TimerKind::Coalesce),
                (connection.question_at(now), TimerKind::Probe),
                (connection.confirm_at(), TimerKind::Hello),
                (connection.retires_at().filter(|_| connection.is_in_use()), TimerKind::Hello),
                (silence, TimerKind::Overdue),
            ]
        });
        deadlines.into_iter().flatten()
    }
}
