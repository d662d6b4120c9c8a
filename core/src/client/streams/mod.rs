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
//! [`handshake`] leads to a [`connection`], and to the next one when the node has dropped the client. [`next_request`]
//! decides what the next request is for, from what the [`controllers`] find: the timeout of exchanges ([`timeout`]), the
//! size of packets ([`packet_size`]), the bytes in flight ([`congestion_window`]), and what a download needs while it
//! begins ([`slow_start`]); and from whether the node is blocked on flow control ([`peer_credit`]).

mod calls;
mod congestion_window;
mod connection;
mod controllers;
pub(super) mod decrypted;
pub(super) mod decryptor;
mod exchanges;
mod handshake;
mod next_request;
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
use core::hash::{Hash, Hasher};
use core::time::Duration;

pub(super) use handshake::Availability;

use crate::client::action::EndReason;
use crate::client::calls::{NewCall, PacketCall};
use crate::client::context::{Context, TimerOwner};
use crate::client::event::LocalEvent;
use crate::client::relays::Relays;
use crate::client::sessions::session::Start;
use crate::config::ClientOptions;
use crate::error::Misuse;
use crate::id::FlowId;
use crate::target::FlowKind;
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::direction::Direction;
use crate::wire::number::StreamNumber;
use crate::wire::reset::ResetCode;
use crate::wire::seal::MakeSeal;

use calls::Sealer;
use connection::NodeConnection;
use decryptor::Decryptor;
use handshake::Handshake;

/// Level 2 of a client.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    sealer: Sealer,
    decryptor: Decryptor,
    handshake: Handshake,
    flows: BTreeMap<FlowId, StreamFlow>,
    timer: TimerSlot,
    /// Whether the client was closed: no new connection is made.
    closed: bool,
}

/// A flow that is a stream.
#[derive(Clone, Debug)]
struct StreamFlow {
    number: StreamNumber,
    timer: TimerSlot,
}

impl Hash for Streams {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.handshake, self.closed).hash(state);
    }
}

impl Streams {
    /// Level 2 that says hello through every relay at once; none without a secret.
    pub(super) fn new(
        config: &ClientOptions,
        seed: [u8; 32],
        seal: MakeSeal,
        relays: &mut Relays,
        now: Instant,
    ) -> Option<Self> {
        let secret = config.seal_secret()?;
        Some(Self {
            sealer: Sealer::new(seal(secret, Direction::Up), seed),
            decryptor: Decryptor::new(seal(secret, Direction::Down), config.tuning.max_reply_body),
            handshake: Handshake::new(config, seed, relays, now),
            flows: BTreeMap::new(),
            timer: TimerSlot::default(),
            closed: false,
        })
    }

    /// Decrypts the packets of answers, on any thread.
    pub(super) const fn decryptor(&self) -> &Decryptor {
        &self.decryptor
    }

    /// The client is closed.
    pub(super) const fn close(&mut self) {
        self.closed = true;
    }

    /// Whether the node has streams of the client, or is to hear of their end.
    pub(super) fn is_in_use(&self) -> bool {
        self.handshake.is_in_use()
    }

    /// Payload bytes that are buffered. Visits every stream.
    pub(super) fn buffered(&self) -> usize {
        self.connection().map_or(0, |connection| connection.shared().buffered())
    }

    pub(super) fn connection(&self) -> Option<&NodeConnection> {
        self.handshake.connection()
    }

    // Flows that open.

    /// What level 2 is to a flow that opens now.
    pub(super) fn availability(&self, now: Instant, relays: &Relays) -> Availability {
        self.handshake.availability(now, relays)
    }

    /// Whether a flow waits for a connection.
    pub(super) const fn set_wanted(&mut self, wanted: bool) {
        self.handshake.set_wanted(wanted);
    }

    /// A flow is about to open: a connection that the node may have dropped is replaced before.
    pub(super) fn renew(&mut self, relays: &mut Relays, config: &ClientOptions, now: Instant) {
        self.handshake.renew(relays, config, now);
    }

    /// Upgrades a flow whose open is due to a stream. There is a connection.
    pub(super) fn take_over(&mut self, id: FlowId, start: Start, context: &mut Context) {
        let Some(connection) = self.handshake.connection_mut() else { return };
        let number = connection.open(id, start, context);
        self.flows.insert(id, StreamFlow { number, timer: TimerSlot::default() });
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
        let Some(number) = self.flows.get(&id).map(|flow| flow.number) else { return Ok(()) };
        let Some(connection) = self.handshake.connection_mut() else { return Ok(()) };
        let udp = connection.shared().stream(number).is_some_and(|stream| stream.kind() == FlowKind::Udp);
        if event == LocalEvent::Reset || udp && event == LocalEvent::Fin {
            self.end(id, EndReason::Local, context);
            return Ok(());
        }
        connection.on_local(number, event, context)
    }

    /// When a flow ends by itself, and why.
    fn deadline(&self, id: FlowId, config: &ClientOptions) -> Option<(Instant, EndReason)> {
        self.connection()?.shared().stream(self.flows.get(&id)?.number)?.deadline(config)
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
        let connection = self.handshake.connection_mut();
        let target = connection.and_then(|connection| connection.remove(flow.number, why, context));
        context.ended(id, target.as_ref(), why);
    }

    /// Ends the flows whose streams are over.
    pub(super) fn reap(&mut self, context: &mut Context) {
        let next =
            |streams: &mut Self| streams.handshake.connection_mut().and_then(NodeConnection::next_ended);
        while let Some((id, why)) = next(self) {
            self.end(id, why, context);
        }
    }

    /// The uplink pool has room: streams that are blocked on it get credit.
    pub(super) fn feed(&mut self, context: &mut Context) {
        if let Some(connection) = self.handshake.connection_mut() {
            connection.feed(context);
        }
    }

    // Calls.

    /// The next call to make; none when there is nothing to do now.
    pub(super) fn next_call(&mut self, relays: &mut Relays, context: &mut Context) -> Option<NewCall> {
        let Self { sealer, handshake, closed, .. } = self;
        let hello = if *closed { None } else { handshake.hello(relays, context) };
        let outgoing = match (hello, handshake.connection_mut()) {
            (Some(hello), _) => hello,
            (None, connection) => {
                let connection = connection?;
                let probe = if *closed { None } else { connection.probe(relays, context) };
                probe.or_else(|| connection.request(relays, context))?
            }
        };
        sealer.call(outgoing, relays, context)
    }

    /// The answer of a call has begun to come.
    pub(super) fn on_call_answering(&mut self, packet: PacketCall) {
        if let Some(connection) = self.handshake.connection_of(packet.client) {
            connection.on_answering(packet.number);
        }
    }

    /// The node has dropped the client: every stream ends, and the next hello has a new name.
    fn on_dropped(&mut self, relays: &mut Relays, context: &mut Context) {
        if let Some(connection) = self.handshake.connection_mut() {
            connection.end_all(EndReason::Reset(ResetCode::Gone));
        }
        // A stream gives its credit back while its connection is still there.
        self.reap(context);
        self.handshake.start_over(relays);
    }

    // Time.

    /// One of the deadlines of this engine is due.
    pub(super) fn on_timeout(&mut self, owner: TimerOwner, relays: &mut Relays, context: &mut Context) {
        match owner {
            TimerOwner::Flow(id) => self.on_flow_timeout(id, context),
            TimerOwner::Streams => {
                let now = context.now();
                if let Some(connection) = self.handshake.connection_mut() {
                    connection.on_loss_timeout(relays, now);
                    if connection.forgotten_at(context.config()).is_some_and(|at| at <= now) {
                        self.on_dropped(relays, context);
                    }
                }
                self.rearm(relays, context);
            }
            TimerOwner::Relay(_) | TimerOwner::Exchange(_) | TimerOwner::Coalesce | TimerOwner::Closes => {}
        }
    }

    /// Sets the timer of the engine.
    pub(super) fn rearm(&mut self, relays: &Relays, context: &mut Context) {
        let deadline = self.next_deadline(relays, context);
        context.set_timer(&mut self.timer, TimerOwner::Streams, deadline);
    }

    /// When the engine has something to do next, and what.
    fn next_deadline(&self, relays: &Relays, context: &Context) -> Option<(Instant, TimerKind)> {
        let (now, config) = (context.now(), context.config());
        let connection = self.connection();
        let in_use = connection.is_some_and(NodeConnection::is_in_use);
        let of_relays = relays.iter().flat_map(|relay| {
            let backoff = Some(relay.health().backoff_until());
            [
                (self.handshake.hello_at(relay), TimerKind::Hello),
                (backoff.filter(|_| in_use), TimerKind::Probe),
                (relay.health().probe_at().filter(|_| in_use), TimerKind::Probe),
            ]
        });
        let of_connection = connection.into_iter().flat_map(|connection| {
            // What was measured since may have made something overdue already.
            let soon = now.saturating_add(Duration::from_micros(1));
            [
                (connection.next_loss(relays).map(|at| at.max(soon)), TimerKind::Overdue),
                (connection.forgotten_at(config).map(|at| at.max(soon)), TimerKind::IdleClient),
                (connection.inputs(0, false, config, now).bulk_at(), TimerKind::Coalesce),
            ]
        });
        let all = of_relays.chain(of_connection).filter_map(|(at, timer)| Some((at?, timer)));
        all.filter(|(at, _)| *at > now).min()
    }
}
